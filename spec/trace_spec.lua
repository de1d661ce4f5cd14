-- `--trace FILE`: the file as another program would read it, at any moment of its life.
local cjson = require "cjson"
local program = require "spec.support.program"

local PAGE = 4096

--- Runs code with a trace: the text of the file, then what program.run gives.
local function traced(code, options)
  local path = program.file()
  local arguments = { "--trace", path, "-e", "local async = require 'muster' " .. code }
  if options then table.insert(arguments, 1, options) end
  local output, errors, status = program.run(arguments)
  return program.contents(path), output, errors, status
end

local function events_of(text) return cjson.decode(text) end

--- The events of a run that ends well.
local function trace(code, options)
  local text, output, errors, status = traced(code, options)
  assert.equal("", errors)
  assert.equal(0, status)
  return events_of(text), output
end

--- What is known of each task: its names, what it waited for ({name, seconds}), its slices; by its number.
local function tracks_of(events)
  local tracks = {}
  local function track_of(event)
    local track = tracks[event.tid] or { names = {}, waits = {}, slices = {}, last = 0 }
    tracks[event.tid] = track
    return track
  end
  local kinds = {}
  function kinds.M(event)
    if event.name == "thread_name" then table.insert(track_of(event).names, event.args.name) end
  end
  function kinds.B(event)
    local track = track_of(event)
    assert.is_nil(track.waiting, "a wait inside a wait")
    assert.is_true(event.ts >= track.last, "a wait inside a slice")
    track.waiting, track.last = event, event.ts
  end
  function kinds.E(event)
    local track = track_of(event)
    assert(track.waiting, "the end of a wait that has not begun")
    assert.is_true(event.ts >= track.last)
    table.insert(track.waits, { track.waiting.name, (event.ts - track.last) * 1e-6 })
    track.waiting, track.last = nil, event.ts
  end
  function kinds.X(event)
    local track = track_of(event)
    assert.equal("running", event.name)
    assert.is_nil(track.waiting, "a slice inside a wait")
    assert.is_true(event.ts >= track.last, "slices that overlap")
    table.insert(track.slices, event)
    track.last = event.ts + event.dur - 1e-4 -- microseconds have three decimals
  end
  function kinds.C() end
  for _, event in ipairs(events) do kinds[event.ph](event) end
  return tracks
end

local function names_of_waits(track)
  local names = {}
  for i, wait in ipairs(track.waits) do names[i] = wait[1] end
  return names
end

describe("a trace that cannot be written", function()
  after_each(program.remove_files)

  it("is a bad option if the file cannot be created", function()
    for path, why in pairs { ["/nowhere/trace"] = "No such file or directory", ["/tmp"] = "Is a directory" } do
      local output, errors, status = program.run { "--trace", path, "-e", "print 'ran'" }
      assert.equal("", output)
      assert.equal(("muster: cannot write '%s': %s (try 'muster --help')\n"):format(path, why), errors)
      assert.equal(2, status)
    end
    local _, errors, status = program.run { "--trace" }
    assert.match("'--trace' needs argument", errors)
    assert.equal(2, status)
  end)

  it("is said once, and the program goes on, if the disk is full", function()
    local output, errors, status = program.run { "--trace", "/dev/full", "-e", [[
      local async = require "muster"
      for _ = 1, 3000 do async.sleep(0) end
      print "ran"]] }
    assert.equal("ran\n", output)
    assert.equal("muster: the trace ends here: cannot write it: No space left on device\n", errors)
    assert.equal(0, status)
  end)

  it("is cut at the last whole event if it grows too large", function()
    local path = program.file()
    local output, errors, status = program.sh(("ulimit -f 8; trap '' XFSZ; %s"):format(program.command {
      "--trace", path, "-e", "local async = require 'muster' for _ = 1, 5000 do async.yield() end print 'ran'" }))
    assert.equal("ran\n", output)
    assert.equal("muster: the trace ends here: cannot write it: File too large\n", errors)
    assert.equal(0, status)
    local text = program.contents(path)
    if text ~= "" then events_of(text .. "]") end
  end)
end)

describe("a trace", function()
  after_each(program.remove_files)

  it("is complete however the program ends", function()
    for code, expected in pairs {
      ["os.exit(3)"] = 3,
      ["os.exit(3, true)"] = 3,
      ["error 'broken'"] = 1,
      ["async.channel():recv()"] = 13,
      ["async.spawn(async.sleep, 60):daemon()"] = 0,
    } do
      local text, _, _, status = traced([[
        local event = async.event()
        async.spawn(event.wait, event):daemon()
        async.yield()
      ]] .. code)
      assert.equal(expected, status)
      assert.match("\n%]\n$", text)
      for id, track in pairs(tracks_of(events_of(text))) do
        assert.is_nil(track.waiting, ("%s: track %d still waits"):format(code, id))
      end
    end
  end)

  it("is whole up to any page of the file", function()
    local text = traced("for _ = 1, 1500 do async.sleep(0) end")
    assert.is_true(#text > 20 * PAGE)
    for at = PAGE, #text, PAGE do events_of(text:sub(1, at) .. "]") end
    for line in text:gmatch "[^\n]+" do
      if line ~= "[" and line ~= "]" then events_of("[" .. line:gsub(", *$", "") .. "]") end
    end
  end)

  it("holds all that had happened before the last wait when the program is killed", function()
    local path = program.file()
    local _, _, status = program.run { "--trace", path, "-e", [[
      local async, uv = require "muster", require "luv"
      async.spawn(async.sleep, 60).name = "sleeper"
      async.spawn(function() async.channel():recv() end)
      local timer = uv.new_timer()
      timer:start(1, 0, function() uv.kill(uv.os_getpid(), "sigkill") end)
      async.sleep(60)]] }
    assert.equal(137, status)
    local text = program.contents(path)
    assert.match("}%s*$", text)
    local tracks = tracks_of(events_of(text .. "]"))
    assert.equal("sleep", tracks[1].waiting.name)
    assert.same({ "sleeper" }, tracks[2].names)
    assert.equal("sleep", tracks[2].waiting.name)
    assert.equal("a value from a channel", tracks[3].waiting.name)
  end)

  it("can be read when the program is killed amid its work", function()
    local path = program.file()
    local _, _, status = program.run { "--trace", path, "-e", [[
      local async, uv = require "muster", require "luv"
      for _ = 1, 50 do async.spawn(function() while true do async.yield() end end) end
      for _ = 1, 100 do async.yield() end
      uv.kill(uv.os_getpid(), "sigkill")]] }
    assert.equal(137, status)
    assert.is_true(#events_of(program.contents(path) .. "]") > 1000)
  end)

  it("names the tracks in the order of starting, and again when a task is renamed", function()
    local tracks = tracks_of(trace [[
      local second = async.spawn(function() async.current().name = "late" end)
      second.name = "early"
      async.spawn(function() end)
      local never = async(function() end)()
      never.name = "never started"
      never:cancel()]])
    assert.same({ "main" }, tracks[1].names)
    assert.same({ "early", "late" }, tracks[2].names)
    assert.same({ "task 3" }, tracks[3].names)
    assert.is_nil(tracks[4])
  end)

  it("writes any name as JSON", function()
    local tracks = tracks_of(trace [[
      local names = {'"quoted" \\ back', "\0\1\n\t\127", "żółw 亀 \u{1F422}", "\xFF\xC3(\xED\xA0\x80\xF5",
        ("x"):rep(1e6), "", "/"}
      for _, name in ipairs(names) do
        async.spawn(function() end).name = name
      end]])
    assert.same({ '"quoted" \\ back' }, tracks[2].names)
    assert.same({ "\0\1\n\t\127" }, tracks[3].names)
    assert.same({ "żółw 亀 \u{1F422}" }, tracks[4].names)
    assert.same({ "\u{FFFD}\u{FFFD}(\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}" }, tracks[5].names)
    assert.match("^x+\u{2026}$", tracks[6].names[1])
    assert.is_true(#tracks[6].names[1] < 1000)
    assert.same({ "" }, tracks[7].names)
    assert.same({ "/" }, tracks[8].names)
  end)

  it("names waits by what is waited for", function()
    local tracks = tracks_of(trace [[
      local ch, event, lock = async.channel(), async.event(), async.lock()
      local held = lock:acquire()
      local tasks = {
        async.spawn(function() ch:recv() end),
        async.spawn(function() event:wait() end),
        async.spawn(function() lock:with(function() end) end),
        async.spawn(function() async.select {ch, timeout = 60} end),
        async.spawn(function() pcall(async.sleep, 60) end),
        async.spawn(async.yield),
      }
      async.yield()
      tasks[5]:cancel()
      lock:release()
      event:set()
      ch:send(1)
      ch:send(2)
      async.gather(tasks)]])
    assert.same({ "a value from a channel" }, names_of_waits(tracks[2]))
    assert.same({ "a permit" }, names_of_waits(tracks[4]))
    assert.equal(1, #names_of_waits(tracks[3]))
    assert.match(" or ", names_of_waits(tracks[5])[1])
    assert.same({ "sleep" }, names_of_waits(tracks[6]))
    assert.same({}, names_of_waits(tracks[7]))
    assert.equal(2, #tracks[7].slices)
  end)

  it("follows the virtual clock", function()
    local tracks = tracks_of(trace("async.sleep(3600) async.sleep(0.5)", "--virtual-time"))
    assert.same({ "sleep", "sleep" }, names_of_waits(tracks[1]))
    assert.near(3600, tracks[1].waits[1][2], 1e-6)
    assert.near(0.5, tracks[1].waits[2][2], 1e-6)
  end)

  it("counts what is ready, what waits, and the permits in use", function()
    local events = trace([[
      local semaphore = async.semaphore(3)
      for _ = 1, 5 do
        async.spawn(function()
          local _ <close> = semaphore:acquire()
          async.sleep(1)
        end)
      end
      async.sleep(0.5)]], "--virtual-time")
    local most = { ready = 0, waiting = 0, permits = 0 }
    for _, event in ipairs(events) do
      if event.ph == "C" and event.name == "tasks" then
        most.ready = math.max(most.ready, event.args.ready)
        most.waiting = math.max(most.waiting, event.args.waiting)
      elseif event.ph == "C" then
        most.permits = math.max(most.permits, event.args["in use"])
      end
    end
    assert.equal(3, most.permits)
    assert.equal(6, most.waiting)
    assert.is_true(most.ready >= 2 and most.ready <= 6)
  end)

  it("counts at most once a millisecond", function()
    local events, counts, last = trace "for _ = 1, 20000 do async.yield() end", 0, 0
    for _, event in ipairs(events) do
      if event.ph == "C" and event.name == "tasks" then counts = counts + 1 end
      if event.ph == "X" then last = math.max(last, event.ts + event.dur) end
    end
    assert.is_true(counts <= last / 1000 + 3, counts .. " counts in " .. last .. " us")
  end)

  it("shows waits inside the script's own coroutines, and where Lua cannot yield", function()
    local tracks = tracks_of(trace [[
      local function pinned()
        table.sort({1, 2}, function() async.sleep(1e-4) async.yield() end)
      end
      async.spawn(pinned)
      async.spawn(coroutine.wrap(function() async.sleep(1e-4) pinned() end))
      async.spawn(pinned):cancel()]])
    assert.is_true(#tracks[2].waits >= 1)
    assert.is_true(#tracks[3].waits >= 2)
    for _, track in pairs(tracks) do
      for _, name in ipairs(names_of_waits(track)) do assert.equal("sleep", name) end
      assert.is_nil(track.waiting)
    end
  end)

  it("ends the wait of a task when the coroutine that waits is closed", function()
    local tracks = tracks_of(trace [[
      local slow = setmetatable({}, {__close = function() async.sleep(1e-3) end})
      for _, wait in ipairs {async.sleep, function() async.yield() end} do
        local co
        local task = async.spawn(function()
          co = coroutine.create(function() local _ <close> = slow wait(100) end)
          coroutine.resume(co)
          async.sleep(1e-4)
        end)
        async.yield()
        coroutine.close(co)
        task:await()
      end]])
    assert.same({"sleep", "another close of it", "sleep"}, names_of_waits(tracks[2]))
    assert.same({"another close of it", "sleep"}, names_of_waits(tracks[3]))
    for _, track in pairs(tracks) do assert.is_nil(track.waiting) end
  end)

  it("keeps its nesting through cancellations, timeouts, errors and groups", function()
    local events = trace [[
      local function work(i)
        if i % 3 == 0 then error "broken" end
        if i % 5 == 0 then async.yield() end
        async.sleep(i % 4 * 1e-4)
        pcall(async.timeout, 1e-4, async.sleep, i % 2 * 1e-3)
      end
      for _ = 1, 5 do
        pcall(function()
          local group <close> = async.group()
          for i = 1, 20 do group:spawn(work, i) end
        end)
        local tasks = {}
        for i = 1, 20 do tasks[i] = async.spawn(work, i) end
        for i = 1, 20, 2 do tasks[i]:cancel() end
        async.gather_settled(tasks)
        pcall(async.first, {function() work(1) end, function() work(2) end})
      end]]
    for _, track in pairs(tracks_of(events)) do assert.is_nil(track.waiting) end
  end)
end)
