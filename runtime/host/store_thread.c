/* store_thread.c: the thread of a database, which runs its jobs first in, first out. */
#include "host/store.h"

#include <pthread.h>
#include <signal.h>

enum { STACK = 1 << 20 };

/* ---- the queue ---- */

void mu_store_queue(mu_store_job *job) {
  mu_store_db *db = job->db;
  job->next = NULL;
  uv_mutex_lock(&db->lock);
  *db->last = job;
  db->last = &job->next;
  uv_cond_signal(&db->cond);
  uv_mutex_unlock(&db->lock);
}

/* Once the database is being closed, only what must not be lost is done. */
static mu_store_job *next_job(mu_store_db *db, bool *stopped) {
  uv_mutex_lock(&db->lock);
  while (!db->queue) uv_cond_wait(&db->cond, &db->lock);
  mu_store_job *job = db->queue;
  db->queue = job->next;
  if (!db->queue) db->last = &db->queue;
  if (db->closing && !job->firm && !job->stop) job->stop = MU_STORE_CLOSED;
  *stopped = job->stop != MU_STORE_GOES_ON && job->what != MU_STORE_END;
  db->running = job;
  uv_mutex_unlock(&db->lock);
  return job;
}

static void finish(mu_store_db *db, mu_store_job *job) {
  mu_store *store = db->store;
  uv_mutex_lock(&db->lock);
  db->running = NULL;
  uv_mutex_unlock(&db->lock);
  job->next = NULL;
  uv_mutex_lock(&store->lock);
  *store->last_done = job;
  store->last_done = &job->next;
  uv_async_send(&store->async); /* under the lock: the handle goes when the last job is taken */
  uv_mutex_unlock(&store->lock);
}

static void work(void *data) {
  mu_store_db *db = data;
  bool last;
  do {
    bool stopped;
    mu_store_job *job = next_job(db, &stopped);
    last = job->what == MU_STORE_CLOSE;
    if (stopped) job->rc = SQLITE_INTERRUPT;
    else mu_store_run(db, job);
    finish(db, job);
  } while (!last);
}

/* Signals are for the loop's thread. */
static int create(mu_store_db *db) {
  uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK};
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = uv_thread_create_ex(&db->thread, &options, work, db);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

int mu_store_start(mu_store_db *db) {
  db->last = &db->queue;
  int rc = uv_mutex_init(&db->lock);
  if (rc) return rc;
  if ((rc = uv_cond_init(&db->cond))) goto no_cond;
  if ((rc = create(db)) == 0) return 0;
  uv_cond_destroy(&db->cond);
no_cond:
  uv_mutex_destroy(&db->lock);
  return rc;
}

/* ---- stopping ---- */

/* Interrupting ends all statements of the connection, so it must have no others: then the progress handler has to do. */
static void interrupt(mu_store_db *db, const mu_store_job *job) {
  bool is_cursor = job->what == MU_STORE_QUERY || job->what == MU_STORE_NEXT;
  if (job->what == MU_STORE_OPEN) return;
  if (db->closing || db->cursors == (is_cursor ? 1 : 0)) db->sqlite->interrupt(db->handle);
}

static void stop_running(mu_store_db *db, mu_store_job *job, mu_store_stop why) {
  if (!job->stop) job->stop = why;
  if (db->running != job) return;
  uv_cond_signal(&db->cond);
  interrupt(db, job);
}

void mu_store_stop_job(mu_store_job *job, mu_store_stop why) {
  mu_store_db *db = job->db;
  uv_mutex_lock(&db->lock);
  stop_running(db, job, why);
  uv_mutex_unlock(&db->lock);
}

void mu_store_stop_all(mu_store_db *db) {
  uv_mutex_lock(&db->lock);
  db->closing = true;
  if (db->running && !db->running->firm) stop_running(db, db->running, MU_STORE_CLOSED);
  uv_mutex_unlock(&db->lock);
}

bool mu_store_stopped(mu_store_db *db) {
  uv_mutex_lock(&db->lock);
  bool stopped = db->running->stop != MU_STORE_GOES_ON;
  uv_mutex_unlock(&db->lock);
  return stopped;
}

/* ---- the lock of another process ---- */

/* Sleeps until that time, or until the running job is to stop. */
static bool sleep_until(mu_store_db *db, uint64_t until) {
  uv_mutex_lock(&db->lock);
  for (uint64_t now = uv_hrtime(); now < until && !db->running->stop; now = uv_hrtime())
    uv_cond_timedwait(&db->cond, &db->lock, until - now);
  bool stopped = db->running->stop != MU_STORE_GOES_ON;
  uv_mutex_unlock(&db->lock);
  return !stopped;
}

bool mu_store_wait_busy(mu_store_db *db, int times) {
  static const unsigned char ms[] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100}; /* as SQLite's own */
  enum { LAST = sizeof ms - 1 };
  if (times == 0) db->waited = 0;
  double delay = ms[times < LAST ? times : LAST] * 1e-3, left = db->options.busy_timeout - db->waited;
  if (delay > left) delay = left;
  if (delay <= 0) return false;
  db->waited += delay;
  return sleep_until(db, uv_hrtime() + (uint64_t)(delay * 1e9));
}
