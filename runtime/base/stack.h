/* stack.h: C stacks, and switching between them.
**
** A stack is a mapping of MU_STACK_SIZE bytes, of which only what is touched takes memory, with a page below it that
** cannot be touched: who overruns it is stopped there. The struct of a stack lies at its top. One thread switches
** between its stacks; the one it came with is a stack too, whose struct the caller provides (zeroed).
** Cost: a switch saves and loads a few registers. The signal mask stays as it is. */
#ifndef MU_STACK_H
#define MU_STACK_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

/* As much as a program's own stack usually has: what runs well there runs well here. */
enum { MU_STACK_SIZE = 8 * 1024 * 1024 };

typedef struct mu_stack {
  jmp_buf registers;  /* while it is left */
  ucontext_t context; /* to begin with */
  bool begun;
  struct mu_stack *from; /* who was left for it last */
  void *memory;          /* of the mapping; NULL for the thread's own stack */
  void (*run)(void *data);
  void *data;
  void *fake;         /* the sanitizer's */
  const void *bottom; /* lowest address and size, for the sanitizer */
  size_t size;
  unsigned registered; /* with valgrind */
} mu_stack;

/* A stack that will call run(data) when it is first switched to; run must never return. NULL: out of memory. */
mu_stack *mu_stack_new(void (*run)(void *data), void *data);

/* Unmaps a stack that nothing runs on. What was left on it is gone, without any clean-up. */
void mu_stack_free(mu_stack *s);

/* Leaves the running stack, from, for another; returns when somebody switches back. */
void mu_stack_switch(mu_stack *from, mu_stack *to);

#endif
