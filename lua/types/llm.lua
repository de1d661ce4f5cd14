---@meta muster.llm
-- Type stubs for LuaLS: what `require "muster.llm"` returns.

---Services of language models: answers, and records that fit a schema.
---@class muster.llm
local llm = {}

---What went wrong: a muster error.
---@class muster.llm.error : muster.error
---@field kind "api"|"invalid"|"truncated"|"refusal"|"content_filter"|"budget"|"timeout"|"reset"|"connect"|string
---@field status integer? kind "api": of HTTP, or as the body says
---@field code any? of the service; "context_length_exceeded" for what is too long, whatever the service calls it
---@field type string?
---@field limited boolean? it was too much at once: a 429
---@field fatal boolean? nothing will go until somebody does something: a quota, a key. The client has stopped
---@field retry_after number? seconds that the service wants us to wait
---@field value any? kind "invalid": what was read, wrong as it is; "truncated": what is whole
---@field errors table? kind "invalid": what is wrong, each with its path
---@field raw string? the answer as it came
---@field items any[]? kind "invalid", of a list: the items that are right
---@field rejects integer? and how many are not
---@field where "prompt"|"answer"|nil kind "truncated"
---@field budget "tokens"|"money"|"seconds"|nil kind "budget"
---@field parked boolean? the service wants us to wait for more than two minutes: do it later
---@field deadline_exceeded boolean? there was no time left to try again
---@field last muster.llm.error? kind "timeout" of the deadline: the error of the last try
---@field meta muster.llm.meta? what it took to get it

---@class muster.llm.usage
---@field input integer tokens of prompts
---@field output integer tokens of answers
---@field total integer
---@field cached integer? those of the prompts that the provider had cached
---@field estimated boolean? some of it was not told

---What a call took, over all its requests.
---@class muster.llm.meta
---@field usage muster.llm.usage
---@field cost number? if there is a price
---@field attempts integer requests that were sent
---@field reasks integer
---@field latency number seconds
---@field finish_reason "stop"|"length"|"tool_calls"|"content_filter"|nil
---@field mode "tools"|"json_schema"|"json"|nil
---@field model string
---@field id string?
---@field cached boolean did all of it come from the cache?
---@field spans muster.llm.span[]? where the quotes are, if they were looked for
---@field rejects {index: integer, value: any, errors: table}[]? of extract_many

---Where a quote is in the source. Positions are those of the first and the last, counted from 1.
---@class muster.llm.span
---@field path string such as "people[2].quote"
---@field item integer? of extract_many
---@field text string as it is in the source
---@field first integer in bytes
---@field last integer
---@field from integer in codepoints
---@field to integer

---@class muster.llm.result
---@field content string?
---@field tool_calls {id: string?, name: string, arguments: string}[]
---@field refusal string?
---@field finish_reason "stop"|"length"|"tool_calls"|"content_filter"
---@field usage muster.llm.usage? as the service tells it
---@field model string?
---@field id string?
---@field raw table? the body; not of a stream, nor from the cache

---@class muster.llm.delta
---@field content string?
---@field refusal string?
---@field reasoning string? what a model thinks aloud
---@field calls {name: string, arguments: string, index: integer}[]? pieces of tool calls

---@class muster.llm.price money per million tokens
---@field input number
---@field output number
---@field cached number? of input that was cached; as `input`

---They watch. What one raises ends the call.
---@class muster.llm.hooks
---@field request fun(info: table)? before each request: model, mode, attempt, url, stream, bytes, body
---@field response fun(result: muster.llm.result, info: table)?
---@field error fun(err: table, info: table)? of each attempt
---@field retry fun(err: table, info: {attempt: integer, wait: number, model: string})?
---@field reask fun(problems: table, info: {reask: integer, model: string, mode: string, answer: string?})?

---@class muster.llm.client.options
---@field provider "openai"|"anthropic"|"ollama"|"llamacpp"|table|nil openai; a table is an adapter of your own
---@field base_url string? else of the environment (OPENAI_BASE_URL, ANTHROPIC_BASE_URL, OLLAMA_HOST), else its own
---@field api_key string|(fun(): string)|nil else of the environment (OPENAI_API_KEY, …)
---@field model string? that calls take if they name none
---@field limiter muster.limiter|muster.limit.options|nil one for each service, key and model unless given
---@field concurrency integer? so many requests at once, exactly
---@field retry table? options of muster.retry; deadline is for a whole call
---@field cache table? what has get(key) and put(key, value), such as cache.open(); it keeps answers right and wrong
---@field hooks muster.llm.hooks?
---@field prices table<string, muster.llm.price>? by model; "*" for all others
---@field budget {tokens: number?, money: number?, seconds: number?}? what may cross it is not begun
---@field timeout number|http.timeouts|nil connect 5, first_byte 300, idle 60
---@field transport table? what has request(self, options), as a client of muster.http; or a cassette
---@field headers table<string, string>?
---@field max_tokens integer?
---@field temperature number?
---@field extra table? more fields of each request

---@param options muster.llm.client.options
---@return muster.llm.client
function llm.client(options) end

---@class muster.llm.client
local client = {}

---@class muster.llm.call_options
---@field model string?
---@field max_tokens integer?
---@field temperature number?
---@field extra table?

---@class muster.llm.chat_options : muster.llm.call_options
---@field messages string|table[]
---@field system string?
---@field tools {name: string, description: string?, parameters: table, strict: boolean?}[]?
---@field tool string? the one that has to be called

---@class muster.llm.extract_options : muster.llm.call_options
---@field mode "tools"|"json_schema"|"json"|nil else the first that works
---@field instructions string? instead of ours
---@field reasks integer? 2
---@field grounding true|string[]|nil fields that have to be quotes of the text: "people.quote"; true: all strings
---@field source string? where the quotes have to be, if not in the text
---@field coerce boolean? "36" is 36

---Asks, and returns the answer as it is: a refusal, or one that was cut, too.
---@async
---@param options string|table[]|muster.llm.chat_options
---@return muster.llm.result? result
---@return muster.llm.meta|muster.llm.error meta
function client:chat(options) end

---The same as an iterator over deltas. It asks when it is called first; the loop raises what breaks the answer off.
---@async
---@param options string|table[]|muster.llm.chat_options
---@return muster.llm.stream
function client:stream(options) end

---@class muster.llm.stream
---@overload fun(): muster.llm.delta?
local stream = {}

---The whole answer, once the loop has come to its end.
---@return muster.llm.result?
---@return muster.llm.meta|muster.llm.error|nil
function stream:result() end

function stream:close() end

---A record that fits the schema. If the answer does not, the model is asked again, with what is wrong.
---@async
---@param schema muster.schema.node
---@param input string|table[] a text, or messages
---@param options muster.llm.extract_options?
---@return any record nil if there is none
---@return muster.llm.meta|muster.llm.error meta
function client:extract(schema, input, options) end

---@class muster.llm.many_options : muster.llm.extract_options
---@field settle boolean? what does not fit is delivered too, as false, index, err

---An iterator over the records of a list, each as soon as the answer has closed it: record, index. The loop raises what
---breaks the answer off, after all that came.
---@async
---@param schema muster.schema.node of one record
---@param input string|table[]
---@param options muster.llm.many_options?
---@return muster.llm.many
function client:extract_many(schema, input, options) end

---@class muster.llm.many
---@field meta muster.llm.meta? at the end
---@overload fun(): any, integer, muster.llm.error?
local many = {}

function many:close() end

---An iterator over what there is of a record while the answer streams, unchecked; the last one is the record, checked.
---@async
---@param schema muster.schema.node
---@param input string|table[]
---@param options muster.llm.extract_options?
---@return muster.llm.partial
function client:partial(schema, input, options) end

---@class muster.llm.partial
---@field meta muster.llm.meta? at the end
---@overload fun(): any
local partial = {}

---The record, at the end.
---@return any record
---@return muster.llm.meta|muster.llm.error|nil
function partial:result() end

function partial:close() end

---@class muster.llm.forecast
---@field requests integer one for each text: no retries, no re-asks
---@field input integer tokens
---@field output integer
---@field tokens integer
---@field cost number? if there is a price
---@field seconds number? at the limits that are known
---@field bound "requests"|"tokens"|"concurrency"|nil the limit that says so

---What would it take? Nothing is sent. It reads well: `print(client:estimate(Person, texts))`.
---@param schema muster.schema.node
---@param texts string|string[]|fun(): string?
---@param options table? of extract, and output_tokens (of an answer), latency (seconds of a request)
---@return muster.llm.forecast
function client:estimate(schema, texts, options) end

---What all calls so far have used: requests, answers, seconds, items, failed, retries, reasks, input, output, total,
---cached, cost; lost: tokens of prompts that came to nothing when the service had them, which may be on the bill.
---@return table
function client:usage() end

---Goes on after a fatal error, which every call got until now.
function client:resume() end

---Closes its connections.
function client:close() end

return llm
