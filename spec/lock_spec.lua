-- Locks that are released by hand while their permits live on. (Everything else of locks: semaphore_spec.)
local async = require "muster"
local luv = require "luv"
local virtual = require "muster.test".virtual

describe("a lock released by lock:release", function()
  it("is not released again by the permit, while the next holder has not run yet", virtual(function()
    local lock, inside, most = async.lock(), 0, 0
    local function user()
      local _ <close> = lock:acquire()
      inside = inside + 1
      most = math.max(most, inside)
      async.sleep(1)
      inside = inside - 1
    end
    local first = async.spawn(function()
      local _ <close> = lock:acquire()
      async.sleep(1)
      lock:release()
    end)
    async.sleep(0)
    async.gather {first, user, user}
    assert.equal(1, most)
    assert.is_false(lock:locked())
  end))
end)

describe("a lock taken in a callback", function()
  it("is released by its permit", function()
    local lock, timer = async.lock(), luv.new_timer()
    async.suspend(function(resume)
      timer:start(0, 0, function()
        lock:try_acquire():release()
        timer:close(function() resume() end)
      end)
    end)
    assert.is_false(lock:locked())
  end)
end)
