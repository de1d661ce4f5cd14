/* frames.h: where a coroutine is, as a person reads it: frames of the script, without those of the runtime. */
#ifndef MU_FRAMES_H
#define MU_FRAMES_H

#include "sched/inside.h"

#include <string.h>

enum { MU_PLACE_SIZE = LUA_IDSIZE + 16 };

/* Is this code of the embedded library? ar has the fields of "S". */
static inline bool mu_is_library(const lua_Debug *ar) { return strncmp(ar->source, "=muster/", 8) == 0; }

/* Is this frame of co one of the runtime: of the embedded library, or a C function of its own? Fills the fields of ar
** that "S" names. */
bool mu_frame_is_own(lua_State *co, const mu_sched *s, lua_Debug *ar);

/* Writes "source:line" for a frame with the fields of "Sl"; the path is relative to the working directory if it is
** below that. */
void mu_frame_place(const lua_Debug *ar, char place[MU_PLACE_SIZE]);

/* Finds the innermost frame of Lua code of the script in co or the coroutines that it resumes. Fills the fields of
** "Sl". */
bool mu_frame_of_script(lua_State *co, const mu_sched *s, lua_Debug *ar);

/* Does a main chunk run in co, of a task, below all other frames of the script? */
bool mu_frames_have_main(lua_State *co);

/* Pushes on L the frames of co from its level on, each as "\n\tsource:line: in function 'name'", innermost first; ""
** if there are none. If co resumes a coroutine of the script's, the frames of that one come first, and level counts
** from there. Raises only on no memory. */
void mu_push_frames(lua_State *L, lua_State *co, int level);

#endif
