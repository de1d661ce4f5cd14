#!/bin/sh
# Checks the rules of the house. `floors.sh RULE` prints what breaks the rule, if anything, and then fails.
#   includes   #include goes to the same or a lower floor; the CLI sees muster.h only
#   calls      one file calls lua_resume, one uv_run, one multi_socket_action of libcurl
#   symbols    the objects of base and sched need neither libuv, libcurl nor a clock
#   binary     the binary holds all of Lua's API, and links neither liblua nor libuv dynamically
#   names      nothing at the top level beyond the agreed layout
#   sizes      files of at most 500 lines, functions of at most 60
#   leftovers  nothing in the sources is marked as still to be done
# calls, symbols and binary read the objects of $BUILD (build).
set -u
: "${BUILD:=build}"

sources() { find Makefile .ci runtime lua scripts spec -type f; }
code() { sources | grep -E '\.(c|h|lua|sh)$|^Makefile$|^\.ci/run$'; }
objects() { # of the .c files below these folders, not of files that are gone
  find "$@" -name '*.c' | sed "s|\(.*\)\.c\$|$BUILD/obj/\1.o|"
}
undefined() { # object files -> "file: symbol"
  nm -A -g -u "$@" | sed 's/:* *U /: /'
}

includes() {
  find runtime -name '*.[ch]' | sort | xargs awk '
    function exists(f,  got, line) { got = (getline line < f); close(f); return got >= 0 }
    function floor(f) {
      if (f ~ /^runtime\/include\//) return -1
      if (f ~ /^runtime\/base\//) return 0
      if (f ~ /^runtime\/sched\//) return 1
      if (f ~ /^runtime\/host\//) return 2
      if (f ~ /^runtime\/bind\//) return 3
      return 4
    }
    function cli(f) { return f ~ /^runtime\/(main|repl|terminal|screen|tab|wide)\.[ch]$/ }
    function plain(f) { return floor(f) == 0 && f !~ /platform\.h$/ } # which asks for the version of Lua
    function resolve(f, name,  beside) {
      beside = f; sub(/[^\/]*$/, "", beside)
      if (exists(beside name)) return beside name
      if (exists("runtime/" name)) return "runtime/" name
      return "runtime/include/" name
    }
    function bad(why) { printf "%s:%d: %s %s\n", FILENAME, FNR, $0, why }
    function judge(from, to) {
      if (!exists(to)) return bad("is not a file of ours; others go in <>")
      if (to ~ /\.\./) return bad("is named through ..")
      if (cli(from)) {
        if (to !~ /^runtime\/include\/muster\.h$/ && !cli(to)) bad("but the CLI is a client of muster.h only")
      } else if (floor(to) < 0) {
        if (floor(from) < 2) bad("but base and sched do not know the public header")
      } else if (floor(to) > floor(from)) bad("goes up a floor")
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ { split($0, part, "\""); judge(FILENAME, resolve(FILENAME, part[2])) }
    /^[ \t]*#[ \t]*include[ \t]*<(uv|luv|curl|microhttpd)[.\/]/ && floor(FILENAME) <= 1 { bad("but base and sched do no I/O") }
    /^[ \t]*#[ \t]*include[ \t]*<(lua|lauxlib|lualib)\.h>/ && plain(FILENAME) { bad("but base is plain C") }'
}

callers() { # symbol, least, most
  found=$(undefined $(objects runtime) | sed -n "s/: $1\$//p")
  count=$(printf '%s' "$found" | grep -c .)
  [ "$count" -ge "$2" ] && [ "$count" -le "$3" ] && return
  echo "$1 is called by $count files:" $found
}
calls() {
  callers lua_resume 1 1
  callers uv_run 1 1
  found=$(grep -l 'multi_socket_action(' $(find runtime -name '*.c')) # through a table: see http_curl.h
  [ "$(printf '%s\n' "$found" | grep -c .)" -le 1 ] || echo "multi_socket_action is called in:" $found
}

symbols() {
  undefined $(objects runtime/base runtime/sched) |
    grep -E ': (uv_|luv_|curl_|MHD_|clock(_|$)|gettimeofday$|time$|timespec_get$|nanosleep$|usleep$|sleep$)'
}

lua_api() { grep -oE ' [A-Z] lua(L|open)?_[a-z_A-Z0-9]+$' | sed 's/.* //' | sort -u; }
binary() {
  ldd "$BUILD/muster" | grep -E 'liblua|libuv'
  libdir=$(pkg-config --variable=libdir lua5.4)
  nm -g --defined-only "$libdir/liblua5.4.a" 2>/dev/null | lua_api > "$BUILD/api.lua"
  nm -D --defined-only "$BUILD/muster" | lua_api > "$BUILD/api.muster"
  comm -23 "$BUILD/api.lua" "$BUILD/api.muster" | sed 's/$/ is not exported by the binary/'
}

names() {
  for entry in *; do
    case $entry in
      Makefile | runtime | lua | scripts | spec | README.md | build) ;;
      *) echo "$entry does not belong at the top level" ;;
    esac
  done
}

sizes() {
  code | sort | xargs awk '
    FNR == 1 { start = 0 }
    FNR == 501 { print FILENAME ": more than 500 lines" }
    FILENAME ~ /\.c$/ && /^[A-Za-z].*\{$/ && !/^(struct|typedef|enum|union)/ && !/=/ { start = FNR; name = $0 }
    FILENAME ~ /\.lua$/ && /^(local )?(function |[A-Za-z_.]+ = .*function\()/ && !/ end\)?$/ { start = FNR; name = $0 }
    start && /^(\}|end)/ {
      if (FNR - start + 1 > 60) printf "%s:%d: %d lines: %s\n", FILENAME, start, FNR - start + 1, name
      start = 0
    }'
}

leftovers() {
  code | xargs grep -nwE 'TO''DO|FIX''ME|XX''X|HA''CK'
}

case ${1:-} in
  includes | calls | symbols | binary | names | sizes | leftovers) ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
broken=$("$1" 2>&1)
[ -z "$broken" ] || { printf '%s\n' "$broken"; exit 1; }
