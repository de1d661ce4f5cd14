--- What a report keeps of an item: texts, which can be cut shorter, and times.
local json = require "muster.json"
local async = require "muster"
local spans_of = require "muster.report.spans"

local M = {}

local NAME <const>, MESSAGE <const>, MARKS <const> = 300, 2000, 32
local SHORT <const> = 64 -- texts are not cut shorter

---@class muster.report.entry
---@field size integer about how many bytes it takes in the page
---@field texts table<string, string> value, record, text: as much as is kept
---@field lengths table<string, integer> bytes of what there was
---@field offset integer bytes before `text` in its source
---@field spans muster.report.span[]
local Entry = {}
Entry.__index = Entry

--- The text up to a byte, or a little less: a sequence of UTF-8 is not cut.
local function cut(text, limit)
  if #text <= limit then return text end
  local last = limit
  while last > limit - 4 and last > 0 and (text:byte(last + 1) or 0) & 0xC0 == 0x80 do last = last - 1 end
  return text:sub(1, last)
end

--- About what it takes in JSON.
local function weight(text)
  local _, escaped = text:gsub("[\0-\8\11-\31<\127]", "")
  local _, high = "", 0
  if not utf8.len(text) then _, high = text:gsub("[\x80-\xFF]", "") end
  return #text + 5 * escaped + 2 * high
end

local function plain(value)
  local ok, text = pcall(tostring, value)
  return ok and text or "<" .. type(value) .. ">"
end

--- A value as a person may read it: texts as they are, others as JSON.
local function readable(value)
  if value == nil then return nil end
  if type(value) == "string" then return value end
  local own_order = type(value) == "table" and type(getmetatable(value)) == "table" and getmetatable(value).__keys
  local ok, text = pcall(json.encode, value, {pretty = true, canonical = not own_order, invalid_utf8 = "replace"})
  return ok and text or plain(value)
end

--- How an error reads: its kind, and its message.
---@return string kind
---@return string message
function M.read_error(err)
  if type(err) ~= "table" then return "error", cut(plain(err), MESSAGE) end
  local kind, message = err.kind, err.message
  return type(kind) == "string" and cut(kind, NAME) or "error",
    cut(type(message) == "string" and message or plain(err), MESSAGE)
end

--- The source text of an item, and the places in it that its record is from.
local function source_of(item, text_of)
  if not text_of then return item.text, item.spans end
  local ok, text, spans = pcall(text_of, item, item.result)
  if ok then return text, spans end
  if async.is_cancelled(text) then error(text, 0) end
  return nil, nil, "no text: " .. cut(plain(text), MESSAGE)
end

--- Bytes from which on an excerpt of a text shows its first span, and not much before it.
local function begin_of(text, offset, spans, limit)
  local first = spans[1] and spans[1].first - offset - limit // 4 or 1
  first = math.max(1, math.min(first, #text - limit + 1))
  while first > 1 and first <= #text and text:byte(first) & 0xC0 == 0x80 do first = first - 1 end
  return first
end

local function clip_text(self, limit)
  local text = self.texts.text
  if not text then return end
  if #text > limit then
    local first = begin_of(text, self.offset, self.spans, limit)
    self.texts.text = cut(text:sub(first, first + limit + 3), limit)
    self.offset = self.offset + first - 1
  end
  for i = #self.spans, math.max(limit // 64, 4) + 1, -1 do self.spans[i] = nil end
end

--- Cuts its texts to so many bytes each.
---@param limit integer
function Entry:clip(limit)
  limit = math.max(limit, SHORT)
  local texts = self.texts
  for _, name in ipairs {"value", "record"} do texts[name] = texts[name] and cut(texts[name], limit) end
  clip_text(self, limit)
  self.key, self.message = cut(self.key, limit), self.message and cut(self.message, limit)
  local size = 200 + weight(self.key) + 20 * #self.marks + weight(self.message or "")
  for _, text in pairs(texts) do size = size + weight(text) end
  for _, span in ipairs(self.spans) do size = size + 30 + #span.path end
  self.size = size
end

local function name_of(key)
  local text = key == nil and "" or plain(key)
  return cut(text, NAME)
end

--- The first stages that an item went through: index, start, end.
local function marks_of(item, indexes)
  local marks, stages = {}, item.stages or {}
  for i = 1, math.min(#stages, 3 * MARKS), 3 do
    local index = indexes[stages[i]]
    if index then table.move({index, stages[i + 1], stages[i + 2]}, 1, 3, #marks + 1, marks) end
  end
  return marks
end

--- What is to be kept of an item.
---@param item muster.report.item
---@param status string
---@param opts {text: function?, limit: integer, stages: table<string, integer>}
---@return muster.report.entry
function M.new(item, status, opts)
  local self = setmetatable({
    position = math.tointeger(item.position), key = name_of(item.key), status = status, recalled = item.recalled or nil,
    started = item.started, ended = item.ended, marks = marks_of(item, opts.stages), offset = 0, lengths = {},
    spans = {},
  }, Entry)
  if item.error ~= nil then
    self.kind, self.message = M.read_error(item.error)
    self.stage = type(item.stage) == "string" and cut(item.stage, NAME) or nil
  end
  local text, spans, problem = source_of(item, opts.text)
  self.problem = problem
  self.texts = {value = readable(item.value), record = readable(item.result)}
  if type(text) == "string" then
    self.texts.text, self.spans = text, spans_of.read(spans, math.max(opts.limit // 64, 4))
    if text == self.texts.value then self.texts.value = nil end
  end
  for name, whole in pairs(self.texts) do self.lengths[name] = #whole end
  self:clip(opts.limit)
  return self
end

local function microseconds(seconds) return math.floor(seconds * 1e6 + 0.5) / 1e6 end

--- For the page, times since `began`.
---@return table
function Entry:facts(began)
  local function at(time)
    return type(time) == "number" and math.abs(time - began) < 1e12 and microseconds(time - began) or nil
  end
  local marks = {}
  for i = 1, #self.marks, 3 do
    marks[i], marks[i + 1], marks[i + 2] = self.marks[i], at(self.marks[i + 1]), at(self.marks[i + 2])
  end
  local text = self.texts.text
  return {
    position = self.position, key = self.key, status = self.status, recalled = self.recalled, start = at(self.started),
    stop = at(self.ended), marks = marks[1] and marks, kind = self.kind, message = self.message, stage = self.stage,
    value = self.texts.value, record = self.texts.record, lengths = self.lengths, problem = self.problem,
    text = text and json.array(spans_of.pieces(text, self.offset, self.spans)), offset = text and self.offset,
  }
end

return M
