--- A schema becomes a closure that validates, once.
local containers = require "muster.schema.containers"
local errors = require "muster.schema.errors"
local null = require("muster.schema.json").null
local scalars = require "muster.schema.scalars"
local union = require "muster.schema.union"

local M = {}

local makers = {
  string = scalars.string, number = scalars.number, integer = scalars.integer, boolean = scalars.boolean,
  enum = scalars.enum, literal = scalars.literal, optional = scalars.optional, nullable = scalars.nullable,
  object = containers.object, list = containers.list, map = containers.map, tuple = containers.tuple,
  any = containers.any, union = union.union, lazy = union.lazy,
}

---@param s muster.schema.node
---@return fun(value: any, ctx: muster.schema.context, depth: integer): any
local function compile(s)
  if not s.compiled then s.compiled = scalars.finish(s, makers[s.kind](s, compile)) end
  return s.compiled
end
M.compile = compile

local function with_options(ctx, options)
  ctx.coerce = options.coerce or false
  ctx.limit = options.max_errors or errors.LIMIT
  ctx.max_depth = options.max_depth or errors.MAX_DEPTH
  return ctx
end

--- Validates. Without an error the context is kept for the next time: a call then makes nothing but the copy.
---@return any value
---@return muster.schema.errors?
function M.run(s, value, options)
  local check, ctx = s.compiled or compile(s), s.idle
  s.idle = nil -- a check of the user's may suspend, and another task come here
  if options or not ctx then ctx = with_options(errors.context(), options or {}) end
  local made = check(value, ctx, 1)
  if made == errors.FAIL then return nil, errors.list(ctx) end
  if not options then
    ctx.memo = nil
    s.idle = ctx
  end
  if made == null then return nil end
  return made
end

return M
