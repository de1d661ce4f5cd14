/* http_transfer.c: what libcurl says of a transfer: its head, its body, and that it may send. */
#include "host/http.h"

#include <stdlib.h>
#include <string.h>

enum {
  MOST_HEAD = 256 * 1024, /* bytes of status and headers */
  HIGH_WATER = 64 * 1024, /* unread bytes of the body at which receiving pauses */
  FIRST_BLOCK = 2048 - 2 * sizeof(void *),
  LARGEST_SPARE = 16 * 1024, /* blocks kept for the next exchange */
  MOST_SPARE = 1024
};

/* ---- blocks ---- */

static bool make_room(mu_http_exchange *x, size_t n) {
  mu_http *http = x->http;
  if (!x->block && http->spare_blocks) {
    x->block = http->spare_blocks;
    http->spare_blocks = x->block->next;
    http->nspare_blocks--;
  }
  if (x->block && n <= x->block->capacity - x->length) return true;
  size_t capacity = x->block ? x->block->capacity : FIRST_BLOCK;
  while (capacity < x->length + n) capacity *= 2;
  mu_http_block *block = realloc(x->block, sizeof *block + capacity);
  if (!block) return false;
  block->capacity = capacity;
  x->block = block;
  return true;
}

static bool append(mu_http_exchange *x, const char *data, size_t n) {
  if (!make_room(x, n)) {
    mu_http_fail(x, MU_HTTP_MEMORY, NULL);
    return false;
  }
  memcpy(x->block->bytes + x->length, data, n);
  x->length += n;
  return true;
}

static void free_block(mu_http_exchange *x) {
  mu_http *http = x->http;
  mu_http_block *block = x->block;
  x->block = NULL;
  x->length = x->head = 0;
  if (!block || !http->open || block->capacity > LARGEST_SPARE || http->nspare_blocks >= MOST_SPARE)
    return free(block);
  block->next = http->spare_blocks;
  http->spare_blocks = block;
  http->nspare_blocks++;
}

const char *mu_http_body(const mu_http_exchange *x, size_t *size) {
  *size = x->length - x->head;
  return x->block ? x->block->bytes + x->head : "";
}

void mu_http_take(mu_http_exchange *x) { x->length = x->head; }

void mu_http_release(mu_http_exchange *x) {
  free_block(x);
  free(x->text);
  free(x->final_url);
  x->text = x->final_url = NULL;
}

/* ---- the head ---- */

/* "HTTP/1.1 200 …", "HTTP/2 200" */
static void read_status(mu_http_exchange *x, const char *line, size_t n) {
  const char *space = memchr(line, ' ', n);
  size_t i = space ? (size_t)(space - line) + 1 : n;
  x->version = (uint8_t)(n > 5 ? (line[5] - '0') * 10 : 0);
  if (n > 7 && line[6] == '.') x->version = (uint8_t)(x->version + line[7] - '0');
  x->status = 0;
  for (; i < n && line[i] >= '0' && line[i] <= '9'; i++)
    x->status = (uint16_t)(x->status * 10 + line[i] - '0');
}

static bool is_redirect(const mu_http_exchange *x) {
  switch (x->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308: return x->request.settings->follow > 0;
    default: return false;
  }
}

/* The head is complete. Is it the one that was asked for? */
static void end_head(mu_http_exchange *x) {
  x->head = x->length;
  if (x->status < 200 && x->status != 101) return;
  if (is_redirect(x) && mu_http_redirect(x, x->block->bytes, x->head)) {
    x->moved = true;
    x->connected = false; /* to where it leads */
    return;
  }
  x->has_head = true;
  mu_http_fire(x);
}

size_t mu_http_on_header(char *data, size_t size, size_t n, void *easy) {
  mu_http_exchange *x = ((mu_http_easy *)easy)->x;
  n *= size;
  if (x->has_head) return n; /* a trailer */
  bool begins = x->length == x->head;
  if (begins) {
    x->length = x->head = 0;
    read_status(x, data, n);
    mu_http_moved(x);
  }
  if (x->length + n > MOST_HEAD) {
    mu_http_fail(x, MU_HTTP_TOO_LARGE, "the headers are longer than 256 KB");
    return 0;
  }
  if (!append(x, data, n)) return 0;
  if (data[0] == '\n' || (n >= 2 && data[0] == '\r' && data[1] == '\n')) end_head(x);
  return n;
}

/* ---- the body ---- */

size_t mu_http_on_body(char *data, size_t size, size_t n, void *easy) {
  mu_http_exchange *x = ((mu_http_easy *)easy)->x;
  n *= size;
  x->has_head = true;
  if (x->received + n > x->request.settings->max_body) {
    mu_http_fail(x, MU_HTTP_TOO_LARGE, "the body is longer than max_body");
    return 0;
  }
  if (!x->whole && x->length - x->head >= HIGH_WATER) {
    x->held = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (!append(x, data, n)) return 0;
  x->received += n;
  mu_http_moved(x);
  mu_http_fire(x);
  return n;
}

/* ---- sending ---- */

size_t mu_http_on_send(char *data, size_t size, size_t n, void *easy) {
  mu_http_exchange *x = ((mu_http_easy *)easy)->x;
  n *= size;
  mu_http_moved(x);
  if (!x->chunk) {
    x->starved = !x->last;
    return x->last ? 0 : CURL_READFUNC_PAUSE;
  }
  if (n > x->chunk_size) n = x->chunk_size;
  memcpy(data, x->chunk, n);
  x->chunk += n;
  x->chunk_size -= n;
  if (x->chunk_size == 0) {
    x->chunk = NULL;
    mu_http_fire(x);
  }
  return n;
}

/* May it be sent twice without happening twice? RFC 9110, 9.2.2. */
static bool is_idempotent(const char *method) {
  static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(method, names[i]) == 0) return true;
  return false;
}

/* libcurl sends a request again, by itself, when a connection that was used before breaks without an answer. */
int mu_http_on_connected(void *easy, char *to, char *from, int to_port, int from_port) {
  mu_http_exchange *x = ((mu_http_easy *)easy)->x;
  (void)to, (void)from, (void)to_port, (void)from_port;
  if (x->connected && !is_idempotent(x->request.method)) {
    mu_http_fail(x, MU_HTTP_RESET,
                 "the connection broke before an answer; what may have happened is not sent again");
    return CURL_PREREQFUNC_ABORT;
  }
  x->connected = true;
  mu_http_moved(x);
  return CURL_PREREQFUNC_OK;
}
