/* platform.h: the one place for what differs between Lua versions, compilers and builds. */
#ifndef MU_PLATFORM_H
#define MU_PLATFORM_H

#include <lua.h>

#if LUA_VERSION_NUM != 504
#error "muster needs Lua 5.4"
#endif

/* Under a sanitizer every block comes from libc, so that it sees each overrun and use after free. */
#if defined(MU_LIBC_ALLOC)
enum { MU_SLAB_LIMIT = 0 };
#else
enum { MU_SLAB_LIMIT = 1024 }; /* bytes; larger blocks come from libc */
#endif

/* Kills a coroutine: runs its pending __close without yielding. 5.4.6 renamed the function (LUA-HOST: versions). */
#if LUA_VERSION_RELEASE_NUM >= 50406
#define mu_kill_coroutine(co, from) lua_closethread(co, from)
#else
#define mu_kill_coroutine(co, from) ((void)(from), lua_resetthread(co))
#endif

#if defined(__GNUC__)
#define mu_unlikely(x) __builtin_expect(!!(x), 0)
#else
#define mu_unlikely(x) (x)
#endif

#endif
