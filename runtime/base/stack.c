#undef _FORTIFY_SOURCE /* its longjmp takes another stack for an overrun one */
#include "base/stack.h"

#include "base/platform.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

/* The other side of every switch: s runs again, or for the first time. */
static void arrived(mu_stack *s) { mu_switch_ended(s->fake, &s->from->bottom, &s->from->size); }

/* makecontext passes ints only. */
static void begin(unsigned high, unsigned low) {
  mu_stack *s = (mu_stack *)((uintptr_t)high << 32 | low);
  arrived(s);
  s->run(s->data);
  abort();
}

/* Huge pages would make every touched stack as large as one. */
static char *map(size_t page) {
  char *low = mmap(NULL, MU_STACK_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (low == MAP_FAILED) return NULL;
  if (mprotect(low, page, PROT_NONE) != 0) {
    munmap(low, MU_STACK_SIZE);
    return NULL;
  }
  madvise(low, MU_STACK_SIZE, MADV_NOHUGEPAGE);
  return low;
}

static void prepare(mu_stack *s) {
  uint64_t self = (uintptr_t)s;
  getcontext(&s->context);
  s->context.uc_stack.ss_sp = (void *)s->bottom;
  s->context.uc_stack.ss_size = s->size;
  makecontext(&s->context, (void (*)(void))begin, 2, (unsigned)(self >> 32), (unsigned)self);
}

mu_stack *mu_stack_new(void (*run)(void *data), void *data) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *low = map(page);
  if (!low) return NULL;
  char *top = low + MU_STACK_SIZE - (sizeof(mu_stack) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  mu_stack *s = (mu_stack *)top;
  *s = (mu_stack){.memory = low, .run = run, .data = data, .bottom = low + page};
  s->size = (size_t)(top - (low + page));
  s->registered = mu_stack_register(low + page, top);
  prepare(s);
  return s;
}

void mu_stack_free(mu_stack *s) {
  if (!s) return;
  mu_stack_deregister(s->registered);
  mu_stack_left(s->memory, MU_STACK_SIZE); /* calls on it that never returned */
  munmap(s->memory, MU_STACK_SIZE);
}

static void leave_for(mu_stack *to) {
  if (to->begun) _longjmp(to->registers, 1);
  to->begun = true;
  setcontext(&to->context);
  abort();
}

void mu_stack_switch(mu_stack *from, mu_stack *to) {
  to->from = from;
  from->begun = true;
  mu_switch_begins(&from->fake, to->bottom, to->size);
  if (_setjmp(from->registers) == 0) leave_for(to);
  arrived(from);
}
