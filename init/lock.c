/* SPDX-License-Identifier: Apache-2.0 */
#include "init/lock.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "eastwest/base/err.h"

#define EW_LOCK_STEP_MS 20

/* A name in the abstract namespace of Unix sockets belongs to the network
 * namespace, as the rules do, needs no writable file system and goes away with
 * the process. */
int ew_lock_take(int wait_ms) {
  static const char name[] = "\0eastwest-init";
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  memcpy(addr.sun_path, name, sizeof(name) - 1);
  socklen_t len =
      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return EW_EIO;
  int rc = EW_OK;
  while (bind(fd, (const struct sockaddr *)&addr, len) != 0) {
    if (errno != EADDRINUSE)
      rc = EW_EIO;
    else if (wait_ms <= 0)
      rc = EW_ETIMEDOUT;
    if (rc != EW_OK) {
      close(fd);
      return rc;
    }
    poll(NULL, 0, EW_LOCK_STEP_MS);
    wait_ms -= EW_LOCK_STEP_MS;
  }
  return EW_OK;
}
