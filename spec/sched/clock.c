/* Time is what the caller says it is: turns, sleeps, timeouts, and nothing that runs by itself. */
#include "cases.h"

#include "alone.h"

static void turns(void) {
  alone a;
  alone_open(&a);
  CHECK(!mu_sched_ready(&a.s) && mu_sched_next(&a.s) < 0);
  CHECK(!mu_sched_step(&a.s, 0, 10));
  mu_task *t = alone_spawn(&a, "spawn(note, 'b') spawn(note, 'c') note 'a' yield() note 'd'");
  CHECK(mu_sched_ready(&a.s) && mu_task_state(t) == MU_READY && alone_says(&a, ""));
  CHECK(!mu_sched_step(&a.s, 0, 10));
  CHECK(mu_task_state(t) == MU_DONE && alone_says(&a, "a b c d "));
  CHECK(a.s.alive == 0 && a.s.tasks == 3 && a.s.resumes == 4 && a.s.turns == 2);
  alone_close(&a);
}

/* A budget cuts a turn short; what is left of it goes on first. */
static void budgets(void) {
  alone a;
  alone_open(&a);
  alone_spawn(&a, "for i = 1, 4 do spawn(function() note(i) yield() note(i) end) end");
  CHECK(mu_sched_step(&a.s, 0, 3));
  CHECK(alone_says(&a, "1 2 "));
  CHECK(mu_sched_step(&a.s, 0, 3));
  CHECK(alone_says(&a, "3 4 1 "));
  CHECK(!mu_sched_step(&a.s, 0, 3));
  CHECK(alone_says(&a, "2 3 4 "));
  alone_close(&a);
}

static void sleeps(void) {
  alone a;
  alone_open(&a);
  alone_spawn(&a, "for i, s in ipairs {3, 1, 2, 1, 0, 3} do spawn(function() sleep(s) note(i) end) end");
  alone_step(&a, 0); /* the time is read as each task asks to sleep */
  CHECK(alone_says(&a, "") && mu_sched_next(&a.s) == 0 && a.s.timers.count == 6);
  alone_step(&a, 0);
  CHECK(alone_says(&a, "5 ") && mu_sched_next(&a.s) == 1);
  alone_step(&a, 0.999);
  CHECK(alone_says(&a, "")); /* none early */
  alone_step(&a, 1);
  CHECK(alone_says(&a, "2 4 ") && mu_sched_next(&a.s) == 2); /* ties in start order */
  alone_step(&a, 100);
  CHECK(alone_says(&a, "3 1 6 ") && mu_sched_next(&a.s) < 0); /* late ones in the order of their deadlines */
  CHECK(a.s.alive == 0 && a.s.ops == 0);
  alone_close(&a);
}

/* Thousands of sleeps: each wakes at its own deadline, and not a moment before or after. */
static void many_sleeps(void) {
  alone a;
  alone_open(&a);
  mu_task *t = alone_spawn(
      &a, "local woken, last, seed = 0, 0, 1\n"
          "local function random() seed = seed * 1103515245 + 12345 & 0x7fffffff return seed end\n"
          "for i = 1, 3000 do\n"
          "  local s = random() // 65536 % 1000 / 64\n"
          "  spawn(function()\n"
          "    local deadline = now() + s\n"
          "    sleep(s)\n"
          "    assert(now() == deadline and last <= deadline)\n"
          "    last, woken = deadline, woken + 1\n"
          "    if woken % 3 == 0 then sleep(s) assert(now() == deadline + s) end\n"
          "  end)\n"
          "end\n"
          "sleep(100)\n"
          "assert(woken == 3000)");
  alone_run(&a);
  CHECK(mu_task_state(t) == MU_DONE && a.now == 100 && a.s.alive == 0 && a.s.failures == 0);
  alone_close(&a);
}

/* Time may stand still as long as the caller likes. */
static void standstill(void) {
  alone a;
  alone_open(&a);
  alone_spawn(&a, "sleep(1) note 'over'");
  for (int i = 0; i < 100; i++) alone_step(&a, 0.5);
  CHECK(alone_says(&a, "") && mu_sched_next(&a.s) == 1.5);
  alone_step(&a, 1.5);
  CHECK(alone_says(&a, "over "));
  alone_close(&a);
}

static void timeouts(void) {
  alone a;
  alone_open(&a);
  alone_spawn(
      &a, "local function try(s, fn) note(tostring(timeout(s, fn)) .. '@' .. now()) end\n"
          "try(2, function() sleep(1) end)\n"
          "try(2, function() sleep(3) end)\n"
          "try(1, function() try(5, function() sleep(9) end) note 'never' end)\n" /* the outer one is first */
          "try(5, function() try(1, function() sleep(9) end) sleep(1) end)\n"
          "try(0, function() sleep(0) end)");
  a.now = 0;
  alone_run(&a);
  CHECK(alone_says(&a, "true@1.0 false@3.0 false@4.0 false@5.0 true@6.0 false@6.0 "));
  CHECK(a.s.timers.count == 0 && a.s.alive == 0 && a.s.ops == 0);
  alone_close(&a);
}

const spec_case clock_cases[] = {
    {"scheduler: turns are first in, first out", turns},
    {"scheduler: a budget cuts a turn", budgets},
    {"scheduler: sleeps wake in order, never early", sleeps},
    {"scheduler: thousands of sleeps", many_sleeps},
    {"scheduler: time stands still", standstill},
    {"scheduler: timeouts", timeouts},
    {NULL, NULL},
};
