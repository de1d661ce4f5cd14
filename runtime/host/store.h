/* store.h: SQLite databases, each with a thread of its own that does all that may block.
**
** A call is a job: the loop's thread fills in the request and submits it; the database's thread runs jobs in order and
** fills in the reply; back on the loop's thread, the op of the task that waits is fired. At any time a job belongs to one
** side only. A query's job is its cursor: submitted again, it fetches the next rows, and at last it gives its statement
** back. Nothing of SQLite is called on the loop's thread but sqlite3_interrupt.
**
**   mu_store_open     makes a database, and the job that opens its file
**   mu_store_job_new  a job for a database that is not closed
**   mu_store_wait     submits it, and adds an op to what the task waits for
**   mu_store_submit   submits one that nobody waits for
**   mu_store_drop     at any time: nobody wants the job any more
**   mu_store_shut     at any time: jobs that are under way fail, all statements end, the file is closed
**
** Files: store.c (jobs on the loop's side), store_thread.c (the thread and its queue), store_run.c (what jobs do),
** store_statement.c (compiled statements, kept), store_error.c. */
#ifndef MU_STORE_H
#define MU_STORE_H

#include "base/buffer.h"
#include "host/loop.h"
#include "host/store_sqlite.h"
#include "sched/sched.h"

typedef struct mu_store_db mu_store_db;
typedef struct mu_store_job mu_store_job;
typedef struct mu_store_statement mu_store_statement;

/* The stores of one runtime. Zeroed, but for its first two members, it is ready for use. */
typedef struct {
  mu_sched *s;
  mu_loop *loop;
  mu_sqlite sqlite;
  mu_link dbs;
  uv_async_t async; /* jobs are done */
  uv_mutex_t lock;  /* of done */
  mu_store_job *done, **last_done;
  mu_store_job *spare; /* jobs to be used again */
  int nspare;
  bool open, closed; /* is there the async; is the runtime closing */
} mu_store;

typedef enum {                   /* what a job does */
               MU_STORE_OPEN,    /* the file */
               MU_STORE_EXEC,    /* one statement, or several without parameters, to the end */
               MU_STORE_BATCH,   /* one statement, once for each set of parameters: all or none */
               MU_STORE_QUERY,   /* begins a statement, and fetches rows */
               MU_STORE_ONE,     /* the same for the first row only; the statement ends */
               MU_STORE_NEXT,    /* fetches more */
               MU_STORE_END,     /* gives the statement back */
               MU_STORE_PREPARE, /* compiles: what does it look like? */
               MU_STORE_CLOSE    /* the file; the last job */
} mu_store_what;

typedef enum { MU_STORE_GOES_ON, MU_STORE_CANCELLED, MU_STORE_CLOSED } mu_store_stop;

/* Values in a buffer: a tag, then 8 bytes of a number or of a length, then so many bytes. In a request each is preceded
** by its place: MU_NEXT, or MU_AT and 4 bytes, or MU_NAMED and a name that ends in a zero; MU_SET ends a set. */
enum { MU_NULL = 'n', MU_INTEGER = 'i', MU_FLOAT = 'f', MU_TEXT = 't', MU_BLOB = 'b' };
enum { MU_NEXT = '+', MU_AT = '@', MU_NAMED = ':', MU_SET = '.' };

typedef struct {
  mu_op op;
  mu_store_job *job;
} mu_store_op;

struct mu_store_job {
  mu_store_job *next; /* in the queue, among those done, or among the spare ones */
  mu_store_db *db;
  mu_store_op *op;    /* of the task that waits, or NULL */
  mu_store_job **box; /* who points here: a userdata; or NULL */
  uint8_t what;       /* a mu_store_what */
  bool firm;          /* is not stopped when its task is cancelled */
  bool flying;        /* from its submission until it is back */
  bool dropped;       /* nobody wants it any more */

  mu_buffer request; /* the SQL, ended by a zero, and the sets of parameters */
  size_t sql_size;   /* without the zero */
  bool exact;        /* the set is a list of arguments: it must have one value for each parameter */
  int stop;          /* a mu_store_stop; under the lock of db while it is flying */

  mu_buffer reply;          /* names of columns, each ended by a zero; rows */
  mu_buffer error;          /* its text, if it failed; rows may have come before */
  mu_store_statement *stmt; /* of a query, between fetches */
  int rc;                   /* an extended result code; 0: done */
  bool misuse;              /* the caller's mistake, to be raised */
  bool end;                 /* no more rows */
  bool rolled_back;         /* it failed, and the transaction is over by that */
  int columns, parameters;
  int64_t changes, last_id, row; /* row: of a batch, the number of the set that failed */
};

typedef struct {
  bool readonly, create, wal;
  double busy_timeout; /* seconds */
  char synchronous[8]; /* a word for the pragma, or empty */
} mu_store_options;

struct mu_store_db {
  mu_store *store;
  mu_link link; /* in store->dbs, while there is a thread */
  const mu_sqlite *sqlite;
  mu_store_options options;
  char *path;
  size_t holds;      /* jobs, and whoever else points here: the struct lives as long */
  size_t cursors;    /* queries that have not ended */
  bool shut;         /* mu_store_shut was called */
  bool joined, gone; /* the thread has ended; and all of it is freed but this struct */
  mu_store_job *bye; /* closes it, once */

  uv_thread_t thread;
  uv_mutex_t lock; /* of what follows, and of the stop of jobs */
  uv_cond_t cond;
  mu_store_job *queue, **last;
  mu_store_job *running;
  bool closing;

  sqlite3 *handle; /* from here on: the thread's */
  mu_link statements;
  int nstatements;
  double waited; /* for the lock of another process, by the running statement */
};

/* ---- jobs (store.c) ---- */

/* Ends all databases, and waits for their threads. */
void mu_store_close(mu_store *store);

/* A database, held once, and the job that opens it; or NULL with the reason in *problem. Strings are copied. */
mu_store_job *mu_store_open(mu_store *store, const char *path, const mu_store_options *options,
                            const char **problem);

/* NULL: out of memory. The database must not be shut. */
mu_store_job *mu_store_job_new(mu_store_db *db, mu_store_what what);

/* Submits the job, whose outcome the task is to wait for. Raises before any change. */
void mu_store_wait(lua_State *L, mu_sched *s, mu_task *t, mu_store_job *job);
void mu_store_submit(mu_store_job *job);

/* Frees the job, now or when it is back; stops it, unless it is firm. A query ends. */
void mu_store_drop(mu_store_job *job);

/* Closes the database as soon as its thread can, by its job bye, which one may have begun to wait for before. */
void mu_store_shut(mu_store_db *db);

/* The struct is pointed to no more. */
void mu_store_unhold(mu_store_db *db);

/* ---- the thread (store_thread.c) ---- */

/* Starts it. 0, or a negative error of libuv. */
int mu_store_start(mu_store_db *db);
void mu_store_queue(mu_store_job *job);

/* Lets a flying job fail, if it has not done its work yet. */
void mu_store_stop_job(mu_store_job *job, mu_store_stop why);
void mu_store_stop_all(mu_store_db *db);

/* For the busy handler: waits a little. False: that took too long by now, or the job is to stop. */
bool mu_store_wait_busy(mu_store_db *db, int times);
bool mu_store_stopped(mu_store_db *db);

/* ---- what jobs do, on the thread (store_run.c, store_statement.c) ---- */

void mu_store_run(mu_store_db *db, mu_store_job *job);

/* The last error of SQLite becomes the job's. */
void mu_store_fail(mu_store_db *db, mu_store_job *job, int rc);
void mu_store_misuse(mu_store_job *job, const char *fmt, ...);

struct mu_store_statement {
  mu_link link; /* the most recently used first */
  sqlite3_stmt *handle;
  bool busy;
  size_t size;
  char sql[];
};

/* Compiles the job's SQL, or takes what was compiled of it before. NULL: the job has failed; or, rc being 0, there is not
** one statement, but *several, or none. */
mu_store_statement *mu_store_take(mu_store_db *db, mu_store_job *job, bool *several);
int mu_store_give_back(mu_store_db *db, mu_store_statement *st); /* -> a result code: it may commit */
void mu_store_free_statements(mu_store_db *db);

/* Binds the set of parameters at *at, which moves on. copy: they outlive the request. False: the job has failed. */
bool mu_store_bind(mu_store_db *db, mu_store_job *job, sqlite3_stmt *stmt, const char **at, bool copy);

/* ---- errors (store_error.c) ---- */

/* Pushes the error of a failed job. what: the function that was called. */
void mu_store_push_error(lua_State *L, const mu_store_job *job, const char *what);

#endif
