/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/child.h"

static void test_zero_sizes_give_a_pointer(void **state) {
  void *p = ew_malloc(0), *q = ew_calloc(0, 8), *r = ew_realloc(NULL, 0);
  assert_non_null(p);
  assert_non_null(q);
  assert_non_null(r);
  free(p);
  free(q);
  free(r);
}

static void test_calloc_clears_and_realloc_keeps(void **state) {
  char *p = ew_calloc(4, 4);
  for (int i = 0; i < 16; i++)
    assert_int_equal(p[i], 0);
  p[15] = 'x';
  p = ew_realloc(p, 10000);
  assert_int_equal(p[15], 'x');
  free(p);
}

static void test_strings(void **state) {
  char *a = ew_strdup("abc"), *b = ew_strndup("a\0c!", 3);
  char *c = ew_strndup(NULL, 0);
  assert_string_equal(a, "abc");
  assert_memory_equal(b, "a\0c", 4);
  assert_string_equal(c, "");
  free(a);
  free(b);
  free(c);
}

/* The sanitizers' allocator would abort by itself, with other words. */
static void run_out_of_memory(void) {
  setenv("ASAN_OPTIONS", "allocator_may_return_null=1", 1);
  execl("/proc/self/exe", "alloc", "oom", (char *)NULL);
}

static void test_out_of_memory_aborts_with_a_line(void **state) {
  char err[8192];
  int status = child_run(run_out_of_memory, err, sizeof(err));
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGABRT);
  assert_non_null(strstr(err, "eastwest: out of memory"));
}

static void test_arena_aligns_and_keeps_contents(void **state) {
  struct ew_arena a;
  char *first[600];
  ew_arena_init(&a);
  for (size_t i = 0; i < 600; i++) {
    size_t n = i * 7 % 2500; /* small ones, and blocks of their own */
    first[i] = ew_arena_alloc(&a, n + 1);
    assert_int_equal((uintptr_t)first[i] % _Alignof(max_align_t), 0);
    memset(first[i], (int)(i % 251), n + 1);
  }
  for (size_t i = 0; i < 600; i++)
    for (size_t k = 0; k <= i * 7 % 2500; k++)
      assert_int_equal((unsigned char)first[i][k], i % 251);
  ew_arena_fini(&a);
  assert_null(a.head);
}

static void test_arena_can_be_used_again(void **state) {
  struct ew_arena a;
  ew_arena_init(&a);
  ew_arena_fini(&a);
  /* A large first allocation must not be taken for the open block. */
  char *big = ew_arena_alloc(&a, 5000);
  char *s = ew_arena_dup(&a, "hello world", 5);
  memset(big, 1, 5000);
  assert_string_equal(s, "hello");
  assert_string_equal(ew_arena_dup(&a, NULL, 0), "");
  ew_arena_fini(&a);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "oom") == 0) {
    volatile size_t n = (size_t)1 << 62;
    free(ew_malloc(n));
    return 0;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_zero_sizes_give_a_pointer),
      cmocka_unit_test(test_calloc_clears_and_realloc_keeps),
      cmocka_unit_test(test_strings),
      cmocka_unit_test(test_out_of_memory_aborts_with_a_line),
      cmocka_unit_test(test_arena_aligns_and_keeps_contents),
      cmocka_unit_test(test_arena_can_be_used_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
