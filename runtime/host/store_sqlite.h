/* store_sqlite.h: SQLite, loaded when the first store is opened.
**
** A table of the functions that are used; each is that of its manual. */
#ifndef MU_STORE_SQLITE_H
#define MU_STORE_SQLITE_H

#include <sqlite3.h>

typedef struct {
  __typeof__(sqlite3_open_v2) *open;
  __typeof__(sqlite3_close_v2) *close;
  __typeof__(sqlite3_extended_result_codes) *extended_result_codes;
  __typeof__(sqlite3_extended_errcode) *errcode;
  __typeof__(sqlite3_errmsg) *errmsg;
  __typeof__(sqlite3_errstr) *errstr;
  __typeof__(sqlite3_busy_handler) *busy_handler;
  __typeof__(sqlite3_progress_handler) *progress_handler;
  __typeof__(sqlite3_interrupt) *interrupt;
  __typeof__(sqlite3_exec) *exec;
  __typeof__(sqlite3_prepare_v3) *prepare;
  __typeof__(sqlite3_finalize) *finalize;
  __typeof__(sqlite3_step) *step;
  __typeof__(sqlite3_reset) *reset;
  __typeof__(sqlite3_clear_bindings) *clear_bindings;
  __typeof__(sqlite3_bind_null) *bind_null;
  __typeof__(sqlite3_bind_int64) *bind_int64;
  __typeof__(sqlite3_bind_double) *bind_double;
  __typeof__(sqlite3_bind_text64) *bind_text64;
  __typeof__(sqlite3_bind_blob64) *bind_blob64;
  __typeof__(sqlite3_bind_parameter_count) *parameter_count;
  __typeof__(sqlite3_bind_parameter_index) *parameter_index;
  __typeof__(sqlite3_column_count) *column_count;
  __typeof__(sqlite3_column_name) *column_name;
  __typeof__(sqlite3_column_type) *column_type;
  __typeof__(sqlite3_column_int64) *column_int64;
  __typeof__(sqlite3_column_double) *column_double;
  __typeof__(sqlite3_column_text) *column_text;
  __typeof__(sqlite3_column_blob) *column_blob;
  __typeof__(sqlite3_column_bytes) *column_bytes;
  __typeof__(sqlite3_changes) *changes;
  __typeof__(sqlite3_total_changes) *total_changes;
  __typeof__(sqlite3_last_insert_rowid) *last_id;
  __typeof__(sqlite3_get_autocommit) *get_autocommit;
  __typeof__(sqlite3_db_readonly) *db_readonly;
  __typeof__(sqlite3_threadsafe) *threadsafe;
  void *library;
} mu_sqlite;

/* Fills the table. NULL, or why it cannot (static memory, or of dlerror). The library stays loaded. */
const char *mu_sqlite_load(mu_sqlite *sqlite);

#endif
