/* SPDX-License-Identifier: Apache-2.0 */
/* The one under test keeps chunks in a sanitized build too. */
#define EW_CHUNK_TEST
#include "lib/base/chunk.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every size is usable from end to end, whether it is kept or not. */
static void test_any_size(void **state) {
  static const size_t sizes[] = {1,     256,   257,    1024,   1025,
                                 2047,  2048,  2049,   4096,   8192,
                                 65535, 65536, 131072, 131073, 1u << 20};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    char *p = ew_chunk_take(sizes[i]);
    memset(p, (int)i, sizes[i]);
    ew_chunk_give(p, sizes[i]);
  }
  ew_chunk_give(NULL, 4096);
}

/* What is taken at the same time never overlaps, also after many rounds in
 * which chunks were kept. */
static void test_chunks_do_not_overlap(void **state) {
  enum { N = 40 };
  char *p[N];
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < N; i++) {
      p[i] = ew_chunk_take(4096);
      memset(p[i], i + round, 4096);
    }
    for (int i = 0; i < N; i++) {
      assert_int_equal((unsigned char)p[i][0], i + round);
      assert_int_equal((unsigned char)p[i][4095], i + round);
      ew_chunk_give(p[i], 4096);
    }
  }
}

static void test_clear(void **state) {
  static const char zeros[700];
  char *p = ew_chunk_take(sizeof(zeros));
  memset(p, 'x', sizeof(zeros));
  ew_chunk_give(p, sizeof(zeros));
  p = ew_chunk_take_clear(sizeof(zeros));
  assert_memory_equal(p, zeros, sizeof(zeros));
  ew_chunk_give(p, sizeof(zeros));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_size),
      cmocka_unit_test(test_chunks_do_not_overlap),
      cmocka_unit_test(test_clear),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
