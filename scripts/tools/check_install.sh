#!/bin/sh
# Installs into build/install, then builds a host against what is there, as a stranger would: by pkg-config
# alone, once with the shared library and once with the static one. Last line: "N passed, N failed".
set -u
: "${CC:=cc}"

top=$(pwd)/build/install
. scripts/tools/check.sh

flags() { PKG_CONFIG_PATH=$top/lib/pkgconfig pkg-config --cflags --libs "$@" muster; }

host() { # program, linker flags...: every host of spec/embed, built and run
  for source in spec/embed/*.c; do
    # shellcheck disable=SC2046 # flags are words
    "$CC" -std=c11 -D_DEFAULT_SOURCE "$source" $(flags "$@") -lm -lpthread -o "$top/host" || return 1
    LD_LIBRARY_PATH=$top/lib "$top/host" || return 1
  done
}

static_host() { # libmuster.so out of the way, so that -lmuster means the archive
  mkdir -p "$top/static/lib"
  mv "$top"/lib/libmuster.so* "$top/static/lib"
  host --static
  status=$?
  mv "$top"/static/lib/libmuster.so* "$top/lib"
  return "$status"
}

binary() { "$top/bin/muster" -e 'require "muster"; require "re"; require "luv"; require "cjson"'; }

rm -rf "$top"
check "make install" make install PREFIX="$top" DESTDIR=
check "the binary runs from where it is" binary
check "hosts with the shared library" host
check "hosts with the static library" static_host

total
