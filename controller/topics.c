/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/topics.h"

#include <stdio.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/strmap.h"
#include "eastwest/base/err.h"

#define KEY_MAX 512

struct ew_topics {
  const struct ew_objects *objects;
  const char *trust_domain;
  struct ew_list all;
  struct ew_strmap by_key;
  uint64_t last_version;
};

struct ew_topics *ew_topics_new(const struct ew_objects *objects,
                                const char *trust_domain) {
  struct ew_topics *t = ew_calloc(1, sizeof(*t));

  t->objects = objects;
  t->trust_domain = trust_domain;
  ew_list_init(&t->all);
  return t;
}

void ew_topics_del(struct ew_topics *t) {
  while (!ew_list_empty(&t->all))
    ew_topics_drop(t, EW_CONTAINER(t->all.next, struct ew_topic, node));
  ew_strmap_fini(&t->by_key);
  free(t);
}

size_t ew_topics_count(const struct ew_topics *t) { return t->by_key.n; }

static void put_line(struct ew_topic *topic, size_t state_len) {
  static const char fmt[] =
      "{\"version\":%llu,\"complete\":true,\"destination\":%s}\n";
  size_t most = state_len + sizeof(fmt) + 24;
  int n;

  free(topic->line);
  topic->line = ew_malloc(most);
  n = snprintf(topic->line, most, fmt, (unsigned long long)topic->version,
               topic->state);
  topic->line_len = (size_t)n;
}

/* Whether the state is another one than before. */
static bool refresh(struct ew_topics *t, struct ew_topic *topic) {
  struct ew_destination *d = ew_compile(
      t->objects, topic->namespace_, topic->ip, topic->port, t->trust_domain);
  size_t len;
  char *text = ew_destination_to_json(d, &len);
  char *state = ew_strndup(text, len);

  free(text);
  ew_destination_unref(d);
  if (topic->state && strcmp(topic->state, state) == 0) {
    free(state);
    return false;
  }
  free(topic->state);
  topic->state = state;
  topic->version = ++t->last_version;
  put_line(topic, len);
  return true;
}

struct ew_topic *ew_topics_get(struct ew_topics *t, const char *ns,
                               const struct ew_addr *addr) {
  char key[KEY_MAX], text[EW_ADDR_STR];
  struct ew_topic *topic;

  snprintf(key, sizeof(key), "%s %s", ns, ew_addr_str(addr, text));
  topic = ew_strmap_get(&t->by_key, key);
  if (topic)
    return topic;
  topic = ew_calloc(1, sizeof(*topic));
  ew_list_init(&topic->node);
  ew_list_init(&topic->watchers);
  topic->key = ew_strdup(key);
  topic->namespace_ = ew_strdup(ns);
  topic->port = ew_addr_port(addr);
  ew_addr_ip(addr, topic->ip);
  ew_list_push_back(&t->all, &topic->node);
  ew_strmap_put(&t->by_key, key, topic);
  refresh(t, topic);
  return topic;
}

void ew_topics_drop(struct ew_topics *t, struct ew_topic *topic) {
  EW_BUG_ON(!ew_list_empty(&topic->watchers));
  ew_strmap_remove(&t->by_key, topic->key);
  ew_list_remove(&topic->node);
  free(topic->key);
  free(topic->namespace_);
  free(topic->line);
  free(topic->state);
  free(topic);
}

void ew_topics_update(struct ew_topics *t,
                      void (*on_change)(void *arg, struct ew_topic *topic),
                      void *arg) {
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &t->all) {
    struct ew_topic *topic = EW_CONTAINER(it, struct ew_topic, node);
    if (refresh(t, topic))
      on_change(arg, topic);
  }
}

void ew_topics_each(struct ew_topics *t,
                    void (*fn)(void *arg, struct ew_topic *topic), void *arg) {
  struct ew_list *it, *tmp;

  EW_LIST_EACH(it, tmp, &t->all)
  fn(arg, EW_CONTAINER(it, struct ew_topic, node));
}
