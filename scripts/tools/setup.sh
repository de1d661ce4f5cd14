#!/bin/sh
# Checks what muster needs to build and test itself, and installs only what is missing, with apt-get.
#   setup.sh          compiler, Lua 5.4 with its libraries, busted
#   setup.sh --bench  also what `make bench`, and the specs of HTTP against a real server, want: nginx, openssl, wrk,
#                     and the clients that the bench compares with
#   setup.sh --dev    also what `make lint` and `make valgrind` want: luacheck, clang, clang-format, valgrind; and the
#                     browser in which specs look at pages: chromium
# Quiet and quick when nothing is missing. Without apt, or without root, it prints the list and exits 1.
set -u

say() { echo "setup: $*"; }

missing=''
need() { missing="$missing $1"; }

# command name, file or .pc name; then the Debian package that holds it
command_from() { command -v "$1" >/dev/null 2>&1 || need "$2"; }
file_from() { [ -r "$1" ] || need "$2"; }
library_from() { pkg-config --exists "$1" 2>/dev/null || need "$2"; }

check_libraries() {
  pkg-config --exists lua5.4 lua5.4-lpeg lua5.4-cjson lua5.4-luv libuv libmd libedit libcurl libmicrohttpd \
    sqlite3 2>/dev/null && return
  library_from lua5.4 liblua5.4-dev
  library_from lua5.4-lpeg lua-lpeg-dev
  library_from lua5.4-cjson lua-cjson-dev
  library_from lua5.4-luv lua-luv-dev
  library_from libuv libuv1-dev
  library_from libmd libmd-dev # SHA-256
  library_from libedit libedit-dev
  library_from libcurl libcurl4-openssl-dev # its headers; the library is loaded when first used
  library_from libmicrohttpd libmicrohttpd-dev # likewise
  library_from sqlite3 libsqlite3-dev # likewise
}

check_servers() {
  command -v nginx >/dev/null 2>&1 || file_from /usr/sbin/nginx nginx-light
  command_from openssl openssl
}

check_rivals() {
  file_from /usr/lib/python3/dist-packages/aiohttp/__init__.py python3-aiohttp
  file_from /usr/lib/python3/dist-packages/pydantic/__init__.py python3-pydantic
  file_from /usr/lib/nginx/modules/ngx_http_echo_module.so libnginx-mod-http-echo # answers after a while
  command_from node nodejs
  file_from /usr/share/nodejs/undici/package.json node-undici
  file_from /usr/share/lua/5.3/http/client.lua lua-http
  command_from python3 python3 # its sqlite3 is what the bench of the store compares with
}

check_all() {
  missing=''
  command_from "${CC:-cc}" gcc
  command_from ar binutils
  command_from pkg-config pkg-config
  command_from make make
  command_from lua5.4 lua5.4 # to compare with, in specs and benchmarks
  file_from /usr/include/stdio.h libc6-dev
  file_from /usr/share/lua/5.4/re.lua lua-lpeg
  file_from /usr/share/lua/5.4/busted/runner.lua lua-busted
  command_from tmux tmux # a terminal for the specs of the interactive mode
  command_from curl curl # a client for the specs of the HTTP server
  check_libraries
  case $1 in --bench | --dev) check_servers ;; esac
  [ "$1" != --bench ] || { command_from wrk wrk; check_rivals; } # wrk asks servers
  [ "$1" = --dev ] || return 0
  command_from luacheck lua-check
  command_from clang clang
  command_from clang-format clang-format
  command_from chromium chromium # which looks at the pages of reports, in specs
  command_from valgrind valgrind
  file_from /usr/include/valgrind/valgrind.h valgrind # which a build with it is told by of each C stack
}

as_root='' # what goes before a command that only root may run; without a terminal, nobody can type a password
[ "$(id -u)" = 0 ] || { as_root=sudo; [ -t 0 ] || as_root='sudo -n'; }

log=''
# shellcheck disable=SC2086 # $as_root and $missing, below, are lists of words
apt() { # quiet, unless it fails
  log=$($as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null 2>&1)
}

refresh() {
  say "refreshing the package lists (apt-get update)"
  apt update
}

known() { # do the package lists have all of them?
  for package in "$@"; do
    apt-cache show "$package" >/dev/null 2>&1 || return 1
  done
}

give_up() {
  [ -z "$log" ] || printf '%s\n' "$log" >&2
  say "$1; please install:$missing" >&2
  exit 1
}

check_all "${1:-}"
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null 2>&1 || give_up "no apt-get here"
[ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 || give_up "neither root nor sudo"

# shellcheck disable=SC2086
install_missing() {
  say "installing$missing"
  apt install --no-install-recommends $missing
}

# Lists that are empty or older than the archive are refreshed once.
# shellcheck disable=SC2086
known $missing || refresh || give_up "apt-get update failed"
install_missing || { refresh && install_missing; } || give_up "apt-get could not install everything"
log=''
check_all "${1:-}"
[ -z "$missing" ] || give_up "still missing after the installation"
say "done"
