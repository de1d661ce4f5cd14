--- The answer that the bench of extraction gets from a service that has only one.
local json = require "muster.json"

local arguments = '{"name":"Ada Lovelace","age":36,"job":"programmer"}'

return json.encode({
  id = "chatcmpl-123", object = "chat.completion", created = 1677652288, model = "bench",
  choices = {{index = 0, finish_reason = "tool_calls", logprobs = json.null, message = {
    role = "assistant", content = json.null,
    tool_calls = {{id = "call_1", type = "function", ["function"] = {name = "Person", arguments = arguments}}},
  }}},
  usage = {prompt_tokens = 150, completion_tokens = 20, total_tokens = 170},
}, {canonical = true})
