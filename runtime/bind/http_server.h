/* http_server.h: the module "muster.http.server.core". */
#ifndef MU_BIND_HTTP_SERVER_H
#define MU_BIND_HTTP_SERVER_H

#include "bind/bind.h"
#include "host/http_server.h"

/* Pushes the module; the scheduler's userdata is at index s. */
void mu_open_http_server(lua_State *L, int s, mu_httpd *all);

/* Pushes the metatable of requests, which are boxes of a mu_request. */
void mu_server_request_class(lua_State *L, int s);

#endif
