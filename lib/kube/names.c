/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/kube/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eastwest/base/alloc.h"

#define KEY_MAX 640

void ew_kube_names_init(struct ew_kube_names *n) {
  n->seen = json_object();
  n->list = 0;
}

void ew_kube_names_fini(struct ew_kube_names *n) { json_decref(n->seen); }

void ew_kube_names_begin(struct ew_kube_names *n) { n->list++; }

static void key_of(char key[KEY_MAX], const char *ns, const char *name) {
  snprintf(key, KEY_MAX, "%s/%s", ns, name);
}

void ew_kube_names_add(struct ew_kube_names *n, const char *ns,
                       const char *name) {
  char key[KEY_MAX];

  key_of(key, ns, name);
  json_object_set_new(n->seen, key, json_integer(n->list));
}

void ew_kube_names_remove(struct ew_kube_names *n, const char *ns,
                          const char *name) {
  char key[KEY_MAX];

  key_of(key, ns, name);
  json_object_del(n->seen, key);
}

void ew_kube_names_end(struct ew_kube_names *n,
                       void (*on_gone)(void *arg, const char *ns,
                                       const char *name),
                       void *arg) {
  const char *key;
  json_t *list;
  void *next;

  json_object_foreach_safe(n->seen, next, key, list) {
    char *copy, *slash;
    if (json_integer_value(list) == n->list)
      continue;
    copy = ew_strdup(key);
    slash = strchr(copy, '/');
    *slash = '\0';
    json_object_del(n->seen, key);
    on_gone(arg, copy, slash + 1);
    free(copy);
  }
}
