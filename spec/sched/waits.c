/* Waiting for tasks and for each other, without any host. */
#include "cases.h"

#include "alone.h"
#include "sched/event.h"
#include "sched/semaphore.h"

/* Runs a chunk to its end in a scheduler of its own; compares what it noted. */
static void check_script(const char *code, const char *expected) {
  alone a;
  alone_open(&a);
  mu_task *t = alone_spawn(&a, code);
  alone_run(&a);
  CHECK(alone_says(&a, expected));
  CHECK(mu_task_state(t) == MU_DONE);
  CHECK(a.s.alive == 0 && a.s.ops == 0 && a.s.timers.count == 0);
  alone_close(&a);
}

static void awaits(void) {
  check_script("local t = spawn(function(...) sleep(1) return ... end, 1, nil, 'x')\n"
               "for i = 1, 3 do spawn(function() local a, b, c = await(t) note(a .. c .. now()) end) end\n"
               "local ok, err = pcall(await, spawn(error, 'oops'))\n"
               "note(tostring(ok) .. '-' .. err)\n"
               "await(t)",
               "false-oops 1x1.0 1x1.0 1x1.0 ");
}

static void gathers(void) {
  check_script("local function nap(s) return function() sleep(s) note(s) return s end end\n"
               "local list = gather {nap(3), nap(1), nap(2)}\n"
               "note(table.concat(list, ','))\n"
               "note('n' .. #gather {})",
               "1 2 3 3,1,2 n0 ");
}

/* The first failure cancels the others, whose clean-up comes before the error. */
static void gather_fails(void) {
  check_script("local function work()\n"
               "  local _ <close> = setmetatable({}, {__close = function() note 'closed' end})\n"
               "  sleep(9)\n"
               "end\n"
               "local ok, err = pcall(gather, {work, function() sleep(1) error('bad', 0) end, work})\n"
               "note(err .. now())",
               "closed closed bad1.0 ");
}

static void cancels(void) {
  check_script("local t = spawn(function() pcall(sleep, 5) note(now()) sleep(5) note 'never' end)\n"
               "sleep(1)\n"
               "note(tostring(cancel(t, 'why')))\n"
               "note(tostring(cancel(t)))\n"
               "note(tostring((pcall(await, t))))\n"
               "local unborn = spawn(note, 'never')\n"
               "cancel(unborn)",
               "true false 1.0 false ");
}

/* Who awaits a task that nobody else awaits takes it along. */
static void cancels_along(void) {
  check_script("local inner = spawn(function() pcall(sleep, 5) note 'inner' end)\n"
               "local outer = spawn(function() await(inner) note 'never' end)\n"
               "sleep(1)\n"
               "cancel(outer)\n"
               "pcall(await, outer)\n"
               "note(now())",
               "inner 1.0 ");
}

/* ---- queues in C ---- */

static mu_semaphore semaphore; /* a case has it to itself */

static int acquired(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  return 0;
}

static int acquire(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = mu_enter(L, s, "acquire");
  lua_Integer k = luaL_optinteger(L, 1, 1);
  if (mu_semaphore_try(s, &semaphore, k)) return 0;
  return mu_semaphore_wait(L, s, t, &semaphore, k, false, 0, acquired);
}

static int release(lua_State *L) {
  lua_pushboolean(L, mu_semaphore_release(mu_self(L), &semaphore, luaL_optinteger(L, 1, 1)));
  return 1;
}

static void define(alone *a, const char *name, lua_CFunction f) {
  lua_pushlightuserdata(a->L, &a->s);
  lua_pushcclosure(a->L, f, 1);
  lua_setglobal(a->L, name);
}

static void check_semaphore(lua_Integer permits, const char *code, const char *expected) {
  alone a;
  alone_open(&a);
  mu_semaphore_init(&semaphore, "semaphore", permits);
  define(&a, "acquire", acquire);
  define(&a, "release", release);
  alone_spawn(&a, code);
  alone_run(&a);
  CHECK(alone_says(&a, expected));
  CHECK(semaphore.free == permits && mu_list_empty(&semaphore.waiters));
  CHECK(a.s.alive == 0 && a.s.ops == 0 && a.s.permits == 0);
  alone_close(&a);
}

static void semaphores(void) {
  check_semaphore(
      2,
      "for i = 1, 5 do spawn(function() acquire() note(i .. '@' .. now()) sleep(1) release() end) end\n"
      "sleep(9)\n"
      "note(tostring(release()))", /* of nobody's */
      "1@0.0 2@0.0 3@1.0 4@1.0 5@2.0 false ");
}

/* A cancelled waiter gives its place to the next, and a permit that it was handed in the same turn. */
static void semaphores_cancel(void) {
  check_semaphore(1,
                  "acquire()\n"
                  "local t = {}\n"
                  "for i = 1, 4 do t[i] = spawn(function() acquire() note(i) release() end) end\n"
                  "yield()\n"
                  "cancel(t[2])\n"
                  "release()\n"    /* to the first, */
                  "cancel(t[1])\n" /* and so to the third */
                  "sleep(1)",
                  "3 4 ");
}

static mu_link queue;

static int wait_in_queue(lua_State *L) {
  mu_sched *s = mu_self(L);
  return mu_queue_wait(L, s, mu_enter(L, s, "wait"), &queue, &mu_event_wait, NULL, 0, acquired);
}

static void queues(void) {
  alone a;
  alone_open(&a);
  mu_list_init(&queue);
  define(&a, "wait", wait_in_queue);
  alone_spawn(&a, "for i = 1, 4 do spawn(function() wait() note(i) end) end");
  alone_step(&a, 0);
  CHECK(mu_queue_wake(&a.s, &queue, 0) == 0 && mu_queue_wake(&a.s, &queue, 2) == 2);
  CHECK(alone_says(&a, "")); /* waking only enqueues */
  alone_step(&a, 0);
  CHECK(alone_says(&a, "1 2 "));
  CHECK(mu_queue_wake(&a.s, &queue, SIZE_MAX) == 2 && mu_queue_wake(&a.s, &queue, 1) == 0);
  alone_step(&a, 0);
  CHECK(alone_says(&a, "3 4 ") && a.s.ops == 0);
  alone_close(&a);
}

/* ---- orders and ends ---- */

/* A seed shuffles the order, the same way each time; without one it is the order of arrival. */
static void seeds(void) {
  static const uint64_t seeds_used[] = {0, 1, 1, 2};
  char orders[4][512];
  for (int i = 0; i < 4; i++) {
    alone a;
    alone_open(&a);
    a.s.seed = seeds_used[i];
    alone_spawn(&a, "for i = 1, 12 do spawn(note, string.char(64 + i)) end");
    alone_run(&a);
    strcpy(orders[i], alone_said(&a));
    CHECK(strlen(orders[i]) == 24);
    alone_close(&a);
  }
  CHECK(strcmp(orders[0], "A B C D E F G H I J K L ") == 0);
  CHECK(strcmp(orders[1], orders[0]) != 0 && strcmp(orders[1], orders[2]) == 0 &&
        strcmp(orders[1], orders[3]) != 0);
}

/* A scheduler that is freed closes the variables of what still waits. */
static void frees(void) {
  alone a;
  alone_open(&a);
  alone_spawn(&a, "local function work(...)\n"
                  "  local _ <close> = setmetatable({}, {__close = function() note 'closed' end})\n"
                  "  gather {function() sleep(5) end, function() await(spawn(sleep, 7)) end}\n"
                  "end\n"
                  "for i = 1, 3 do spawn(work) end\n"
                  "timeout(9, work)");
  alone_step(&a, 0);
  CHECK(a.s.alive > 4 && alone_says(&a, ""));
  mu_slab *slab = a.s.slab;
  mu_sched_free(&a.s);
  CHECK(alone_says(&a, "closed closed closed closed ") && a.s.alive == 0 && a.s.ops == 0);
  lua_close(a.L);
  mu_slab_free(slab);
}

/* Coroutines and slots are used again: much work in turn needs no more of them than little. */
static void reuses(void) {
  alone a;
  alone_open(&a);
  alone_spawn(&a, "for i = 1, 5000 do await(spawn(yield)) end");
  alone_run(&a);
  CHECK(a.s.tasks == 5001 && a.s.peak == 2 && a.s.coroutines <= 2 && a.s.slots <= 8);
  alone_close(&a);
}

const spec_case wait_cases[] = {
    {"scheduler: tasks await tasks", awaits},
    {"scheduler: gather", gathers},
    {"scheduler: gather fails", gather_fails},
    {"scheduler: cancelling", cancels},
    {"scheduler: cancelling takes the awaited along", cancels_along},
    {"scheduler: semaphores", semaphores},
    {"scheduler: a semaphore's waiters are cancelled", semaphores_cancel},
    {"scheduler: queues", queues},
    {"scheduler: seeds", seeds},
    {"scheduler: freed amid work", frees},
    {"scheduler: coroutines are reused", reuses},
    {NULL, NULL},
};
