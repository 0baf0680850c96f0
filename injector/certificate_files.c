/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/certificate_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "eastwest/base/alloc.h"

#define POLL_MS 1000
#define PEM_FILE_MAX (256u << 10)

/* What differs when a file was written or replaced. */
struct stamp {
  dev_t dev;
  ino_t ino;
  off_t size;
  long long mtime_s, ctime_s;
  long mtime_ns, ctime_ns;
  int error;
};

struct ew_certificate_files {
  const char *cert_path, *key_path;
  struct stamp cert, key; /* when last tried */
  struct ew_timer poll;
  struct ew_certificate *to;
};

static struct stamp look(const char *path) {
  struct stamp out;
  struct stat st;

  memset(&out, 0, sizeof(out)); /* padding too: compared by memcmp */
  if (stat(path, &st) != 0) {
    out.error = errno;
    return out;
  }
  out.dev = st.st_dev;
  out.ino = st.st_ino;
  out.size = st.st_size;
  out.mtime_s = st.st_mtim.tv_sec;
  out.mtime_ns = st.st_mtim.tv_nsec;
  out.ctime_s = st.st_ctim.tv_sec;
  out.ctime_ns = st.st_ctim.tv_nsec;
  return out;
}

/* NULL with a reason in |why|. */
static char *read_file(const char *path, char *why, size_t why_len) {
  FILE *f = fopen(path, "rbe");
  char *text;
  size_t n;

  if (!f) {
    snprintf(why, why_len, "%s: %s", path, strerror(errno));
    return NULL;
  }
  text = ew_malloc(PEM_FILE_MAX + 1);
  n = fread(text, 1, PEM_FILE_MAX + 1, f);
  fclose(f);
  if (n > 0 && n <= PEM_FILE_MAX) {
    text[n] = '\0';
    return text;
  }
  snprintf(why, why_len, "%s: %s", path, n ? "too large" : "empty");
  explicit_bzero(text, n);
  free(text);
  return NULL;
}

static void load(struct ew_certificate_files *f) {
  char why[512] = "";
  char *cert = read_file(f->cert_path, why, sizeof(why));
  char *key = cert ? read_file(f->key_path, why, sizeof(why)) : NULL;

  if (key) {
    (void)ew_certificate_use(f->to, cert, key);
    explicit_bzero(key, strlen(key));
  } else {
    ew_certificate_fault(f->to, why);
  }
  free(key);
  free(cert);
}

/* The two may change one after the other: a pair that does not fit is tried
 * again with the next change. */
static void follow(struct ew_certificate_files *f) {
  struct stamp cert = look(f->cert_path), key = look(f->key_path);

  if (memcmp(&cert, &f->cert, sizeof(cert)) == 0 &&
      memcmp(&key, &f->key, sizeof(key)) == 0)
    return;
  f->cert = cert;
  f->key = key;
  load(f);
}

static void on_poll(struct ew_timer *t) {
  struct ew_certificate_files *f =
      EW_CONTAINER(t, struct ew_certificate_files, poll);

  follow(f);
  ew_timer_start(&f->poll, POLL_MS);
}

struct ew_certificate_files *
ew_certificate_files_new(struct ew_loop *loop, const char *cert,
                         const char *key, struct ew_certificate *to) {
  struct ew_certificate_files *f = ew_calloc(1, sizeof(*f));

  f->cert_path = cert;
  f->key_path = key;
  f->to = to;
  ew_timer_init(loop, &f->poll, on_poll);
  on_poll(&f->poll);
  return f;
}

void ew_certificate_files_del(struct ew_certificate_files *f) {
  if (!f)
    return;
  ew_timer_stop(&f->poll);
  free(f);
}
