/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube_prune.h"

#include <string.h>

#include "eastwest/kube/json.h"

static void keep_only(json_t *object, const char *const *names) {
  const char *key;
  json_t *value;
  void *next;

  json_object_foreach_safe(object, next, key, value) {
    size_t i = 0;
    while (names[i] && strcmp(names[i], key) != 0)
      i++;
    if (!names[i])
      json_object_del(object, key);
  }
}

static void keep_our_annotations(json_t *meta) {
  json_t *annotations = json_object_get(meta, "annotations");
  const char *key;
  json_t *value;
  void *next;

  json_object_foreach_safe(annotations, next, key, value) {
    if (strncmp(key, "eastwest.dev/", 13) != 0)
      json_object_del(annotations, key);
  }
}

/* What runs counts, not what labels ask for now: pods that were there before
 * their namespace joined the mesh, or that the injector left alone, are
 * reached in plain text until they are made again. */
static bool has_sidecar(const json_t *pod) {
  const json_t *init =
      json_object_get(json_object_get(pod, "spec"), "initContainers");

  for (size_t i = 0; i < json_array_size(init); i++) {
    const json_t *one = json_array_get(init, i);
    if (strcmp(ew_kube_text(one, "name"), "eastwest-sidecar") == 0 &&
        strcmp(ew_kube_text(one, "restartPolicy"), "Always") == 0)
      return true;
  }
  return false;
}

void ew_kube_prune(enum ew_kind kind, json_t *object) {
  static const char *const meta[] = {
      "name",        "namespace",       "labels",
      "annotations", "generation",      "creationTimestamp",
      "uid",         "resourceVersion", "deletionTimestamp",
      NULL};
  static const char *const pod_spec[] = {"serviceAccountName", "hostNetwork",
                                         NULL};
  static const char *const pod_status[] = {"phase", "podIP", "podIPs", NULL};

  keep_only(json_object_get(object, "metadata"), meta);
  keep_our_annotations(json_object_get(object, "metadata"));
  if (kind == EW_KIND_POD) {
    json_object_set_new(object, EW_SIDECAR_MEMBER,
                        json_boolean(has_sidecar(object)));
    keep_only(json_object_get(object, "spec"), pod_spec);
    keep_only(json_object_get(object, "status"), pod_status);
  } else if (kind == EW_KIND_SERVICE || kind == EW_KIND_NAMESPACE) {
    json_object_del(object, "status");
  }
}
