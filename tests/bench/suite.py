# SPDX-License-Identifier: Apache-2.0
"""A whole run: which peer does which work when."""

from . import change, growth, idle, measure, report, sample
from .errors import BenchError
from .load import wrk
from .works import FIRST, HALF, WORKS, half

GROWTHS = tuple(growth.TEXT)
# What is measured once, not in rounds of load; the last ones of Eastwest only.
EXTRAS = ("idle", change.WORK, *GROWTHS)
NAMES = tuple(w.name for w in WORKS) + EXTRAS


class Suite:
    """|peers|: started; |rounds|, |seconds|: functions of a work's name;
    |say|: for progress."""

    def __init__(self, peers, rounds, seconds, say):
        self.peers, self.say = peers, say
        self.rounds, self.seconds = rounds, seconds
        self.rows, self.texts, self.errors = [], {}, []

    def run(self, names):
        for work in WORKS:
            if work.name == HALF and HALF in names:
                work = half(self._slowest())
            if work.name in names:
                self._work(work)
        if "idle" in names:
            for peer in self.peers:
                if peer.name != "direct":
                    self._add(lambda peer=peer: idle.take(peer), idle.TEXT)
        own = [p for p in self.peers if p.name == "eastwest"]
        for peer in own:
            if change.WORK in names:
                self._add(lambda peer=peer: change.take(peer),
                          {change.WORK: change.TEXT})
            for kind in [k for k in GROWTHS if k in names]:
                more = growth.Growth(peer, self.rounds(kind),
                                     self.seconds(kind), self.say)
                self._add(lambda more=more, kind=kind: more.take(kind),
                          {kind: growth.TEXT[kind]})

    def _add(self, take, texts):
        """Rows of what isn't a load in rounds; a fault leaves them out."""
        try:
            rows = take()
        except BenchError as error:
            self._fault(error)
            return
        self.rows += rows
        self.texts.update(texts)
        for row in rows:
            self.say(f"{row['work']} {row['peer']}: done")

    def _fault(self, error):
        self.errors.append(str(error))
        self.say(str(error))

    def _slowest(self):
        """The lowest rate of the first work among the proxies."""
        known = [r["rps"] for r in self.rows
                 if r["work"] == FIRST and r["peer"] != "direct"]
        if known:
            return min(known)
        proxies = [p for p in self.peers if p.name != "direct"] or self.peers
        return min(wrk(p.client_netns, p.address("http1"), "/", "http1", 32,
                       1).rps for p in proxies)

    def _work(self, work):
        able = [p for p in self.peers if work.door in p.doors]
        faults, before = {}, {}
        for peer in able:
            # Fresh processes, so that the memory is of this work alone.
            try:
                peer.restart()
                peer.serves()
                before[peer.name] = measure.largest(peer.sides())
            except BenchError as error:
                faults[peer.name] = str(error)
                self._fault(error)
        samples = {p.name: [] for p in able}
        rounds = self.rounds(work.name)
        for number in range(rounds):
            for peer in able:
                if peer.name not in faults:
                    where = f"{work.name} {number + 1}/{rounds} {peer.name}"
                    self._sample(peer, work, where, samples, faults)
        self.texts[work.name] = work.text
        self.rows += [
            report.bare(name, work.name, error=faults[name])
            if name in faults else
            report.row(name, work.name, some, before[name])
            for name, some in samples.items()]

    def _sample(self, peer, work, where, samples, faults):
        """One measurement. A peer that can't do a work is out of it, and the
        run goes on."""
        try:
            one = sample.take(peer, work, self.seconds(work.name))
        except BenchError as error:
            faults[peer.name] = str(error)
            self._fault(error)
            return
        samples[peer.name].append(one)
        self.say(f"{where}: {one.load.rps:,.0f}/s, "
                 f"{one.per_request(one.cpu.total):.1f} us")
