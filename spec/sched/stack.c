/* C stacks: who is left goes on where it was, with all its locals; an overrun stops at the guard page. */
#include "cases.h"

#include "base/stack.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACKS = 20, ROUNDS = 200 };

typedef struct {
  int id, rounds; /* begun so far */
  mu_stack *stack;
} runner;

static mu_stack host;
static runner runners[STACKS];

/* Goes a little deeper in each round, and finds all as it was. */
static void deeper(runner *r, int levels) {
  volatile char note[64];
  double number = r->id * 1.5;
  memset((char *)note, r->id, sizeof note);
  r->rounds++;
  mu_stack_switch(r->stack, &host);
  if (levels > 0) deeper(r, levels - 1);
  for (size_t i = 0; i < sizeof note; i++) CHECK(note[i] == r->id);
  CHECK(number == r->id * 1.5);
}

static void run(void *data) {
  for (;;) deeper(data, 10);
}

static void in_any_order(void) {
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < STACKS; i++) {
    runners[i] = (runner){.id = i};
    runners[i].stack = mu_stack_new(run, &runners[i]);
    CHECK(runners[i].stack != NULL);
  }
  for (int n = 0; n < STACKS * ROUNDS; n++) {
    runner *r = &runners[next_random(&random) % STACKS];
    int before = r->rounds;
    mu_stack_switch(&host, r->stack);
    CHECK(r->rounds == before + 1);
  }
  for (int i = 0; i < STACKS; i++) mu_stack_free(runners[i].stack);
  mu_stack_free(NULL); /* harmless */
}

/* Stacks hand over to each other without the host. */
static mu_stack *ring[3];
static int passes;

static void pass_on(void *data) {
  int i = (int)(intptr_t)data;
  for (;;) {
    passes++;
    mu_stack_switch(ring[i], passes < 1000 ? ring[(i + 1) % 3] : &host);
  }
}

static void in_a_ring(void) {
  passes = 0;
  for (int i = 0; i < 3; i++) CHECK((ring[i] = mu_stack_new(pass_on, (void *)(intptr_t)i)) != NULL);
  mu_stack_switch(&host, ring[0]);
  CHECK(passes == 1000);
  mu_stack_switch(&host, ring[1]);
  CHECK(passes == 1001);
  for (int i = 0; i < 3; i++) mu_stack_free(ring[i]);
}

static mu_stack *using;

/* Most of what a stack is said to hold can be used. */
static void use(void *data) {
  volatile char large[MU_STACK_SIZE - 64 * 1024];
  for (size_t i = 0; i < sizeof large; i += 1024) large[i] = (char)i;
  *(char *)data = large[1024];
  for (;;) mu_stack_switch(using, &host);
}

static void large(void) {
  char result = 1;
  CHECK((using = mu_stack_new(use, &result)) != NULL);
  mu_stack_switch(&host, using);
  CHECK(result == 0);
  mu_stack_free(using);
}

/* Writes below the stack, by way of its lowest address. */
static void overrun(void *data) {
  (void)data;
  *((volatile char *)using->bottom - 1) = 1;
}

static void guarded(void) {
  pid_t child = fork();
  int status = 0;
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL); /* no sanitizer has a say in it */
    signal(SIGBUS, SIG_DFL);
    using = mu_stack_new(overrun, NULL);
    mu_stack_switch(&host, using);
    _exit(0);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
}

const spec_case stack_cases[] = {{"stacks: in any order", in_any_order},
                                 {"stacks: from one to the next", in_a_ring},
                                 {"stacks: as large as they say", large},
                                 {"stacks: guarded", guarded},
                                 {NULL, NULL}};
