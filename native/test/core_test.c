// All tests of the core that need neither libcrypto nor a TUN.
#include "check.h"
#include "fixture.h"

int main(void) {
  const struct { const char *name; void (*run)(void); } tests[] = {
      {"arena", test_arena}, {"checksum", test_checksum}, {"books", test_books}, {"keys", test_keys},
      {"wait", test_wait},   {"tun", test_tun},           {"udp", test_udp},     {"crypt", test_crypt},
      {"process", test_process}, {"accumulate", test_accumulate}, {"handshake", test_handshake},
  };
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    tests[i].run();
    printf("ok %s\n", tests[i].name);
  }
  return 0;
}
