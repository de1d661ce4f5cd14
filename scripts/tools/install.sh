#!/bin/sh
# What `make install` runs: puts the build below DESTDIR and PREFIX. The Makefile sets all of these.
set -eu
: "${BUILD:?}" "${PREFIX:?}" "${VERSION:?}" "${SONAME:?}"
root=${DESTDIR:-}$PREFIX

put() { # mode, file, folder [, new name]
  install -d "$root/$3"
  install -m "$1" "$2" "$root/$3/${4:-$(basename "$2")}"
}

pkg_config_file() {
  cat <<END
prefix=$PREFIX
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: muster
Description: Lua coroutines on a C scheduler, to embed
Version: $VERSION
Requires: lua5.4
Libs: -L\${libdir} -lmuster
Libs.private: $LIBS_PRIVATE
Cflags: -I\${includedir}
END
}

# What libmuster.a needs beside Lua itself, which is in Requires because a host calls it too.
LIBS_PRIVATE='-llua5.4-lpeg -llua5.4-cjson -llua5.4-luv -luv_a -lmd -lpthread -lm -ldl'

put 755 "$BUILD/muster" bin
put 644 runtime/include/muster.h include
put 644 "$BUILD/libmuster.a" lib
put 644 "$BUILD/$SONAME" lib "libmuster.so.$VERSION"
ln -sf "libmuster.so.$VERSION" "$root/lib/$SONAME"
ln -sf "$SONAME" "$root/lib/libmuster.so"
for stubs in lua/types/*.lua; do put 644 "$stubs" share/muster/types; done
put 644 README.md share/doc/muster
pkg_config_file > "$BUILD/muster.pc"
put 644 "$BUILD/muster.pc" lib/pkgconfig

# Into the running system: let the dynamic linker know.
[ -n "${DESTDIR:-}" ] || ldconfig 2>/dev/null || true
echo "installed muster $VERSION below $root"
