/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "eastwest/base/err.h"
#include "lib/manifests/document.h"
#include "lib/manifests/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text of what was read; reading that again must give the same. Above this it
 * is not written out: an alias may stand for a million values. */
#define WRITTEN_MAX 65536

struct written {
  char text[WRITTEN_MAX];
  size_t n;
};

static int add(const char *p, size_t n, void *arg) {
  struct written *w = arg;
  if (n > sizeof w->text - w->n)
    return -1;
  memcpy(w->text + w->n, p, n);
  w->n += n;
  return 0;
}

/* What JSON allows and YAML does not (a key above 1024 bytes, a raw DEL) may
 * be refused. */
static void check_again(const json_t *v) {
  static struct written w;
  struct ew_yaml_fault fault;
  w.n = 0;
  if (json_dump_callback(v, add, &w, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) < 0)
    return;
  json_t *again = ew_yaml_documents(ew_slice(w.text, w.n), &fault);
  if (!again)
    return;
  EW_BUG_ON(json_array_size(again) != 1);
  const json_t *got = json_object_get(json_array_get(again, 0), "object");
  EW_BUG_ON(!json_equal(got, v));
  json_decref(again);
}

static bool is_name(const char *s) {
  return *s && !strchr(s, '/') && !strchr(s, '\n');
}

static void on_object(void *arg, json_t *object, const char *kind,
                      const char *ns, const char *name, size_t line) {
  const size_t *size = arg;
  const json_t *metadata = json_object_get(object, "metadata");
  const char *own = json_string_value(json_object_get(metadata, "name"));
  EW_BUG_ON(!json_is_string(json_object_get(object, "apiVersion")));
  EW_BUG_ON(!json_is_string(json_object_get(object, "kind")));
  EW_BUG_ON(!own || strcmp(own, name) != 0);
  own = json_string_value(json_object_get(metadata, "namespace"));
  EW_BUG_ON(strcmp(own ? own : "", ns) != 0);
  EW_BUG_ON(!is_name(kind) || !is_name(name) || (*ns && !is_name(ns)));
  EW_BUG_ON(line == 0 || line > *size + 1);
}

static void on_fault(void *arg, size_t line, const char *why) {
  const size_t *size = arg;
  EW_BUG_ON(line == 0 || line > *size + 1);
  EW_BUG_ON(!*why);
}

static const struct ew_document_out out = {on_object, on_fault};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ew_yaml_fault fault = {0};
  json_t *docs = ew_yaml_documents(ew_slice((const char *)data, size), &fault);
  if (!docs) {
    EW_BUG_ON(fault.line == 0 || fault.line > size + 1 || !*fault.why);
    return 0;
  }
  size_t i;
  json_t *each;
  json_array_foreach(docs, i, each) {
    check_again(json_object_get(each, "object"));
    ew_document_read(each, &out, &size);
  }
  json_decref(docs);
  return 0;
}
