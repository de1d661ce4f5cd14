/* sched.c: the ready queue and its turns; set-up and tear-down.
**
** A turn takes what is ready when it begins, and runs it in order; what becomes ready meanwhile waits for the next
** turn. A step runs turns up to a budget of resumes, so that the host can look after its I/O in between; what a budget
** cuts off goes on first at the next step.
** The scheduler's own Lua calls can fail only for lack of memory. They run inside one protected call a step; the task
** that could not begin then fails. */
#include "sched/inside.h"
#include "sched/site.h"

#include <stdlib.h>

static const char registry_key; /* its address names the scheduler in the registry */

mu_sched *mu_sched_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
  mu_sched *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

/* ---- turns ---- */

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators" (2016). */
static uint64_t next_random(mu_sched *s) {
  uint64_t x = s->seed;
  x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
  s->seed = x;
  return x * 0x2545F4914F6CDD1DULL;
}

static void move_first(mu_link *to, mu_link *from) {
  mu_link *first = from->next;
  mu_list_remove(first);
  mu_list_push(to, first);
}

/* Moves the first n of from to the end of to, in an order of which each is as likely: both halves are shuffled, then
** merged by chance. Uses no memory, as the links of cancelled tasks must be free to leave at any time. */
static void shuffle(mu_sched *s, mu_link *to, mu_link *from, size_t n) {
  mu_link halves[2];
  size_t left[2] = {n / 2, n - n / 2};
  if (n < 2) {
    if (n == 1) move_first(to, from);
    return;
  }
  for (int i = 0; i < 2; i++) {
    mu_list_init(&halves[i]);
    shuffle(s, &halves[i], from, left[i]);
  }
  for (; n > 0; n--) {
    int half = (next_random(s) >> 32) % n >= left[0];
    move_first(to, &halves[half]);
    left[half]--;
  }
}

/* What is alone draws no number: a body is shuffled alike whether it is the program or runs inside one. */
static void shuffle_batch(mu_sched *s) {
  mu_link unordered;
  size_t n = 0;
  mu_list_init(&unordered);
  mu_list_splice(&unordered, &s->batch);
  for (mu_link *l = unordered.next; l != &unordered; l = l->next) n++;
  shuffle(s, &s->batch, &unordered, n);
}

static void run_task(mu_sched *s, mu_task *t, lua_State *L) {
  if (t->u.co && !mu_task_ended(t)) {
    mu_task_run(s, t);
  } else if (mu_task_ended(t)) { /* cancelled before its first run */
    mu_unanchor(s, t->run.slot);
    t->run.slot = 0;
  } else {
    s->beginning = t;
    mu_push_anchored(s, L, t->run.slot);
    mu_task_begin(s, t, L);
    s->beginning = NULL;
  }
}

/* Runs the first of the batch; returns what it cost. */
static int run_next(mu_sched *s, lua_State *L, int budget) {
  mu_runnable *r = mu_container(s->batch.next, mu_runnable, link);
  mu_list_remove(&r->link);
  if (r->flags & MU_JOIN) return mu_join_run(s, r, L, budget);
  run_task(s, mu_container(r, mu_task, run), L);
  return 1;
}

/* light userdata s -> */
static int turns(lua_State *L) {
  mu_sched *s = lua_touserdata(L, 1);
  while (s->budget > 0 && mu_sched_ready(s)) {
    if (mu_list_empty(&s->batch)) {
      mu_list_splice(&s->batch, &s->ready);
      s->turns++;
      if (mu_unlikely(s->seed)) shuffle_batch(s);
      if (mu_unlikely(s->observer != NULL)) s->observer->turned(s->observer->data, s);
    }
    while (s->budget > 0 && !mu_list_empty(&s->batch)) {
      int cost = run_next(s, L, s->budget);
      s->budget -= cost; /* not before: another fiber may have spent some meanwhile */
    }
  }
  return 0;
}

void mu_turns(mu_sched *s, lua_State *L) {
  lua_pushcfunction(L, turns);
  lua_pushlightuserdata(L, s);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  lua_pop(L, 1); /* "not enough memory" */
  mu_task *t = s->beginning;
  s->beginning = NULL;
  s->starting = NULL;
  if (t) mu_task_fail(s, t);
}

bool mu_sched_step(mu_sched *s, double now, int budget) {
  s->now = now;
  mu_timers_fire(s, now);
  if (now >= s->trim_at) {
    mu_coroutines_trim(s, now);
    mu_fibers_trim(s);
  }
  if (mu_sched_ready(s)) mu_fibers_run(s, budget);
  return mu_sched_ready(s);
}

/* ---- all tasks ---- */

/* The task that has the slot whose value is on top of L, its userdata in the place of the value; or NULL. */
static mu_task *task_of_slot(lua_State *L, mu_sched *s, uint32_t slot) {
  if (!lua_isthread(L, -1)) {
    mu_task *t = mu_totask(L, s, -1);
    return t && t->run.slot == slot && !t->u.co ? t : NULL; /* others may hold it too */
  }
  lua_Debug ar;
  lua_State *co = lua_tothread(L, -1);
  if (!lua_getstack(co, 0, &ar)) return NULL; /* a spare one */
  mu_task of = {.u.co = co};
  mu_task_push(L, s, &of);
  lua_replace(L, -2);
  mu_task *t = mu_totask(L, s, -1);
  return t && t->u.co == co ? t : NULL; /* one that is being killed has let go of it */
}

void mu_each_task(lua_State *L, mu_sched *s, void (*fn)(lua_State *L, mu_task *t, void *data), void *data) {
  luaL_checkstack(L, 4, NULL);
  for (uint32_t slot = 1; slot <= s->slots; slot++) {
    int top = lua_gettop(L);
    mu_push_anchored(s, L, slot);
    mu_task *t = task_of_slot(L, s, slot);
    if (t && !mu_task_ended(t)) fn(L, t, data);
    lua_settop(L, top);
  }
}

static void cancel_one(lua_State *L, mu_task *t, void *data) {
  (void)L;
  mu_task_cancel(data, t);
}

void mu_sched_cancel_all(mu_sched *s) { mu_each_task(s->L, s, cancel_one, s); }

/* ---- set-up and tear-down ---- */

static void push_weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

/* What lua_resume may say. It makes these texts where no error is caught: so they must be there. */
static void push_refusals(lua_State *L) {
  static const char *const texts[] = {"cannot resume dead coroutine", "cannot resume non-suspended coroutine",
                                      "C stack overflow", "error in error handling"};
  lua_newtable(L);
  for (int i = 0; i < 4; i++) {
    lua_pushstring(L, texts[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* light userdata s -> ; leaves the scheduler's thread anchored in the registry */
static int set_up(lua_State *L) {
  mu_sched *s = lua_touserdata(L, 1);
  lua_State *root = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, root);
  lua_newtable(root); /* anchors */
  lua_newtable(root); /* metatable of tasks */
  s->task_meta = lua_topointer(root, -1);
  mu_task_push_body(root, s);
  push_weak_table(root, "k"); /* names */
  lua_newtable(root);         /* traces */
  push_weak_table(root, "k"); /* traces of objects */
  push_weak_table(root, "v"); /* unseen failures */
  push_weak_table(root, "k"); /* held coroutines */
  lua_newtable(root);         /* pinned tasks */
  lua_newtable(root);         /* coroutines that await */
  push_refusals(root);
  lua_pushlightuserdata(L, s);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
  s->root = root;
  mu_fibers_init(s, L);
  return 0;
}

bool mu_sched_init(mu_sched *s, lua_State *L, const mu_hooks *hooks) {
  *s = (mu_sched){.L = L, .from = L, .hooks = *hooks, .slab = s->slab};
  mu_list_init(&s->ready);
  mu_list_init(&s->batch);
  mu_list_init(&s->interrupted);
  mu_list_init(&s->failed_joins);
  mu_list_init(&s->makers);
  mu_heap_init(&s->timers);
  if (!lua_checkstack(L, 4)) return false;
  lua_pushcfunction(L, set_up);
  lua_pushlightuserdata(L, s);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  lua_pushnil(L); /* *s may go before the state does */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
  free(s->free_slots);
  s->free_slots = NULL;
  return false;
}

static void kill_one(lua_State *L, mu_task *t, void *data) {
  (void)L;
  mu_task_kill(data, t);
}

/* The host is gone, but scripts may still hold functions: time stands still, and nobody listens. */
static double last_now(void *s) { return ((mu_sched *)s)->now; }

static void no_report(void *s, const char *text, size_t length) { (void)s, (void)text, (void)length; }

void mu_sched_free(mu_sched *s) {
  s->closed = true;
  s->current = NULL; /* os.exit comes from inside a task */
  mu_each_task(s->L, s, kill_one, s);
  mu_fibers_free(s);
  mu_makers_free(s);
  mu_sites_free(s);
  mu_heap_free(&s->timers);
  free(s->spare);
  free(s->free_slots);
  s->spare = NULL;
  s->free_slots = NULL;
  s->hooks = (mu_hooks){last_now, no_report, s};
  lua_settop(s->root, MU_ROOT_SIZE);
  for (uint32_t slot = 1; slot <= s->slots; slot++) { /* a new table might not be had */
    lua_pushnil(s->root);
    lua_rawseti(s->root, MU_ROOT_ANCHORS, slot);
  }
  s->slots = s->nfree = s->nspare = 0;
  s->awaiting = 0;
  lua_pushnil(s->L);
  lua_rawsetp(s->L, LUA_REGISTRYINDEX, &registry_key);
  lua_pushnil(s->L);
  lua_rawsetp(s->L, LUA_REGISTRYINDEX, s->root);
}
