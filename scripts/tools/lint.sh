#!/bin/sh
# What `make lint` runs, each check one line; the last line is "N passed, N failed".
#   lint.sh --format   rewrites the C sources as clang-format would have them
# FLAGS are the compiler flags of the build, BUILD is where its objects are.
set -u
: "${FLAGS:=}" "${CLANG_FORMAT:=clang-format}"

. scripts/tools/check.sh

c_files() { find runtime spec scripts -name '*.[ch]' | sort; }

installed() {
  command -v "$1" >/dev/null && return
  echo "$1 is not installed: scripts/tools/setup.sh --dev"
  return 1
}

clang_format() { # the files that it would change; all it says is one line a difference, so keep the names
  installed "$CLANG_FORMAT" || return
  differing=$(c_files | xargs "$CLANG_FORMAT" --dry-run -Werror 2>&1 | sed -n 's/^\([^: ]*\):[0-9]*:.*/\1/p' | sort -u)
  [ -z "$differing" ] || { echo "make format would change:"; echo "$differing"; return 1; }
}

lua_check() {
  installed luacheck && luacheck --quiet --no-color lua scripts spec
}

warnings() { # compiler
  installed "$1" || return
  # shellcheck disable=SC2086 # flags are words
  c_files | grep '\.c$' | xargs -n 1 "$1" $FLAGS -O2 -Werror -c -o /dev/null
}

if [ "${1:-}" = --format ]; then
  c_files | xargs "$CLANG_FORMAT" -i
  exit
fi

check "luacheck" lua_check
check "clang-format" clang_format
check "gcc without warnings" warnings gcc
check "clang without warnings" warnings clang
for rule in includes calls symbols binary names sizes leftovers; do
  check "floors: $rule" scripts/tools/floors.sh "$rule"
done

total
