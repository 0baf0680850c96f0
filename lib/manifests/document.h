/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EW_LIB_MANIFESTS_DOCUMENT_H
#define EW_LIB_MANIFESTS_DOCUMENT_H

#include "eastwest/manifests/manifests.h"

/* Called once per object or fault, in the order of the text. */
struct ew_document_out {
  /* |kind| with its group, |ns| "" for a cluster-scoped kind; |object| is
   * borrowed and nobody else changes it. None of the three strings holds '/'
   * or a control byte. */
  void (*on_object)(void *arg, json_t *object, const char *kind, const char *ns,
                    const char *name, size_t line);
  void (*on_fault)(void *arg, size_t line, const char *why);
};

/* |document| is an element of what ew_yaml_documents returned. Takes Lists
 * apart, checks what every object must have, and fills in the namespace. A
 * faulty object of a List is left out, the others count. */
void ew_document_read(const json_t *document, const struct ew_document_out *out,
                      void *arg);

#endif
