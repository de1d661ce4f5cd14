-- A small tree of documentation for the specs of scripts/pipelines/changelogs.lua.
local fs = require "muster.fs"
local process = require "muster.process"

local M = {}

--- One entry. Fields: package, version, changes, date, who, meta.
---@return string
function M.entry(fields)
  return ("%s (%s) unstable; %s\n\n%s\n\n -- %s  %s\n\n"):format(fields.package or "hello", fields.version or "1.0-1",
    fields.meta or "urgency=medium", fields.changes or "  * Initial release.",
    fields.who or "Jane Doe <jane@example.org>", fields.date or "Mon, 26 Dec 2022 15:30:00 +0100")
end

---@async
---@return string
function M.gzip(text)
  local result = assert(process.run({"gzip", "-nc"}, {input = text}))
  return result.stdout
end

--- Writes a changelog, compressed if its name says so.
---@async
function M.write(root, name, text)
  local path = root .. "/" .. name
  assert(fs.mkdir(path:match "^(.*)/", {parents = true}))
  assert(fs.write(path, name:find "%.gz$" and text:sub(1, 2) ~= "\x1F\x8B" and M.gzip(text) or text))
  return path
end

local alpha = M.entry {package = "alpha", version = "2.0-1", date = "Sat, 03 Feb 2024 10:00:00 +0000",
  meta = "urgency=high", changes = "  * New release.\n  * Fix CVE-2023-1111 and CVE-2023-2222. (Closes: #1001, #1002)",
  who = "Ann Ott <ann@example.org>"} ..
  M.entry {package = "alpha", version = "1.0-1", date = "Sun, 01 Jan 2023 10:00:00 +0000"}

--- Two packages of one source, one native, one that is cut off, one with a changelog of others. Three releases.
---@async
---@return muster.tmp_dir
function M.tree()
  local dir = assert(fs.tmp_dir())
  local root = dir.path
  M.write(root, "alpha/changelog.Debian.gz", alpha)
  M.write(root, "alpha/changelog.gz", "2024-02-03: not Debian's\n")
  M.write(root, "alpha-dev/changelog.Debian.gz", "# Older entries are elsewhere.\n" .. alpha)
  M.write(root, "beta/changelog.gz", M.entry {package = "beta", version = "7", who = "Ben Ott <ben@example.org>"})
  M.write(root, "broken/changelog.Debian.gz", M.gzip(alpha):sub(1, -12))
  M.write(root, "others/changelog.gz", "Version 3: many changes\n")
  return dir
end

return M
