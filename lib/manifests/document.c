/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/manifests/document.h"

#include <stdio.h>

#include "eastwest/base/slice.h"

#define EW_NAME_MAX 253 /* of a DNS name */

struct ew_document {
  const struct ew_document_out *out;
  void *arg;
};

/* A kind NULL stands for all kinds of the group. */
static const struct {
  const char *group, *kind;
} cluster_scoped[] = {
    {"", "Namespace"},
    {"", "Node"},
    {"", "PersistentVolume"},
    {"rbac.authorization.k8s.io", "ClusterRole"},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding"},
    {"gateway.networking.k8s.io", "GatewayClass"},
    {"apiextensions.k8s.io", "CustomResourceDefinition"},
    {"storage.k8s.io", "StorageClass"},
    {"scheduling.k8s.io", "PriorityClass"},
    {"networking.k8s.io", "IngressClass"},
    {"admissionregistration.k8s.io", NULL},
    {"apiregistration.k8s.io", NULL},
};

static bool ew_kind_is_cluster_scoped(struct ew_slice group, const char *kind) {
  for (size_t i = 0; i < sizeof cluster_scoped / sizeof cluster_scoped[0]; i++)
    if (ew_slice_eq_str(group, cluster_scoped[i].group) &&
        (!cluster_scoped[i].kind || strcmp(kind, cluster_scoped[i].kind) == 0))
      return true;
  return false;
}

static bool ew_name_ok(struct ew_slice s) {
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '/')
      return false;
  return s.n > 0 && s.n <= EW_NAME_MAX;
}

static void ew_tell_bad(struct ew_document *d, const char *name,
                        const json_t *v, const char *expected, size_t line) {
  char why[160];
  snprintf(why, sizeof why, "%s %s", name,
           !v || json_is_null(v) ? "is missing"
           : !json_is_string(v)  ? "must be a string"
                                 : expected);
  d->out->on_fault(d->arg, line, why);
}

/* Member |name| of the metadata; NULL after telling what is wrong. */
static const char *ew_need(struct ew_document *d, const json_t *metadata,
                           const char *name, size_t line) {
  const json_t *v = json_object_get(metadata, name);
  const char *s = json_string_value(v);
  if (s && ew_name_ok(ew_slice_str(s)))
    return s;
  char path[40];
  snprintf(path, sizeof path, "metadata.%s", name);
  ew_tell_bad(d, path, v, "must be 1 to 253 bytes without blanks and '/'",
              line);
  return NULL;
}

/* A '.' would be taken for the one before the group. */
static const char *ew_need_kind(struct ew_document *d, const json_t *object,
                                size_t line) {
  const json_t *v = json_object_get(object, "kind");
  const char *s = json_string_value(v);
  if (s && ew_name_ok(ew_slice_str(s)) && !strchr(s, '.'))
    return s;
  ew_tell_bad(d, "kind", v, "must be a word", line);
  return NULL;
}

/* "gateway.networking.k8s.io/v1" has a group, "v1" none. False after telling
 * what is wrong. */
static bool ew_need_group(struct ew_document *d, const json_t *object,
                          size_t line, struct ew_slice *group) {
  const json_t *v = json_object_get(object, "apiVersion");
  struct ew_slice version = ew_slice_str(json_string_value(v));
  bool grouped = ew_slice_chr(version, '/') >= 0;
  *group = grouped ? ew_slice_cut(&version, '/') : EW_SLICE_LIT("");
  if (ew_name_ok(version) && (!grouped || ew_name_ok(*group)))
    return true;
  ew_tell_bad(d, "apiVersion", v, "must be GROUP/VERSION or VERSION", line);
  return false;
}

/* NULL after telling what is wrong. */
static const char *ew_need_namespace(struct ew_document *d,
                                     const json_t *metadata, size_t line) {
  const json_t *v = json_object_get(metadata, "namespace");
  const char *s = json_string_value(v);
  if (!v || json_is_null(v) || (s && !*s))
    return "default";
  return ew_need(d, metadata, "namespace", line);
}

static void ew_document_object(struct ew_document *d, const json_t *object,
                               size_t line) {
  struct ew_slice group;
  const json_t *old = json_object_get(object, "metadata");
  const char *kind = ew_need_kind(d, object, line);
  if (!kind || !ew_need_group(d, object, line, &group))
    return;
  const char *name = ew_need(d, old, "name", line);
  if (!name)
    return;
  bool cluster = ew_kind_is_cluster_scoped(group, kind);
  const char *ns = cluster ? "" : ew_need_namespace(d, old, line);
  if (!ns)
    return;
  char full[2 * EW_NAME_MAX + 2];
  snprintf(full, sizeof full, "%s%s%.*s", kind, group.n ? "." : "",
           EW_SLICE_FMT(group));
  /* An alias may have put the same metadata in several objects. */
  json_t *copy = json_copy((json_t *)object);
  json_t *metadata = json_copy((json_t *)old);
  if (cluster)
    json_object_del(metadata, "namespace");
  else
    json_object_set_new(metadata, "namespace", json_string(ns));
  json_object_set_new(copy, "metadata", metadata);
  d->out->on_object(d->arg, copy, full, ns,
                    json_string_value(json_object_get(metadata, "name")), line);
  json_decref(copy);
}

/* The items of a "List", or of an API server's answer for one kind
 * ("ServiceList"), whose elements do not name their own. |*kind| is then what
 * stands before "List". NULL if |v| is no list. */
static const json_t *ew_list_items(const json_t *v, struct ew_slice *kind) {
  static const struct ew_slice list = {"List", 4};
  const json_t *items = json_object_get(v, "items");
  *kind = ew_slice_str(json_string_value(json_object_get(v, "kind")));
  if (kind->n < list.n || (!json_is_array(items) && !json_is_null(items)) ||
      !ew_slice_eq(ew_slice(kind->p + kind->n - list.n, list.n), list))
    return NULL;
  kind->n -= list.n;
  return items;
}

static void ew_document_value(struct ew_document *d, const json_t *v,
                              size_t line, const json_t *lines);

static void ew_document_item(struct ew_document *d, const json_t *list,
                             struct ew_slice kind, json_t *item, size_t line) {
  if (kind.n == 0 || json_object_get(item, "kind") || !json_is_object(item)) {
    ew_document_value(d, item, line, NULL);
    return;
  }
  json_t *named = json_copy(item);
  json_object_set_new(named, "kind", json_stringn(kind.p, kind.n));
  if (!json_object_get(named, "apiVersion"))
    json_object_set(named, "apiVersion", json_object_get(list, "apiVersion"));
  ew_document_value(d, named, line, NULL);
  json_decref(named);
}

/* Recursion for Lists in Lists: EW_MANIFEST_DEPTH_MAX bounds it. */
static void ew_document_value(struct ew_document *d, const json_t *v,
                              size_t line, const json_t *lines) {
  struct ew_slice kind;
  if (!json_is_object(v)) {
    d->out->on_fault(d->arg, line, "is no object");
    return;
  }
  const json_t *items = ew_list_items(v, &kind);
  if (!items) {
    ew_document_object(d, v, line);
    return;
  }
  size_t i;
  json_t *item;
  json_array_foreach(items, i, item) {
    const json_t *own = json_array_get(lines, i);
    ew_document_item(d, v, kind, item,
                     own ? (size_t)json_integer_value(own) : line);
  }
}

void ew_document_read(const json_t *document, const struct ew_document_out *out,
                      void *arg) {
  struct ew_document d = {out, arg};
  ew_document_value(
      &d, json_object_get(document, "object"),
      (size_t)json_integer_value(json_object_get(document, "line")),
      json_object_get(document, "items"));
}
