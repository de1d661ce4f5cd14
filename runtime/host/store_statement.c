/* store_statement.c: compiled statements, and the values of their parameters. On the database's thread.
**
** The most recently used are kept, found again by their text. One that is busy (a query is being read) is left alone: the
** same text is compiled again. */
#include "host/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STATEMENTS = 64, LONGEST_NAME = 250 };

/* ---- the cache ---- */

static void free_statement(mu_store_db *db, mu_store_statement *st) {
  mu_list_remove(&st->link);
  db->nstatements--;
  db->sqlite->finalize(st->handle);
  free(st);
}

void mu_store_free_statements(mu_store_db *db) {
  while (!mu_list_empty(&db->statements))
    free_statement(db, mu_container(db->statements.next, mu_store_statement, link));
}

static void trim(mu_store_db *db) {
  mu_link *at = db->statements.prev;
  while (db->nstatements > MOST_STATEMENTS && at != &db->statements) {
    mu_store_statement *st = mu_container(at, mu_store_statement, link);
    at = at->prev;
    if (!st->busy) free_statement(db, st);
  }
}

static void make_first(mu_store_db *db, mu_store_statement *st) {
  mu_list_remove(&st->link);
  mu_list_push_front(&db->statements, &st->link);
}

static mu_store_statement *find(mu_store_db *db, const char *sql, size_t size) {
  for (mu_link *at = db->statements.next; at != &db->statements; at = at->next) {
    mu_store_statement *st = mu_container(at, mu_store_statement, link);
    if (st->size == size && !st->busy && memcmp(st->sql, sql, size) == 0) return st;
  }
  return NULL;
}

static mu_store_statement *keep(mu_store_db *db, sqlite3_stmt *handle, const char *sql, size_t size) {
  mu_store_statement *st = malloc(sizeof *st + size);
  if (!st) return NULL;
  *st = (mu_store_statement){.handle = handle, .size = size};
  memcpy(st->sql, sql, size);
  mu_list_init(&st->link);
  make_first(db, st);
  db->nstatements++;
  return st;
}

/* ---- compiling ---- */

/* Is there another statement in the text, not only spaces and comments? One that does not compile counts. */
static bool goes_on(mu_store_db *db, const char *sql, const char *end) {
  while (sql < end) {
    sqlite3_stmt *next = NULL;
    const char *tail = end;
    int rc = db->sqlite->prepare(db->handle, sql, (int)(end - sql), 0, &next, &tail);
    db->sqlite->finalize(next);
    if (rc || next) return true;
    if (tail <= sql) return false;
    sql = tail;
  }
  return false;
}

static mu_store_statement *compile(mu_store_db *db, mu_store_job *job, bool *several) {
  const char *sql = job->request.at, *tail = sql;
  sqlite3_stmt *handle = NULL;
  int rc =
      db->sqlite->prepare(db->handle, sql, (int)job->sql_size, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
  if (rc) return mu_store_fail(db, job, rc), NULL;
  *several = handle && goes_on(db, tail, sql + job->sql_size);
  mu_store_statement *st = handle && !*several ? keep(db, handle, sql, job->sql_size) : NULL;
  if (st || !handle) return st;
  db->sqlite->finalize(handle);
  if (!*several) mu_store_fail(db, job, SQLITE_NOMEM);
  return NULL;
}

mu_store_statement *mu_store_take(mu_store_db *db, mu_store_job *job, bool *several) {
  *several = false;
  mu_store_statement *st = find(db, job->request.at, job->sql_size);
  if (st) make_first(db, st);
  else st = compile(db, job, several);
  if (!st) return NULL;
  st->busy = true;
  job->columns = db->sqlite->column_count(st->handle);
  job->parameters = db->sqlite->parameter_count(st->handle);
  trim(db);
  return st;
}

int mu_store_give_back(mu_store_db *db, mu_store_statement *st) {
  int rc = db->sqlite->reset(st->handle);
  db->sqlite->clear_bindings(st->handle); /* what they point to goes */
  st->busy = false;
  return rc;
}

/* ---- parameters ---- */

static int named(mu_store_db *db, sqlite3_stmt *stmt, const char *name) {
  char prefixed[LONGEST_NAME + 2];
  if (strlen(name) > LONGEST_NAME) return 0;
  for (const char *prefix = ":@$"; *prefix; prefix++) {
    snprintf(prefixed, sizeof prefixed, "%c%s", *prefix, name);
    int index = db->sqlite->parameter_index(stmt, prefixed);
    if (index) return index;
  }
  return 0;
}

/* Which parameter the place at *at means; 0: none, as the job now says. */
static int find_place(mu_store_db *db, mu_store_job *job, sqlite3_stmt *stmt, const char **at, int last) {
  int32_t index = last + 1;
  char how = *(*at)++;
  if (how == MU_NAMED) {
    index = named(db, stmt, *at);
    if (!index) mu_store_misuse(job, "the statement has no parameter '%.100s'", *at);
    *at += strlen(*at) + 1;
    return index;
  }
  if (how == MU_AT) {
    memcpy(&index, *at, sizeof index);
    *at += sizeof index;
  }
  if (index >= 1 && index <= job->parameters) return index;
  if (how == MU_AT)
    mu_store_misuse(job, "the statement has no parameter %d, but %d", (int)index, job->parameters);
  else return last + 1; /* too many: to be counted */
  return 0;
}

static int bind_value(const mu_sqlite *q, sqlite3_stmt *stmt, int i, const char **at, bool copy) {
  sqlite3_destructor_type keeps = copy ? SQLITE_TRANSIENT : SQLITE_STATIC;
  char tag = *(*at)++;
  int64_t number;
  double real;
  if (tag == MU_NULL) return q->bind_null(stmt, i);
  memcpy(&number, *at, sizeof number);
  memcpy(&real, *at, sizeof real);
  *at += sizeof number;
  if (tag == MU_INTEGER) return q->bind_int64(stmt, i, number);
  if (tag == MU_FLOAT) return q->bind_double(stmt, i, real);
  const char *bytes = *at;
  *at += number;
  if (tag == MU_BLOB) return q->bind_blob64(stmt, i, bytes, (sqlite3_uint64)number, keeps);
  return q->bind_text64(stmt, i, bytes, (sqlite3_uint64)number, keeps, SQLITE_UTF8);
}

bool mu_store_bind(mu_store_db *db, mu_store_job *job, sqlite3_stmt *stmt, const char **at, bool copy) {
  int given = 0;
  while (**at != MU_SET) {
    int index = find_place(db, job, stmt, at, given);
    if (!index) return false;
    given++;
    if (index > job->parameters) index = 0; /* refused, below */
    int rc = bind_value(db->sqlite, stmt, index, at, copy);
    if (rc && index) return mu_store_fail(db, job, rc), false;
  }
  ++*at;
  if (!job->exact || given == job->parameters) return true;
  mu_store_misuse(job, "the statement has %d parameter%s, but got %d value%s", job->parameters,
                  job->parameters == 1 ? "" : "s", given, given == 1 ? "" : "s");
  return false;
}
