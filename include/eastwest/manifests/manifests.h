/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_MANIFESTS_MANIFESTS_H
#define EASTWEST_MANIFESTS_MANIFESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Kubernetes objects from folders of manifests: *.yaml, *.yml and *.json in
 * each folder and in its subfolders (one level). A file may hold several
 * documents, and a document may be a List. An object of a later folder replaces
 * the one of the same kind, namespace and name of an earlier folder; in the
 * same folder the first one counts and the second is an error. Names that
 * begin with '.' are ignored. */

#define EW_MANIFEST_FILE_MAX (16u << 20)
#define EW_MANIFEST_DEPTH_MAX 64
#define EW_MANIFEST_FILES_MAX 20000
/* Nodes of one document, with every alias written out. */
#define EW_MANIFEST_NODES_MAX 2000000u

/* |object| is borrowed: take a reference to keep it. It has apiVersion, kind
 * and metadata.name; metadata.namespace is filled in ("default") unless the
 * kind is cluster-scoped. |where| is "file:line". */
struct ew_manifests_events {
  void (*on_upsert)(void *arg, json_t *object, const char *where);
  /* |kind| has its group behind it unless that is the core group
   * ("HTTPRoute.gateway.networking.k8s.io"); |ns| is "" for a cluster-scoped
   * kind. */
  void (*on_delete)(void *arg, const char *kind, const char *ns,
                    const char *name);
  /* One fault in words, with file and line; told once per change of the file.
   */
  void (*on_error)(void *arg, const char *text);
};

struct ew_manifests;

/* |events| must outlive it; |dirs| is copied. Reads nothing yet. */
struct ew_manifests *ew_manifests_new(const char *const *dirs, size_t dirs_n,
                                      const struct ew_manifests_events *events,
                                      void *arg);
void ew_manifests_del(struct ew_manifests *m); /* NULL is allowed; no events */

/* Looks at the folders (by stat) and reads what changed; the first call reads
 * everything. Call it every 200 ms. A file that can't be read or parsed keeps
 * the objects it had; a folder that is missing for the moment too. Deletes come
 * before upserts. Returns whether any object was upserted or deleted. */
bool ew_manifests_poll(struct ew_manifests *m);

/* Faults told so far. */
uint64_t ew_manifests_errors(const struct ew_manifests *m);

/* All documents of |text| as a list of objects {"line": N, "object": {...}},
 * Lists not taken apart, empty documents left out. NULL, with line and reason
 * in |why|, if any of it is no valid YAML (or JSON, which is a part of YAML).
 */
json_t *ew_manifest_parse(const char *text, size_t n, char *why,
                          size_t why_len);

#endif
