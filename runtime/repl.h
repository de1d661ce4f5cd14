/* repl.h: what the two files of the command line share. */
#ifndef MU_REPL_H
#define MU_REPL_H

#include "muster.h"

/* How a chunk can end, and with it the program: exit statuses. */
enum { MU_WELL = 0, MU_FAILED = 1, MU_USAGE = 2, MU_DEADLOCK = 13, MU_INTERRUPTED = 130 };

/* Makes SIGINT cancel what runs, and SIGPIPE end the program only if it is stdout that nobody reads. One runtime of a
** process can have this. */
void mu_handle_signals(muster *m);

/* Has there been an interrupt since the task that runs began? It is cancelled then, or about to be. */
bool mu_interrupted(void);

/* Stack of muster_state(m): a function and nargs arguments -> its results if it ended well; else a message, or nil if
** everything has been said. Runs it as a task, to its end, and returns how that was. Raises only on no memory. */
int mu_run_function(muster *m, int nargs);

/* After the last chunk, which ended as status says: if well, waits for every task that is not a daemon. Then cancels
** what is left, and lets it clean up. Returns how the program ends. */
int mu_end_tasks(muster *m, int status);

/* Reads chunks from stdin, runs each, and prints its results, until the input ends. On a terminal lines are edited, the
** other tasks run meanwhile, and the end of the session is theirs too: they are cancelled. May raise: for a protected
** call in the main state. */
void mu_repl(muster *m);

#endif
