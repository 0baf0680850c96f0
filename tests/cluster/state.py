# SPDX-License-Identifier: Apache-2.0
"""Where a cluster keeps its files, and which of its processes live."""

import json
import os
import re
import shutil
import signal
import sys
import time

REPOSITORY = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
CACHE = f"{REPOSITORY}/build/cluster"
NETNS = "/run/netns"
CGROUPS = "/sys/fs/cgroup"


class ClusterError(Exception):
    """Something a person can act on; its text is all that is shown."""


def say(text):
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def wait_for(what, seconds, check, interval=0.1):
    """The first true result of check(); an error names what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not after {seconds} s")
        time.sleep(interval)


def start_time(pid):
    """Tells a process from a later one of the same number; None: ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class State:
    """The files of one cluster; the name keeps clusters apart."""

    def __init__(self, name):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise ClusterError(f"name is {name!r}: expected at most 31 small "
                               "letters, digits and hyphens")
        self.name = name
        self.folder = f"{CACHE}/run/{name}"
        # The namespace and the cgroups: one name for all a host can see.
        self.scope = f"ew-cluster-{name}"
        self.netns = f"{NETNS}/{self.scope}"
        self.kubeconfig = self.path("certs", "admin.kubeconfig")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def create(self):
        for part in ("lib", "certs", "config", "logs", "pids"):
            os.makedirs(self.path(part), mode=0o755)

    def write(self, *parts, text):
        path = self.path(*parts)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def log(self, component):
        return self.path("logs", f"{component}.log")

    def remember(self, component, pid):
        self.write("pids", component,
                   text=json.dumps([pid, start_time(pid)]))

    def pid(self, component):
        """The process of a component, None where it has ended."""
        try:
            with open(self.path("pids", component), encoding="utf-8") as file:
                pid, started = json.load(file)
        except (FileNotFoundError, ValueError):
            return None
        return pid if started and start_time(pid) == started else None

    def components(self):
        try:
            return sorted(os.listdir(self.path("pids")))
        except FileNotFoundError:
            return []

    def kill(self, component, number=signal.SIGKILL, seconds=20):
        pid = self.pid(component)
        if pid is None:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        wait_for(f"end of {component} (process {pid})", seconds,
                 lambda: self.pid(component) is None, 0.02)

    def _cgroups(self):
        if os.path.exists(f"{CGROUPS}/cgroup.controllers"):
            return [f"{CGROUPS}/{self.scope}"]
        # Version 1: a folder for each hierarchy; links name some again.
        return [f"{CGROUPS}/{name}/{self.scope}"
                for name in os.listdir(CGROUPS)
                if not os.path.islink(f"{CGROUPS}/{name}")
                and os.path.exists(f"{CGROUPS}/{name}/cgroup.procs")]

    def create_cgroups(self):
        for own in self._cgroups():
            os.makedirs(own, exist_ok=True)

    def remove_cgroups(self):
        for own in self._cgroups():
            if os.path.isdir(own):
                wait_for(f"{own} empty", 10, lambda own=own: _rmdirs(own))

    def remove_files(self, keep_logs=False):
        for part in self._parts():
            if not (keep_logs and part == "logs"):
                shutil.rmtree(self.path(part))
        if not keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _parts(self):
        try:
            return os.listdir(self.folder)
        except FileNotFoundError:
            return []


def _rmdirs(folder):
    try:
        for path, _, _ in os.walk(folder, topdown=False):
            os.rmdir(path)
    except OSError:
        return not os.path.isdir(folder)
    return True
