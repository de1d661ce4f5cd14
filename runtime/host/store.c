/* store.c: databases and their jobs, on the loop's thread. */
#include "host/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SPARE = 32, LARGEST_SPARE = 65536 };

/* ---- memory ---- */

static void *from_libc(void *data, void *block, size_t old_size, size_t new_size) {
  (void)data, (void)old_size;
  if (new_size) return realloc(block, new_size);
  free(block);
  return NULL;
}

static mu_store_job *make_job(mu_store *store) {
  mu_store_job *job = store->spare;
  if (job) {
    store->spare = job->next;
    store->nspare--;
    return job;
  }
  job = calloc(1, sizeof *job);
  if (job) job->request = job->reply = job->error = MU_BUFFER(from_libc, NULL);
  return job;
}

static void free_job(mu_store *store, mu_store_job *job) {
  mu_buffer request = job->request, reply = job->reply, error = job->error;
  if (store->closed || store->nspare >= MOST_SPARE || request.room + reply.room > LARGEST_SPARE) {
    mu_buffer_free(&request);
    mu_buffer_free(&reply);
    mu_buffer_free(&error);
    free(job);
    return;
  }
  request.size = reply.size = error.size = 0;
  *job = (mu_store_job){.request = request, .reply = reply, .error = error, .next = store->spare};
  store->spare = job;
  store->nspare++;
}

static void free_spare(mu_store *store) {
  for (mu_store_job *job = store->spare, *next; job; job = next) {
    next = job->next;
    mu_buffer_free(&job->request);
    mu_buffer_free(&job->reply);
    mu_buffer_free(&job->error);
    free(job);
  }
  store->spare = NULL;
  store->nspare = 0;
}

void mu_store_unhold(mu_store_db *db) {
  if (--db->holds > 0) return;
  assert(db->gone);
  free(db->path);
  free(db);
}

static void end_job(mu_store_job *job) {
  mu_store_db *db = job->db;
  free_job(db->store, job);
  mu_store_unhold(db);
}

mu_store_job *mu_store_job_new(mu_store_db *db, mu_store_what what) {
  mu_store_job *job = make_job(db->store);
  if (!job) return NULL;
  job->db = db;
  job->what = (uint8_t)what;
  db->holds++;
  return job;
}

/* ---- jobs that come back ---- */

/* The last job of a thread is back. */
static void say_goodbye(mu_store_db *db) {
  if (!db->joined) uv_thread_join(&db->thread);
  db->joined = db->gone = true;
  mu_list_remove(&db->link);
  uv_cond_destroy(&db->cond);
  uv_mutex_destroy(&db->lock);
}

static void come_back(mu_store_job *job) {
  mu_store_db *db = job->db;
  mu_store_op *op = job->op;
  job->flying = false;
  if ((job->what == MU_STORE_QUERY || job->what == MU_STORE_NEXT || job->what == MU_STORE_END) && !job->stmt)
    db->cursors--;
  if (job->what == MU_STORE_OPEN && (job->rc || job->dropped)) mu_store_shut(db);
  if (job->what == MU_STORE_CLOSE) say_goodbye(db);
  if (op) {
    job->op = NULL;
    db->store->s->external--;
    mu_fire(db->store->s, &op->op);
  } else if (job->dropped) {
    mu_store_drop(job);
  }
}

static mu_store_job *take_done(mu_store *store) {
  uv_mutex_lock(&store->lock);
  mu_store_job *first = store->done;
  store->done = NULL;
  store->last_done = &store->done;
  uv_mutex_unlock(&store->lock);
  return first;
}

static void all_come_back(mu_store *store) {
  for (mu_store_job *job = take_done(store), *next; job; job = next) {
    next = job->next;
    come_back(job);
  }
}

static void on_done(uv_async_t *handle) { all_come_back(mu_container(handle, mu_store, async)); }

/* ---- waiting ---- */

static bool cancel(mu_sched *s, mu_op *op) {
  mu_store_job *job = ((mu_store_op *)op)->job;
  job->op = NULL;
  s->external--;
  mu_store_drop(job);
  return true;
}

static const char *which(const mu_op *op) {
  const mu_store_job *job = ((const mu_store_op *)op)->job;
  return job->sql_size ? job->request.at : job->db->path;
}

/* What has been done is told also to a task that was cancelled meanwhile. */
static const mu_opclass job_class = {
    .name = "the store", .size = sizeof(mu_store_op), .commits = true, .cancel = cancel, .which = which};
static const mu_opclass firm_class = {.name = "the store",
                                      .size = sizeof(mu_store_op),
                                      .commits = true,
                                      .firm = true,
                                      .cancel = cancel,
                                      .which = which};

void mu_store_submit(mu_store_job *job) {
  assert(!job->flying);
  if (job->what == MU_STORE_QUERY) job->db->cursors++;
  job->stop = MU_STORE_GOES_ON;
  job->rc = 0;
  job->flying = true;
  mu_store_queue(job);
}

void mu_store_wait(lua_State *L, mu_sched *s, mu_task *t, mu_store_job *job) {
  mu_store_op *op = mu_op_new(L, s, t, job->firm ? &firm_class : &job_class);
  op->job = job;
  job->op = op;
  s->external++;
  mu_store_submit(job);
}

void mu_store_drop(mu_store_job *job) {
  if (job->box) *job->box = NULL;
  job->box = NULL;
  if (job->flying) {
    job->dropped = true;
    if (!job->firm) mu_store_stop_job(job, MU_STORE_CANCELLED);
  } else if (job->stmt && !job->db->shut) {
    job->what = MU_STORE_END;
    job->dropped = true;
    mu_store_submit(job);
  } else {
    end_job(job);
  }
}

/* ---- databases ---- */

static const char *prepare(mu_store *store) {
  if (store->closed) return "the runtime is closed";
  const char *problem = mu_sqlite_load(&store->sqlite);
  if (problem || store->open) return problem;
  if (uv_mutex_init(&store->lock)) return "out of memory";
  if (uv_async_init(&store->loop->uv, &store->async, on_done)) {
    uv_mutex_destroy(&store->lock);
    return "the system refuses a handle";
  }
  uv_unref((uv_handle_t *)&store->async);
  store->async.data = store->loop;
  store->last_done = &store->done;
  mu_list_init(&store->dbs);
  store->open = true;
  return NULL;
}

static mu_store_db *make_db(mu_store *store, const char *path, const mu_store_options *options) {
  mu_store_db *db = calloc(1, sizeof *db);
  char *copy = strdup(path);
  mu_store_job *bye = make_job(store);
  if (db && copy && bye) {
    *db = (mu_store_db){
        .store = store, .sqlite = &store->sqlite, .options = *options, .path = copy, .holds = 2, .bye = bye};
    bye->db = db;
    bye->what = MU_STORE_CLOSE;
    bye->firm = bye->dropped = true;
    mu_list_init(&db->statements);
    return db;
  }
  if (bye) free_job(store, bye);
  free(copy);
  free(db);
  return NULL;
}

static void unmake_db(mu_store_db *db) {
  free_job(db->store, db->bye);
  free(db->path);
  free(db);
}

mu_store_job *mu_store_open(mu_store *store, const char *path, const mu_store_options *options,
                            const char **problem) {
  if ((*problem = prepare(store))) return NULL;
  mu_store_db *db = make_db(store, path, options);
  mu_store_job *job = db ? mu_store_job_new(db, MU_STORE_OPEN) : NULL;
  if (!job) goto no_job;
  if (mu_store_start(db)) goto no_thread;
  mu_list_push(&store->dbs, &db->link);
  return job;
no_thread:
  free_job(store, job);
no_job:
  if (db) unmake_db(db);
  *problem = job ? "the system refuses a thread" : "not enough memory";
  return NULL;
}

void mu_store_shut(mu_store_db *db) {
  if (db->shut) return;
  db->shut = true;
  mu_store_stop_all(db);
  if (!db->bye->flying) mu_store_submit(db->bye);
}

void mu_store_close(mu_store *store) {
  store->closed = true;
  if (!store->open) return;
  for (mu_link *at = store->dbs.next; at != &store->dbs; at = at->next)
    mu_store_shut(mu_container(at, mu_store_db, link));
  while (!mu_list_empty(&store->dbs)) {
    mu_store_db *db = mu_container(store->dbs.next, mu_store_db, link);
    uv_thread_join(&db->thread);
    db->joined = true;
    all_come_back(store);
  }
  free_spare(store);
  uv_mutex_destroy(&store->lock);
  store->open = false; /* the loop closes the async */
}
