/* SPDX-License-Identifier: Apache-2.0 */
/* relay [--accept PEM CA | --connect PEM CA] LISTEN_ADDRESS PORT ADDRESS
 * PORT...
 *
 * The least that a proxy can do: what one connection brings is written to the
 * other, one read and one write for each, without HTTP. Two of these in a row
 * show what two hops cost; no proxy that handles each message by itself can be
 * below. --accept and --connect put mutual TLS 1.3 on one side, with what
 * OpenSSL does when it is left alone. For the benchmark only, on trusted
 * connections: a write that blocks and a handshake make all wait. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024

static char piece[65536];
static SSL_CTX *accept_tls, *connect_tls;

struct end {
  int fd;
  SSL *ssl;              /* or NULL */
  struct end *other;     /* NULL: a listener */
  struct sockaddr_in to; /* of a listener */
  struct end *next;      /* among those to be freed */
  bool done;
};

static struct end *gone;

static void fail(const char *what) {
  fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct sockaddr_in address(const char *host, const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons((uint16_t)atoi(port))};

  if (inet_pton(AF_INET, host, &a.sin_addr) != 1) {
    fprintf(stderr, "relay: %s: expected an IPv4 address\n", host);
    exit(2);
  }
  return a;
}

/* OpenSSL reads no more than a record's worth, so it has to be told again. */
static void watch(int ep, struct end *e) {
  struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = e};

  if (!e->ssl)
    ev.events |= EPOLLET;
  if (epoll_ctl(ep, EPOLL_CTL_ADD, e->fd, &ev) != 0)
    fail("epoll_ctl");
}

/* With TLS on |ctx| unless it is NULL. NULL if that fails. */
static struct end *end_new(int fd, SSL_CTX *ctx) {
  struct end *e = calloc(1, sizeof(*e));
  int on = 1;

  if (!e)
    fail("calloc");
  e->fd = fd;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!ctx)
    return e;
  e->ssl = SSL_new(ctx);
  if (e->ssl && SSL_set_fd(e->ssl, fd) == 1 &&
      (ctx == accept_tls ? SSL_accept : SSL_connect)(e->ssl) == 1 &&
      fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
    return e;
  SSL_free(e->ssl);
  free(e);
  return NULL;
}

/* Freed after the turn: an event of this turn may still name it. */
static void end_del(struct end *e) {
  SSL_free(e->ssl);
  ERR_clear_error(); /* or the next connection would seem to have failed */
  e->ssl = NULL;
  close(e->fd);
  e->done = true;
  e->next = gone;
  gone = e;
}

/* Bytes read; 0 at the end or after an error; -1: nothing there now. */
static ssize_t take(struct end *e) {
  size_t n;
  ssize_t got;

  if (!e->ssl) {
    got = recv(e->fd, piece, sizeof(piece), MSG_DONTWAIT);
    return got < 0 && errno != EAGAIN ? 0 : got;
  }
  if (SSL_read_ex(e->ssl, piece, sizeof(piece), &n) == 1)
    return (ssize_t)n;
  return SSL_get_error(e->ssl, 0) == SSL_ERROR_WANT_READ ? -1 : 0;
}

static bool wait_writable(int fd) {
  struct pollfd one = {.fd = fd, .events = POLLOUT};
  return poll(&one, 1, -1) == 1;
}

static bool give(struct end *e, const char *p, size_t n) {
  while (n > 0) {
    size_t done;
    ssize_t k;
    if (e->ssl) {
      k = SSL_write_ex(e->ssl, p, n, &done) == 1 ? (ssize_t)done : -1;
      if (k < 0 && SSL_get_error(e->ssl, 0) == SSL_ERROR_WANT_WRITE &&
          wait_writable(e->fd))
        continue;
    } else {
      k = send(e->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (k < 0 && errno == EAGAIN && wait_writable(e->fd))
        continue;
    }
    if (k < 0)
      return false;
    p += k;
    n -= (size_t)k;
  }
  return true;
}

/* Less than there was room for: the rest will be told. But OpenSSL may hold a
 * record more than it gave. */
static bool has_more(const struct end *e, ssize_t n) {
  return e->ssl ? SSL_has_pending(e->ssl) : n == (ssize_t)sizeof(piece);
}

static void pass(struct end *e) {
  ssize_t n;

  do {
    n = take(e);
    if (n < 0)
      return;
    if (n == 0 || !give(e->other, piece, (size_t)n)) {
      end_del(e->other);
      end_del(e);
      return;
    }
  } while (has_more(e, n));
}

static void open_pair(int ep, const struct end *listener, int fd) {
  int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct end *a = NULL, *b = NULL;

  if (to < 0)
    fail("socket");
  if (connect(to, (const struct sockaddr *)&listener->to,
              sizeof(listener->to)) == 0)
    b = end_new(to, connect_tls);
  if (b)
    a = end_new(fd, accept_tls);
  if (!a) {
    if (b)
      end_del(b);
    else
      close(to);
    close(fd);
    return;
  }
  a->other = b;
  b->other = a;
  watch(ep, a);
  watch(ep, b);
  /* What came behind the last words of the handshake is with OpenSSL, and will
   * not be told. */
  if (a->ssl && SSL_has_pending(a->ssl))
    pass(a);
}

static void on_event(int ep, struct end *e, uint32_t events) {
  int fd;

  if (e->done)
    return;
  if (e->other) {
    pass(e);
    if ((events & EPOLLRDHUP) && !e->done)
      pass(e);
    return;
  }
  while ((fd = accept4(e->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
    open_pair(ep, e, fd);
}

static void listen_on(int ep, struct sockaddr_in at, struct sockaddr_in to) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  struct end *e;

  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
      bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4096))
    fail("listen");
  e = end_new(fd, NULL);
  e->to = to;
  watch(ep, e);
}

static SSL_CTX *tls(const SSL_METHOD *method, const char *pem, const char *ca) {
  SSL_CTX *ctx = SSL_CTX_new(method);

  if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
      SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
    fprintf(stderr, "relay: %s, %s: expected certificates\n", pem, ca);
    exit(2);
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     NULL);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_num_tickets(ctx, 0);
  return ctx;
}

static void run(int ep) {
  struct epoll_event ev[EVENTS];
  int n;

  while ((n = epoll_wait(ep, ev, EVENTS, -1)) >= 0 || errno == EINTR) {
    for (int i = 0; i < n; i++)
      on_event(ep, ev[i].data.ptr, ev[i].events);
    while (gone) {
      struct end *e = gone;
      gone = e->next;
      free(e);
    }
  }
  fail("epoll_wait");
}

int main(int argc, char **argv) {
  int ep = epoll_create1(EPOLL_CLOEXEC), i = 1;

  signal(SIGPIPE, SIG_IGN);
  if (argc > 3 && strcmp(argv[1], "--accept") == 0) {
    accept_tls = tls(TLS_server_method(), argv[2], argv[3]);
    i = 4;
  } else if (argc > 3 && strcmp(argv[1], "--connect") == 0) {
    connect_tls = tls(TLS_client_method(), argv[2], argv[3]);
    i = 4;
  }
  if (argc - i < 4 || (argc - i) % 4 != 0) {
    fprintf(stderr, "usage: relay [--accept PEM CA | --connect PEM CA] "
                    "LISTEN_ADDRESS PORT ADDRESS PORT...\n");
    return 2;
  }
  for (; i < argc; i += 4)
    listen_on(ep, address(argv[i], argv[i + 1]),
              address(argv[i + 2], argv[i + 3]));
  run(ep);
}
