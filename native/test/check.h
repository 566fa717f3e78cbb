// A test is a function of checks; the first that fails ends the program with its place.
#ifndef GIGATUN_CHECK_H
#define GIGATUN_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                         \
  do {                                                                           \
    if (!(condition)) {                                                          \
      fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition);   \
      exit(1);                                                                   \
    }                                                                            \
  } while (0)

#define CHECK_EQUAL(actual, expected)                                                                      \
  do {                                                                                                     \
    long long actual_value = (long long)(actual), expected_value = (long long)(expected);                  \
    if (actual_value != expected_value) {                                                                  \
      fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, actual_value, expected_value); \
      exit(1);                                                                                             \
    }                                                                                                      \
  } while (0)

#endif
