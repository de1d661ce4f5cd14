/* The scheduler alone: linked without libuv, and stepped with a given now. */
#include "cases.h"

int main(void) {
  return run_cases(base_cases) || run_cases(stack_cases) || run_cases(clock_cases) || run_cases(wait_cases);
}
