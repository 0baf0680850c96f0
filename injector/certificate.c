/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "eastwest/base/alloc.h"
#include "eastwest/base/err.h"
#include "eastwest/base/log.h"

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

struct ew_certificate {
  const char *cert_path, *key_path;
  struct stamp cert, key; /* when last tried */
  struct ew_tls_ctx *tls;
  struct ew_timer poll;
  struct ew_series *faults, *not_after;
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

static struct ew_tls_ctx *load(const struct ew_certificate *c, char *why,
                               size_t why_len) {
  struct ew_tls_ctx *tls = NULL;
  char *cert = read_file(c->cert_path, why, why_len);
  char *key = cert ? read_file(c->key_path, why, why_len) : NULL;

  if (key) {
    tls = ew_tls_server_plain_ctx_new(cert, key, why, why_len);
    explicit_bzero(key, strlen(key));
  }
  free(key);
  free(cert);
  return tls;
}

/* The two may change one after the other: a pair that does not fit is tried
 * again with the next change. */
static void follow(struct ew_certificate *c) {
  struct stamp cert = look(c->cert_path), key = look(c->key_path);
  struct ew_tls_ctx *fresh;
  char why[512] = "";

  if (memcmp(&cert, &c->cert, sizeof(cert)) == 0 &&
      memcmp(&key, &c->key, sizeof(key)) == 0)
    return;
  c->cert = cert;
  c->key = key;
  fresh = load(c, why, sizeof(why));
  if (!fresh) {
    ew_series_add(c->faults, 1);
    ew_log(EW_LOG_ERROR, "certificate not usable", "error=%s", why);
    return;
  }
  ew_tls_ctx_unref(c->tls);
  c->tls = fresh;
  ew_series_set(c->not_after, ew_tls_ctx_not_after(fresh));
  ew_log(EW_LOG_INFO, "certificate in use", "notAfter=%lld",
         ew_tls_ctx_not_after(fresh));
}

static void on_poll(struct ew_timer *t) {
  struct ew_certificate *c = EW_CONTAINER(t, struct ew_certificate, poll);

  follow(c);
  ew_timer_start(&c->poll, POLL_MS);
}

struct ew_certificate *ew_certificate_new(struct ew_loop *loop,
                                          const char *cert, const char *key,
                                          struct ew_metrics *m) {
  struct ew_certificate *c = ew_calloc(1, sizeof(*c));

  c->cert_path = cert;
  c->key_path = key;
  c->faults =
      ew_series_ref(m, EW_COUNTER, "eastwest_injector_certificate_faults_total",
                    "Certificates that could not be used.", NULL, 0);
  c->not_after = ew_series_ref(
      m, EW_GAUGE, "eastwest_injector_certificate_not_after_seconds",
      "End of the certificate in use, in Unix seconds.", NULL, 0);
  ew_timer_init(loop, &c->poll, on_poll);
  on_poll(&c->poll);
  return c;
}

void ew_certificate_del(struct ew_certificate *c) {
  if (!c)
    return;
  ew_timer_stop(&c->poll);
  ew_tls_ctx_unref(c->tls);
  free(c);
}

struct ew_tls_ctx *ew_certificate_tls(const struct ew_certificate *c) {
  return c->tls;
}
