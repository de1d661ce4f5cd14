/* http_memory.h: the allocator that libcurl is given. */
#ifndef MU_HTTP_MEMORY_H
#define MU_HTTP_MEMORY_H

#include <stddef.h>

/* As those of libc. Any thread. */
void *mu_http_malloc(size_t size);
void mu_http_free(void *bytes);
void *mu_http_realloc(void *bytes, size_t size);
void *mu_http_calloc(size_t n, size_t size);
char *mu_http_strdup(const char *text);

/* A runtime on this thread begins, or ends, its use of libcurl: between them freed blocks are kept for reuse. */
void mu_http_memory_begin(void);
void mu_http_memory_end(void);

#endif
