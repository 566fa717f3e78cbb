// How the core says that an operation failed: the caller's mistake (type, range) or the system's answer. The binding
// turns it into an exception; C tests read it as it is.
#ifndef GIGATUN_FAULT_H
#define GIGATUN_FAULT_H

enum fault_kind { FAULT_NONE = 0, FAULT_TYPE, FAULT_RANGE, FAULT_SYSTEM };

struct fault {
  enum fault_kind kind;
  int number;       // errno of FAULT_SYSTEM, positive
  const char *what; // sentence, or name of the system call; a string literal
};

// Both return -1, so that a failing verb ends with `return fault_range(...)`.
int fault_range(struct fault *fault, const char *sentence);
int fault_system(struct fault *fault, int number, const char *syscall_name);

#endif
