# SPDX-License-Identifier: Apache-2.0
"""What processes cost: CPU time and memory, read from /proc."""

import dataclasses
import os
import re

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024


@dataclasses.dataclass
class Cpu:
    """Seconds. The kernel counts |total| to the nanosecond; how it divides
    into user and system it only samples, per tick."""

    total: float = 0.0
    user: float = 0.0
    system: float = 0.0

    def __sub__(self, other):
        return Cpu(self.total - other.total, self.user - other.user,
                   self.system - other.system)

    def __add__(self, other):
        return Cpu(self.total + other.total, self.user + other.user,
                   self.system + other.system)


def _read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def parse_stat(text):
    """(user, system) seconds out of /proc/PID/stat."""
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) / TICK, int(fields[12]) / TICK


def cpu(pids):
    """What these processes, with all their threads, used until now."""
    found = Cpu()
    for pid in pids:
        total = sum(
            int(_read(f"/proc/{pid}/task/{tid}/schedstat").split()[0])
            for tid in os.listdir(f"/proc/{pid}/task"))
        user, system = parse_stat(_read(f"/proc/{pid}/stat"))
        found += Cpu(total / 1e9, user, system)
    return found


@dataclasses.dataclass
class Memory:
    """MiB. |rss| is of the largest process (pages shared between a master
    and its workers would count twice); |pss| is the sum of all."""

    rss: float = 0.0
    pss: float = 0.0


def parse_rollup(text):
    """(rss, pss) bytes out of /proc/PID/smaps_rollup."""
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB$", text, re.M))
    return int(found["Rss"]) * 1024, int(found["Pss"]) * 1024


def memory(pids):
    rss = pss = 0
    for pid in pids:
        one = parse_rollup(_read(f"/proc/{pid}/smaps_rollup"))
        rss, pss = max(rss, one[0]), pss + one[1]
    return Memory(rss / MIB, pss / MIB)


def largest(sides):
    """Per proxy: the one of the two that takes more."""
    found = [memory(pids) for pids in sides]
    return Memory(max((m.rss for m in found), default=0.0),
                  max((m.pss for m in found), default=0.0))
