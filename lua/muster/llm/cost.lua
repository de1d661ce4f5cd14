--- Usage added up, and what it costs by a price table.
local M = {}

---@class muster.llm.usage
---@field input integer tokens of prompts
---@field output integer tokens of answers
---@field total integer
---@field cached integer? those of the prompts that the provider had cached
---@field estimated boolean? some of it was not told, but estimated

---@return muster.llm.usage
function M.zero() return {input = 0, output = 0, total = 0} end

--- Adds usage to a sum, which it changes.
---@param sum muster.llm.usage
---@param usage muster.llm.usage
---@return muster.llm.usage sum
function M.add(sum, usage)
  sum.input, sum.output = sum.input + usage.input, sum.output + usage.output
  sum.total = sum.total + usage.total
  if usage.cached then sum.cached = (sum.cached or 0) + usage.cached end
  if usage.estimated then sum.estimated = true end
  return sum
end

---@class muster.llm.price money per million tokens
---@field input number
---@field output number
---@field cached number? of input that was cached; as `input`

--- The price of a model: that under its name, or that under "*".
---@param prices table<string, muster.llm.price>?
---@param model string
---@return muster.llm.price?
function M.price(prices, model) return prices and (prices[model] or prices["*"]) or nil end

--- What usage costs; nil without a price.
---@param price muster.llm.price?
---@param usage muster.llm.usage
---@return number?
function M.of(price, usage)
  if not price then return nil end
  local cached = math.min(usage.cached or 0, usage.input)
  local input = (usage.input - cached) * price.input + cached * (price.cached or price.input)
  return (input + usage.output * price.output) / 1e6
end

local function is_amount(v) return type(v) == "number" and v >= 0 end

local function is_price(price)
  if type(price) ~= "table" then return false end
  for name, value in pairs(price) do
    if name ~= "input" and name ~= "output" and name ~= "cached" or not is_amount(value) then return false end
  end
  return price.input ~= nil and price.output ~= nil
end

--- Is it a price table?
function M.is_prices(prices)
  if type(prices) ~= "table" then return false end
  for model, price in pairs(prices) do
    if type(model) ~= "string" or not is_price(price) then return false end
  end
  return true
end

return M
