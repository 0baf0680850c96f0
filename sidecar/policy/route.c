/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/policy/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "eastwest/base/err.h"
#include "sidecar/policy/hash.h"
#include "sidecar/policy/match.h"

/* Every match stands in exactly one list. The list's key is the hash of
 *  - a place: an exact path or a prefix (a node of a trie of path segments),
 *    or "anywhere" for regular expressions and matches without a path; and
 *  - one thing that the match asks for there: the exact value of a header or
 *    query parameter, else the method, else nothing.
 * A look-up visits the places that the request's path reaches, and in each the
 * lists that the request has the key of. Whatever stands there is tested in
 * full, so two keys of one hash cost time and change no result. The answer is
 * the lowest index that fits: matches are in the order of precedence. */

#define NAMES_MAX                                             \
  16 /* names of headers and parameters that keys are made of \
      */
#define SNI_MAX 255

enum { KIND_NONE, KIND_METHOD, KIND_NAME, KINDS = KIND_NAME + NAMES_MAX };

#define ANYWHERE UINT64_MAX

struct node {
  uint32_t parent;
  uint32_t exact, prefix; /* bit k: there is a list of kind k */
};

struct entry {
  uint64_t key;
  uint32_t match;
};

struct ew_routes {
  struct ew_destination *d;
  struct ew_hash_key seed;
  struct ew_matcher *matchers;
  struct node *nodes;
  size_t nodes_n, nodes_cap;
  struct ew_table children; /* (node, segment) -> node */
  uint32_t anywhere;        /* kinds, as in a node */
  uint32_t kinds;           /* of all places */
  struct ew_match_key names[NAMES_MAX];
  size_t names_n;
  struct entry *entries; /* by key, then by match */
  struct ew_table lists; /* key -> first entry */
  struct ew_table snis;  /* server name or ".suffix" -> l4 rule */
};

struct place {
  uint64_t id;
  uint32_t *kinds;
};

static uint64_t hash_slice(const struct ew_routes *r, struct ew_slice s) {
  return ew_hash(&r->seed, s.p ? s.p : "", s.n);
}

static uint64_t child_key(const struct ew_routes *r, uint32_t node,
                          struct ew_slice segment) {
  uint64_t v[2] = {node, hash_slice(r, segment)};
  return ew_hash(&r->seed, v, sizeof v);
}

static uint64_t list_key(const struct ew_routes *r, uint64_t place,
                         unsigned kind, uint64_t digest) {
  uint64_t v[3] = {place, kind, digest};
  return ew_hash(&r->seed, v, sizeof v);
}

static uint32_t add_node(struct ew_routes *r, uint32_t parent) {
  if (r->nodes_n == r->nodes_cap) {
    r->nodes_cap = r->nodes_cap ? r->nodes_cap * 2 : 16;
    r->nodes = ew_realloc(r->nodes, r->nodes_cap * sizeof *r->nodes);
  }
  r->nodes[r->nodes_n] = (struct node){.parent = parent};
  return (uint32_t)r->nodes_n++;
}

static uint32_t add_segment(struct ew_routes *r, uint32_t node,
                            struct ew_slice segment) {
  uint64_t key = child_key(r, node, segment);
  const uint32_t *known = ew_table_get(&r->children, key);
  if (known)
    return *known;
  uint32_t child = add_node(r, node);
  ew_table_put(&r->children, key, child);
  return child;
}

/* Cuts the next segment off a path: "/a/b" gives "a", then "b". A path that
 * ends in '/' ends in an empty segment. */
static bool next_segment(struct ew_slice *path, struct ew_slice *segment) {
  if (path->n == 0 || path->p[0] != '/')
    return false;
  size_t end = 1;
  while (end < path->n && path->p[end] != '/')
    end++;
  *segment = ew_slice(path->p + 1, end - 1);
  *path = ew_slice(path->p + end, path->n - end);
  return true;
}

static struct place node_place(struct ew_routes *r, uint32_t node, bool exact) {
  struct node *n = &r->nodes[node];
  return (struct place){2 * (uint64_t)node + (exact ? 0 : 1),
                        exact ? &n->exact : &n->prefix};
}

static struct place match_place(struct ew_routes *r, const struct ew_match *m) {
  struct ew_slice segment, path = {0};
  uint32_t node = 0;
  bool grpc = m->grpc_service && m->grpc_type == EW_MATCH_EXACT;
  if (m->path ? m->path_type == EW_MATCH_REGEX : !grpc)
    return (struct place){ANYWHERE, &r->anywhere};
  if (m->path) {
    path = ew_slice_str(m->path);
    while (next_segment(&path, &segment))
      node = add_segment(r, node, segment);
    /* "*", and what is no path and can't come: tested in full anyway. */
    if (path.n > 0)
      return (struct place){ANYWHERE, &r->anywhere};
    return node_place(r, node, m->path_type == EW_MATCH_EXACT);
  }
  node = add_segment(r, node, ew_slice_str(m->grpc_service));
  if (!m->grpc_method)
    return node_place(r, node, false);
  node = add_segment(r, node, ew_slice_str(m->grpc_method));
  return node_place(r, node, true);
}

/* The number of a key's name, taken in if there is room; NAMES_MAX if not. */
static size_t name_index(struct ew_routes *r, const struct ew_match_key *k) {
  for (size_t i = 0; i < r->names_n; i++)
    if (r->names[i].query == k->query && ew_slice_eq(r->names[i].name, k->name))
      return i;
  if (r->names_n == NAMES_MAX)
    return NAMES_MAX;
  r->names[r->names_n] = *k;
  return r->names_n++;
}

static uint64_t name_key(struct ew_routes *r, uint64_t place,
                         const struct ew_match_key *k, size_t name) {
  return list_key(r, place, KIND_NAME + (unsigned)name,
                  hash_slice(r, k->value));
}

/* How many matches ask for each (place, name, value): the rarest of a match's
 * keys makes the shortest list. */
static void count_keys(struct ew_routes *r, const struct place *places,
                       struct ew_table *counts) {
  struct ew_match_key k;
  for (size_t m = 0; m < r->d->matches_n; m++)
    for (size_t i = 0; ew_matcher_next_key(&r->matchers[m], &i, &k);) {
      size_t name = name_index(r, &k);
      if (name < NAMES_MAX)
        ++*ew_table_put(counts, name_key(r, places[m].id, &k, name), 0);
    }
}

static struct entry make_entry(struct ew_routes *r, size_t m, struct place at,
                               const struct ew_table *counts) {
  const char *method = r->d->matches[m].method;
  unsigned kind = method ? KIND_METHOD : KIND_NONE;
  uint64_t key = list_key(r, at.id, kind,
                          method ? hash_slice(r, ew_slice_str(method)) : 0);
  uint32_t rarest = UINT32_MAX;
  struct ew_match_key k;
  for (size_t i = 0; ew_matcher_next_key(&r->matchers[m], &i, &k);) {
    size_t name = name_index(r, &k);
    if (name == NAMES_MAX)
      continue;
    uint64_t candidate = name_key(r, at.id, &k, name);
    uint32_t count = *ew_table_get(counts, candidate);
    if (count < rarest) {
      rarest = count;
      key = candidate;
      kind = KIND_NAME + (unsigned)name;
    }
  }
  *at.kinds |= 1u << kind;
  r->kinds |= 1u << kind;
  return (struct entry){key, (uint32_t)m};
}

static int compare_entries(const void *pa, const void *pb) {
  const struct entry *a = pa, *b = pb;
  if (a->key != b->key)
    return a->key < b->key ? -1 : 1;
  return a->match < b->match ? -1 : a->match > b->match;
}

static void build_lists(struct ew_routes *r) {
  size_t n = r->d->matches_n;
  struct place *places = ew_calloc(n, sizeof *places);
  struct ew_table counts = {0};
  /* Twice: the nodes move while the trie grows. */
  for (int round = 0; round < 2; round++)
    for (size_t m = 0; m < n; m++)
      places[m] = match_place(r, &r->d->matches[m]);
  count_keys(r, places, &counts);
  r->entries = ew_calloc(n, sizeof *r->entries);
  for (size_t m = 0; m < n; m++)
    r->entries[m] = make_entry(r, m, places[m], &counts);
  qsort(r->entries, n, sizeof *r->entries, compare_entries);
  for (size_t i = 0; i < n; i++)
    ew_table_put(&r->lists, r->entries[i].key, (uint32_t)i);
  ew_table_fini(&counts);
  free(places);
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static uint64_t sni_key(const struct ew_routes *r, struct ew_slice name) {
  char low[SNI_MAX] = {0};
  for (size_t i = 0; i < name.n; i++)
    low[i] = lower(name.p[i]);
  return ew_hash(&r->seed, low, name.n);
}

static void build_snis(struct ew_routes *r) {
  for (size_t i = 0; i < r->d->l4_rules_n; i++) {
    const struct ew_rule *rule = &r->d->l4_rules[i];
    /* Rules for every name stand under the empty name. */
    if (rule->snis_n == 0)
      ew_table_put(&r->snis, sni_key(r, ew_slice_str("")), (uint32_t)i);
    for (size_t k = 0; k < rule->snis_n; k++) {
      struct ew_slice name = ew_slice_str(rule->snis[k]);
      if (name.n > 1 && name.p[0] == '*' && name.p[1] == '.')
        name = ew_slice(name.p + 1, name.n - 1);
      if (name.n > 0 && name.n <= SNI_MAX)
        ew_table_put(&r->snis, sni_key(r, name), (uint32_t)i);
    }
  }
}

struct ew_routes *ew_routes_new(struct ew_destination *d, char *why,
                                size_t why_len) {
  struct ew_routes *r = ew_calloc(1, sizeof *r);
  size_t regex_left = EW_ROUTES_REGEX_MAX;
  const char *first = NULL;
  r->d = ew_destination_ref(d);
  EW_BUG_ON(getrandom(&r->seed, sizeof r->seed, 0) != sizeof r->seed);
  r->matchers = ew_calloc(d->matches_n + 1, sizeof *r->matchers);
  for (size_t i = 0; i < d->matches_n; i++) {
    ew_matcher_init(&r->matchers[i], &d->matches[i], &regex_left);
    if (!first)
      first = r->matchers[i].invalid;
  }
  if (why && why_len > 0)
    snprintf(why, why_len, "%s", first ? first : "");
  add_node(r, 0);
  if (d->matches_n > 0)
    build_lists(r);
  build_snis(r);
  return r;
}

void ew_routes_del(struct ew_routes *r) {
  if (!r)
    return;
  for (size_t i = 0; i < r->d->matches_n; i++)
    ew_matcher_fini(&r->matchers[i]);
  free(r->matchers);
  free(r->nodes);
  free(r->entries);
  ew_table_fini(&r->children);
  ew_table_fini(&r->lists);
  ew_table_fini(&r->snis);
  ew_destination_unref(r->d);
  free(r);
}

struct ew_destination *ew_routes_destination(const struct ew_routes *r) {
  return r->d;
}

/* One look-up. */
struct lookup {
  const struct ew_routes *r;
  const struct ew_message *req;
  uint32_t has;           /* bit k: the request has a key of kind k */
  uint64_t digest[KINDS]; /* of the values it has */
  size_t best;            /* lowest index that fits so far */
};

static void read_keys(struct lookup *l) {
  char buf[EW_HEAD_MAX];
  struct ew_slice value;
  l->has = l->r->kinds & (1u << KIND_NONE | 1u << KIND_METHOD);
  l->digest[KIND_NONE] = 0;
  if (l->has & 1u << KIND_METHOD)
    l->digest[KIND_METHOD] = hash_slice(l->r, l->req->method);
  for (size_t i = 0; i < l->r->names_n; i++) {
    const struct ew_match_key *k = &l->r->names[i];
    bool found =
        k->query ? ew_query_value(ew_message_query(l->req), k->name, buf,
                                  sizeof buf, &value)
                 : ew_header_value(l->req, k->name, buf, sizeof buf, &value);
    if (!found)
      continue;
    l->has |= 1u << (KIND_NAME + i);
    l->digest[KIND_NAME + i] = hash_slice(l->r, value);
  }
}

static void visit_list(struct lookup *l, uint64_t key) {
  const struct ew_routes *r = l->r;
  const uint32_t *first = ew_table_get(&r->lists, key);
  if (!first)
    return;
  for (size_t i = *first; i < r->d->matches_n && r->entries[i].key == key;
       i++) {
    size_t m = r->entries[i].match;
    if (m >= l->best)
      return;
    if (ew_matcher_test(&r->matchers[m], l->req)) {
      l->best = m;
      return;
    }
  }
}

static void visit_place(struct lookup *l, uint64_t place, uint32_t kinds) {
  kinds &= l->has;
  for (unsigned k = 0; kinds >> k != 0; k++)
    if (kinds >> k & 1)
      visit_list(l, list_key(l->r, place, k, l->digest[k]));
}

const struct ew_match *ew_routes_find(const struct ew_routes *r,
                                      const struct ew_message *req) {
  struct lookup l = {.r = r, .req = req, .best = SIZE_MAX};
  struct ew_slice segment, rest, path = ew_message_path_only(req);
  uint32_t node = 0;
  read_keys(&l);
  /* Down as far as the trie knows the path; |path| is what is left. */
  for (rest = path; r->children.n > 0 && next_segment(&rest, &segment);
       path = rest) {
    const uint32_t *child =
        ew_table_get(&r->children, child_key(r, node, segment));
    if (!child)
      break;
    node = *child;
  }
  if (path.n == 0)
    visit_place(&l, 2 * (uint64_t)node, r->nodes[node].exact);
  /* Up again: the longest prefixes usually have the lowest indexes, and what
   * stands behind the best one so far is not tested. */
  for (;; node = r->nodes[node].parent) {
    visit_place(&l, 2 * (uint64_t)node + 1, r->nodes[node].prefix);
    if (node == 0)
      break;
  }
  visit_place(&l, ANYWHERE, r->anywhere);
  return l.best < r->d->matches_n ? &r->d->matches[l.best] : NULL;
}

const char *ew_routes_invalid(const struct ew_routes *r,
                              const struct ew_match *m) {
  return r->matchers[m - r->d->matches].invalid;
}

const struct ew_rule *ew_routes_l4(const struct ew_routes *r,
                                   struct ew_slice sni) {
  uint32_t best = UINT32_MAX;
  const uint32_t *found = ew_table_get(&r->snis, sni_key(r, ew_slice_str("")));
  if (found)
    best = *found;
  if (sni.n > SNI_MAX)
    sni.n = 0;
  /* The whole name, then ".example.com", ".com": a wildcard's key. A name that
   * itself begins with a dot is none. */
  for (size_t i = 0; i < sni.n && sni.p[0] != '.'; i++) {
    if (i > 0 && sni.p[i] != '.')
      continue;
    found = ew_table_get(&r->snis, sni_key(r, ew_slice(sni.p + i, sni.n - i)));
    if (found && *found < best)
      best = *found;
  }
  return best < r->d->l4_rules_n ? &r->d->l4_rules[best] : NULL;
}
