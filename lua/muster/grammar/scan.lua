--- Scans that remember what they saw. A search tries a template at many places, and a capture that runs far would walk
--- over the same text again and again. Here the answer to "where does it end?" is kept with the stretch of text for
--- which it holds, so that all tries together walk over it once.
local lpeg = require "lpeg"

local M = {}

local Carg, Cmt = lpeg.Carg, lpeg.Cmt

--- What one search knows. It is the extra argument of lpeg.match, so that searches in several tasks do not meet.
---@param text string
---@param max_steps integer?
function M.run(text, max_steps)
  return {text = text, steps = 0, max_steps = max_steps or 64 * #text + 100000, seen = {}}
end

--- Counts work; too much raises.
function M.charge(run, n)
  run.steps = run.steps + n
  if run.steps > run.max_steps then
    error(("grammar: stopped after %d steps, more than the limit: the template goes over the same text too often")
      :format(run.max_steps), 0)
  end
end
local charge = M.charge

--- Where the match that begins at `at` ends, and where its capture ends, from `look(text, at, run)`, which returns
--- these two (nil if there is no match) and how far it looked. The answer has to be the same for every place from `at`
--- to there, or up to the end of the match.
---@return integer|false stop
---@return integer? capture
function M.ask(run, look, text, at)
  local seen = run.seen[look]
  if seen and at >= seen.from and at <= seen.upto then return seen.stop, seen.capture end
  local stop, capture, upto = look(text, at, run)
  upto = stop or upto
  charge(run, upto - at + 1)
  if not seen then
    seen = {}
    run.seen[look] = seen
  end
  seen.from, seen.upto, seen.stop, seen.capture = at, upto, stop or false, capture
  return seen.stop, capture
end

--- The same as a pattern, which gives the capture's end.
function M.remembered(look)
  return Cmt(Carg(1), function(text, at, run) return M.ask(run, look, text, at) end)
end

--- The end of text[first, stop-1] without white space at its end.
function M.trimmed(text, first, stop)
  while stop > first do
    local b = text:byte(stop - 1)
    if b ~= 32 and (b < 9 or b > 13) then break end
    stop = stop - 1
  end
  return stop
end

return M
