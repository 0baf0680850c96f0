/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/tokens.h"

#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/list.h"
#include "eastwest/base/log.h"

#define TOKENS_FILE_MAX (8 << 20)
#define TOKEN_MIN 16 /* bytes; a shorter one could be guessed */

struct ew_tokens {
  struct ew_authenticator authenticator;
  char *path;
  struct stat seen;
  json_t *list; /* checked; NULL before the first good file */
};

void ew_tokens_del(struct ew_tokens *t) {
  if (!t)
    return;
  json_decref(t->list);
  free(t->path);
  free(t);
}

static const char *member(const json_t *entry, const char *name) {
  return json_string_value(json_object_get(entry, name));
}

static const char *fault_of(const json_t *list) {
  if (!json_is_array(list))
    return "tokens: expected a list";
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *e = json_array_get(list, i);
    const char *token = member(e, "token");
    if (!token || strlen(token) < TOKEN_MIN)
      return "token: expected a string of at least 16 characters";
    if (!member(e, "namespace") || !member(e, "serviceAccount"))
      return "namespace and serviceAccount: expected strings";
  }
  return NULL;
}

static bool changed(struct ew_tokens *t) {
  struct stat s;

  if (stat(t->path, &s) != 0)
    return false;
  if (s.st_ino == t->seen.st_ino && s.st_size == t->seen.st_size &&
      s.st_mtim.tv_sec == t->seen.st_mtim.tv_sec &&
      s.st_mtim.tv_nsec == t->seen.st_mtim.tv_nsec)
    return false;
  t->seen = s;
  return s.st_size <= TOKENS_FILE_MAX;
}

static void reload(struct ew_tokens *t) {
  json_error_t error;
  json_t *root, *list;
  const char *fault;

  if (!changed(t))
    return;
  root = json_load_file(t->path, 0, &error);
  list = json_object_get(root, "tokens");
  /* jansson's own text quotes what stands there, which may be a token. */
  fault = root ? fault_of(list) : "expected JSON";
  if (fault) {
    ew_log(EW_LOG_ERROR, "token file refused", "file=%s line=%d error=%s",
           t->path, root ? 0 : error.line, fault);
  } else {
    json_decref(t->list);
    t->list = json_incref(list);
  }
  json_decref(root);
}

/* Takes the same time wherever the first difference is. */
static bool same(struct ew_slice a, const char *b) {
  unsigned char diff = 0;

  if (strlen(b) != a.n)
    return false;
  for (size_t i = 0; i < a.n; i++)
    diff |= (unsigned char)(a.p[i] ^ b[i]);
  return diff == 0;
}

static void check(struct ew_authenticator *a, struct ew_slice token,
                  ew_token_done_fn *done, void *arg) {
  struct ew_tokens *t = EW_CONTAINER(a, struct ew_tokens, authenticator);
  const json_t *found = NULL;
  struct ew_token_owner owner;
  const char *pod;

  reload(t);
  for (size_t i = 0; i < json_array_size(t->list); i++) {
    const json_t *e = json_array_get(t->list, i);
    if (same(token, member(e, "token")))
      found = e;
  }
  if (!found) {
    done(arg, EW_TOKEN_BAD, NULL);
    return;
  }
  pod = member(found, "pod");
  owner =
      (struct ew_token_owner){member(found, "namespace"),
                              member(found, "serviceAccount"), pod ? pod : ""};
  done(arg, EW_TOKEN_GOOD, &owner);
}

static void forget(struct ew_authenticator *a, void *arg) {
  (void)a;
  (void)arg;
}

struct ew_authenticator *ew_tokens_authenticator(struct ew_tokens *t) {
  return &t->authenticator;
}

struct ew_tokens *ew_tokens_new(const char *path) {
  struct ew_tokens *t = ew_calloc(1, sizeof(*t));

  t->authenticator = (struct ew_authenticator){check, forget};
  t->path = ew_strdup(path);
  return t;
}
