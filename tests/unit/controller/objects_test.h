/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_TESTS_UNIT_OBJECTS_TEST_H
#define EASTWEST_TESTS_UNIT_OBJECTS_TEST_H

/* For tests of what is computed from Kubernetes objects: the store, and objects
 * from JSON in which ' stands for ". */

#include "controller/app_protocol.c"
#include "controller/objects.c"
#include "controller/objects_read.c"
#include "controller/route.c"
#include "controller/route_filter.c"
#include "controller/route_match.c"
#include "controller/strmap.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Replaces ' by "; the caller frees. */
static inline char *quoted(const char *s) {
  char *copy = ew_strdup(s);
  for (char *p = copy; *p; p++)
    if (*p == '\'')
      *p = '"';
  return copy;
}

static inline json_t *json_of(const char *s) {
  char *copy = quoted(s);
  json_error_t e;
  json_t *j = json_loads(copy, 0, &e);
  if (!j)
    fail_msg("%s in %s", e.text, copy);
  free(copy);
  return j;
}

/* |rest| is what follows "metadata" in the object. */
static inline const struct ew_object *put(struct ew_objects *o, const char *api,
                                          const char *kind, const char *ns,
                                          const char *name, const char *created,
                                          const char *rest) {
  char text[8192], why[512];
  snprintf(text, sizeof text,
           "{'apiVersion':'%s','kind':'%s','metadata':{'namespace':'%s',"
           "'name':'%s','generation':3,'creationTimestamp':'%s'},%s}",
           api, kind, ns, name, created, rest);
  json_t *j = json_of(text);
  if (ew_objects_upsert(o, j, NULL, why, sizeof why) != EW_OK)
    fail_msg("%s", why);
  json_decref(j);
  enum ew_kind k = EW_KIND_NAMESPACE;
  while (strcmp(ew_kind_name(k), kind) != 0)
    k++;
  return ew_objects_get(o, k, ns, name);
}

/* A ClusterIP Service, |ports| is a JSON list. */
static inline const struct ew_object *put_service(struct ew_objects *o,
                                                  const char *ns,
                                                  const char *name,
                                                  const char *ports) {
  char rest[1024];
  snprintf(rest, sizeof rest, "'spec':{'clusterIP':'10.0.0.1','ports':%s}",
           ports);
  return put(o, "v1", "Service", ns, name, "", rest);
}

/* |parents| and |rules| are JSON lists. */
static inline const struct ew_object *
put_route(struct ew_objects *o, const char *kind, const char *ns,
          const char *name, const char *created, const char *parents,
          const char *rules) {
  char rest[6000];
  snprintf(rest, sizeof rest, "'spec':{'parentRefs':%s,'rules':%s}", parents,
           rules);
  return put(o, "gateway.networking.k8s.io/v1", kind, ns, name, created, rest);
}

#define PARENT(more) "[{'group':'','kind':'Service','name':'echo'" more "}]"
#define PORTS_80 "[{'name':'http','port':80}]"

static inline int objects_new(void **state) {
  *state = ew_objects_new();
  return 0;
}

static inline int objects_del(void **state) {
  ew_objects_del(*state);
  return 0;
}

#define OBJECTS_TEST(f) \
  cmocka_unit_test_setup_teardown(f, objects_new, objects_del)

#endif
