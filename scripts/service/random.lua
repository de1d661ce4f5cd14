--- Numbers by chance, the same again for the same seed. Each request has a sequence of its own, so that what one draws
--- changes nothing for another.

---@class service.random
---@field state integer
local Random = {}
Random.__index = Random

local M = {}

local GOLDEN <const> = 0x9E3779B97F4A7C15

--- splitmix64
local function next_bits(self)
  local z = self.state + GOLDEN
  self.state = z
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

--- 16 digits.
---@return string
function Random:id() return ("%016x"):format(next_bits(self)) end

--- From 0, and below 1.
---@return number
function Random:number() return (next_bits(self) >> 11) * 0x1p-53 end

--- One of a list.
function Random:pick(list) return list[1 + (next_bits(self) >> 11) % #list] end

--- Of the normal distribution: mean 0, deviation 1.
---@return number
function Random:normal()
  local u, v = 1 - self:number(), self:number()
  return math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
end

--- The sequence of the n-th request.
---@param seed integer
---@param n integer
---@return service.random
function M.of(seed, n)
  local self = setmetatable({state = seed}, Random)
  self.state = next_bits(self) ~ n
  self.state = next_bits(self)
  return self
end

return M
