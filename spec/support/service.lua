-- For specs of the service in scripts/service: schemas, requests, and what comes of them.
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path

local async = require "muster"
local cjson = require "cjson"
local http = require "muster.http"
local service = require "service"
local spec = require "spec.support.io"

local M = {null = cjson.null}

M.sentence = "Carla Reyes, 29, is a marine biologist."
M.carla = {name = "Carla Reyes", age = 29, job = "marine biologist"}

M.person = {
  type = "object", required = {"name", "age", "job"}, additionalProperties = false,
  properties = {name = {type = "string"}, age = {type = "integer"}, job = {type = {"string", "null"}}},
}

--- Makes the body of a spec: fn is called with a service by these options.
function M.serving(opts, fn)
  if not fn then opts, fn = {}, opts end
  return spec.checked(function()
    local s <close> = assert(service.start(opts))
    local client <close> = http.client {timeout = {total = 30}}
    fn(s, client)
    s:stop()
    async.wait {s.server.acceptor}
  end)
end

--- A chat about a sentence, with other fields.
function M.chat(fields)
  local body = {model = "m", messages = {{role = "user", content = M.sentence}}}
  for name, value in pairs(fields or {}) do body[name] = value end
  return body
end

function M.schema_chat(fields, schema)
  local body = M.chat(fields)
  body.response_format = {type = "json_schema", json_schema = {name = "person", schema = schema or M.person}}
  return body
end

function M.tool_chat(fields, choice)
  local body = M.chat(fields)
  body.tools = {{type = "function", ["function"] = {name = "person", parameters = M.person}}}
  body.tool_choice = choice or "required"
  return body
end

--- Posts a chat, which may be text already. -> response (with `text` read as `body`), or nil and an error
function M.post(s, client, chat, headers, path)
  local request = {headers = headers, body = type(chat) == "string" and chat or cjson.encode(chat)}
  local response, err = client:post(path and s.root .. path or s.url .. "/chat/completions", request)
  if not response then return nil, err end
  local text
  text, err = response:text()
  if not text then return nil, err end
  return {status = response.status, headers = response.headers, body = text}
end

--- Posts, and decodes what came.
function M.ask(...)
  local response = assert(M.post(...))
  return cjson.decode(response.body), response.status, response.headers
end

--- The events of a stream, as they were: {event, data}…
function M.events(text)
  local list = {}
  for block in text:gmatch "(.-)\n\n" do
    list[#list + 1] = {event = block:match "^event: ([^\n]*)", data = block:match "data: ([^\n]*)$"}
  end
  return list
end

--- Waits until a condition holds.
function M.until_true(condition)
  while not condition() do async.sleep(0.001) end
end

return M
