/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EASTWEST_BASE_ERR_H
#define EASTWEST_BASE_ERR_H

/* The one error enum. 0 is success, negative is failure; functions that
 * count return the count as a non-negative number. EW_EAGAIN and EW_EOF are
 * ordinary answers, not faults.
 *
 * Codes above EW_ERR_CONNECTION lose one exchange (a request, a stream);
 * codes at or below it lose the whole connection. */
enum ew_err {
  EW_OK = 0,
  EW_EAGAIN = -1,    /* would block; try again when told */
  EW_EOF = -2,       /* the peer ended its direction in an orderly way */
  EW_ECANCELED = -3, /* closed or given up by ourselves */
  EW_ENOENT = -4,    /* no such thing */
  EW_EINVAL = -5,    /* the caller's or the configuration's value is wrong */
  EW_ELIMIT = -6,    /* a named maximum was reached */
  EW_ETIMEDOUT = -7, /* a deadline passed */
  EW_EREFUSED = -8,  /* stream refused before any processing: safe to retry */
  EW_ERESET = -9,    /* stream reset by the peer */
  EW_EMESSAGE = -10, /* one message is malformed; the exchange is lost */

  EW_ERR_CONNECTION = -100,
  EW_EPROTO = -101,       /* protocol violation; close the connection */
  EW_ECONN = -102,        /* the transport failed (reset, broken pipe) */
  EW_ECONNREFUSED = -103, /* connect was refused or unreachable */
  EW_ETLS = -104,         /* TLS handshake or record failure */
  EW_EIDENTITY = -105,    /* the peer's certificate is not the one expected */
  EW_EIO = -106,          /* a file or a system call failed */
  EW_EFLOOD = -107        /* the peer does more of something than is allowed */
};

/* Short lowercase name for logs and metric labels, for example
 * "would-block", "reset". Never NULL. */
const char *ew_strerror(int err);

/* A state that the code itself must have made impossible: prints file and
 * line to stderr and aborts. For anything a peer or a configuration can cause,
 * answer an error instead. */
#define EW_BUG_ON(cond)                  \
  do {                                   \
    if (cond)                            \
      ew_bug(__FILE__, __LINE__, #cond); \
  } while (0)

_Noreturn void ew_bug(const char *file, int line, const char *what);

#endif
