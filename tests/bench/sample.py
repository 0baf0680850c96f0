# SPDX-License-Identifier: Apache-2.0
"""One measurement: one peer does one work for some seconds."""

import dataclasses
import threading
import time

from . import measure
from .errors import BenchError
from .load import Load


@dataclasses.dataclass
class Sample:
    load: Load
    # What each side used while |count| requests were answered.
    client: measure.Cpu
    server: measure.Cpu
    count: float
    memory: measure.Memory

    @property
    def cpu(self):
        return self.client + self.server

    def per_request(self, seconds):
        """Microseconds of |seconds| for each request."""
        return seconds / self.count * 1e6


class _Watch(threading.Thread):
    """Beside the load: notes what was used when the time began to count, and
    reads the memory once, late, when all is allocated."""

    def __init__(self, sides, warm, seconds):
        super().__init__(daemon=True)
        self._sides, self._warm, self._seconds = sides, warm, seconds
        self._over = threading.Event()
        self.memory = self.began = self.before = None
        self._mark()

    def _mark(self):
        self.began = time.monotonic()
        self.before = [measure.cpu(pids) for pids in self._sides]

    def run(self):
        try:
            if self._warm and not self._over.wait(self._warm):
                self._mark()
            if not self._over.wait(self._seconds * 0.7):
                self.memory = measure.largest(self._sides)
        except OSError:
            pass  # A proxy has ended; the load says so too.

    def finish(self):
        self._over.set()
        self.join()

    def used(self):
        """(CPU of each side, seconds), since the time began to count."""
        found = [measure.cpu(pids) - before for pids, before in
                 zip(self._sides, self.before)]
        return found, time.monotonic() - self.began


def take(peer, work, seconds):
    watch = _Watch(peer.sides(), work.warm, seconds)
    watch.start()
    try:
        done = work.run(peer, seconds)
    except BenchError as error:
        peer.check()
        raise BenchError(f"{peer.name}, {work.name}: {error}") from None
    finally:
        watch.finish()
    used, took = watch.used()
    return Sample(done, *(used or [measure.Cpu(), measure.Cpu()]),
                  done.rps * took if work.warm else done.requests,
                  watch.memory or measure.largest(peer.sides()))
