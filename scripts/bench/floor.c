/* floor.c: the least C scheduler that runs the loops of the bench, as a Lua module. What a runtime costs above it is
** what its features cost.
**
** A ready list, a heap of timers, groups that count; a coroutine is made at a task's first run, and reused after its
** end. There are no errors (that of a task ends the run), no cancellation, no timeouts, no I/O, and one scheduler a
** process. Whatever it allocates stays until the process ends. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <time.h>

enum { MAIN = 1, ANCHORS = 2 }; /* the stack of `run` */
enum { FIRST_CAPACITY = 256, TASKS_A_BLOCK = 1024 };

typedef struct task task;

/* Tasks 1 to total, which call one function with their index. */
typedef struct {
  int total, left;
  int function, results; /* references into the registry */
  int added, taken;      /* of the results, if they come as completed */
  int ordered;
  task *waiter;
} group;

struct task {
  task *next;
  lua_State *co; /* from the first run to the end */
  group *of;     /* or NULL: it was spawned */
  int index;     /* in the group; of a spawned one the reference to its function */
};

typedef struct {
  task *first, **last;
} fifo;

typedef struct {
  double at;
  task *task;
} timer;

typedef struct {
  fifo waiting;
  lua_Integer free;
} semaphore;

/* A ring, with one task at most waiting on either side. */
typedef struct {
  task *putter, *getter;
  lua_Integer head, tail, capacity;
} queue;

static struct {
  fifo ready;
  task *current;
  task *spare_tasks;
  lua_State **spare; /* coroutines; the table at ANCHORS keeps them */
  int nspare, spare_capacity, coroutines;
  timer *timers; /* a binary heap */
  int ntimers, timer_capacity;
} self;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *allocated(lua_State *L, void *p) {
  if (!p) luaL_error(L, "not enough memory");
  return p;
}

static void *grow(lua_State *L, void *array, int *capacity, size_t size) {
  int n = *capacity ? 2 * *capacity : FIRST_CAPACITY;
  void *p = allocated(L, realloc(array, (size_t)n * size));
  *capacity = n;
  return p;
}

/* ---- lists of tasks ---- */

static void clear(fifo *q) {
  q->first = NULL;
  q->last = &q->first;
}

static void put(fifo *q, task *t) {
  t->next = NULL;
  *q->last = t;
  q->last = &t->next;
}

static task *take(fifo *q) {
  task *t = q->first;
  if (t && !(q->first = t->next)) q->last = &q->first;
  return t;
}

static void wake(task **who) {
  if (*who) put(&self.ready, *who);
  *who = NULL;
}

/* ---- tasks ---- */

static void add_tasks(lua_State *L) {
  task *block = allocated(L, malloc(TASKS_A_BLOCK * sizeof *block));
  for (int i = 0; i < TASKS_A_BLOCK; i++) {
    block[i].next = self.spare_tasks;
    self.spare_tasks = &block[i];
  }
}

static void start(lua_State *L, group *of, int index) {
  if (!self.spare_tasks) add_tasks(L);
  task *t = self.spare_tasks;
  self.spare_tasks = t->next;
  *t = (task){.of = of, .index = index};
  put(&self.ready, t);
}

static lua_State *take_coroutine(lua_State *L) {
  if (self.nspare) return self.spare[--self.nspare];
  lua_State *co = lua_newthread(L);
  lua_rawseti(L, ANCHORS, ++self.coroutines);
  return co;
}

static void release_coroutine(lua_State *L, lua_State *co) {
  lua_settop(co, 0);
  if (self.nspare == self.spare_capacity)
    self.spare = grow(L, self.spare, &self.spare_capacity, sizeof *self.spare);
  self.spare[self.nspare++] = co;
}

/* Pushes the function and its arguments; returns their number. */
static int begin(lua_State *L, task *t) {
  t->co = take_coroutine(L);
  lua_rawgeti(t->co, LUA_REGISTRYINDEX, t->of ? t->of->function : t->index);
  if (t->of) lua_pushinteger(t->co, t->index);
  else luaL_unref(t->co, LUA_REGISTRYINDEX, t->index);
  return t->of != NULL;
}

/* The result is on top of the stack of t. */
static void add_result(task *t) {
  group *g = t->of;
  lua_rawgeti(t->co, LUA_REGISTRYINDEX, g->results);
  lua_insert(t->co, -2); /* results, result */
  lua_rawseti(t->co, -2, g->ordered ? t->index : ++g->added);
  if (--g->left == 0 || !g->ordered) wake(&g->waiter);
}

static void finish(lua_State *L, task *t) {
  if (t->of) add_result(t);
  release_coroutine(L, t->co);
  t->next = self.spare_tasks;
  self.spare_tasks = t;
}

static void resume(lua_State *L, task *t) {
  int n;
  self.current = t;
  int nargs = t->co ? 0 : begin(L, t);
  int status = lua_resume(t->co, L, nargs, &n);
  if (status == LUA_OK) finish(L, t);
  else if (status != LUA_YIELD) luaL_error(L, "task: %s", lua_tostring(t->co, -1));
}

/* ---- timers ---- */

static void add_timer(lua_State *L, timer x) {
  if (self.ntimers == self.timer_capacity)
    self.timers = grow(L, self.timers, &self.timer_capacity, sizeof *self.timers);
  int i = self.ntimers++;
  for (int up; i && self.timers[up = (i - 1) / 2].at > x.at; i = up) self.timers[i] = self.timers[up];
  self.timers[i] = x;
}

static void remove_first_timer(void) {
  timer *h = self.timers, x = h[--self.ntimers];
  int i = 0;
  for (int child; (child = 2 * i + 1) < self.ntimers; i = child) {
    if (child + 1 < self.ntimers && h[child + 1].at < h[child].at) child++;
    if (x.at <= h[child].at) break;
    h[i] = h[child];
  }
  h[i] = x;
}

static void expire(double time) {
  while (self.ntimers && self.timers[0].at <= time) {
    put(&self.ready, self.timers[0].task);
    remove_first_timer();
  }
}

static void wait_for_timer(void) {
  double d = self.timers[0].at - now();
  if (d > 0) nanosleep(&(struct timespec){(time_t)d, (long)((d - (double)(time_t)d) * 1e9)}, NULL);
}

/* ---- the loop ---- */

static void run_batch(lua_State *L) {
  task *t = self.ready.first;
  clear(&self.ready);
  for (task *next; t; t = next) {
    next = t->next;
    resume(L, t);
  }
}

static int run(lua_State *L) {
  luaL_checktype(L, MAIN, LUA_TFUNCTION);
  lua_settop(L, MAIN);
  lua_newtable(L);
  clear(&self.ready);
  lua_pushvalue(L, MAIN);
  start(L, NULL, luaL_ref(L, LUA_REGISTRYINDEX));
  while (self.ready.first || self.ntimers) {
    if (self.ready.first) run_batch(L);
    else wait_for_timer();
    if (self.ntimers) expire(now());
  }
  return 0;
}

static int spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  start(L, NULL, luaL_ref(L, LUA_REGISTRYINDEX));
  return 0;
}

static int yield(lua_State *L) {
  put(&self.ready, self.current);
  return lua_yield(L, 0);
}

static int sleep_for(lua_State *L) {
  add_timer(L, (timer){now() + luaL_checknumber(L, 1), self.current});
  return lua_yield(L, 0);
}

static int clock_now(lua_State *L) {
  lua_pushnumber(L, now());
  return 1;
}

/* ---- groups ---- */

/* Starts the function at index 2 as tasks 1 to n, which is at index 1. */
static group *start_group(lua_State *L, int ordered) {
  int n = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  group *g = allocated(L, malloc(sizeof *g));
  *g = (group){.total = n, .left = n, .ordered = ordered};
  lua_settop(L, 2);
  g->function = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, n, 0);
  g->results = luaL_ref(L, LUA_REGISTRYINDEX);
  for (int i = 1; i <= n; i++) start(L, g, i);
  return g;
}

static int gathered(lua_State *L, int status, lua_KContext ctx) {
  group *g = (group *)ctx;
  (void)status;
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->results);
  luaL_unref(L, LUA_REGISTRYINDEX, g->results);
  luaL_unref(L, LUA_REGISTRYINDEX, g->function);
  free(g);
  return 1;
}

/* n > 0, function -> list of its results */
static int gather(lua_State *L) {
  group *g = start_group(L, 1);
  g->waiter = self.current;
  return lua_yieldk(L, 0, (lua_KContext)g, gathered);
}

static int deliver(lua_State *L, int status, lua_KContext ctx) {
  group *g = (group *)ctx;
  (void)status;
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->results);
  lua_rawgeti(L, -1, ++g->taken);
  lua_pushnil(L);
  lua_rawseti(L, -3, g->taken);
  return 1;
}

static int next_completed(lua_State *L) {
  group *g = lua_touserdata(L, lua_upvalueindex(1));
  if (g->taken == g->total) return 0;
  if (g->taken < g->added) return deliver(L, LUA_OK, (lua_KContext)g);
  g->waiter = self.current;
  return lua_yieldk(L, 0, (lua_KContext)g, deliver);
}

/* n, function -> iterator over its results */
static int as_completed(lua_State *L) {
  lua_pushlightuserdata(L, start_group(L, 0));
  lua_pushcclosure(L, next_completed, 1);
  return 1;
}

/* ---- semaphores ---- */

/* A slot that is released goes to the first who waits. */
static int acquire(lua_State *L) {
  semaphore *s = lua_touserdata(L, lua_upvalueindex(1));
  if (s->free) return s->free--, 0;
  put(&s->waiting, self.current);
  return lua_yield(L, 0);
}

static int release(lua_State *L) {
  semaphore *s = lua_touserdata(L, lua_upvalueindex(1));
  task *t = take(&s->waiting);
  if (t) put(&self.ready, t);
  else s->free++;
  return 0;
}

/* n -> acquire, release */
static int new_semaphore(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  semaphore *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->free = n;
  clear(&s->waiting);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, acquire, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, release, 1);
  return 2;
}

/* ---- queues ---- */

/* Upvalues of put and get: queue, ring. */
static int put_value(lua_State *L, int status, lua_KContext ctx) {
  queue *q = (queue *)ctx;
  (void)status;
  if (q->tail - q->head == q->capacity) {
    q->putter = self.current;
    return lua_yieldk(L, 0, ctx, put_value);
  }
  lua_settop(L, 1);
  lua_rawseti(L, lua_upvalueindex(2), 1 + q->tail++ % q->capacity);
  wake(&q->getter);
  return 0;
}

static int get_value(lua_State *L, int status, lua_KContext ctx) {
  queue *q = (queue *)ctx;
  (void)status;
  if (q->tail == q->head) {
    q->getter = self.current;
    return lua_yieldk(L, 0, ctx, get_value);
  }
  lua_rawgeti(L, lua_upvalueindex(2), 1 + q->head++ % q->capacity);
  wake(&q->putter);
  return 1;
}

static int queue_put(lua_State *L) {
  return put_value(L, LUA_OK, (lua_KContext)lua_touserdata(L, lua_upvalueindex(1)));
}

static int queue_get(lua_State *L) {
  return get_value(L, LUA_OK, (lua_KContext)lua_touserdata(L, lua_upvalueindex(1)));
}

/* capacity -> put, get */
static int new_queue(lua_State *L) {
  lua_Integer capacity = luaL_checkinteger(L, 1);
  queue *q = lua_newuserdatauv(L, sizeof *q, 0);
  *q = (queue){.capacity = capacity};
  lua_createtable(L, (int)capacity, 0);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, queue_put, 2);
  lua_insert(L, -3);
  lua_pushcclosure(L, queue_get, 2);
  return 2;
}

int luaopen_floor(lua_State *L);
int luaopen_floor(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"run", run},         {"spawn", spawn},     {"yield", yield},
      {"now", clock_now},   {"gather", gather},   {"as_completed", as_completed},
      {"queue", new_queue}, {"sleep", sleep_for}, {"semaphore", new_semaphore},
      {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
