# SPDX-License-Identifier: Apache-2.0
"""Processes in network namespaces: started, watched, ended by their own id."""

import os
import select
import signal
import subprocess

from .errors import BenchError

NETNS = "/run/netns"


def words(netns, argv):
    """|argv| in a network namespace, ended by the kernel if we die."""
    return ["nsenter", f"--net={NETNS}/{netns}", "--",
            "setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]


def run(netns, argv, timeout, env=None):
    """Runs to the end and returns what it printed."""
    child = subprocess.Popen(words(netns, argv), text=True, env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    try:
        out, err = child.communicate(timeout=timeout)
    except BaseException as error:
        child.kill()
        child.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise BenchError(f"{argv[0]}: did not end within {timeout:.0f} s: "
                             f"{' '.join(map(str, argv))}") from None
        raise
    if child.returncode != 0:
        raise BenchError(f"{argv[0]}: exit code {child.returncode}: "
                         f"{err.strip()[-2000:]} {out.strip()[-2000:]}\n"
                         f"  {' '.join(map(str, argv))}")
    return out


def tree(pid):
    """The process and all that descend from it, parents first."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children",
                          encoding="ascii") as file:
                    left += map(int, file.read().split())
        except OSError:
            continue
    return found


def _pidfd(pid):
    """Becomes readable when the process ends; None if it has."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


class Process:
    """One program and its children, with a log."""

    def __init__(self, netns, argv, log, env=None, cwd=None):
        self.argv, self.log = argv, log
        with open(log, "ab") as out:
            # A session of its own: Ctrl-C is for us, and we end it in order.
            self._child = subprocess.Popen(
                words(netns, argv), stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env=env, cwd=cwd, start_new_session=True)

    @property
    def pid(self):
        return self._child.pid

    def check(self):
        """Raises if it has ended."""
        if self._child.poll() is not None:
            raise BenchError(
                f"{self.argv[0]}: ended with exit code "
                f"{self._child.returncode}; last lines of its log:\n"
                f"{self.tail()}")

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-12:]).rstrip()

    def stop(self, grace=5):
        """Ends it and its children; the ports are free when it returns."""
        if self._child.poll() is not None:
            return
        # Pidfds: a child may be gone, and its number taken, by then.
        family = [_pidfd(pid) for pid in tree(self.pid)[1:]]
        self._child.terminate()
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for fd in filter(None, family):
            if not select.select([fd], [], [], grace)[0]:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                select.select([fd], [], [], grace)
            os.close(fd)
