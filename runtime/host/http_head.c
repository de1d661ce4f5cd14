/* http_head.c: the head of a request: what is refused, because another server or a proxy before us may understand it
** otherwise, and so see other requests than we do; and its headers, copied. */
#include "host/http_server.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *name, size_t size) {
  static const char marks[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < size; i++)
    if (!name[i] || (!isalnum((unsigned char)name[i]) && !strchr(marks, name[i]))) return false;
  return size > 0;
}

/* Of one line, without zeros. */
static bool is_text(const char *value, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f) return false;
  return true;
}

static bool is_target(const char *target) {
  for (; *target; target++)
    if ((unsigned char)*target <= ' ' || *target == 0x7f) return false;
  return true;
}

/* Libmicrohttpd 0.9.75 adds the rest of a folded value to the name. Then the value is not where it was: behind the
** name, its colon and blanks. Both are in the memory of the connection. */
static bool is_folded(const char *name, size_t name_size, const char *value) {
  const char *at = name + name_size + 1;
  if (value < at) return true;
  while (at < value && (*at == ' ' || *at == '\t')) at++;
  return at != value;
}

typedef struct {
  char *to; /* of the copies, or NULL: only counts */
  size_t size, count;
  unsigned lengths, encodings, hosts;
  bool odd;     /* a name or a value is none */
  bool unknown; /* a transfer encoding that is not chunked */
} reading;

static void copy(reading *c, const char *text, size_t size) {
  if (c->to) {
    memcpy(c->to + c->size, text, size);
    c->to[c->size + size] = '\0';
  }
  c->size += size + 1;
}

static enum MHD_Result read_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                   const char *value, size_t value_size) {
  reading *c = cls;
  (void)kind;
  c->odd |= !is_token(name, name_size) || (value && is_folded(name, name_size, value));
  if (!value) value = "", value_size = 0;
  c->odd |= !is_text(value, value_size);
  c->count++;
  if (name_size == 14 && !strcasecmp(name, "Content-Length")) c->lengths++;
  else if (name_size == 4 && !strcasecmp(name, "Host")) c->hosts++;
  else if (name_size == 17 && !strcasecmp(name, "Transfer-Encoding")) {
    c->encodings++;
    c->unknown |= strcasecmp(value, "chunked") != 0;
  }
  copy(c, name, name_size);
  copy(c, value, value_size);
  return MHD_YES;
}

/* Where a body ends must be beyond doubt. */
static unsigned refused(const mu_request *r, const reading *c, const char **problem) {
  bool old = strcmp(r->version, "HTTP/1.0") == 0;
  if (c->odd || !is_target(r->target)) return *problem = "the head is malformed\n", 400;
  if (c->hosts > 1 || (!c->hosts && !old)) return *problem = "one Host is needed\n", 400;
  if (c->lengths + c->encodings > 1)
    return *problem = "the length of the body is given more than once\n", 400;
  if (c->encodings && old) return *problem = "no Transfer-Encoding in HTTP/1.0\n", 400;
  if (c->unknown) return *problem = "unknown Transfer-Encoding\n", 501;
  return 0;
}

unsigned mu_request_read_head(mu_request *r, const char **problem) {
  const mu_mhd *mhd = &r->server->all->mhd;
  reading counted = {0};
  mhd->get_connection_values(r->connection, MHD_HEADER_KIND, read_header, &counted);
  unsigned status = refused(r, &counted, problem);
  if (status) return status;
  if (!(r->headers = malloc(counted.size + 1))) return *problem = "not enough memory\n", 503;
  reading c = {.to = r->headers};
  mhd->get_connection_values(r->connection, MHD_HEADER_KIND, read_header, &c);
  r->header_count = c.count;
  return 0;
}
