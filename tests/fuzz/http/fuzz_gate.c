/* SPDX-License-Identifier: Apache-2.0 */
#include "eastwest/base/err.h"
#include "eastwest/http/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_byte_below_or_above(struct ew_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~')
      return true;
  return false;
}

/* Lines: method, authority, path, then fields as "name:value". What passes
 * the gate can stand in a head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_slice rest = ew_slice((const char *)data, size);
  struct ew_message *m = ew_message_new();
  const char *why = NULL;
  m->method = ew_slice_cut(&rest, '\n');
  m->authority = ew_slice_cut(&rest, '\n');
  m->path = ew_slice_cut(&rest, '\n');
  m->version = 11;
  while (rest.n > 0) {
    struct ew_slice value = ew_slice_cut(&rest, '\n');
    struct ew_slice name = ew_slice_cut(&value, ':');
    if (ew_message_add(m, name, value) == EW_OK)
      EW_BUG_ON(ew_message_joined(m, name).p == NULL);
  }
  int rc = ew_message_gate(m, &why);
  EW_BUG_ON((rc == EW_OK) != (why == NULL));
  if (rc == EW_OK) {
    EW_BUG_ON(!ew_is_token(m->method));
    EW_BUG_ON(m->authority.n == 0 || has_byte_below_or_above(m->authority));
    EW_BUG_ON(m->path.n == 0 || has_byte_below_or_above(m->path));
    EW_BUG_ON(memmem(m->path.p, m->path.n, "#", 1) != NULL);
    struct ew_slice path = ew_message_path_only(m);
    EW_BUG_ON(memmem(path.p, path.n, "/../", 4) != NULL);
    EW_BUG_ON(memmem(path.p, path.n, "%00", 3) != NULL);
    struct ew_message *d = ew_message_dup(m);
    EW_BUG_ON(ew_message_gate(d, &why) != EW_OK);
    ew_message_del(d);
  }
  ew_message_del(m);
  return 0;
}
