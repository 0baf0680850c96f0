/* SPDX-License-Identifier: Apache-2.0 */
#include "init/options.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Parses up to three arguments; |why| is compared if it is expected. */
static int parse(struct ew_options *o, const char *a, const char *b,
                 const char *c, const char *want) {
  char copies[4][2048] = {"eastwest-init"};
  const char *args[] = {a, b, c};
  char *argv[5] = {copies[0]};
  int argc = 1;
  for (int i = 0; i < 3 && args[i]; i++) {
    snprintf(copies[argc], sizeof(copies[argc]), "%s", args[i]);
    argv[argc] = copies[argc];
    argc++;
  }
  struct ew_buf why;
  ew_buf_init(&why, 4096);
  int rc = ew_options_parse(o, argc, argv, &why);
  ew_buf_append(&why, ew_slice("", 1));
  if (want)
    assert_string_equal(ew_buf_peek(&why).p, want);
  ew_buf_fini(&why);
  return rc;
}

static void test_defaults(void **state) {
  struct ew_options o;
  assert_int_equal(parse(&o, NULL, NULL, NULL, ""), EW_OK);
  assert_int_equal(o.mode, EW_MODE_APPLY);
  assert_int_equal(o.ipv6, EW_IPV6_AUTO);
  assert_int_equal(o.rules.inbound_port, 15006);
  assert_int_equal(o.rules.outbound_port, 15001);
  assert_int_equal(o.rules.uid, 2140);
  assert_int_equal(o.rules.skip_uids.n, 0);
}

static void test_modes(void **state) {
  static const struct {
    const char *arg;
    enum ew_init_mode mode;
  } modes[] = {{"--dry-run", EW_MODE_DRY_RUN},
               {"--verify", EW_MODE_VERIFY},
               {"--cleanup", EW_MODE_CLEANUP},
               {"--help", EW_MODE_HELP},
               {"--version", EW_MODE_VERSION}};
  struct ew_options o;
  for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
    assert_int_equal(parse(&o, modes[i].arg, NULL, NULL, ""), EW_OK);
    assert_int_equal(o.mode, modes[i].mode);
  }
  assert_int_equal(parse(&o, "--verify", "--verify", NULL, ""), EW_OK);
  assert_int_equal(
      parse(&o, "--verify", "--cleanup", NULL,
            "expected only one of --dry-run, --verify and --cleanup"),
      EW_EINVAL);
}

static void test_ipv6_modes(void **state) {
  struct ew_options o;
  assert_int_equal(parse(&o, "--ipv6", "on", NULL, ""), EW_OK);
  assert_int_equal(o.ipv6, EW_IPV6_ON);
  assert_int_equal(parse(&o, "--ipv6=off", NULL, NULL, ""), EW_OK);
  assert_int_equal(o.ipv6, EW_IPV6_OFF);
  assert_int_equal(parse(&o, "--ipv6=off", "--ipv6=auto", NULL, ""), EW_OK);
  assert_int_equal(o.ipv6, EW_IPV6_AUTO);
}

static void test_empty_list_is_an_empty_list(void **state) {
  struct ew_options o;
  assert_int_equal(parse(&o, "--skip-inbound-ports=", "--skip-uids", "", ""),
                   EW_OK);
  assert_int_equal(o.rules.skip_inbound_ports.n, 0);
}

static void test_bad_values(void **state) {
  static const char uids[] = "user ids from 0 to 4294967294, comma-separated";
  static const char ports[] =
      "ports from 1 to 65535 or ranges low-high, comma-separated";
  static const char cidrs[] =
      "IPv4 or IPv6 addresses or CIDRs, comma-separated";
  static const struct {
    const char *option, *value, *item, *expected;
  } cases[] = {
      {"--inbound-port", "0", NULL, "a port from 1 to 65535"},
      {"--inbound-port", "", NULL, "a port from 1 to 65535"},
      {"--outbound-port", "65536", NULL, "a port from 1 to 65535"},
      {"--outbound-port", "80 ", NULL, "a port from 1 to 65535"},
      {"--uid", "4294967295", NULL, "a user id from 0 to 4294967294"},
      {"--uid", "-1", NULL, "a user id from 0 to 4294967294"},
      {"--ipv6", "yes", NULL, "auto, on or off"},
      {"--skip-uids", "1,,2", "", uids},
      {"--skip-uids", "1,", "", uids},
      {"--skip-uids", ",", "", uids},
      {"--skip-uids", " ", "", uids},
      {"--skip-inbound-ports", "80,90-80", "90-80", ports},
      {"--skip-inbound-ports", "80-", "80-", ports},
      {"--skip-inbound-ports", "-80", "-80", ports},
      {"--skip-outbound-ports", "1-2-3", "1-2-3", ports},
      {"--skip-outbound-ports", "0", "0", ports},
      {"--skip-inbound-cidrs", "10.0.0.0/33", "10.0.0.0/33", cidrs},
      {"--skip-inbound-cidrs", "10.0.0/8", "10.0.0/8", cidrs},
      {"--skip-inbound-cidrs", "10.0.0.0/", "10.0.0.0/", cidrs},
      {"--skip-outbound-cidrs", "fd00::/129", "fd00::/129", cidrs},
      {"--skip-outbound-cidrs", "example.com", "example.com", cidrs},
      {"--skip-outbound-cidrs",
       "00000000000000000000000000000000000000000000000::1",
       "00000000000000000000000000000000000000000000000::1", cidrs},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    char want[512];
    struct ew_options o;
    if (cases[i].item)
      snprintf(want, sizeof(want), "%s \"%s\": item \"%s\": expected %s",
               cases[i].option, cases[i].value, cases[i].item,
               cases[i].expected);
    else
      snprintf(want, sizeof(want), "%s \"%s\": expected %s", cases[i].option,
               cases[i].value, cases[i].expected);
    assert_int_equal(parse(&o, cases[i].option, cases[i].value, NULL, want),
                     EW_EINVAL);
  }
}

static void test_ports_must_differ(void **state) {
  struct ew_options o;
  assert_int_equal(parse(&o, "--inbound-port=15001", NULL, NULL,
                         "--inbound-port \"15001\": expected another port than "
                         "--outbound-port"),
                   EW_EINVAL);
  assert_int_equal(parse(&o, "--inbound-port=15020", NULL, NULL,
                         "--inbound-port \"15020\": expected another port than "
                         "15020 (ready and metrics)"),
                   EW_EINVAL);
  assert_int_equal(parse(&o, "--outbound-port=15020", NULL, NULL,
                         "--outbound-port \"15020\": expected another port "
                         "than 15020 (ready and metrics)"),
                   EW_EINVAL);
}

static void test_unknown_arguments(void **state) {
  struct ew_options o;
  assert_int_equal(parse(&o, "--verify", "--bogus", NULL,
                         "--bogus: expected an option that there is (see "
                         "--help)"),
                   EW_EINVAL);
  assert_int_equal(parse(&o, "-x", NULL, NULL,
                         "-x: expected an option that there is (see --help)"),
                   EW_EINVAL);
  assert_int_equal(parse(&o, "--verify=1", NULL, NULL,
                         "--verify=1: expected an option that there is (see "
                         "--help)"),
                   EW_EINVAL);
  assert_int_equal(
      parse(&o, "--uid", NULL, NULL, "--uid: expected a value (see --help)"),
      EW_EINVAL);
  assert_int_equal(parse(&o, "x", "--verify", NULL,
                         "\"x\": expected no further arguments (see --help)"),
                   EW_EINVAL);
}

static void test_lists_have_a_maximum(void **state) {
  static const struct {
    const char *option, *item;
    size_t max;
  } lists[] = {{"--skip-uids", "1", EW_INIT_UIDS_MAX},
               {"--skip-inbound-ports", "1", EW_INIT_PORTS_MAX},
               {"--skip-outbound-cidrs", "::1", EW_INIT_CIDRS_MAX}};
  for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
    char value[2048];
    size_t n = 0;
    for (size_t k = 0; k < lists[i].max; k++)
      n += (size_t)snprintf(value + n, sizeof(value) - n, "%s%s", k ? "," : "",
                            lists[i].item);
    struct ew_options o;
    assert_int_equal(parse(&o, lists[i].option, value, NULL, ""), EW_OK);
    snprintf(value + n, sizeof(value) - n, ",%s", lists[i].item);
    assert_int_equal(parse(&o, lists[i].option, value, NULL, NULL), EW_EINVAL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_modes),
      cmocka_unit_test(test_ipv6_modes),
      cmocka_unit_test(test_empty_list_is_an_empty_list),
      cmocka_unit_test(test_bad_values),
      cmocka_unit_test(test_ports_must_differ),
      cmocka_unit_test(test_unknown_arguments),
      cmocka_unit_test(test_lists_have_a_maximum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
