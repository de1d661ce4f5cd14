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

/* Tools that follow the stack pointer are told of each switch to another C stack. */
#if defined(__has_feature)
#define mu_has_feature(x) __has_feature(x)
#else
#define mu_has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || mu_has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define mu_switch_begins(fake, bottom, size) __sanitizer_start_switch_fiber(fake, bottom, size)
#define mu_switch_ended(fake, bottom, size)  __sanitizer_finish_switch_fiber(fake, bottom, size)
#define mu_stack_left(memory, size)          __asan_unpoison_memory_region(memory, size)
#else
#define mu_switch_begins(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define mu_switch_ended(fake, bottom, size)  ((void)(fake), (void)(bottom), (void)(size))
#define mu_stack_left(memory, size)          ((void)(memory))
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#if defined(VALGRIND_STACK_REGISTER)
#define mu_stack_register(low, high) VALGRIND_STACK_REGISTER(low, high)
#define mu_stack_deregister(id)      VALGRIND_STACK_DEREGISTER(id)
#else
#define mu_stack_register(low, high) ((void)(low), (void)(high), 0u)
#define mu_stack_deregister(id)      ((void)(id))
#endif

#if defined(__GNUC__)
#define mu_unlikely(x) __builtin_expect(!!(x), 0)
#define mu_likely(x)   __builtin_expect(!!(x), 1)
#else
#define mu_unlikely(x) (x)
#define mu_likely(x)   (x)
#endif

#endif
