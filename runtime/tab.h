/* tab.h: the Tab key in a line that is being edited. */
#ifndef MU_TAB_H
#define MU_TAB_H

#include "screen.h"

/* A C function: session, light userdata mu_screen -> what libedit is to do (CC_...). Asks session:complete(line, cursor),
** and inserts what all candidates begin with; if that is there already, lists them below the line. To be called
** protected: nothing may be thrown through libedit. */
int mu_complete(lua_State *L);

#endif
