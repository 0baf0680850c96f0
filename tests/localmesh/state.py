# SPDX-License-Identifier: Apache-2.0
"""Where a mesh keeps its files, how to talk to it, how to clear it away."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = "/run/eastwest"
NETNS = "/run/netns"
MAX_MESSAGE = 16 * 1024 * 1024


class MeshError(Exception):
    """Something a user can act on; printed without a traceback."""


class State:
    def __init__(self, name):
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or \
                re.search(r"-\d*$", name):
            raise MeshError(
                f"--name is {name!r}: expected a-z, 0-9 and '-', at most 32 "
                "characters, starting with a letter, not ending in -NUMBER")
        self.name = name
        self.dir = f"{ROOT}/{name}"
        self.hub = f"ew-{name}"

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def create(self):
        os.makedirs(self.dir, mode=0o755)
        for name in ("logs", "objects", "ca", "status", "pods"):
            os.mkdir(self.path(name), 0o755)
        os.mkdir(self.path("tokens"), 0o711)
        os.mkdir(self.path("sanitizer"))
        os.chmod(self.path("sanitizer"), 0o1777)

    def namespaces(self):
        """The network namespaces of this mesh that exist now."""
        mine = re.compile(rf"ew-{re.escape(self.name)}(-\d+)?")
        try:
            return [n for n in os.listdir(NETNS) if mine.fullmatch(n)]
        except FileNotFoundError:
            return []


def write_atomic(path, text, mode=0o644, owner=None):
    temporary = os.path.join(os.path.dirname(path),
                             f".{os.path.basename(path)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        if owner is not None:
            os.fchown(file.fileno(), owner, owner)
        file.write(text)
    os.replace(temporary, path)


def start_time(pid):
    """Tells a process from a later one with the same number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def daemon_pid(state):
    """The process that owns the mesh, or None if it has died."""
    try:
        with open(state.path("mesh.json"), encoding="utf-8") as file:
            known = json.load(file)["daemon"]
    except (OSError, ValueError, KeyError):
        return None
    if start_time(known["pid"]) == known["started"]:
        return known["pid"]
    return None


def listening(state):
    """Whether the daemon answers: the socket's file is there before that."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(state.path("control.sock"))
            return True
        except (FileNotFoundError, ConnectionError):
            return False


def request(state, message, timeout=600):
    """Ask the mesh's daemon; its answer is one JSON object."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(state.path("control.sock"))
            sock.sendall(json.dumps(message).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline(MAX_MESSAGE)
        except (FileNotFoundError, ConnectionError):
            line = b""
    if not line:
        raise MeshError(f"no mesh '{state.name}' runs here "
                        "(start one with: ./dev up DIR)")
    answer = json.loads(line)
    if "error" in answer:
        raise MeshError(answer["error"])
    return answer


def processes_in(namespaces):
    """The processes whose network namespace is one of these."""
    inodes = set()
    for name in namespaces:
        try:
            inodes.add(os.stat(f"{NETNS}/{name}").st_ino)
        except FileNotFoundError:
            pass
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                if os.stat(f"/proc/{entry}/ns/net").st_ino in inodes:
                    found.append(int(entry))
            except OSError:
                pass
    return found


def sweep(state, keep=()):
    """End what still runs in the mesh's namespaces, then delete them.

    Only the mesh puts processes there, so membership is the proof that a
    process is ours; a pid from a file could meanwhile be someone else's.
    """
    deadline = time.monotonic() + 10
    names = state.namespaces()
    while names and time.monotonic() < deadline:
        pids = [p for p in processes_in(names) if p not in keep]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    if names:
        batch = "".join(f"netns del {name}\n" for name in names)
        subprocess.run(["ip", "-force", "-batch", "-"], input=batch.encode(),
                       check=False)


def remove_files(state):
    """Delete the state, and the mount points that were made for volumes."""
    try:
        with open(state.path("mountpoints"), encoding="utf-8") as file:
            made = file.read().splitlines()
    except OSError:
        made = []
    for path in reversed(made):
        try:
            os.rmdir(path)
        except OSError:
            pass
    shutil.rmtree(state.dir, ignore_errors=True)
    try:
        os.rmdir(ROOT)
    except OSError:
        pass
