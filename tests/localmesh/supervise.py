# SPDX-License-Identifier: Apache-2.0
"""Processes of the mesh: start in namespaces of their own, stop, restart."""

import asyncio
import os
import signal

from .state import NETNS

BACKOFF_FIRST, BACKOFF_LAST, BACKOFF_RESET = 0.1, 5.0, 10.0


class Process:
    """A script, run as process 1 of its own pid, mount and UTS namespaces.

    When process 1 ends the kernel ends all others of the container, so a
    container can be ended without knowing what it started.
    """

    def __init__(self, netns, script, log):
        self.netns, self.script, self.log = netns, script, log
        self._child = None

    async def start(self):
        with open(self.log, "ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                "nsenter", f"--net={NETNS}/{self.netns}", "--",
                "unshare", "--mount", "--pid", "--uts", "--fork",
                "--kill-child=KILL", "--", "/bin/sh", self.script,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    @property
    def running(self):
        return self._child is not None and self._child.returncode is None

    def pid(self):
        """Process 1 of the container, as the host numbers it."""
        if not self.running:
            return None
        pid = self._child.pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children",
                      encoding="utf-8") as file:
                return int(file.read().split()[0])
        except (OSError, IndexError):
            return None

    async def wait(self):
        return await self._child.wait()

    def signal(self, number):
        pid = self.pid()
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    async def stop(self, grace):
        """SIGTERM, and after `grace` seconds SIGKILL."""
        if not self.running:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self._child.wait()), grace)
        except asyncio.TimeoutError:
            self.signal(signal.SIGKILL)
            try:
                await asyncio.wait_for(self._child.wait(), 5)
            except asyncio.TimeoutError:
                self._child.kill()


class Backoff:
    """How long to wait before the next start of what ended."""

    def __init__(self):
        self._next = BACKOFF_FIRST
        self._started = 0.0

    def started(self):
        self._started = asyncio.get_running_loop().time()

    def delay(self):
        now = asyncio.get_running_loop().time()
        if now - self._started > BACKOFF_RESET:
            self._next = BACKOFF_FIRST
        delay = self._next
        self._next = min(self._next * 2, BACKOFF_LAST)
        return delay


class Service:
    """A helper of the whole mesh (controller, DNS), restarted if it ends."""

    def __init__(self, name, argv, log, env=None):
        self.name, self.argv, self.log, self.env = name, argv, log, env
        self.restarts = 0
        self._child = None
        self._task = None

    def start(self):
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        backoff = Backoff()
        while True:
            with open(self.log, "ab") as log:
                self._child = await asyncio.create_subprocess_exec(
                    *self.argv, stdin=asyncio.subprocess.DEVNULL,
                    stdout=log, stderr=log, env=self.env,
                    start_new_session=True)
            backoff.started()
            await self._child.wait()
            self.restarts += 1
            await asyncio.sleep(backoff.delay())

    @property
    def running(self):
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self):
        return self._child.pid if self.running else None

    @property
    def started(self):
        return self._task is not None

    def signal(self, number):
        if self.running:
            self._child.send_signal(number)

    async def stop(self, grace=5):
        """End it for good; `start` may be called again."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if self.running:
            self._child.terminate()
            try:
                await asyncio.wait_for(
                    asyncio.shield(self._child.wait()), grace)
            except asyncio.TimeoutError:
                self._child.kill()
                await self._child.wait()


async def run(*argv, stdin=None, timeout=30):
    """Run a tool to its end: (exit code, stdout and stderr as text)."""
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        stdin=asyncio.subprocess.DEVNULL if stdin is None
        else asyncio.subprocess.PIPE)
    data = None if stdin is None else stdin.encode()
    try:
        out, _ = await asyncio.wait_for(child.communicate(data), timeout)
    except asyncio.TimeoutError:
        child.kill()
        await child.wait()
        return 124, f"{argv[0]}: no answer within {timeout} s"
    except asyncio.CancelledError:
        if child.returncode is None:
            child.kill()
        raise
    return child.returncode, out.decode(errors="replace")
