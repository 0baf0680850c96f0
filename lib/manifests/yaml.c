/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/manifests/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <yaml.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/model/json_read.h"

#define EW_YAML_TAGS "tag:yaml.org,2002:"

/* A finished value with what it counts against the limits. */
struct ew_yaml_value {
  json_t *v;
  size_t nodes;    /* itself and all below, aliases written out */
  unsigned height; /* levels of lists and objects, itself included */
};

/* A list or an object that is not complete yet. */
struct ew_yaml_frame {
  json_t *v;
  size_t line;
  size_t nodes_before;
  unsigned height; /* of the highest member so far */
  char *anchor;    /* NULL: none */
  char *key;       /* of the member whose value comes next; NULL: a list, or
                      the key comes next */
  bool merging;    /* the value of "<<" comes next, |key| is "" */
  json_t *merged;  /* objects from "<<", or NULL */
};

/* One document at a time. Values are made in the order of events and without
 * recursion. */
struct ew_yaml {
  yaml_parser_t parser;
  struct ew_yaml_fault *fault;
  json_t *documents;
  struct ew_yaml_frame frames[EW_MANIFEST_DEPTH_MAX];
  unsigned depth;
  json_t *root;
  size_t root_line;
  json_t *items; /* lines */
  size_t nodes;
  json_t *names; /* anchor: index in |anchors| */
  struct ew_yaml_value *anchors;
  size_t anchors_n, anchors_cap;
};

static bool ew_yaml_fail(struct ew_yaml *y, size_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool ew_yaml_fail(struct ew_yaml *y, size_t line, const char *fmt, ...) {
  y->fault->line = line;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(y->fault->why, sizeof y->fault->why, fmt, ap);
  va_end(ap);
  return false;
}

static bool ew_yaml_count(struct ew_yaml *y, size_t line, size_t nodes) {
  if (nodes > EW_MANIFEST_NODES_MAX - y->nodes)
    return ew_yaml_fail(y, line, "more than %u values in one document",
                        EW_MANIFEST_NODES_MAX);
  y->nodes += nodes;
  return true;
}

/* "" if the event has no tag; NULL if the tag is none of YAML's own. The tag
 * "!" stands for: not to be looked at more closely. */
static const char *ew_yaml_kind(const yaml_char_t *tag) {
  static const size_t n = sizeof EW_YAML_TAGS - 1;
  if (!tag)
    return "";
  if (strcmp((const char *)tag, "!") == 0)
    return "str";
  return strncmp((const char *)tag, EW_YAML_TAGS, n) == 0
             ? (const char *)tag + n
             : NULL;
}

static bool ew_yaml_kind_is(const yaml_char_t *tag, const char *expected) {
  const char *kind = ew_yaml_kind(tag);
  return kind && (!*kind || strcmp(kind, expected) == 0);
}

static void ew_yaml_anchor_add(struct ew_yaml *y, const char *name,
                               const struct ew_yaml_value *value) {
  if (y->anchors_n == y->anchors_cap) {
    y->anchors_cap = y->anchors_cap ? 2 * y->anchors_cap : 16;
    y->anchors = ew_realloc(y->anchors, y->anchors_cap * sizeof y->anchors[0]);
  }
  y->anchors[y->anchors_n] = *value;
  json_incref(value->v);
  json_object_set_new(y->names, name, json_integer((json_int_t)y->anchors_n));
  y->anchors_n++;
}

static bool ew_yaml_key(struct ew_yaml *y, struct ew_yaml_frame *f,
                        const json_t *v, size_t line) {
  char text[40];
  const char *key = text;
  switch (json_typeof(v)) {
  case JSON_STRING:
    key = json_string_value(v);
    break;
  case JSON_INTEGER:
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    break;
  case JSON_REAL: /* the shortest text that reads as the same number */
    for (int digits = 6; digits <= 17; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, json_real_value(v));
      if (strtod(text, NULL) == json_real_value(v))
        break;
    }
    break;
  case JSON_TRUE:
  case JSON_FALSE:
    key = json_is_true(v) ? "true" : "false";
    break;
  case JSON_NULL:
    return ew_yaml_fail(y, line, "a key is null");
  default:
    return ew_yaml_fail(y, line, "a key is a list or an object");
  }
  if (json_object_get(f->v, key))
    return ew_yaml_fail(y, line, "key \"%.80s\" stands here twice", key);
  f->key = ew_strdup(key);
  return true;
}

/* What "<<" names: an object or a list of objects. The first one that has a
 * key counts; the keys of the object itself go before all. */
static bool ew_yaml_merge(struct ew_yaml *y, struct ew_yaml_frame *f, json_t *v,
                          size_t line) {
  f->merged = json_is_array(v) ? json_incref(v) : json_pack("[O]", v);
  size_t i;
  json_t *each;
  json_array_foreach(f->merged, i, each) {
    if (!json_is_object(each))
      return ew_yaml_fail(y, line, "the value of << is no object");
  }
  return true;
}

/* Puts |value| where it belongs; takes over its reference. */
static bool ew_yaml_put(struct ew_yaml *y, const struct ew_yaml_value *value,
                        size_t line) {
  if (y->depth == 0) {
    y->root = value->v;
    y->root_line = line;
    return true;
  }
  struct ew_yaml_frame *f = &y->frames[y->depth - 1];
  if (value->height > f->height)
    f->height = value->height;
  if (json_is_array(f->v)) {
    json_array_append_new(f->v, value->v);
    const char *of = y->depth == 2 ? y->frames[0].key : NULL;
    if (of && strcmp(of, "items") == 0) {
      if (!y->items)
        y->items = json_array();
      json_array_append_new(y->items, json_integer((json_int_t)line));
    }
    return true;
  }
  bool ok = true;
  if (!f->key) {
    ok = ew_yaml_key(y, f, value->v, line);
    json_decref(value->v);
  } else if (f->merging) {
    ok = ew_yaml_merge(y, f, value->v, line);
    json_decref(value->v);
    f->merging = false;
    free(f->key);
    f->key = NULL;
  } else {
    json_object_set_new_nocheck(f->v, f->key, value->v);
    free(f->key);
    f->key = NULL;
  }
  return ok;
}

static bool ew_yaml_alias(struct ew_yaml *y, const yaml_event_t *e) {
  const char *name = (const char *)e->data.alias.anchor;
  size_t line = e->start_mark.line + 1;
  const json_t *index = json_object_get(y->names, name);
  if (!index)
    return ew_yaml_fail(y, line, "no anchor &%.80s stands before this alias",
                        name);
  struct ew_yaml_value value = y->anchors[json_integer_value(index)];
  if (!ew_yaml_count(y, line, value.nodes))
    return false;
  if (y->depth + value.height > EW_MANIFEST_DEPTH_MAX)
    return ew_yaml_fail(y, line, "nested deeper than %d levels",
                        EW_MANIFEST_DEPTH_MAX);
  json_incref(value.v);
  return ew_yaml_put(y, &value, line);
}

/* Whether a scalar is the merge key: not quoted, without a tag, and where a
 * key is due. */
static bool ew_yaml_is_merge(struct ew_yaml *y, const yaml_event_t *e) {
  if (y->depth == 0 || !e->data.scalar.plain_implicit ||
      strcmp((const char *)e->data.scalar.value, "<<") != 0)
    return false;
  const struct ew_yaml_frame *f = &y->frames[y->depth - 1];
  return json_is_object(f->v) && !f->key;
}

static bool ew_yaml_on_scalar(struct ew_yaml *y, const yaml_event_t *e) {
  const char *text = (const char *)e->data.scalar.value;
  const char *kind = ew_yaml_kind(e->data.scalar.tag);
  size_t line = e->start_mark.line + 1;
  if (!ew_yaml_count(y, line, 1))
    return false;
  if (!kind)
    return ew_yaml_fail(y, line, "unknown tag %.80s", e->data.scalar.tag);
  if (memchr(text, 0, e->data.scalar.length))
    return ew_yaml_fail(y, line, "a string holds a NUL");
  if (ew_yaml_is_merge(y, e)) {
    struct ew_yaml_frame *f = &y->frames[y->depth - 1];
    if (f->merged)
      return ew_yaml_fail(y, line, "key \"<<\" stands here twice");
    f->key = ew_strdup("");
    f->merging = true;
    return true;
  }
  if (!*kind && e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
    kind = "str";
  struct ew_yaml_value value = {ew_yaml_scalar(kind, text), 1, 0};
  if (!value.v && *kind)
    return ew_yaml_fail(y, line, "not of the kind !!%.40s: %.80s", kind, text);
  if (!value.v)
    return ew_yaml_fail(y, line, "no finite number: %.80s", text);
  if (e->data.scalar.anchor)
    ew_yaml_anchor_add(y, (const char *)e->data.scalar.anchor, &value);
  return ew_yaml_put(y, &value, line);
}

/* Takes over |v|. */
static bool ew_yaml_open(struct ew_yaml *y, json_t *v,
                         const yaml_char_t *anchor, size_t line) {
  if (y->depth == EW_MANIFEST_DEPTH_MAX || !ew_yaml_count(y, line, 1)) {
    if (y->depth == EW_MANIFEST_DEPTH_MAX)
      ew_yaml_fail(y, line, "nested deeper than %d levels",
                   EW_MANIFEST_DEPTH_MAX);
    json_decref(v);
    return false;
  }
  struct ew_yaml_frame *f = &y->frames[y->depth++];
  *f = (struct ew_yaml_frame){
      .v = v, .line = line, .nodes_before = y->nodes - 1};
  if (anchor) {
    f->anchor = ew_strdup((const char *)anchor);
    /* Within itself the name stands for nothing, an older one neither. */
    json_object_del(y->names, f->anchor);
  }
  return true;
}

static bool ew_yaml_close(struct ew_yaml *y) {
  struct ew_yaml_frame *f = &y->frames[--y->depth];
  size_t i;
  json_t *each;
  json_array_foreach(f->merged, i, each) {
    json_object_update_missing(f->v, each);
  }
  struct ew_yaml_value value = {f->v, y->nodes - f->nodes_before,
                                f->height + 1};
  if (f->anchor)
    ew_yaml_anchor_add(y, f->anchor, &value);
  free(f->anchor);
  json_decref(f->merged);
  return ew_yaml_put(y, &value, f->line);
}

static void ew_yaml_document_fini(struct ew_yaml *y) {
  while (y->depth > 0) {
    struct ew_yaml_frame *f = &y->frames[--y->depth];
    json_decref(f->v);
    json_decref(f->merged);
    free(f->anchor);
    free(f->key);
  }
  for (size_t i = 0; i < y->anchors_n; i++)
    json_decref(y->anchors[i].v);
  y->anchors_n = 0;
  y->nodes = 0;
  json_object_clear(y->names);
  json_decref(y->root);
  json_decref(y->items);
  y->root = y->items = NULL;
}

static void ew_yaml_document_add(struct ew_yaml *y) {
  if (!json_is_null(y->root)) {
    json_t *d = json_pack("{s:I, s:O}", "line", (json_int_t)y->root_line,
                          "object", y->root);
    EW_BUG_ON(!d);
    if (y->items)
      json_object_set(d, "items", y->items);
    json_array_append_new(y->documents, d);
  }
  ew_yaml_document_fini(y);
}

static bool ew_yaml_event(struct ew_yaml *y, const yaml_event_t *e) {
  size_t line = e->start_mark.line + 1;
  switch (e->type) {
  case YAML_ALIAS_EVENT:
    return ew_yaml_alias(y, e);
  case YAML_SCALAR_EVENT:
    return ew_yaml_on_scalar(y, e);
  case YAML_SEQUENCE_START_EVENT:
    if (!ew_yaml_kind_is(e->data.sequence_start.tag, "seq"))
      return ew_yaml_fail(y, line, "unknown tag %.80s for a list",
                          e->data.sequence_start.tag);
    return ew_yaml_open(y, json_array(), e->data.sequence_start.anchor, line);
  case YAML_MAPPING_START_EVENT:
    if (!ew_yaml_kind_is(e->data.mapping_start.tag, "map"))
      return ew_yaml_fail(y, line, "unknown tag %.80s for an object",
                          e->data.mapping_start.tag);
    return ew_yaml_open(y, json_object(), e->data.mapping_start.anchor, line);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    return ew_yaml_close(y);
  case YAML_DOCUMENT_END_EVENT:
    ew_yaml_document_add(y);
    return true;
  default:
    return true;
  }
}

/* The reader tells a byte, the scanner and the parser tell a line. */
static bool ew_yaml_fail_parser(struct ew_yaml *y, struct ew_slice text) {
  const yaml_parser_t *p = &y->parser;
  size_t line = p->problem_mark.line + 1;
  if (p->error == YAML_READER_ERROR) {
    line = 1;
    for (size_t i = 0; i < p->problem_offset && i < text.n; i++)
      line += text.p[i] == '\n';
  }
  return ew_yaml_fail(y, line, "%s%s%s", p->context ? p->context : "",
                      p->context ? ": " : "",
                      p->problem ? p->problem : "out of memory");
}

static bool ew_yaml_run(struct ew_yaml *y, struct ew_slice text) {
  for (;;) {
    yaml_event_t e;
    if (!yaml_parser_parse(&y->parser, &e))
      return ew_yaml_fail_parser(y, text);
    bool last = e.type == YAML_STREAM_END_EVENT;
    bool ok = ew_yaml_event(y, &e);
    yaml_event_delete(&e);
    if (last || !ok)
      return ok;
  }
}

static size_t ew_yaml_nodes(const json_t *v) {
  size_t n = 1, i;
  const char *key;
  json_t *each;
  json_array_foreach(v, i, each) { n += ew_yaml_nodes(each); }
  json_object_foreach((json_t *)v, key, each) { n += 1 + ew_yaml_nodes(each); }
  return n;
}

/* JSON writes a character above U+FFFF as two escapes, which YAML does not
 * know. So what begins like JSON and failed for that is tried as JSON. */
static bool ew_yaml_run_json(struct ew_yaml *y, struct ew_slice text) {
  size_t blank = 0, line = 1;
  for (; blank < text.n && strchr(" \t\r\n", text.p[blank]); blank++)
    line += text.p[blank] == '\n';
  const char *problem = y->parser.problem;
  if (blank == text.n || text.p[blank] != '{' || !problem ||
      strcmp(problem, "found invalid Unicode character escape code") != 0)
    return false;
  char why[64];
  json_t *root = ew_json_parse(text, why, sizeof why);
  if (root && ew_yaml_nodes(root) > EW_MANIFEST_NODES_MAX) {
    json_decref(root);
    root = NULL;
  }
  if (!root)
    return false;
  ew_yaml_document_fini(y);
  json_array_clear(y->documents);
  y->root = root;
  y->root_line = line;
  ew_yaml_document_add(y);
  return true;
}

json_t *ew_yaml_documents(struct ew_slice text, struct ew_yaml_fault *fault) {
  struct ew_yaml *y = ew_calloc(1, sizeof *y);
  y->fault = fault;
  y->documents = json_array();
  y->names = json_object();
  EW_BUG_ON(!yaml_parser_initialize(&y->parser));
  yaml_parser_set_input_string(
      &y->parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
  json_t *documents = y->documents;
  if (!ew_yaml_run(y, text) && !ew_yaml_run_json(y, text)) {
    json_decref(documents);
    documents = NULL;
  }
  ew_yaml_document_fini(y);
  json_decref(y->names);
  free(y->anchors);
  yaml_parser_delete(&y->parser);
  free(y);
  return documents;
}

json_t *ew_manifest_parse(const char *text, size_t n, char *why,
                          size_t why_len) {
  struct ew_yaml_fault fault;
  json_t *documents = ew_yaml_documents(ew_slice(text, n), &fault);
  if (!documents) {
    snprintf(why, why_len, "line %zu: %s", fault.line, fault.why);
    return NULL;
  }
  size_t i;
  json_t *each;
  json_array_foreach(documents, i, each) { json_object_del(each, "items"); }
  return documents;
}
