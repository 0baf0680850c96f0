/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_CONTROLLER_TOPICS_H
#define EASTWEST_CONTROLLER_TOPICS_H

#include "controller/objects.h"
#include "eastwest/base/list.h"
#include "eastwest/net/addr.h"

/* The addresses that somebody follows, each compiled once per namespace of
 * clients however many sidecars follow it. */
struct ew_topics;

struct ew_topic {
  struct ew_list node;     /* private */
  struct ew_list watchers; /* the owner's; an empty topic is to be dropped */
  char *key;               /* private: namespace and address */
  char *namespace_;        /* of the clients */
  char ip[EW_ADDR_STR];
  uint16_t port;
  uint64_t version; /* grows with each change of the state */
  char *line;       /* the state as a line of a discovery stream, with '\n' */
  size_t line_len;
  char *state; /* private: the destination alone, to compare */
};

/* |objects| and |trust_domain| must outlive it. */
struct ew_topics *ew_topics_new(const struct ew_objects *objects,
                                const char *trust_domain);
void ew_topics_del(struct ew_topics *t); /* all must have been dropped */
size_t ew_topics_count(const struct ew_topics *t);

/* Found or made, with its state. */
struct ew_topic *ew_topics_get(struct ew_topics *t, const char *ns,
                               const struct ew_addr *addr);
/* Frees it; its address in the list of watchers must be empty. */
void ew_topics_drop(struct ew_topics *t, struct ew_topic *topic);

/* Compiles all again and calls |on_change| for those that changed. */
void ew_topics_update(struct ew_topics *t,
                      void (*on_change)(void *arg, struct ew_topic *topic),
                      void *arg);
/* Calls |fn| for all; like |on_change| it may drop the topic that it is called
 * with, and no other. */
void ew_topics_each(struct ew_topics *t,
                    void (*fn)(void *arg, struct ew_topic *topic), void *arg);

#endif
