---@meta muster.schema
-- Type stubs for LuaLS: schemas of records.

---One schema validates values, becomes JSON Schema for a server, and describes itself for a prompt. Constructors take
---their options last; misuse of one raises where it is called. Schemas never change: methods return new ones.
---@class muster.schema
---@field null userdata what null is in a list or a map, as in muster.json
local schema = {}

---A schema. Its type parameter, if you write one, is the record's.
---@class muster.schema.node
---@field kind string
---@field name string? also the name of the tool of which it is the argument, of its `$defs`, and of its class
local node = {}

---What every schema may have.
---@class muster.schema.options
---@field title? string
---@field description? string goes into the JSON Schema and into `describe`
---@field name? string of 1 to 64 letters, digits, `_` and `-`
---@field default? any for a value that is absent or null; checked when the schema is made, and copied when it is used
---@field check? fun(value: any): any, string?, (string|integer)? of a value that is right otherwise (not of null).
---Returns true, or nil and what is wrong, and of which field if it is one. If it raises, `validate` raises.

---@class muster.schema.string_options: muster.schema.options
---@field min_length? integer characters, not bytes
---@field max_length? integer
---@field length? integer exactly so many
---@field pattern? string|userdata a Lua pattern, or one of LPeg, that has to match; both as in `string.find` and
---`lpeg.match`: anchor them yourself. A Lua pattern becomes a `pattern` of JSON Schema if a regular expression means
---exactly the same: without `%b`, `%f`, back references and the like. Otherwise it is told in the description. One of
---LPeg is never told: say it in `regex` or `description`.
---@field regex? string what JSON Schema says instead of the pattern; never tested here
---@field format? "date"|"time"|"date-time"|"duration"|"email"|"hostname"|"ipv4"|"ipv6"|"uri"|"uuid" as in JSON Schema,
---and really tested

---@class muster.schema.number_options: muster.schema.options
---@field min? number
---@field max? number
---@field exclusive_min? number
---@field exclusive_max? number
---@field multiple_of? number

---@class muster.schema.list_options: muster.schema.options
---@field min_items? integer
---@field max_items? integer
---@field length? integer exactly so many
---@field unique? boolean no item twice; objects are compared by what they hold

---@class muster.schema.map_options: muster.schema.options
---@field min_items? integer
---@field max_items? integer
---@field length? integer
---@field keys? muster.schema.node a schema of strings, for the keys

---@class muster.schema.object_options: muster.schema.options
---@field order? string[] the names of fields that come first; the others follow by the alphabet
---@field additional? "ignore"|"forbid"|"keep" fields that the schema does not name: left out (the default, as in
---pydantic), refused, or copied

---@class muster.schema.union_options: muster.schema.options
---@field discriminator? string the field whose value (a literal or an enum) says which branch it is. Found by itself if
---the first branch has such a field; then only that branch's errors are told.

---A string of valid UTF-8.
---@param opts? muster.schema.string_options
---@return muster.schema.node
function schema.string(opts) end

---A finite number.
---@param opts? muster.schema.number_options
---@return muster.schema.node
function schema.number(opts) end

---An integer of 64 bits. As in JSON, 1.0 is one, and becomes 1.
---@param opts? muster.schema.number_options
---@return muster.schema.node
function schema.integer(opts) end

---@param opts? muster.schema.options
---@return muster.schema.node
function schema.boolean(opts) end

---Any value of JSON, nothing included.
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.any(opts) end

---One of some strings, numbers or booleans.
---@param values (string|number|boolean)[]
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.enum(values, opts) end

---@param value string|number|boolean
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.literal(value, opts) end

---A list without holes. An empty table is a list and an object.
---@param item muster.schema.node
---@param opts? muster.schema.list_options
---@return muster.schema.node
function schema.list(item, opts) end

---A list of so many items, each with its schema.
---@param items muster.schema.node[]
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.tuple(items, opts) end

---An object with any keys.
---@param value muster.schema.node
---@param opts? muster.schema.map_options
---@return muster.schema.node
function schema.map(value, opts) end

---An object: `object{name = string(), age = integer()}`; or, where the order counts, because a model writes fields in
---it, `object{{"reasons", string()}, {"answer", boolean()}}`. A field may be `schema.string` itself, without a call.
---@param fields table<string, muster.schema.node>|{[1]: string, [2]: muster.schema.node}[]
---@param opts? muster.schema.object_options
---@return muster.schema.node
function schema.object(fields, opts) end

---A field that may be absent, or null.
---@param s muster.schema.node
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.optional(s, opts) end

---A value that may be null. To Lua that is the same as absent: a field of null becomes nil; in lists and maps
---`schema.null` stays. JSON Schema wants it to be there.
---@param s muster.schema.node
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.nullable(s, opts) end

---The first that fits; if values are coerced, the first that fits without that; of objects and lists, that which keeps
---most of the value. If none does, the errors are those of the branch that comes nearest.
---@param branches muster.schema.node[]
---@param opts? muster.schema.union_options
---@return muster.schema.node
function schema.union(branches, opts) end

---The schema that `get` returns, asked for when it is first needed: so a schema can hold itself.
---@param get fun(): muster.schema.node
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.lazy(get, opts) end

---The same as `lazy`.
---@param get fun(): muster.schema.node
---@param opts? muster.schema.options
---@return muster.schema.node
function schema.ref(get, opts) end

---A schema whose root is an object, as servers want it: one of a list becomes `{items = list}`, another `{value = …}`.
---@param s muster.schema.node
---@return muster.schema.node wrapped the same if it is of an object
---@return "items"|"value"|nil key where the value is; nil if nothing was wrapped
function schema.wrapped(s) end

---@param x any
---@return boolean
function schema.is(x) end

---What is wrong with a value, and where. `tostring` gives `people[2].age: expected an integer, got "forty"`.
---@class muster.schema.error
---@field path string such as `people[2].age`, as Lua would write it; "" for the value itself
---@field pointer string the same as a JSON Pointer: `/people/1/age`
---@field kind "type"|"missing"|"range"|"length"|"pattern"|"format"|"enum"|"union"|"unknown"|"unique"|"check"|"utf8"
---|"depth"|"cycle"
---@field message string
---@field expected string
---@field got string what was there, quoted and short

---A list of errors, the most important thing of which is `tostring`: a line for each.
---@class muster.schema.errors
---@field [integer] muster.schema.error
---@field kind "invalid"
---@field message string all of them
---@field truncated boolean there were more than are here
---@field retryable false

---Checks a value, such as one that `muster.json.decode` returned. What comes back is a copy, with defaults, and without
---fields that the schema does not name. A value that holds itself is refused. Raises if a `check` raises.
---@param value any
---@param opts? {coerce?: boolean, max_errors?: integer, max_depth?: integer} coerce: "42" becomes 42, "yes" true, 7
---"7", where the schema wants that, and enums are compared without case; at most 50 errors; at most 100 levels
---@return any value nil if it is wrong, or if it is null
---@return muster.schema.errors?
function node:validate(value, opts) end

---The JSON Schema: draft 2020-12, or with `strict` the dialect of structured outputs: each field required, no others,
---optional ones nullable, other constraints in the descriptions. `properties` have a metatable with `__keys`, their
---order. `constraints = false`: no keywords for limits, patterns and formats at all, only words in descriptions.
---@param opts? {strict?: boolean, constraints?: boolean}
---@return table? json_schema nil if the strict dialect cannot say it: maps, tuples, any, a root that is no object
---@return muster.error? error of kind "schema", with `problems`
function node:json_schema(opts) end

---The schema as text, for a prompt or for people: a line for each field.
---@return string
function node:describe() end

---The annotations of LuaLS for the record: `---@class Person …`.
---@return string
function node:luals() end

---The same schema with a name.
---@param name string of 1 to 64 letters, digits, `_` and `-`
---@return muster.schema.node
function node:named(name) end

return schema
