---@meta muster.http
-- Type stubs of `require "muster.http"`: an HTTP client whose calls suspend only their task.

---@class http
local http = {}

---What went wrong: a muster error.
---@class http.error : muster.error
---@field kind "dns"|"connect"|"tls"|"timeout"|"reset"|"protocol"|"too_large"|"bad_url"|"cancelled"|"closed"|"file"
---@field retryable boolean would it make sense to try again?
---@field phase "url"|"queue"|"dns"|"connect"|"tls"|"send"|"first_byte"|"body"|"json"|"save" how far it had come
---@field url string without user and password

---Seconds. A number instead of the table is `total`.
---@class http.timeouts
---@field connect number? until there is a connection, with TLS; 5
---@field first_byte number? then, until the response begins; as `idle`
---@field idle number? without a byte in either direction, while the reader waits; 60
---@field total number? for all of it, also the time in a client's queue; no limit

---How requests are made. A client takes them for all of its requests.
---@class http.options
---@field headers table<string, string|number|string[]|false>? false: leave that header out
---@field query string|table? added to the URL: {name = value}, {name = {v1, v2}} or {{name, value}, …}
---@field timeout number|http.timeouts?
---@field follow boolean|integer? redirects at most; true: 10, as if absent. Other origins get no credentials
---@field proxy string|false? instead of http_proxy, https_proxy, no_proxy of the environment; false: none
---@field verify boolean? the server's certificate; true
---@field ca string? a file, or a directory, of certificates to trust instead of the system's
---@field cert string|{cert: string, key: string?, password: string?}? the client's certificate
---@field auth string|{user: string, password: string}? a bearer token, or basic
---@field http2 boolean? false: HTTP/1.1 only
---@field max_body integer? bytes, after decompression; more is an error of kind too_large

---@class http.request : http.options
---@field url string
---@field method string? GET, or POST if there is a body
---@field body string|(fun(): string?)? an iterator's pieces are sent as they come
---@field json any? the body, as JSON
---@field form table? the body, as a form: as `query`

---@class http.client.options : http.options
---@field base_url string? what relative URLs are below
---@field limits http.limits?

---`per_host`, `total`: requests in flight at once; others wait, first come first served. `idle`: seconds, at least 1,
---for which a connection is kept that nobody uses; 60. One that its server has closed is closed within about a second.
---@class http.limits
---@field per_host integer?
---@field total integer?
---@field idle number?

---Makes a request; returns when the head of the response is there. A status such as 404 is no error.
---@async
---@param options http.request
---@return http.response? response
---@return http.error? err
function http.request(options) end

---@async
---@param url string
---@param options http.options?
---@return http.response? response
---@return http.error? err
function http.get(url, options) end

---@async
---@param url string
---@param options http.request? without url and method
---@return http.response? response
---@return http.error? err
function http.post(url, options) end

---@async
---@param url string
---@param options http.request? without url and method
---@return http.response? response
---@return http.error? err
function http.put(url, options) end

---@async
---@param url string
---@param options http.request? without url and method
---@return http.response? response
---@return http.error? err
function http.delete(url, options) end

---@async
---@param url string
---@param options http.options?
---@return http.response? response
---@return http.error? err
function http.head(url, options) end

---A client: options for all of its requests, and connections of its own. It has the functions of the module as methods,
---and is closed by `<close>`.
---@param options http.client.options?
---@return http.client
function http.client(options) end

---@class http.client
local client = {}

---Closes its connections; requests that are under way fail with kind "closed".
function client:close() end

---Seconds: what each step took; first_byte and total since the start.
---@class http.timing
---@field dns number
---@field connect number
---@field tls number
---@field first_byte number
---@field total number

---A response. Its body comes while it is read; a slow reader holds the server back. Closed, or collected, before its
---end, it closes the transfer; so does a cancelled read.
---@class http.response
---@field status integer
---@field ok boolean is the status 200 to 299?
---@field headers http.headers
---@field url string where redirects led
---@field http_version "1.0"|"1.1"|"2"
---@field timing http.timing
local response = {}

---What is left of the body, as a whole; the same again when called again.
---@async
---@return string? text
---@return http.error? err
function response:text() end

---The body as JSON.
---@async
---@return any value
---@return http.error? err
function response:json() end

---What has come of the body, at least a byte; nil at its end.
---@async
---@return string? chunk
---@return http.error? err
function response:read() end

---for chunk in response:chunks() do … end. Raises what breaks the body off; leaving the loop closes the response.
---@async
---@return fun(): string?
function response:chunks() end

---Likewise, by lines, without their LF or CRLF.
---@async
---@return fun(): string?
function response:lines() end

---Likewise, Server-Sent Events.
---@async
---@return fun(): http.event?
function response:events() end

---Writes the body to a file, which is there as a whole or as it was before.
---@async
---@param path string
---@return integer? size
---@return http.error? err of kind "file", with code and path, if the system refused
function response:save(path) end

---Closes the transfer. More than once is fine.
function response:close() end

---Names without regard to case: headers["content-type"]; repeated ones joined by ", ". pairs gives all, in order.
---@class http.headers
local headers = {}

---The values of a header, in order.
---@param name string
---@return string[]
function headers:all(name) end

---A Server-Sent Event.
---@class http.event
---@field event string "message" unless it says otherwise
---@field data string lines joined by LF
---@field id string of this event or the last one that had one
---@field retry integer? milliseconds, as last told

---Serves HTTP, each request in a task of its own: `require "muster.http.server".serve`.
---@param options muster.http.server.options
---@return muster.http.server? server
---@return muster.error?
function http.serve(options) end

return http
