/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/get.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"
#include "eastwest/base/slice.h"

#define HEAD_MAX 65536u
#define REQUEST_MAX (EW_GET_TARGET_MAX + EW_GET_AUTHORITY_MAX + 64)
#define TIMEOUT_S 10
#define AGAIN_MS 200

/* IP, [IPv6] or localhost, each with or without a port. */
static int parse_authority(struct ew_addr *to, struct ew_slice authority) {
  struct ew_slice host = authority, port;
  char ip[EW_ADDR_STR];
  uint64_t n = 80;

  if (host.n > 0 && host.p[0] == '[') {
    port = ew_slice(host.p + 1, host.n - 1);
    host = ew_slice_cut(&port, ']');
    /* Nothing is left, not even an empty rest, where there was no ']'. */
    if (!port.p || (port.n > 0 && port.p[0] != ':'))
      return EW_EINVAL;
    if (port.n > 0)
      port = ew_slice(port.p + 1, port.n - 1);
  } else {
    port = host;
    host = ew_slice_cut(&port, ':');
  }
  if (ew_slice_eq_str(host, "localhost"))
    host = ew_slice_str("127.0.0.1");
  if (host.n >= sizeof(ip) ||
      (port.n > 0 && (ew_slice_u64(port, 65535, &n) != EW_OK || n == 0)))
    return EW_EINVAL;
  memcpy(ip, host.p, host.n);
  ip[host.n] = '\0';
  return ew_addr_set(to, ip, (uint16_t)n);
}

int ew_get_parse(struct ew_get *g, const char *url) {
  struct ew_slice rest = ew_slice_str(url), authority;
  ptrdiff_t slash;

  if (!ew_slice_starts(rest, EW_SLICE_LIT("http://")))
    return EW_EINVAL;
  rest = ew_slice(rest.p + 7, rest.n - 7);
  slash = ew_slice_chr(rest, '/');
  authority = ew_slice(rest.p, slash < 0 ? rest.n : (size_t)slash);
  rest = ew_slice(rest.p + authority.n, rest.n - authority.n);
  for (const char *s = url; *s; s++)
    if (*s <= ' ' || *s > '~')
      return EW_EINVAL;
  if (authority.n >= sizeof(g->authority) || rest.n >= sizeof(g->target))
    return EW_EINVAL;
  snprintf(g->authority, sizeof(g->authority), "%.*s", EW_SLICE_FMT(authority));
  snprintf(g->target, sizeof(g->target), "%s", rest.n ? rest.p : "/");
  return parse_authority(&g->to, authority);
}

static int open_socket(const struct ew_addr *to) {
  const struct timeval limit = {.tv_sec = TIMEOUT_S};
  int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

  /* The limit of sending is that of connecting, too. */
  if (fd >= 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
      connect(fd, &to->u.sa, ew_addr_len(to)) == 0)
    return fd;
  if (fd >= 0) {
    int why = errno;
    close(fd);
    errno = why;
  }
  return -1;
}

/* HTTP/1.0: the end of the connection is the end of the answer, and nothing is
 * chunked. */
static bool send_request(int fd, const struct ew_get *g) {
  char text[REQUEST_MAX];
  int n = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n",
                   g->target, g->authority);

  for (int sent = 0; sent < n;) {
    ssize_t k = send(fd, text + sent, (size_t)(n - sent), MSG_NOSIGNAL);
    if (k <= 0)
      return false;
    sent += (int)k;
  }
  return true;
}

/* Reads until the head is whole; returns its length, 0 if none came. */
static size_t read_head(int fd, struct ew_buf *b) {
  char chunk[4096];
  ssize_t n;

  while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
    const char *end;
    if (ew_buf_append(b, ew_slice(chunk, (size_t)n)) != EW_OK)
      return 0;
    end = memmem(ew_buf_peek(b).p, ew_buf_len(b), "\r\n\r\n", 4);
    if (end)
      return (size_t)(end - ew_buf_peek(b).p) + 4;
  }
  return 0;
}

static int status_of(struct ew_slice head) {
  struct ew_slice line = ew_slice_cut(&head, '\r');
  struct ew_slice version = ew_slice_cut(&line, ' ');
  uint64_t status;

  if (!ew_slice_starts(version, EW_SLICE_LIT("HTTP/1.")) ||
      ew_slice_u64(ew_slice_cut(&line, ' '), 999, &status) != EW_OK)
    return 0;
  return (int)status;
}

/* What content-length says; |or_else| without. */
static uint64_t length_of(struct ew_slice head, uint64_t or_else) {
  while (head.n > 0) {
    struct ew_slice value = ew_slice_cut(&head, '\n');
    struct ew_slice name = ew_slice_cut(&value, ':');
    uint64_t n;
    if (value.n > 0 && value.p[value.n - 1] == '\r')
      value.n--;
    if (ew_slice_caseeq(name, EW_SLICE_LIT("content-length")) &&
        ew_slice_u64(ew_slice_trim(value), UINT64_MAX, &n) == EW_OK)
      return n;
  }
  return or_else;
}

/* False if the end came too early, or not in order. */
static bool copy_body(int fd, struct ew_slice head, struct ew_slice first,
                      FILE *out) {
  uint64_t got = first.n;
  char chunk[16384];
  ssize_t n;

  fwrite(first.p, 1, first.n, out);
  while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
    fwrite(chunk, 1, (size_t)n, out);
    got += (uint64_t)n;
  }
  return fflush(out) == 0 && n == 0 && got >= length_of(head, 0);
}

static bool fail(const struct ew_get *g, const char *why) {
  fprintf(stderr, "eastwest-sidecar: http://%s%s: %s\n", g->authority,
          g->target, why);
  return false;
}

static bool take_answer(const struct ew_get *g, int fd) {
  struct ew_buf head;
  size_t n;
  int status;
  bool good = false;

  ew_buf_init(&head, HEAD_MAX);
  n = read_head(fd, &head);
  status = n ? status_of(ew_slice(ew_buf_peek(&head).p, n)) : 0;
  if (status == 0) {
    fail(g, "no answer of HTTP");
  } else {
    struct ew_slice all = ew_buf_peek(&head);
    good = status >= 200 && status <= 299;
    if (!good)
      fprintf(stderr,
              "eastwest-sidecar: http://%s%s: status %d: ", g->authority,
              g->target, status);
    if (!copy_body(fd, ew_slice(all.p, n), ew_slice(all.p + n, all.n - n),
                   good ? stdout : stderr))
      good = fail(g, "the answer broke off");
  }
  ew_buf_fini(&head);
  return good;
}

static bool ask(const struct ew_get *g) {
  int fd = open_socket(&g->to);
  bool good;

  if (fd < 0)
    return fail(g, strerror(errno));
  good = send_request(fd, g) ? take_answer(g, fd) : fail(g, strerror(errno));
  close(fd);
  return good;
}

int ew_get_run(const struct ew_get *g, uint32_t wait_s) {
  struct timespec now;
  time_t until;

  clock_gettime(CLOCK_MONOTONIC, &now);
  until = now.tv_sec + wait_s;
  while (!ask(g)) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec >= until)
      return 1;
    (void)poll(NULL, 0, AGAIN_MS);
  }
  return 0;
}
