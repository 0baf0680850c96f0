/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EW_LIB_MANIFESTS_FILE_H
#define EW_LIB_MANIFESTS_FILE_H

#include <sys/stat.h>

#include "eastwest/manifests/manifests.h"

/* One file of manifests and the objects that it last gave. */
struct ew_mfile {
  char *name;       /* below its folder: "a.yaml", "sub/a.yaml" */
  char *path;       /* folder and name, as told to people */
  struct stat seen; /* of the last look; all zero: never */
  bool again;       /* read it even without a change: the last attempt failed,
                       or the change was so shortly before that look that a
                       further one may have left the same time */
  bool emptied;     /* had no bytes at the last look, but had objects */
  bool fault_told;  /* the file could not be read, and that was told */
  bool parsed;      /* |hash| is of the text of the last attempt to parse */
  uint64_t hash;
  json_t *entries; /* list of {"key", "where", "object", "line"}, in order */
};

/* KIND/NAMESPACE/NAME, see document.h. */
#define EW_MFILE_KEY "%s/%s/%s"

struct ew_mfile_events {
  void (*on_fault)(void *arg, const char *path, size_t line, const char *why);
};

struct ew_mfile *ew_mfile_new(const char *dir, const char *name);
void ew_mfile_del(struct ew_mfile *f);

/* Reads the file again if it changed. Returns whether |entries| is a new list.
 * A file that is gone, can't be read or can't be parsed keeps its entries; a
 * |line| of 0 in a fault stands for the whole file. */
bool ew_mfile_refresh(struct ew_mfile *f, const struct ew_mfile_events *events,
                      void *arg);

#endif
