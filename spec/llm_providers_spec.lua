local providers = require "muster.llm.providers"
local uv = require "luv"

local function with_environment(values, fn)
  local before = {}
  for name, value in pairs(values) do
    before[name] = os.getenv(name) or false
    if value then uv.os_setenv(name, value) else uv.os_unsetenv(name) end
  end
  local _ <close> = setmetatable({}, {__close = function()
    for name, value in pairs(before) do
      if value then uv.os_setenv(name, value) else uv.os_unsetenv(name) end
    end
  end})
  fn()
end

describe("llm.providers", function()
  it("are found by name, or given", function()
    assert.equal("anthropic", providers.find "anthropic".name)
    assert.equal("llamacpp", providers.find "llamacpp".name)
    local own = {}
    assert.equal(own, providers.find(own))
    local ok, err = pcall(providers.find, "x")
    assert.is_false(ok)
    assert.equal("llm.client: unknown provider 'x', known are: anthropic, llamacpp, ollama, openai", err)
  end)

  it("take key and URL of the environment, if they say something", function()
    local openai, ollama = providers.find "openai", providers.find "ollama"
    with_environment({OPENAI_API_KEY = "k", OPENAI_BASE_URL = "", OLLAMA_HOST = "box:1"}, function()
      assert.equal("k", providers.key(openai))
      assert.equal("https://api.openai.com/v1", providers.base_url(openai))
      assert.equal("http://box:1/api/chat", providers.url(ollama, providers.base_url(ollama)))
    end)
    with_environment({OPENAI_API_KEY = false}, function() assert.is_nil(providers.key(openai)) end)
  end)

  it("have URLs that are put together right", function()
    assert.equal("http://x/v1/chat/completions", providers.url(providers.find "openai", "http://x/v1/"))
    assert.equal("http://x/v1", providers.public "http://user:pass@x/v1")
    assert.equal("http://x/v1@2", providers.public "http://x/v1@2")
  end)
end)
