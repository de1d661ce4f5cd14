--- Asking a language model about what the grammar could not settle.
--
-- It is asked for quotes, and what they say in its words. A quote that is not in the text is refused; years and
-- e-mail addresses are read out of the quotes by the grammar.

local llm = require "muster.llm"
local pipeline = require "muster.pipeline"
local schema = require "muster.schema"
local service = require "service"
local statements = require "copyrights.statements"
local utf = require "copyrights.utf"

local M = {}

local MOST <const> = 48 * 1024 -- bytes that are sent of a file

local function some(description) return schema.string {min_length = 1, max_length = 1000, description = description} end

local Statement = schema.object {
  {"holder", some "who holds the copyright, or wrote it where no holder is named; without years and addresses"},
  {"quote", some "the words of the text that say so, exactly"},
}
local Licence = schema.object {
  {"licence", some "its short name, such as GPL-2+, Expat or BSD-3-clause"},
  {"quote", some "the words of the text by which it is known, exactly; at most a line"},
}

--- What is asked for.
M.schema = schema.object({
  {"statements", schema.list(Statement, {description = "copyright statements that apply; none of a form to fill in"})},
  {"licences", schema.list(Licence, {description = "licences that apply"})},
}):named "Copyrights"

local grounding = {"statements.quote", "licences.quote"}
local models = {openai = "gpt-4o-mini", anthropic = "claude-3-5-haiku-latest", ollama = "llama3.2", llamacpp = "any"}

--- A client of somebody else's service; or of one of our own, which is to be closed with it. Nothing if nobody is to be
--- asked.
---@async
---@return muster.llm.client?
---@return service? own
function M.connect(settings)
  if settings.llm == "off" then return nil end
  local own
  if not (settings.base_url or settings.provider) then own = assert(service.start()) end
  return llm.client {
    provider = settings.provider,
    base_url = own and own.url or settings.base_url,
    api_key = own and "none" or nil,
    model = settings.model or models[settings.provider or "openai"],
    retry = {attempts = 3}, cache = pipeline.cache,
    concurrency = own and settings.limit or nil,
  }, own
end

--- What a record lacks, if anything: a file in free form in which there is no statement, or no licence, is not settled.
--- A machine-readable one has declared what it has.
---@param record Record
---@return string[]?
function M.missing(record)
  if record.format ~= "free" then return nil end
  local missing = {}
  for _, what in ipairs {"statements", "licences"} do
    if not record[what][1] then missing[#missing + 1] = what end
  end
  return missing[1] and missing
end

--- Asks about a text.
---@async
---@param client muster.llm.client
---@param source string
---@param encoding string?
---@return table? answer {statements=, licences=}, as a record has them
---@return any error
function M.ask(client, source, encoding)
  local text = encoding and utf.of_latin1(source) or source
  local found, meta = client:extract(M.schema, utf.cut(text, MOST), {grounding = grounding})
  if not found then return nil, meta end
  local spans = {}
  for _, span in ipairs(meta.spans) do spans[span.path] = span end
  local answer = {statements = {}, licences = {}}
  for i, statement in ipairs(found.statements) do
    local span = spans[("statements[%d].quote"):format(i)]
    -- A character is a byte of Latin-1.
    local first, last = span.first, span.last
    if encoding then first, last = span.from, span.to end
    answer.statements[i] = statements.said(statement.holder, span.text, first, last)
  end
  for i, licence in ipairs(found.licences) do answer.licences[i] = licence.licence end
  return answer
end

--- Puts in what was missing, and says what was asked.
---@param record Record
---@param answer table
---@param missing string[]
function M.merge(record, answer, missing)
  for _, what in ipairs(missing) do record[what] = answer[what] end
  record.asked = missing
end

return M
