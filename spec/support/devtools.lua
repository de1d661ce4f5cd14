-- A real browser for specs: Chromium without a window, told what to do over pipes (its DevTools protocol, messages that
-- end with a zero byte). All waiting is for what the page says, none for time.
local fs = require "muster.fs"
local json = require "muster.json"
local process = require "muster.process"

local M = {}

---@class spec.browser
local Browser = {}
Browser.__index = Browser

-- Its descriptors 3 and 4 are the pipes.
local COMMAND = [[exec "$@" --headless=new --no-sandbox --disable-gpu --remote-debugging-pipe --no-first-run ]] ..
  [[--disable-dev-shm-usage --user-data-dir="$HOME" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1]]

--- The program, or nil.
---@return string?
function M.program()
  for _, name in ipairs {"chromium", "chromium-browser", "google-chrome"} do
    local found = process.run {"sh", "-c", "command -v " .. name}
    if found and found.ok then return name end
  end
end

--- Tells it something, and waits for the answer. Events are passed over.
---@async
---@param method string
---@param params table?
---@return table
function Browser:call(method, params)
  self.last = self.last + 1
  local message = {id = self.last, method = method, params = json.object(params), sessionId = self.session}
  assert(self.child.stdin:write(json.encode(message) .. "\0"))
  while true do
    local answer = assert(json.decode(assert(self.child.stdout:read_until "\0")))
    if answer.id == self.last then
      if answer.error then error(method .. ": " .. answer.error.message, 2) end
      return answer.result
    end
  end
end

--- The value of an expression in the page, or what a promise becomes.
---@async
---@param expression string
---@return any
function Browser:eval(expression)
  local answer = self:call("Runtime.evaluate",
    {expression = expression, awaitPromise = true, returnByValue = true, userGesture = true})
  local problem = answer.exceptionDetails
  if problem then error(problem.exception and problem.exception.description or problem.text, 2) end
  return answer.result.value
end

local WAIT = [[new Promise((done, fail) => {
  const end = Date.now() + 30000;
  const look = () => (%s) ? done(true) : Date.now() > end ? fail(new Error(%s)) : setTimeout(look, 10);
  look();
})]]

--- Waits until an expression is true in the page; raises if that takes too long.
---@async
function Browser:wait_for(expression)
  return self:eval(WAIT:format(expression, json.encode("waited for " .. expression)))
end

--- Goes to an address, and waits for the document.
---@async
function Browser:open(url)
  self:call("Page.navigate", {url = url})
  self:wait_for(("location.href.startsWith(%s) && document.readyState === 'complete'"):format(json.encode(url)))
end

local codes = {Enter = 13, Escape = 27, Tab = 9, ArrowLeft = 37, ArrowUp = 38, ArrowRight = 39, ArrowDown = 40}
local texts = {Enter = "\r"}

--- Presses keys: names such as "Enter", or characters.
---@async
function Browser:press(...)
  for _, key in ipairs {...} do
    local code, text = codes[key], texts[key]
    if not code then text = key end
    self:call("Input.dispatchKeyEvent", {type = "keyDown", key = key, windowsVirtualKeyCode = code, text = text})
    self:call("Input.dispatchKeyEvent", {type = "keyUp", key = key, windowsVirtualKeyCode = code})
  end
end

--- Clicks into the middle of what a selector finds.
---@async
function Browser:click(selector)
  local x, y = table.unpack(self:eval(([[(() => {
    const element = document.querySelector(%s);
    element.scrollIntoView({block: "center"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  })()]]):format(json.encode(selector))))
  for _, kind in ipairs {"mousePressed", "mouseReleased"} do
    self:call("Input.dispatchMouseEvent", {type = kind, x = x, y = y, button = "left", clickCount = 1})
  end
end

--- What a screen is like: width, height, dark.
---@async
function Browser:screen(width, height, dark)
  self:call("Emulation.setDeviceMetricsOverride",
    {width = width, height = height, deviceScaleFactor = 1, mobile = false})
  self:call("Emulation.setEmulatedMedia",
    {features = {{name = "prefers-color-scheme", value = dark and "dark" or "light"}}})
end

--- The picture of what is seen, in base64.
---@async
function Browser:picture() return self:call("Page.captureScreenshot", {format = "png"}).data end

--- Ends it.
---@async
function Browser:close()
  self.child:kill()
  self.child:close()
  self.home:close()
end

Browser.__close = Browser.close

--- Starts one, which is closed with its scope.
---@async
---@param program string
---@return spec.browser
function M.start(program)
  local home = assert(fs.tmp_dir())
  local child = assert(process.spawn({"sh", "-c", COMMAND, "sh", program},
    {env = {HOME = home.path}, stderr = "null", group = true}))
  local self = setmetatable({child = child, home = home, last = 0}, Browser)
  local target = self:call("Target.createTarget", {url = "about:blank"}).targetId
  self.session = self:call("Target.attachToTarget", {targetId = target, flatten = true}).sessionId
  return self
end

return M
