--- What is measured, and what is aimed at: the table of the bench, row by row.

---@class work
---@field name string for --only, and of the function in work.lua
---@field n integer? how many tasks, items or switches; nil: it is a start of the program
---@field rows row[]

---@class row one figure of a work
---@field title string
---@field figure string as the work prints it
---@field unit string
---@field limit string? the figure of limit.c beside it
---@field most number? the aim: at most so much,
---@field times_limit number? or at most so many times the limit,
---@field times_floor number? or the floor

---@param title string
---@param aims table fields of the row
local function row(title, figure, unit, aims)
  aims.title, aims.figure, aims.unit = title, figure, unit
  return aims
end

return {
  {name = "yield", n = 1000000, rows = {
    row("yield, a switch", "each", "ns", {limit = "switch", times_limit = 1.25})}},
  {name = "gather", n = 100000, rows = {
    row("gather, 100,000 tasks", "each", "ns", {limit = "reused", most = 100})}},
  {name = "gather", n = 1000000, rows = {
    row("gather, 1,000,000 tasks", "each", "ns", {limit = "reused", most = 100})}},
  {name = "map", n = 100000, rows = {
    row("map, 100,000 items of an iterator", "each", "ns", {})}},
  {name = "as_completed", n = 100000, rows = {
    row("as_completed, 100,000 tasks, a yield each", "each", "ns", {times_floor = 1.2})}},
  {name = "semaphore", n = 100000, rows = {
    row("semaphore of 100, 100,000 tasks, a yield each", "each", "ns", {times_floor = 1.2})}},
  {name = "sleep", n = 100000, rows = {
    row("100,000 sleeps of 0 to 100 ms, CPU", "cpu", "s", {most = 0.2}),
    row("  time over 100 ms; none early", "over", "ms", {most = 100})}},
  {name = "asleep", n = 1000000, rows = {
    row("1,000,000 tasks asleep, memory a task", "bytes", "B", {limit = "suspended", most = 1400})}},
  {name = "channel", n = 1000000, rows = {
    row("channel of 100, an item", "each", "ns", {most = 60})}},
  {name = "start", rows = {
    row("start and end of an empty script", "ms", "ms", {times_floor = 3})}},
}
