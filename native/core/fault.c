#include "fault.h"

int fault_range(struct fault *fault, const char *sentence) {
  *fault = (struct fault){FAULT_RANGE, 0, sentence};
  return -1;
}

int fault_system(struct fault *fault, int number, const char *syscall_name) {
  *fault = (struct fault){FAULT_SYSTEM, number, syscall_name};
  return -1;
}
