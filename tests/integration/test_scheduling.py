# SPDX-License-Identifier: Apache-2.0
"""The sidecar's scheduling policy, with processors to spare and without."""
import contextlib
import os
import subprocess
import sys
import urllib.request

import pytest

import meshes as m
from local_controller import free_port

SIDECAR = os.path.join(m.BIN, "eastwest-sidecar")
HOG = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"


class Sidecar:
    """A sidecar by itself, on one processor."""

    def __init__(self, cpu):
        ports = [free_port() for _ in range(4)]
        self.url = f"http://127.0.0.1:{ports[2]}"
        args = [a for name, port in zip(
            ("outbound", "inbound", "status", "admin"), ports)
            for a in (f"--{name}-port", str(port))]
        self.process = subprocess.Popen([
            SIDECAR, "--namespace", "app", "--pod-ip", "127.0.0.1", *args],
            preexec_fn=lambda: os.sched_setaffinity(0, [cpu]))

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def policy(self):
        """After some requests, so that it has reason to look."""
        for _ in range(20):
            self.get("/live")
        return os.sched_getscheduler(self.process.pid)

    def metric(self, name):
        return m.Mesh.parse_metrics(self.get("/metrics")).get(name)

    def end(self):
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def cpu():
    """One that the sidecar shares; this process stays off it if it can."""
    mine = os.sched_getaffinity(0)
    chosen = max(mine)
    os.sched_setaffinity(0, mine - {chosen} or mine)
    yield chosen
    os.sched_setaffinity(0, mine)


@contextlib.contextmanager
def hogs(cpu, count):
    made = [subprocess.Popen([sys.executable, "-c", HOG],
                             preexec_fn=lambda: os.sched_setaffinity(0, [cpu]))
            for _ in range(count)]
    try:
        yield
    finally:
        for hog in made:
            hog.kill()
            hog.wait(10)


def test_wakers_go_on_unless_processors_are_short(cpu):
    sidecar = Sidecar(cpu)
    try:
        m.wait_for(lambda: "live" in sidecar.get("/live"), 20, "an answer")
        m.wait_for(lambda: sidecar.policy() == os.SCHED_BATCH, 60,
                   "SCHED_BATCH at the start")
        assert sidecar.metric("eastwest_batch_scheduling") == 1
        before = sidecar.metric("eastwest_batch_scheduling_ended_total") or 0
        with hogs(cpu, 3):
            m.wait_for(lambda: sidecar.policy() == os.SCHED_OTHER, 40,
                       "SCHED_OTHER beside hogs")
            assert sidecar.metric(
                "eastwest_batch_scheduling_ended_total") > before
        m.wait_for(lambda: sidecar.policy() == os.SCHED_BATCH, 60,
                   "SCHED_BATCH again")
    finally:
        assert sidecar.end() == 0


def test_a_policy_that_was_chosen_stays(cpu):
    """As by `chrt --idle` before the sidecar."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        sidecar = Sidecar(cpu)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        m.wait_for(lambda: "live" in sidecar.get("/live"), 20, "an answer")
        assert sidecar.policy() == os.SCHED_IDLE
        assert sidecar.metric("eastwest_batch_scheduling") == 0
    finally:
        assert sidecar.end() == 0
