#include "host/store_sqlite.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static const struct {
  const char *name;
  size_t offset;
} functions[] = {
    {"sqlite3_open_v2", offsetof(mu_sqlite, open)},
    {"sqlite3_close_v2", offsetof(mu_sqlite, close)},
    {"sqlite3_extended_result_codes", offsetof(mu_sqlite, extended_result_codes)},
    {"sqlite3_extended_errcode", offsetof(mu_sqlite, errcode)},
    {"sqlite3_errmsg", offsetof(mu_sqlite, errmsg)},
    {"sqlite3_errstr", offsetof(mu_sqlite, errstr)},
    {"sqlite3_busy_handler", offsetof(mu_sqlite, busy_handler)},
    {"sqlite3_progress_handler", offsetof(mu_sqlite, progress_handler)},
    {"sqlite3_interrupt", offsetof(mu_sqlite, interrupt)},
    {"sqlite3_exec", offsetof(mu_sqlite, exec)},
    {"sqlite3_prepare_v3", offsetof(mu_sqlite, prepare)},
    {"sqlite3_finalize", offsetof(mu_sqlite, finalize)},
    {"sqlite3_step", offsetof(mu_sqlite, step)},
    {"sqlite3_reset", offsetof(mu_sqlite, reset)},
    {"sqlite3_clear_bindings", offsetof(mu_sqlite, clear_bindings)},
    {"sqlite3_bind_null", offsetof(mu_sqlite, bind_null)},
    {"sqlite3_bind_int64", offsetof(mu_sqlite, bind_int64)},
    {"sqlite3_bind_double", offsetof(mu_sqlite, bind_double)},
    {"sqlite3_bind_text64", offsetof(mu_sqlite, bind_text64)},
    {"sqlite3_bind_blob64", offsetof(mu_sqlite, bind_blob64)},
    {"sqlite3_bind_parameter_count", offsetof(mu_sqlite, parameter_count)},
    {"sqlite3_bind_parameter_index", offsetof(mu_sqlite, parameter_index)},
    {"sqlite3_column_count", offsetof(mu_sqlite, column_count)},
    {"sqlite3_column_name", offsetof(mu_sqlite, column_name)},
    {"sqlite3_column_type", offsetof(mu_sqlite, column_type)},
    {"sqlite3_column_int64", offsetof(mu_sqlite, column_int64)},
    {"sqlite3_column_double", offsetof(mu_sqlite, column_double)},
    {"sqlite3_column_text", offsetof(mu_sqlite, column_text)},
    {"sqlite3_column_blob", offsetof(mu_sqlite, column_blob)},
    {"sqlite3_column_bytes", offsetof(mu_sqlite, column_bytes)},
    {"sqlite3_changes", offsetof(mu_sqlite, changes)},
    {"sqlite3_total_changes", offsetof(mu_sqlite, total_changes)},
    {"sqlite3_last_insert_rowid", offsetof(mu_sqlite, last_id)},
    {"sqlite3_get_autocommit", offsetof(mu_sqlite, get_autocommit)},
    {"sqlite3_db_readonly", offsetof(mu_sqlite, db_readonly)},
    {"sqlite3_threadsafe", offsetof(mu_sqlite, threadsafe)},
};

/* A pointer to data is not one to a function, says C; POSIX says that here it is. */
const char *mu_sqlite_load(mu_sqlite *sqlite) {
  if (sqlite->library) return NULL;
  void *library = dlopen("libsqlite3.so.0", RTLD_LAZY | RTLD_LOCAL);
  if (!library) return dlerror();
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *function = dlsym(library, functions[i].name);
    if (!function) return dlerror();
    memcpy((char *)sqlite + functions[i].offset, &function, sizeof function);
  }
  if (!sqlite->threadsafe()) return "libsqlite3 is built without threads";
  sqlite->library = library;
  return NULL;
}
