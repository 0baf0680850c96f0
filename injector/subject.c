/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/subject.h"

#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789-"
#define ANY LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* False, and |out| as it was: not of these |letters|, empty, or too long. */
static bool take(char *out, size_t len, const char *s, const char *letters) {
  size_t n = s ? strlen(s) : 0;

  if (n == 0 || n >= len || strspn(s, letters) != n)
    return false;
  memcpy(out, s, n + 1);
  return true;
}

static const char *text(const json_t *object, const char *name) {
  return json_string_value(json_object_get(object, name));
}

static bool take_owner(struct ew_subject *s, const json_t *owner) {
  return take(s->kind, sizeof(s->kind), text(owner, "kind"), ANY) &&
         take(s->name, sizeof(s->name), text(owner, "name"), LOWER ".") &&
         take(s->uid, sizeof(s->uid), text(owner, "uid"), ANY) &&
         take(s->api_version, sizeof(s->api_version), text(owner, "apiVersion"),
              ANY "./");
}

/* A Node owns the pods that its files define, and is in no namespace. */
static const json_t *owner_of(const json_t *meta) {
  const json_t *all = json_object_get(meta, "ownerReferences");

  for (size_t i = 0; i < json_array_size(all); i++) {
    const json_t *one = json_array_get(all, i);
    const char *kind = text(one, "kind");
    if (json_is_true(json_object_get(one, "controller")) && kind &&
        strcmp(kind, "Node") != 0)
      return one;
  }
  return NULL;
}

void ew_subject_read(struct ew_subject *s, const char *ns, const json_t *meta) {
  const json_t *owner = owner_of(meta);

  *s = (struct ew_subject){{0}};
  if (!take(s->namespace_, sizeof(s->namespace_), ns, LOWER))
    return;
  if (owner && take_owner(s, owner))
    return;
  s->uid[0] = '\0';
  (void)take(s->api_version, sizeof(s->api_version), "v1", ANY);
  if (take(s->name, sizeof(s->name), text(meta, "name"), LOWER ".")) {
    (void)take(s->kind, sizeof(s->kind), "Pod", ANY);
    return;
  }
  (void)take(s->kind, sizeof(s->kind), "Namespace", ANY);
  (void)take(s->name, sizeof(s->name), ns, LOWER);
}
