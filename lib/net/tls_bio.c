/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/tls_bio.h"

#include <pthread.h>
#include <string.h>

#include "eastwest/base/err.h"
#include "lib/net/loop_uv.h"

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *b, char *p, size_t n, size_t *got) {
  struct ew_tls_lower *lo = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  ptrdiff_t r = ew_stream_read(lo->below, p, n);
  if (r > 0) {
    *got = (size_t)r;
    return 1;
  }
  *got = 0;
  if (r == EW_EAGAIN)
    BIO_set_retry_read(b);
  else
    lo->err = (int)r;
  return 0;
}

void ew_tls_lower_init(struct ew_tls_lower *lo, struct ew_stream *below) {
  *lo = (struct ew_tls_lower){.below = below};
  ew_buf_init(&lo->held, EW_CIPHER_SIZE);
}

void ew_tls_lower_fini(struct ew_tls_lower *lo) { ew_buf_fini(&lo->held); }

int ew_tls_lower_flush(struct ew_tls_lower *lo) {
  while (ew_buf_len(&lo->held) > 0) {
    struct ew_slice v = ew_buf_peek(&lo->held);
    ptrdiff_t r = ew_stream_write(lo->below, &v, 1);
    if (r < 0) {
      if (r != EW_EAGAIN)
        lo->err = (int)r;
      return (int)r;
    }
    ew_buf_consume(&lo->held, (size_t)r);
  }
  ew_buf_release(&lo->held);
  return EW_OK;
}

void ew_tls_lower_cork(struct ew_tls_lower *lo) {
  EW_BUG_ON(lo->cork || ew_tls_lower_holds(lo));
  lo->cork = true;
  lo->corked = 0;
}

ptrdiff_t ew_tls_lower_uncork(struct ew_tls_lower *lo) {
  struct ew_slice v = {ew_loop_cipher(lo->below->loop), lo->corked};
  ptrdiff_t r;

  lo->cork = false;
  if (v.n == 0)
    return 0;
  r = ew_stream_write(lo->below, &v, 1);
  if (r < 0 && r != EW_EAGAIN) {
    lo->err = (int)r;
    return r;
  }
  if (r < 0)
    r = 0;
  (void)ew_buf_append(&lo->held, ew_slice(v.p + r, v.n - (size_t)r));
  return r;
}

static int collect(struct ew_tls_lower *lo, const char *p, size_t n) {
  EW_BUG_ON(n > EW_CIPHER_SIZE - lo->corked);
  memcpy(ew_loop_cipher(lo->below->loop) + lo->corked, p, n);
  lo->corked += n;
  return 1;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *done) {
  struct ew_tls_lower *lo = BIO_get_data(b);
  struct ew_slice v = {p, n};
  BIO_clear_retry_flags(b);
  *done = n;
  if (lo->cork)
    return collect(lo, p, n);
  ptrdiff_t r = ew_tls_lower_flush(lo);
  if (r == EW_OK)
    r = ew_stream_write(lo->below, &v, 1);
  if (r > 0) {
    *done = (size_t)r;
    return 1;
  }
  *done = 0;
  if (r == EW_EAGAIN)
    BIO_set_retry_write(b);
  else
    lo->err = (int)r;
  return 0;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
  const struct ew_tls_lower *lo = BIO_get_data(b);
  switch (cmd) {
  case BIO_CTRL_FLUSH:
    return 1;
  case BIO_CTRL_EOF:
    return lo->err == EW_EOF;
  default:
    return 0;
  }
}

static void make_method(void) {
  method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
  EW_BUG_ON(!method);
  BIO_meth_set_read_ex(method, bio_read);
  BIO_meth_set_write_ex(method, bio_write);
  BIO_meth_set_ctrl(method, bio_ctrl);
}

BIO *ew_tls_bio_new(struct ew_tls_lower *lo) {
  pthread_once(&once, make_method);
  BIO *b = BIO_new(method);
  EW_BUG_ON(!b);
  BIO_set_data(b, lo);
  BIO_set_init(b, 1);
  return b;
}
