/* http.h: what the files of the HTTP client's Lua face share. */
#ifndef MU_BIND_HTTP_H
#define MU_BIND_HTTP_H

#include "bind/bind.h"
#include "host/http.h"

enum { /* user values of a response */
       MU_RESPONSE_CLIENT = 1,
       MU_RESPONSE_URL,     /* as it was asked for */
       MU_RESPONSE_HEADERS, /* parsed; once somebody asked */
       MU_RESPONSE_REQUEST, /* what the request's pointers point to */
       MU_RESPONSE_TEXT,    /* the body, once it was read as a whole */
       MU_RESPONSE_VALUES = MU_RESPONSE_TEXT
};

/* Pushes the module "muster.http.core". s: the index of the scheduler. */
void mu_open_http(lua_State *L, int s, mu_http *http);

/* Pushes the metatable of responses. */
void mu_response_class(lua_State *L, int s);

/* Pushes a list of the headers of a head, as it came: name, value, name, value, ... */
void mu_http_push_head(lua_State *L, const char *head, size_t size);

/* Suspends the running task t until the response at index has its head; then the operand of return is the response, or
** nil and an error. */
int mu_response_await(lua_State *L, mu_sched *s, mu_task *t, int index);

#endif
