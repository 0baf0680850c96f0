/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_INJECTOR_SUBJECT_H
#define EASTWEST_INJECTOR_SUBJECT_H

#include <jansson.h>
#include <stdbool.h>

/* Whom an Event about a pod is shown at. The pod itself has no UID yet, and no
 * name at all if it has an owner; so it is the owner that made it (a
 * ReplicaSet, a Job: `kubectl describe` shows it there). Else the pod by its
 * name (`kubectl events --for pod/NAME`), and without a name its namespace.
 * `kubectl get events` shows all of them. */
struct ew_subject {
  char namespace_[64]; /* "": not known, and no Event possible */
  char api_version[128], kind[64], name[254];
  char uid[64]; /* or "" */
};

/* What is no name of Kubernetes is not taken: the namespace becomes part of a
 * path, and all of it comes from whoever asked. |meta| may be NULL. */
void ew_subject_read(struct ew_subject *s, const char *ns, const json_t *meta);

#endif
