/* plain_http.c: what N GETs, C at a time, cost a C program that does nothing else, on libcurl's multi socket interface
** and epoll, its easy handles reused. Prints the figures that http_work.lua prints. plain_http URL N C */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { MOST_EVENTS = 1024 };

typedef struct {
  CURLM *multi;
  const char *url;
  int epoll, wanted, started, done, bad;
  double due; /* libcurl's timer; negative: none */
  size_t bytes;
} program;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int on_timer(CURLM *multi, long ms, void *data) {
  (void)multi;
  ((program *)data)->due = ms < 0 ? -1 : now() + (double)ms * 1e-3;
  return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *known) {
  program *p = data;
  struct epoll_event event = {.data.fd = fd};
  (void)easy;
  if (what == CURL_POLL_REMOVE) return epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL), 0;
  event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
  epoll_ctl(p->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  if (!known) curl_multi_assign(p->multi, fd, p);
  return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *to) {
  (void)data;
  ((program *)to)->bytes += size * n;
  return size * n;
}

static void start(program *p, CURL *easy) {
  p->started++;
  curl_easy_setopt(easy, CURLOPT_URL, p->url);
  curl_multi_add_handle(p->multi, easy);
}

static void finish(program *p) {
  int left;
  for (CURLMsg *m; (m = curl_multi_info_read(p->multi, &left));) {
    CURL *easy = m->easy_handle;
    p->bad += m->data.result != CURLE_OK;
    p->done++;
    curl_multi_remove_handle(p->multi, easy);
    if (p->started < p->wanted) start(p, easy);
    else curl_easy_cleanup(easy);
  }
}

static void begin(program *p, int at_once) {
  for (int i = 0; i < at_once; i++) {
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, p);
    start(p, easy);
  }
}

static int action(unsigned events) {
  return (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
         (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
}

static void turn(program *p) {
  static struct epoll_event events[MOST_EVENTS];
  double wait = p->due < 0 ? 1 : p->due - now();
  int running, n = epoll_wait(p->epoll, events, MOST_EVENTS, wait <= 0 ? 0 : (int)(wait * 1e3 + 0.999));
  for (int i = 0; i < n; i++)
    curl_multi_socket_action(p->multi, events[i].data.fd, action(events[i].events), &running);
  if (p->due >= 0 && now() >= p->due) {
    p->due = -1;
    curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  finish(p);
}

static double cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: plain_http URL N C\n"), 2;
  program p = {.url = argv[1], .wanted = atoi(argv[2]), .due = -1};
  curl_global_init(CURL_GLOBAL_DEFAULT);
  p.multi = curl_multi_init();
  p.epoll = epoll_create1(0);
  curl_multi_setopt(p.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(p.multi, CURLMOPT_SOCKETDATA, &p);
  curl_multi_setopt(p.multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(p.multi, CURLMOPT_TIMERDATA, &p);
  curl_multi_setopt(p.multi, CURLMOPT_MAXCONNECTS, 1000L);
  double before = now();
  begin(&p, atoi(argv[3]));
  while (p.done < p.wanted) turn(&p);
  double seconds = now() - before;
  if (p.bad) return fprintf(stderr, "plain_http: %d requests failed\n", p.bad), 1;
  printf("cpu %.3f\nrate %.0f\nbytes %zu\n", cpu() / p.wanted * 1e6, p.wanted / seconds, p.bytes);
  curl_multi_cleanup(p.multi);
  return 0;
}
