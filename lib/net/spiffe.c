/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/spiffe.h"

#include "eastwest/base/err.h"
#include "eastwest/net/tls.h"

#define MAX_ID 2048
#define MAX_TRUST_DOMAIN 255

static bool is_td_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

static bool is_path_char(char c) {
  return is_td_char(c) || (c >= 'A' && c <= 'Z');
}

int ew_spiffe_trust_domain_check(struct ew_slice td) {
  if (td.n == 0 || td.n > MAX_TRUST_DOMAIN)
    return EW_EINVAL;
  for (size_t i = 0; i < td.n; i++) {
    if (!is_td_char(td.p[i]))
      return EW_EINVAL;
  }
  return EW_OK;
}

static bool segment_ok(struct ew_slice s) {
  if (s.n == 0 || ew_slice_eq_str(s, ".") || ew_slice_eq_str(s, ".."))
    return false;
  for (size_t i = 0; i < s.n; i++) {
    if (!is_path_char(s.p[i]))
      return false;
  }
  return true;
}

int ew_spiffe_parse(struct ew_slice id, struct ew_slice *trust_domain) {
  struct ew_slice scheme = EW_SLICE_LIT("spiffe://");
  if (id.n > MAX_ID || !ew_slice_starts(id, scheme))
    return EW_EINVAL;
  struct ew_slice rest = ew_slice(id.p + scheme.n, id.n - scheme.n);
  ptrdiff_t slash = ew_slice_chr(rest, '/');
  /* A workload's id has a path; the trust domain alone names no workload. */
  if (slash < 0)
    return EW_EINVAL;
  *trust_domain = ew_slice_cut(&rest, '/');
  if (ew_spiffe_trust_domain_check(*trust_domain) != EW_OK)
    return EW_EINVAL;
  bool last;
  do {
    last = ew_slice_chr(rest, '/') < 0;
    if (!segment_ok(ew_slice_cut(&rest, '/')))
      return EW_EINVAL;
  } while (!last);
  return EW_OK;
}

int ew_spiffe_check(struct ew_slice id, const char *trust_domain) {
  struct ew_slice td;
  if (ew_spiffe_parse(id, &td) != EW_OK || !ew_slice_eq_str(td, trust_domain))
    return EW_EINVAL;
  return EW_OK;
}
