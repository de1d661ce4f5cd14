/* HTTP of several runtimes in one process: on threads at once, and by runtimes that are closed on another thread than
** they ran on. The memory that is kept for libcurl is given back. */
#include "../support/script.h"

#include <malloc.h>
#include <pthread.h>

/* A server and its clients in one runtime. */
static const char talk[] = "local async = require 'muster'\n"
                           "local http = require 'muster.http'\n"
                           "local net = require 'muster.net'\n"
                           "local server = assert(net.listen('127.0.0.1', 0))\n"
                           "local serving = async.spawn(function()\n"
                           "  server:serve(function(stream)\n"
                           "    while stream:read_until '\\r\\n\\r\\n' do\n"
                           "      stream:write 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n"
                           "    end\n"
                           "  end)\n"
                           "end)\n"
                           "local n, client = 0, http.client()\n"
                           "local url = 'http://127.0.0.1:' .. server.port\n"
                           "async.map({1, 2, 3, 4, 5, 6, 7, 8}, function()\n"
                           "  for _ = 1, 10 do\n"
                           "    local text = assert(assert(client:get(url)):text())\n"
                           "    n = n + #text\n"
                           "  end\n"
                           "end)\n"
                           "client:close()\n"
                           "serving:cancel()\n"
                           "server:close()\n"
                           "return n";

static void *talk_on_thread(void *m) {
  CHECK(run_for_integer(m, talk) == 160);
  return NULL;
}

static void *whole_life(void *unused) {
  (void)unused;
  for (int i = 0; i < 3; i++) {
    muster *m = muster_new(NULL);
    CHECK(m != NULL);
    talk_on_thread(m);
    muster_close(m);
  }
  return NULL;
}

static void at_once(void) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, whole_life, NULL) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void one_round(void) {
  pthread_t thread;
  muster *m = muster_new(NULL);
  CHECK(m != NULL);
  CHECK(pthread_create(&thread, NULL, talk_on_thread, m) == 0);
  pthread_join(thread, NULL);
  muster_close(m);
}

/* Under a sanitizer there is nothing to count. */
static size_t in_use(void) { return mallinfo2().uordblks; }

static void closed_elsewhere(void) {
  enum { WARM = 3, ROUNDS = 20, MOST_BYTES = 100 * 1024 };
  for (int i = 0; i < WARM; i++) one_round();
  size_t before = in_use();
  for (int i = 0; i < ROUNDS; i++) one_round();
  CHECK(in_use() <= before + MOST_BYTES);
}

int main(void) {
  static const spec_case cases[] = {
      {"HTTP on threads: several at once", at_once},
      {"HTTP on threads: memory is given back, though the runtime is closed elsewhere", closed_elsewhere},
      {NULL, NULL},
  };
  return run_cases(cases);
}
