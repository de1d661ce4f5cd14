/* store_run.c: what jobs do, on the database's thread. */
#include "host/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
  FIRST_ROWS = 64, /* of a query: few, so that one that is left early has cost little */
  MORE_ROWS = 2048,
  MOST_BYTES = 1 << 18, /* after which no further row is fetched */
  LOOK_AFTER = 2000     /* instructions of SQLite: is the job to stop? */
};

/* ---- failures ---- */

static void say(mu_store_job *job, const char *text) {
  size_t n = strlen(text);
  job->error.size = 0;
  mu_buffer_add(&job->error, text, n + 1); /* without memory for it, the code has to do */
}

void mu_store_fail(mu_store_db *db, mu_store_job *job, int rc) {
  int code = db->handle ? db->sqlite->errcode(db->handle) : rc;
  job->rc = (code & 0xff) == (rc & 0xff) ? code : rc;
  say(job, job->rc == code && db->handle ? db->sqlite->errmsg(db->handle) : db->sqlite->errstr(rc));
}

void mu_store_misuse(mu_store_job *job, const char *fmt, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, fmt);
  vsnprintf(text, sizeof text, fmt, arguments);
  va_end(arguments);
  job->rc = SQLITE_MISUSE;
  job->misuse = true;
  say(job, text);
}

/* ---- the file ---- */

static int on_busy(void *data, int times) { return mu_store_wait_busy(data, times); }
static int on_progress(void *data) { return mu_store_stopped(data); }

/* Two who turn WAL on at the same time: one of them is refused at once. */
static int pragma(mu_store_db *db, const char *sql) {
  int rc, times = 0;
  do rc = db->sqlite->exec(db->handle, sql, NULL, NULL, NULL);
  while ((rc & 0xff) == SQLITE_BUSY && mu_store_wait_busy(db, times++));
  return rc;
}

static int set_up(mu_store_db *db) {
  const mu_store_options *o = &db->options;
  char sql[64];
  db->sqlite->extended_result_codes(db->handle, 1);
  db->sqlite->busy_handler(db->handle, on_busy, db);
  db->sqlite->progress_handler(db->handle, LOOK_AFTER, on_progress, db);
  if (!o->readonly && db->sqlite->db_readonly(db->handle, "main") == 1) return SQLITE_READONLY;
  int rc = pragma(db, "PRAGMA schema_version"); /* reads the file: is it one of SQLite's? */
  if (!rc && o->wal && !o->readonly) rc = pragma(db, "PRAGMA journal_mode = WAL");
  if (rc || !*o->synchronous) return rc;
  snprintf(sql, sizeof sql, "PRAGMA synchronous = %s", o->synchronous);
  return pragma(db, sql);
}

static void open_file(mu_store_db *db, mu_store_job *job) {
  const mu_store_options *o = &db->options;
  int flags = SQLITE_OPEN_NOMUTEX | (o->readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  if (o->create && !o->readonly) flags |= SQLITE_OPEN_CREATE;
  int rc = db->sqlite->open(db->path, &db->handle, flags, NULL);
  if (!rc) rc = set_up(db);
  if (rc) mu_store_fail(db, job, rc);
  if (rc == SQLITE_READONLY) say(job, "the file can only be read, and `readonly` is not set");
}

static void close_file(mu_store_db *db) {
  if (!db->handle) return; /* its opening was stopped */
  mu_store_free_statements(db);
  db->sqlite->progress_handler(db->handle, 0, NULL, NULL);
  db->sqlite->close(db->handle);
  db->handle = NULL;
}

/* ---- rows ---- */

static bool add_number(mu_buffer *b, char tag, const void *eight) {
  return mu_buffer_add(b, &tag, 1) && mu_buffer_add(b, eight, 8);
}

static bool add_bytes(mu_buffer *b, char tag, const void *bytes, int size) {
  int64_t length = size;
  if (!bytes && size) return false; /* SQLite is out of memory */
  return add_number(b, tag, &length) && mu_buffer_add(b, bytes, (size_t)size);
}

static bool add_column(const mu_sqlite *q, mu_buffer *b, sqlite3_stmt *stmt, int i) {
  switch (q->column_type(stmt, i)) {
    case SQLITE_INTEGER: {
      int64_t value = q->column_int64(stmt, i);
      return add_number(b, MU_INTEGER, &value);
    }
    case SQLITE_FLOAT: {
      double value = q->column_double(stmt, i);
      return add_number(b, MU_FLOAT, &value);
    }
    case SQLITE_TEXT: {
      const void *text = q->column_text(stmt, i);
      return add_bytes(b, MU_TEXT, text, q->column_bytes(stmt, i));
    }
    case SQLITE_BLOB: {
      const void *blob = q->column_blob(stmt, i);
      return add_bytes(b, MU_BLOB, blob, q->column_bytes(stmt, i));
    }
    default: return mu_buffer_add(b, &(char){MU_NULL}, 1);
  }
}

static bool add_names(mu_store_db *db, mu_store_job *job, sqlite3_stmt *stmt) {
  job->columns =
      db->sqlite->column_count(stmt); /* from the first step on: it compiles anew if tables have changed */
  for (int i = 0; i < job->columns; i++) {
    const char *name = db->sqlite->column_name(stmt, i);
    if (!name || !mu_buffer_add(&job->reply, name, strlen(name) + 1)) return false;
  }
  return true;
}

/* The first is preceded by the names of the columns. */
static bool add_row(mu_store_db *db, mu_store_job *job, sqlite3_stmt *stmt) {
  if (job->reply.size == 0 && job->what != MU_STORE_NEXT && !add_names(db, job, stmt)) return false;
  for (int i = 0; i < job->columns; i++)
    if (!add_column(db->sqlite, &job->reply, stmt, i)) return false;
  return true;
}

/* ---- statements to their end ---- */

/* The rows are wanted of a batch only. One that changes nothing leaves the number of changes as the one before has set
** it. */
static int step_through(mu_store_db *db, mu_store_job *job, sqlite3_stmt *stmt) {
  int rc, before = db->sqlite->total_changes(db->handle);
  while ((rc = db->sqlite->step(stmt)) == SQLITE_ROW)
    if (job->what == MU_STORE_BATCH && !add_row(db, job, stmt)) return SQLITE_NOMEM;
  if (db->sqlite->total_changes(db->handle) != before) job->changes += db->sqlite->changes(db->handle);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void run_script(mu_store_db *db, mu_store_job *job) {
  const char *sql = job->request.at, *end = sql + job->sql_size;
  if (job->request.at[job->sql_size + 1] != MU_SET)
    return mu_store_misuse(job, "parameters are for one statement, but here are several");
  while (sql < end && !job->rc) {
    sqlite3_stmt *stmt = NULL;
    const char *tail = end;
    int rc = db->sqlite->prepare(db->handle, sql, (int)(end - sql), 0, &stmt, &tail);
    if (!rc && stmt) rc = step_through(db, job, stmt);
    if (rc) mu_store_fail(db, job, rc);
    db->sqlite->finalize(stmt);
    sql = tail;
  }
}

static bool run_set(mu_store_db *db, mu_store_job *job, mu_store_statement *st, const char **at) {
  if (!mu_store_bind(db, job, st->handle, at, false)) return false;
  int rc = step_through(db, job, st->handle);
  if (rc) mu_store_fail(db, job, rc); /* before the reset, which forgets it */
  return !rc;
}

static void run_sets(mu_store_db *db, mu_store_job *job, mu_store_statement *st) {
  const char *at = job->request.at + job->sql_size + 1, *end = job->request.at + job->request.size;
  for (job->row = 1; at < end && run_set(db, job, st, &at); job->row++) {
    int rc = db->sqlite->reset(st->handle);
    if (!rc) continue;
    mu_store_fail(db, job, rc);
    break;
  }
  if (!job->rc) job->row = 0;
  mu_store_give_back(db, st);
}

static void run_exec(mu_store_db *db, mu_store_job *job) {
  bool several;
  mu_store_statement *st = mu_store_take(db, job, &several);
  if (several) run_script(db, job);
  if (st) run_sets(db, job, st);
  if (job->what == MU_STORE_EXEC) job->row = 0;
  job->last_id = db->sqlite->last_id(db->handle);
}

/* All sets or none: in a transaction of its own, or in a part of the one that is open. */
static void run_batch(mu_store_db *db, mu_store_job *job) {
  bool several, alone = db->sqlite->get_autocommit(db->handle);
  mu_store_statement *st = mu_store_take(db, job, &several);
  if (several) return mu_store_misuse(job, "here are several statements");
  if (!st && !job->rc) return mu_store_misuse(job, "here is no statement");
  if (!st) return;
  st->busy = false; /* again, until it begins */
  int rc =
      pragma(db, alone ? (db->options.readonly ? "BEGIN" : "BEGIN IMMEDIATE") : "SAVEPOINT muster_batch");
  if (rc) return mu_store_fail(db, job, rc);
  st->busy = true;
  run_sets(db, job, st);
  job->last_id = db->sqlite->last_id(db->handle);
  rc =
      job->rc ? 0 : db->sqlite->exec(db->handle, alone ? "COMMIT" : "RELEASE muster_batch", NULL, NULL, NULL);
  if (rc) mu_store_fail(db, job, rc);
  if (!job->rc) return;
  const char *undo = alone ? "ROLLBACK" : "ROLLBACK TO muster_batch; RELEASE muster_batch";
  db->sqlite->exec(db->handle, undo, NULL, NULL, NULL); /* fails if SQLite has done so already */
}

/* ---- queries ---- */

static void end_query(mu_store_db *db, mu_store_job *job) {
  mu_store_statement *st = job->stmt;
  job->stmt = NULL;
  job->end = true;
  int rc = mu_store_give_back(db, st);
  if (rc && !job->rc) mu_store_fail(db, job, rc);
}

/* Appends rows to the reply; rc is the result of the last step. What was fetched before a failure counts. */
static void fetch(mu_store_db *db, mu_store_job *job, int rc, int most) {
  sqlite3_stmt *stmt = job->stmt->handle;
  for (int n = 1; rc == SQLITE_ROW; n++) {
    if (!add_row(db, job, stmt)) rc = SQLITE_NOMEM;
    else if (n == most || job->reply.size >= MOST_BYTES) break;
    else rc = db->sqlite->step(stmt);
  }
  if (rc == SQLITE_ROW && job->what != MU_STORE_ONE) return;
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) mu_store_fail(db, job, rc);
  end_query(db, job);
}

static void begin_query(mu_store_db *db, mu_store_job *job) {
  const char *at = job->request.at + job->sql_size + 1;
  bool several;
  mu_store_statement *st = job->stmt = mu_store_take(db, job, &several);
  if (several) return mu_store_misuse(job, "a query is one statement, but here are several");
  if (!st && !job->rc) return mu_store_misuse(job, "here is no statement");
  if (!st) return;
  if (!mu_store_bind(db, job, st->handle, &at, false)) return end_query(db, job);
  fetch(db, job, db->sqlite->step(st->handle), job->what == MU_STORE_ONE ? 1 : FIRST_ROWS);
}

static void describe(mu_store_db *db, mu_store_job *job) {
  bool several;
  mu_store_statement *st = mu_store_take(db, job, &several);
  if (several) return mu_store_misuse(job, "here are several statements");
  if (!st && !job->rc) return mu_store_misuse(job, "here is no statement");
  if (!st) return;
  if (!add_names(db, job, st->handle)) mu_store_fail(db, job, SQLITE_NOMEM);
  mu_store_give_back(db, st);
}

static void run(mu_store_db *db, mu_store_job *job) {
  switch (job->what) {
    case MU_STORE_OPEN: return open_file(db, job);
    case MU_STORE_EXEC: return run_exec(db, job);
    case MU_STORE_BATCH: return run_batch(db, job);
    case MU_STORE_QUERY:
    case MU_STORE_ONE: return begin_query(db, job);
    case MU_STORE_NEXT: return fetch(db, job, db->sqlite->step(job->stmt->handle), MORE_ROWS);
    case MU_STORE_END: return end_query(db, job);
    case MU_STORE_PREPARE: return describe(db, job);
    default: return close_file(db);
  }
}

void mu_store_run(mu_store_db *db, mu_store_job *job) {
  bool inside = db->handle && !db->sqlite->get_autocommit(db->handle);
  job->reply.size = job->error.size = 0;
  run(db, job);
  job->rolled_back = job->rc && inside && db->sqlite->get_autocommit(db->handle);
}
