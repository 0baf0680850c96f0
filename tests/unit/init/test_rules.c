/* SPDX-License-Identifier: Apache-2.0 */
#include "init/rules.c"
#include "init/options.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARGS_MAX 16

/* The text for |ip| that these options give with |saved| in force. */
static void assert_text(const char *const *args, enum ew_ip ip,
                        const char *saved, const char *want) {
  char *argv[ARGS_MAX] = {(char[]){"eastwest-init"}};
  char copies[ARGS_MAX][200];
  struct ew_options o;
  struct ew_buf out, why;
  int argc = 1;
  for (; args[argc - 1]; argc++) {
    snprintf(copies[argc], sizeof(copies[argc]), "%s", args[argc - 1]);
    argv[argc] = copies[argc];
  }
  ew_buf_init(&why, 4096);
  assert_int_equal(ew_options_parse(&o, argc, argv, &why), EW_OK);
  ew_buf_init(&out, EW_INIT_INPUT_MAX);
  assert_int_equal(ew_rules_install(&o.rules, ip, ew_slice_str(saved), &out),
                   EW_OK);
  ew_buf_append(&out, ew_slice("", 1));
  assert_string_equal(ew_buf_peek(&out).p, want);
  ew_buf_fini(&out);
  ew_buf_fini(&why);
}

#define HEAD                                                    \
  "*nat\n:EASTWEST_INBOUND - [0:0]\n:EASTWEST_OUTPUT - [0:0]\n" \
  "-A EASTWEST_INBOUND -p tcp -m tcp --dport 15020 -j RETURN\n"
#define IN "-A EASTWEST_INBOUND -p tcp -j REDIRECT --to-ports 15006\n"
#define UID "-A EASTWEST_OUTPUT -p tcp -m owner --uid-owner 2140 -j RETURN\n"
#define LO "-A EASTWEST_OUTPUT -o lo -p tcp -j RETURN\n"
#define OUT "-A EASTWEST_OUTPUT -p tcp -j REDIRECT --to-ports 15001\n"
#define JUMPS                                    \
  "-I PREROUTING 1 -p tcp -j EASTWEST_INBOUND\n" \
  "-I OUTPUT 1 -p tcp -j EASTWEST_OUTPUT\n"
#define END "COMMIT\n"

static void test_default(void **state) {
  const char *want = HEAD IN UID LO OUT JUMPS END;
  assert_text((const char *const[]){NULL}, EW_IPV4, "", want);
  assert_text((const char *const[]){NULL}, EW_IPV6, "", want);
}

static void test_ports(void **state) {
  assert_text(
      (const char *const[]){"--inbound-port", "4143", "--outbound-port", "4140",
                            NULL},
      EW_IPV4, "",
      HEAD "-A EASTWEST_INBOUND -p tcp -j REDIRECT --to-ports 4143\n" UID LO
           "-A EASTWEST_OUTPUT -p tcp -j REDIRECT --to-ports 4140\n" JUMPS END);
}

static void test_uids(void **state) {
  assert_text(
      (const char *const[]){"--uid", "7", "--skip-uids", "0,4294967294", NULL},
      EW_IPV4, "",
      HEAD IN "-A EASTWEST_OUTPUT -p tcp -m owner --uid-owner 7 -j RETURN\n"
              "-A EASTWEST_OUTPUT -p tcp -m owner --uid-owner 0 -j RETURN\n"
              "-A EASTWEST_OUTPUT -p tcp -m owner --uid-owner 4294967294 "
              "-j RETURN\n" LO OUT JUMPS END);
}

static void test_skip_inbound_ports(void **state) {
  assert_text((const char *const[]){"--skip-inbound-ports", "80, 1000-2000",
                                    "--skip-inbound-ports", "9-9", NULL},
              EW_IPV6, "",
              HEAD
              "-A EASTWEST_INBOUND -p tcp -m tcp --dport 80 -j RETURN\n"
              "-A EASTWEST_INBOUND -p tcp -m tcp --dport 1000:2000 -j RETURN\n"
              "-A EASTWEST_INBOUND -p tcp -m tcp --dport 9 -j RETURN\n" IN UID
                  LO OUT JUMPS END);
}

static void test_skip_outbound_ports(void **state) {
  assert_text(
      (const char *const[]){"--skip-outbound-ports", "1-65535", NULL}, EW_IPV4,
      "",
      HEAD IN UID LO
      "-A EASTWEST_OUTPUT -p tcp -m tcp --dport 1:65535 -j RETURN\n" OUT JUMPS
          END);
}

static void test_skip_inbound_cidrs_by_family(void **state) {
  const char *const args[] = {"--skip-inbound-cidrs",
                              "10.1.2.3/8,fd00:0:0::1/64,192.0.2.1", NULL};
  assert_text(args, EW_IPV4, "",
              HEAD
              "-A EASTWEST_INBOUND -s 10.0.0.0/8 -p tcp -j RETURN\n"
              "-A EASTWEST_INBOUND -s 192.0.2.1/32 -p tcp -j RETURN\n" IN UID LO
                  OUT JUMPS END);
  assert_text(args, EW_IPV6, "",
              HEAD "-A EASTWEST_INBOUND -s fd00::/64 -p tcp -j RETURN\n" IN UID
                  LO OUT JUMPS END);
}

static void test_skip_outbound_cidrs_by_family(void **state) {
  const char *const args[] = {"--skip-outbound-cidrs",
                              "0.0.0.0/0,2001:db8::ff/127, 10.9.8.7/15", NULL};
  assert_text(args, EW_IPV4, "",
              HEAD IN UID LO "-A EASTWEST_OUTPUT -p tcp -j RETURN\n"
                             "-A EASTWEST_OUTPUT -d 10.8.0.0/15 -p tcp -j "
                             "RETURN\n" OUT JUMPS END);
  assert_text(
      args, EW_IPV6, "",
      HEAD IN UID LO
      "-A EASTWEST_OUTPUT -d 2001:db8::fe/127 -p tcp -j RETURN\n" OUT JUMPS
          END);
}

#define SAVED(jumps)                                                      \
  "# Generated\n*filter\n:INPUT ACCEPT [0:0]\n"                           \
  "-A INPUT -p tcp -j EASTWEST_INBOUND\nCOMMIT\n"                         \
  "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"                \
  ":EASTWEST_INBOUND - [0:0]\n:EASTWEST_OUTPUT - [0:0]\n:EASTWEST_OLD - " \
  "[0:0]\n:OTHER - [0:0]\n" jumps                                         \
  "-A EASTWEST_INBOUND -j EASTWEST_OLD\nCOMMIT\n"

static void test_jump_in_place_is_left(void **state) {
  assert_text((const char *const[]){NULL}, EW_IPV4,
              SAVED("-A PREROUTING -j OTHER\n"
                    "-A PREROUTING -p tcp -j EASTWEST_INBOUND\n"
                    "-A OUTPUT -p tcp -m tcp -j EASTWEST_OUTPUT\n"),
              HEAD IN UID LO OUT END);
}

static void test_wrong_jumps_are_replaced(void **state) {
  assert_text(
      (const char *const[]){NULL}, EW_IPV4,
      SAVED("-A PREROUTING -p tcp -j EASTWEST_INBOUND\n"
            "-A PREROUTING -p tcp -j EASTWEST_INBOUND\n"
            "-A PREROUTING -m comment --comment \"a \\\" -j EASTWEST_INBOUND\" "
            "-j OTHER\n"
            "-A OUTPUT -j EASTWEST_OUTPUT\n"
            "-A OTHER -p tcp -g EASTWEST_OUTPUT\n"),
      HEAD IN UID LO OUT "-D PREROUTING -p tcp -j EASTWEST_INBOUND\n"
                         "-D PREROUTING -p tcp -j EASTWEST_INBOUND\n"
                         "-I PREROUTING 1 -p tcp -j EASTWEST_INBOUND\n"
                         "-D OUTPUT -j EASTWEST_OUTPUT\n"
                         "-D OTHER -p tcp -g EASTWEST_OUTPUT\n"
                         "-I OUTPUT 1 -p tcp -j EASTWEST_OUTPUT\n" END);
}

static void test_remove(void **state) {
  struct ew_buf out;
  ew_buf_init(&out, EW_INIT_INPUT_MAX);
  const char *saved = SAVED("-A PREROUTING -p tcp -j EASTWEST_INBOUND\n"
                            "-A PREROUTING -j OTHER\n"
                            "-A OTHER -j EASTWEST_OLD\n");
  assert_int_equal(ew_rules_remove(EW_IPV4, ew_slice_str(saved), &out), EW_OK);
  ew_buf_append(&out, ew_slice("", 1));
  assert_string_equal(ew_buf_peek(&out).p,
                      "*nat\n-D PREROUTING -p tcp -j EASTWEST_INBOUND\n"
                      "-D OTHER -j EASTWEST_OLD\n"
                      "-F EASTWEST_INBOUND\n-F EASTWEST_OUTPUT\n"
                      "-F EASTWEST_OLD\n-X EASTWEST_INBOUND\n"
                      "-X EASTWEST_OUTPUT\n-X EASTWEST_OLD\nCOMMIT\n");
  ew_buf_consume(&out, ew_buf_len(&out));
  saved = "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j OTHER\nCOMMIT\n";
  assert_int_equal(ew_rules_remove(EW_IPV4, ew_slice_str(saved), &out), EW_OK);
  assert_int_equal(ew_buf_len(&out), 0);
  ew_buf_fini(&out);
}

#define UNTRACKED                                              \
  "! -s 127.0.0.0/8 ! -d 127.0.0.0/8 -o lo -p tcp -m comment " \
  "--comment eastwest -j CT --notrack\n"
#define UNTRACKED6                                     \
  "! -s ::1/128 ! -d ::1/128 -o lo -p tcp -m comment " \
  "--comment eastwest -j CT --notrack\n"
#define RAW(rules) "*raw\n:OUTPUT ACCEPT [0:0]\n" rules END

static void assert_untrack(enum ew_ip ip, const char *saved, const char *want) {
  struct ew_buf out;
  ew_buf_init(&out, EW_INIT_INPUT_MAX);
  assert_int_equal(ew_rules_untrack(ip, ew_slice_str(saved), &out), EW_OK);
  ew_buf_append(&out, ew_slice("", 1));
  assert_string_equal(ew_buf_peek(&out).p, want);
  ew_buf_fini(&out);
}

static void test_untrack(void **state) {
  assert_untrack(EW_IPV4, "", "*raw\n-I OUTPUT 1 " UNTRACKED END);
  assert_untrack(EW_IPV6, "", "*raw\n-I OUTPUT 1 " UNTRACKED6 END);
  assert_untrack(EW_IPV4, RAW("-A OUTPUT -j CT --notrack\n"),
                 "*raw\n-I OUTPUT 1 " UNTRACKED END);
  /* In place, maybe with its options in another order. */
  assert_untrack(EW_IPV4, RAW("-A OUTPUT " UNTRACKED), "");
  assert_untrack(EW_IPV6, RAW("-A OUTPUT " UNTRACKED6), "");
  assert_untrack(EW_IPV4,
                 RAW("-A OUTPUT -p tcp -o lo ! -d 127.0.0.0/8 ! -s 127.0.0.0/8 "
                     "-m comment --comment eastwest -j CT --notrack\n"),
                 "");
  /* Two runs at once. */
  assert_untrack(EW_IPV4, RAW("-A OUTPUT " UNTRACKED "-A OUTPUT " UNTRACKED),
                 "*raw\n-D OUTPUT " UNTRACKED "-D OUTPUT " UNTRACKED
                 "-I OUTPUT 1 " UNTRACKED END);
}

static void test_remove_untracked(void **state) {
  struct ew_buf out;
  ew_buf_init(&out, EW_INIT_INPUT_MAX);
  assert_int_equal(ew_rules_remove(EW_IPV6,
                                   ew_slice_str(RAW("-A OUTPUT -j OTHER\n"
                                                    "-A OUTPUT " UNTRACKED6)),
                                   &out),
                   EW_OK);
  ew_buf_append(&out, ew_slice("", 1));
  assert_string_equal(ew_buf_peek(&out).p, "*raw\n-D OUTPUT " UNTRACKED6 END);
  ew_buf_fini(&out);
}

static void test_no_room_writes_nothing(void **state) {
  struct ew_rules r = {15006, 15001, 2140};
  struct ew_buf out;
  struct ew_slice saved = EW_SLICE_LIT(SAVED(""));
  ew_buf_init(&out, EW_INIT_TEXT_MAX + 2 * saved.n - 1);
  assert_int_equal(ew_rules_install(&r, EW_IPV4, saved, &out), EW_EAGAIN);
  assert_int_equal(ew_rules_remove(EW_IPV4, saved, &out), EW_EAGAIN);
  assert_int_equal(ew_rules_untrack(EW_IPV4, saved, &out), EW_EAGAIN);
  assert_int_equal(ew_buf_len(&out), 0);
}

/* The longest lists fit into what is promised for them. */
static void test_own_text_is_bounded(void **state) {
  struct ew_rules r = {65535, 65534, UINT32_MAX - 1};
  struct ew_buf out;
  for (size_t i = 0; i < EW_INIT_PORTS_MAX; i++)
    r.skip_inbound_ports.v[i] = (struct ew_port_range){10000, 65535};
  for (size_t i = 0; i < EW_INIT_CIDRS_MAX; i++) {
    r.skip_inbound_cidrs.v[i] = (struct ew_cidr){EW_IPV6, 128};
    memset(r.skip_inbound_cidrs.v[i].addr, 0xee, 16);
  }
  for (size_t i = 0; i < EW_INIT_UIDS_MAX; i++)
    r.skip_uids.v[i] = UINT32_MAX - 1;
  r.skip_inbound_ports.n = EW_INIT_PORTS_MAX;
  r.skip_inbound_cidrs.n = EW_INIT_CIDRS_MAX;
  r.skip_uids.n = EW_INIT_UIDS_MAX;
  r.skip_outbound_ports = r.skip_inbound_ports;
  r.skip_outbound_cidrs = r.skip_inbound_cidrs;
  ew_buf_init(&out, EW_INIT_TEXT_MAX);
  assert_int_equal(ew_rules_install(&r, EW_IPV6, ew_slice(NULL, 0), &out),
                   EW_OK);
  struct ew_slice s = ew_buf_peek(&out);
  assert_true(s.n < EW_INIT_TEXT_MAX);
  assert_memory_equal(s.p + s.n - 7, "COMMIT\n", 7);
  ew_buf_fini(&out);
}

static void test_check(void **state) {
  struct ew_rules r = {15006, 15001, 2140};
  static const char good[] =
      "*nat\n:PREROUTING ACCEPT [0:0]\n:EASTWEST_INBOUND - [0:0]\n"
      "-A PREROUTING -p tcp -j EASTWEST_INBOUND\n"
      "-A OUTPUT -j EASTWEST_OUTPUT -p tcp\n"
      "-A EASTWEST_INBOUND -p tcp --dport 15020 -j RETURN\n" IN
      "-A EASTWEST_OUTPUT -p tcp -j RETURN -m owner --uid-owner 2140\n" LO OUT
      "COMMIT\n";
  static const struct {
    const char *saved, *why;
  } cases[] = {
      {good, ""},
      {"", "chain EASTWEST_INBOUND, rule 1: expected \"-p tcp -m tcp --dport "
           "15020 -j RETURN\", found \"none\""},
      {"*nat\n-A EASTWEST_INBOUND ! -p tcp --dport 15020 -j RETURN\n",
       "chain EASTWEST_INBOUND, rule 1: expected \"-p tcp -m tcp --dport "
       "15020 -j RETURN\", found \"! -p tcp --dport 15020 -j RETURN\""},
      {HEAD IN UID LO OUT "-A EASTWEST_OUTPUT -j LOG\n",
       "chain EASTWEST_OUTPUT, rule 4: expected \"none\", found \"-j LOG\""},
      {HEAD IN UID LO OUT "-A OUTPUT -p tcp -j EASTWEST_OUTPUT\n",
       "chain PREROUTING: expected \"-p tcp -j EASTWEST_INBOUND\" once and no "
       "other jump to EASTWEST_INBOUND"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct ew_buf why;
    ew_buf_init(&why, 4096);
    int rc = ew_rules_check(&r, EW_IPV4, ew_slice_str(cases[i].saved), &why);
    assert_int_equal(rc, *cases[i].why ? EW_ENOENT : EW_OK);
    ew_buf_append(&why, ew_slice("", 1));
    assert_string_equal(ew_buf_peek(&why).p, cases[i].why);
    ew_buf_fini(&why);
  }
}

static void test_hostile_saved_text_is_survived(void **state) {
  static const char *const texts[] = {
      "*",
      ":",
      "*nat\n:",
      "*nat\n-A ",
      "*nat\n-A OUTPUT",
      "*nat\n-A OUTPUT \"",
      "*nat\n-A OUTPUT -j",
      "*nat\n-A OUTPUT \\\"\\",
      "-A\n-A \n\n\n",
      "*nat\n-A EASTWEST_INBOUND !",
      "*nat\n-A EASTWEST_INBOUND ! ! ! -p",
      "*nat\n-A EASTWEST_INBOUND - - - - - - - - - - - - - - - - - - - - - - - "
      "- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - "
      "- - - - - - - - - - - - - - - - - - - - - - - -\n"};
  struct ew_rules r = {15006, 15001, 2140};
  for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
    struct ew_buf out;
    struct ew_slice saved = ew_slice_str(texts[i]);
    size_t ours;
    ew_buf_init(&out, EW_INIT_INPUT_MAX);
    assert_int_equal(ew_rules_install(&r, EW_IPV4, saved, &out), EW_OK);
    assert_int_equal(ew_rules_remove(EW_IPV4, saved, &out), EW_OK);
    assert_int_equal(ew_rules_untrack(EW_IPV4, saved, &out), EW_OK);
    assert_int_equal(ew_rules_check(&r, EW_IPV4, saved, &out), EW_ENOENT);
    assert_true(ew_rules_count(saved, &ours) <= 2);
    ew_buf_fini(&out);
  }
}

static void test_count(void **state) {
  size_t ours;
  assert_int_equal(
      ew_rules_count(EW_SLICE_LIT(SAVED("-A OUTPUT -j OTHER\n")), &ours), 3);
  assert_int_equal(ours, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_default),
      cmocka_unit_test(test_ports),
      cmocka_unit_test(test_uids),
      cmocka_unit_test(test_skip_inbound_ports),
      cmocka_unit_test(test_skip_outbound_ports),
      cmocka_unit_test(test_skip_inbound_cidrs_by_family),
      cmocka_unit_test(test_skip_outbound_cidrs_by_family),
      cmocka_unit_test(test_jump_in_place_is_left),
      cmocka_unit_test(test_wrong_jumps_are_replaced),
      cmocka_unit_test(test_remove),
      cmocka_unit_test(test_untrack),
      cmocka_unit_test(test_remove_untracked),
      cmocka_unit_test(test_no_room_writes_nothing),
      cmocka_unit_test(test_own_text_is_bounded),
      cmocka_unit_test(test_check),
      cmocka_unit_test(test_hostile_saved_text_is_survived),
      cmocka_unit_test(test_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
