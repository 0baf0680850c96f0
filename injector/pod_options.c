/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/pod_options.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"

/* The least of what eastwest-init, the sidecar and the controller take. */
#define EW_LIST_TEXT_MAX 16384u
#define EW_SKIP_MAX 128u
#define EW_OPAQUE_MAX 64u
#define EW_DRAIN_MAX 86400u
#define EW_IMAGE_MAX 512u
#define EW_PULL_SECRETS_MAX 16u
#define EW_SHOWN_MAX 80

static const char ports_text[] = "ports from 1 to 65535 or ranges low-high, "
                                 "comma-separated";
static const char cidrs_text[] = "IPv4 or IPv6 addresses or CIDRs, "
                                 "comma-separated";
static const char cpu_text[] = "cores from 1m to 1000, such as 100m or 0.5";
static const char memory_text[] = "bytes from 4Mi to 1Ti, such as 64Mi or 1G";
static const char cpu_limit_text[] =
    "none, or cores from 1m to 1000, such as 100m or 0.5";
static const char memory_limit_text[] =
    "none, or bytes from 4Mi to 1Ti, such as 64Mi or 1G";

struct ew_option_row;
/* The value that is kept, or NULL. */
typedef const char *(*ew_option_parse)(struct ew_arena *mem,
                                       const struct ew_option_row *row,
                                       const char *value);

struct ew_option_row {
  const char *name, *or_else, *expected;
  ew_option_parse parse;
  bool (*item)(struct ew_slice item); /* of a list */
  size_t items_max;
  const char *const *words;
  double min, max;
};

static bool is_port_range(struct ew_slice s) {
  uint64_t low, high;
  bool range = ew_slice_chr(s, '-') >= 0;

  if (ew_slice_u64(ew_slice_cut(&s, '-'), 65535, &low) != EW_OK || low == 0)
    return false;
  return !range || (ew_slice_u64(s, 65535, &high) == EW_OK && high >= low);
}

static bool is_cidr(struct ew_slice s) {
  char text[INET6_ADDRSTRLEN];
  unsigned char addr[16];
  bool slash = ew_slice_chr(s, '/') >= 0;
  struct ew_slice ip = ew_slice_cut(&s, '/');
  uint64_t bits, most = 32;

  if (ip.n == 0 || ip.n >= sizeof(text))
    return false;
  memcpy(text, ip.p, ip.n);
  text[ip.n] = '\0';
  if (inet_pton(AF_INET, text, addr) != 1) {
    if (inet_pton(AF_INET6, text, addr) != 1)
      return false;
    most = 128;
  }
  return !slash || ew_slice_u64(s, most, &bits) == EW_OK;
}

static bool is_secret_name(struct ew_slice s) {
  static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

  for (size_t i = 0; i < s.n; i++)
    if (!s.p[i] || !strchr(good, s.p[i]))
      return false;
  return s.n > 0 && s.n <= 253;
}

static const char *parse_list(struct ew_arena *mem,
                              const struct ew_option_row *row,
                              const char *value) {
  struct ew_slice rest = ew_slice_str(value);
  const char *kept = NULL;
  struct ew_buf out;
  size_t n = 0;
  bool good = true;

  ew_buf_init(&out, EW_LIST_TEXT_MAX);
  while (good && rest.n > 0) {
    struct ew_slice item = ew_slice_trim(ew_slice_cut(&rest, ','));
    if (item.n == 0)
      continue;
    good = row->item(item) && n < row->items_max &&
           ew_buf_printf(&out, "%s%.*s", n ? "," : "", EW_SLICE_FMT(item)) ==
               EW_OK;
    n++;
  }
  if (good && n == 0)
    kept = "";
  else if (good)
    kept = ew_arena_dup(mem, ew_buf_peek(&out).p, ew_buf_len(&out));
  ew_buf_fini(&out);
  return kept;
}

static const char *parse_word(struct ew_arena *mem,
                              const struct ew_option_row *row,
                              const char *value) {
  (void)mem;
  for (size_t i = 0; row->words[i]; i++)
    if (strcmp(row->words[i], value) == 0)
      return row->words[i];
  return NULL;
}

static const char *parse_seconds(struct ew_arena *mem,
                                 const struct ew_option_row *row,
                                 const char *value) {
  uint64_t n;

  if (ew_slice_u64(ew_slice_str(value), EW_DRAIN_MAX, &n) != EW_OK ||
      (double)n < row->min)
    return NULL;
  return ew_arena_dup(mem, value, strlen(value));
}

/* The part of Kubernetes' quantities that people write: digits with or without
 * a fraction, and a suffix. False: none. */
static bool quantity(const char *s, double *out) {
  static const struct {
    const char *suffix;
    double factor;
  } units[] = {
      {"", 1},        {"m", 1e-3},    {"k", 1e3},     {"M", 1e6},
      {"G", 1e9},     {"T", 1e12},    {"Ki", 0x1p10}, {"Mi", 0x1p20},
      {"Gi", 0x1p30}, {"Ti", 0x1p40},
  };
  size_t digits = strspn(s, "0123456789"), fraction = 0;
  double v = 0, place = 1;

  if (digits == 0 || digits > 15)
    return false;
  for (; digits > 0; digits--)
    v = v * 10 + (*s++ - '0');
  if (*s == '.') {
    fraction = strspn(++s, "0123456789");
    if (fraction == 0 || fraction > 9)
      return false;
    for (; fraction > 0; fraction--)
      v += (*s++ - '0') * (place /= 10);
  }
  for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
    if (strcmp(units[i].suffix, s) == 0) {
      *out = v * units[i].factor;
      return true;
    }
  }
  return false;
}

static const char *parse_quantity(struct ew_arena *mem,
                                  const struct ew_option_row *row,
                                  const char *value) {
  double v;

  if (!quantity(value, &v) || v < row->min || v > row->max)
    return NULL;
  return ew_arena_dup(mem, value, strlen(value));
}

static const char *parse_limit(struct ew_arena *mem,
                               const struct ew_option_row *row,
                               const char *value) {
  return strcmp(value, "none") == 0 ? "" : parse_quantity(mem, row, value);
}

/* Whether there is such an image is found out by the kubelet. */
static const char *parse_image(struct ew_arena *mem,
                               const struct ew_option_row *row,
                               const char *value) {
  static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789._:/@+-";
  size_t n = strlen(value);

  (void)row;
  if (n == 0 || n > EW_IMAGE_MAX || strspn(value, good) != n ||
      strchr("._:/@+-", value[0]) || strchr("._:/@+-", value[n - 1]))
    return NULL;
  return ew_arena_dup(mem, value, n);
}

static const char *const booleans[] = {"true", "false", NULL};
static const char *const access_logs[] = {"off", "errors", "all", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug",
                                         NULL};

static const char *const pull_policies[] = {"Always", "IfNotPresent", "Never",
                                            NULL};

static const struct ew_option_row rows[EW_POD_OPTIONS] = {
    [EW_POD_SKIP_INBOUND_PORTS] = {"skip-inbound-ports", "", ports_text,
                                   parse_list, is_port_range, EW_SKIP_MAX},
    [EW_POD_SKIP_OUTBOUND_PORTS] = {"skip-outbound-ports", "", ports_text,
                                    parse_list, is_port_range, EW_SKIP_MAX},
    [EW_POD_SKIP_INBOUND_CIDRS] = {"skip-inbound-cidrs", "", cidrs_text,
                                   parse_list, is_cidr, EW_SKIP_MAX},
    [EW_POD_SKIP_OUTBOUND_CIDRS] = {"skip-outbound-cidrs", "", cidrs_text,
                                    parse_list, is_cidr, EW_SKIP_MAX},
    [EW_POD_OPAQUE_PORTS] = {"opaque-ports", "", ports_text, parse_list,
                             is_port_range, EW_OPAQUE_MAX},
    [EW_POD_STRICT] = {"strict", "false", "true or false", parse_word,
                       .words = booleans},
    [EW_POD_ACCESS_LOG] = {"access-log", "off", "off, errors or all",
                           parse_word, .words = access_logs},
    [EW_POD_LOG_LEVEL] = {"log-level", "info", "error, warn, info or debug",
                          parse_word, .words = log_levels},
    [EW_POD_DRAIN_SECONDS] = {"drain-seconds", "28", "a number from 0 to 86400",
                              parse_seconds},
    [EW_POD_DESTINATION_IDLE_SECONDS] = {"destination-idle-seconds", "300",
                                         "a number from 1 to 86400",
                                         parse_seconds, .min = 1},
    [EW_POD_CPU_REQUEST] = {"cpu-request", "10m", cpu_text, parse_quantity,
                            .min = 1e-3, .max = 1000},
    [EW_POD_MEMORY_REQUEST] = {"memory-request", "16Mi", memory_text,
                               parse_quantity, .min = 0x1p22, .max = 0x1p40},
    [EW_POD_CPU_LIMIT] = {"cpu-limit", "", cpu_limit_text, parse_limit,
                          .min = 1e-3, .max = 1000},
    [EW_POD_MEMORY_LIMIT] = {"memory-limit", "", memory_limit_text, parse_limit,
                             .min = 0x1p22, .max = 0x1p40},
    [EW_POD_IMAGE] = {"image", "", "an image such as registry/name:tag",
                      parse_image},
    /* "": as Kubernetes decides by the image's tag. */
    [EW_POD_IMAGE_PULL_POLICY] = {"image-pull-policy", "",
                                  "Always, IfNotPresent or Never", parse_word,
                                  .words = pull_policies},
    [EW_POD_IMAGE_PULL_SECRETS] = {"image-pull-secrets", "",
                                   "names of Secrets of the pod's namespace, "
                                   "comma-separated",
                                   parse_list, is_secret_name,
                                   EW_PULL_SECRETS_MAX},
};

void ew_pod_options_init(struct ew_pod_options *o) {
  ew_arena_init(&o->mem);
  for (size_t i = 0; i < EW_POD_OPTIONS; i++)
    o->v[i] = rows[i].or_else;
}

void ew_pod_options_init_from(struct ew_pod_options *o,
                              const struct ew_pod_options *defaults) {
  ew_arena_init(&o->mem);
  memcpy(o->v, defaults->v, sizeof(o->v));
}

void ew_pod_options_fini(struct ew_pod_options *o) { ew_arena_fini(&o->mem); }

const char *ew_pod_option_name(enum ew_pod_option option) {
  return rows[option].name;
}

/* Texts of pods go to terminals and logs: control bytes are shown as '?'. */
static void say(const struct ew_option_row *row, const char *value, char *why,
                size_t why_len) {
  char shown[EW_SHOWN_MAX + 1];
  size_t n = 0;

  for (; value[n] && n < EW_SHOWN_MAX; n++)
    shown[n] =
        (unsigned char)value[n] < 0x20 || value[n] == 0x7f ? '?' : value[n];
  /* Not within a character of UTF-8. */
  while (value[n] && n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
    n--;
  shown[n] = '\0';
  if (row->items_max)
    snprintf(why, why_len, "\"%s%s\": expected %s, at most %zu", shown,
             value[n] ? "..." : "", row->expected, row->items_max);
  else
    snprintf(why, why_len, "\"%s%s\": expected %s", shown,
             value[n] ? "..." : "", row->expected);
}

int ew_pod_options_set(struct ew_pod_options *o, const char *name,
                       const char *value, char *why, size_t why_len) {
  for (size_t i = 0; i < EW_POD_OPTIONS; i++) {
    const char *kept;
    if (strcmp(rows[i].name, name) != 0)
      continue;
    kept = rows[i].parse(&o->mem, &rows[i], value);
    if (kept)
      o->v[i] = kept;
    else
      say(&rows[i], value, why, why_len);
    return kept ? EW_OK : EW_EINVAL;
  }
  return EW_ENOENT;
}

static bool exceeds(const struct ew_pod_options *o, enum ew_pod_option request,
                    enum ew_pod_option limit, char *why, size_t why_len) {
  double a, b;

  if (!quantity(o->v[request], &a) || !quantity(o->v[limit], &b) || a <= b)
    return false;
  snprintf(why, why_len,
           "%s%s: \"%s\": expected at least what is requested, %s (%s%s)",
           EW_ANNOTATION_PREFIX, rows[limit].name, o->v[limit], o->v[request],
           EW_ANNOTATION_PREFIX, rows[request].name);
  return true;
}

int ew_pod_options_check(const struct ew_pod_options *o, char *why,
                         size_t why_len) {
  if (exceeds(o, EW_POD_CPU_REQUEST, EW_POD_CPU_LIMIT, why, why_len) ||
      exceeds(o, EW_POD_MEMORY_REQUEST, EW_POD_MEMORY_LIMIT, why, why_len))
    return EW_EINVAL;
  return EW_OK;
}

int ew_pod_options_read(struct ew_pod_options *o,
                        const struct ew_jv *annotations, char *why,
                        size_t why_len) {
  for (size_t i = 0; i < EW_POD_OPTIONS; i++) {
    char key[64], reason[320];
    snprintf(key, sizeof(key), EW_ANNOTATION_PREFIX "%s", rows[i].name);
    struct ew_jv at = ew_jv_get(annotations, key);
    const char *value = json_string_value(at.v);
    if (!value || ew_pod_options_set(o, rows[i].name, value, reason,
                                     sizeof(reason)) == EW_OK)
      continue;
    snprintf(why, why_len, "annotation %s: %s", key, reason);
    return EW_EINVAL;
  }
  return ew_pod_options_check(o, why, why_len);
}

bool ew_ports_include(const char *list, uint16_t port) {
  struct ew_slice rest = ew_slice_str(list);

  while (rest.n > 0) {
    struct ew_slice high = ew_slice_cut(&rest, ',');
    struct ew_slice low = ew_slice_cut(&high, '-');
    uint64_t a, b;
    if (ew_slice_u64(low, 65535, &a) != EW_OK)
      continue;
    if (ew_slice_u64(high, 65535, &b) != EW_OK)
      b = a;
    if (port >= a && port <= b)
      return true;
  }
  return false;
}
