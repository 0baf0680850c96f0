# SPDX-License-Identifier: Apache-2.0
"""One measurement: one peer does one work for some seconds."""

import dataclasses
import threading

from . import measure
from .errors import BenchError
from .load import Load


@dataclasses.dataclass
class Sample:
    load: Load
    client: measure.Cpu
    server: measure.Cpu
    memory: measure.Memory

    @property
    def cpu(self):
        return self.client + self.server

    def per_request(self, seconds):
        """Microseconds of |seconds| for each request."""
        return seconds / self.load.requests * 1e6


class _Reader(threading.Thread):
    """Reads the memory once, late in the load, when all is allocated."""

    def __init__(self, sides, delay):
        super().__init__(daemon=True)
        self._sides, self._delay = sides, delay
        self._over = threading.Event()
        self.memory = None

    def run(self):
        if not self._over.wait(self._delay):
            try:
                self.memory = measure.largest(self._sides)
            except OSError:
                pass

    def finish(self):
        self._over.set()
        self.join()


def take(peer, work, seconds):
    sides = peer.sides()
    reader = _Reader(sides, seconds * 0.7)
    before = [measure.cpu(pids) for pids in sides]
    reader.start()
    try:
        done = work.run(peer, seconds)
    except BenchError as error:
        peer.check()
        raise BenchError(f"{peer.name}, {work.name}: {error}") from None
    finally:
        reader.finish()
    used = [measure.cpu(pids) - start for pids, start in zip(sides, before)]
    used = used or [measure.Cpu(), measure.Cpu()]
    memory = reader.memory or measure.largest(sides)
    return Sample(done, *used, memory)
