--- Persons: who is it, how old, and what do they do?
local re = require "re"

local M = {}

-- What stands around the sentences is skipped by words.
local grammar = re.compile([[
  found  <- {| (hit / word)* |}
  hit    <- {| {:first: {} :} person {:after: {} :} |}
  word   <- [A-Za-z0-9'] + [^A-Za-z0-9']* / .
  person <- introduction / portrait
  introduction <- "My name is " name ", I am " age " years old and I work as " a job "."
                / "I'm " name ". I'm " age " and I earn my living as " a job "."
                / "Hello, " name " here: " job ", " age " years of age."
  portrait <- "At " age ", " name " works as " a job "."
            / "Meet " name ", " a job " of " age "."
            / "The " job " " name " turned " age " last week."
            / name " is " a age "-year-old " job "."
            / name ", " age ", is " a job "."
  name <- {:name: [A-Z] [a-zA-Z']+ (" " [A-Z] [a-zA-Z']+)* :}
  age  <- {:age: [0-9]+ -> integer :}
  job  <- {:job: [a-z]+ (" " !"of " [a-z]+)* :}
  a    <- "a" "n"? " "
]], {integer = function(digits) return math.tointeger(tonumber(digits)) or tonumber(digits) end})

local fields = {
  name = "name", full_name = "name", person = "name",
  age = "age", age_years = "age",
  job = "job", occupation = "job", profession = "job",
  quote = "quote", source = "quote", evidence = "quote",
}

--- Has the schema a name, and an age or a job?
function M.matches(schema)
  local has = {}
  for name in pairs(schema.properties or {}) do has[fields[name] or ""] = true end
  return has.name and (has.age or has.job) and true or false
end

--- Under the names that the schema has for them.
local function named(schema, hit, text)
  hit.quote = text:sub(hit.first, hit.after - 1)
  local person = {}
  for name in pairs(schema.properties) do person[name] = hit[fields[name]] end
  return person
end

--- All persons of a text, in order.
function M.extract_all(schema, text)
  local persons = {}
  for i, hit in ipairs(grammar:match(text)) do persons[i] = named(schema, hit, text) end
  return persons
end

--- The first person of a text, or nil.
function M.extract(schema, text) return M.extract_all(schema, text)[1] end

return M
