# SPDX-License-Identifier: Apache-2.0
"""Run a command in a container that is running: `exec`.

The command keeps the caller's files and terminal. Only the process id
namespace forces a parent on us (it holds for children only); the parent
passes signals on and ends as the command ended.
"""

import ctypes
import os
import signal
import sys

from .containers import user_prefix
from .state import MeshError

SI_KERNEL = 0x80
FORWARDED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT,
             signal.SIGUSR1, signal.SIGUSR2}
FIRST, REST = ("uts", "net", "pid"), ("mnt",)


def _setns(libc, fd):
    if libc.setns(fd, 0) != 0:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))


def run(container, argv):
    """Never returns: ends with the command's exit code."""
    pid, how = container["pid"], container["run"]
    if not pid:
        raise MeshError(f"container {container['name']} isn't running")
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fds = {n: os.open(f"/proc/{pid}/ns/{n}", os.O_RDONLY | os.O_CLOEXEC)
               for n in FIRST + REST}
        _setns(libc, fds["pid"])
    except OSError as err:
        raise MeshError(f"container {container['name']}: {err}") from None
    env = dict(how["env"])
    if "TERM" in os.environ and os.isatty(0):
        env["TERM"] = os.environ["TERM"]
    words = [*user_prefix(how["uid"], how["gid"], how["capabilities"],
                          *how["prefix"], "--pdeathsig", "KILL"),
             "env", "-i", *(f"{k}={v}" for k, v in env.items()), *argv]
    # Blocked before the fork, so that none is lost in between.
    old = signal.pthread_sigmask(signal.SIG_BLOCK,
                                 FORWARDED | {signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        _child(libc, fds, how["cwd"], old, words)
    for fd in fds.values():
        os.close(fd)
    os._exit(_follow(child))


def _child(libc, fds, cwd, mask, words):
    try:
        for name in ("uts", "net", *REST):
            _setns(libc, fds[name])
        os.chdir(cwd)
        for number in (signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvpe(words[0], words,
                   {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except OSError as err:
        print(f"exec: {err}", file=sys.stderr, flush=True)
    os._exit(126)


def _follow(child):
    while True:
        info = signal.sigwaitinfo(FORWARDED | {signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD:
            # The terminal sends its signals to the command as well.
            if info.si_code != SI_KERNEL:
                os.kill(child, info.si_signo)
            continue
        done, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if done == 0:
            continue
        if os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(child, signal.SIGCONT)
        elif os.WIFSIGNALED(status):
            return 128 + os.WTERMSIG(status)
        else:
            return os.WEXITSTATUS(status)
