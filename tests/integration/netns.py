# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for tests: made with unique names, removed after."""
import itertools
import json
import os
import select
import subprocess
import sys
import time

REPO = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("EASTWEST_BIN", os.path.join(REPO, "build/debug/bin"))

_serial = itertools.count(1)

# Answers each connection with where it was accepted, where it was meant to go
# (SO_ORIGINAL_DST, 80 in both families) and who asked.
_LISTENER = r"""
import json, selectors, socket, struct, sys
sel = selectors.DefaultSelector()
for spec in sys.argv[1:]:
    host, port = spec.rsplit(":", 1)
    host = host.strip("[]")
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, int(port)))
    s.listen(64)
    sel.register(s, selectors.EVENT_READ, spec)
print("ready", flush=True)
def original(c):
    try:
        if c.family == socket.AF_INET:
            raw = c.getsockopt(socket.SOL_IP, 80, 16)
            return [socket.inet_ntoa(raw[4:8]),
                    struct.unpack("!H", raw[2:4])[0]]
        raw = c.getsockopt(41, 80, 28)
        return [socket.inet_ntop(socket.AF_INET6, raw[8:24]),
                struct.unpack("!H", raw[2:4])[0]]
    except OSError:
        return list(c.getsockname()[:2])
while True:
    for key, _ in sel.select():
        c, peer = key.fileobj.accept()
        c.sendall(json.dumps({"at": key.data, "original": original(c),
                              "from": peer[0]}).encode())
        c.close()
"""

_CLIENT = r"""
import socket, sys
try:
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5,
                                 source_address=(sys.argv[3], 0))
except OSError as e:
    print("null")
    sys.exit(0)
data = b""
while True:
    d = c.recv(4096)
    if not d:
        break
    data += d
print(data.decode() or "null")
"""


class Netns:
    """One namespace with lo up. Ends what was started in it by start()."""

    def __init__(self, label="ns"):
        self.name = "ewt-%d-%d-%s" % (os.getpid(), next(_serial), label)
        self._children = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.check("ip", "link", "set", "lo", "up")

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, *argv, **kw):
        """Runs a command inside to its end; output as text."""
        kw.setdefault("timeout", 60)
        return subprocess.run(self.argv(*argv), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **kw)

    def check(self, *argv, **kw):
        """run() that must succeed; returns stdout."""
        r = self.run(*argv, **kw)
        assert r.returncode == 0, "%s: %s%s" % (argv, r.stdout, r.stderr)
        return r.stdout

    def start(self, *argv, **kw):
        p = subprocess.Popen(self.argv(*argv), **kw)
        self._children.append(p)
        return p

    def listen(self, *specs):
        """Listeners, each "host:port"; returns when they accept."""
        p = self.start(sys.executable, "-c", _LISTENER, *specs,
                       stdout=subprocess.PIPE, text=True)
        ready, _, _ = select.select([p.stdout], [], [], 20)
        assert ready and p.stdout.readline() == "ready\n", specs
        return p

    def connect(self, host, port, uid=1000, source=""):
        """What the listener that was reached says; None if none was."""
        out = self.check("setpriv", "--reuid", uid, "--regid", uid,
                         "--clear-groups", sys.executable, "-c", _CLIENT,
                         host, port, source)
        return json.loads(out)

    def pids(self):
        return subprocess.run(["ip", "netns", "pids", self.name], check=True,
                              capture_output=True, text=True).stdout.split()

    def wait_quiet(self, but=(), seconds=30):
        """Until no process is left inside other than those in |but|."""
        deadline = time.monotonic() + seconds
        while set(self.pids()) - set(map(str, but)):
            assert time.monotonic() < deadline, self.pids()
            time.sleep(0.01)

    def delete(self):
        for p in self._children:
            p.kill()
            p.wait()
            if p.stdout:
                p.stdout.close()
        subprocess.run(["ip", "netns", "del", self.name], check=True)


def veth(a, b, addrs_a, addrs_b, name="eth0"):
    """Joins two namespaces by a pair of interfaces of the same name."""
    subprocess.run(["ip", "link", "add", name, "netns", a.name, "type", "veth",
                    "peer", "name", name, "netns", b.name], check=True)
    for ns, addrs in ((a, addrs_a), (b, addrs_b)):
        for addr in addrs:
            nodad = ["nodad"] if ":" in addr else []
            ns.check("ip", "addr", "add", addr, "dev", name, *nodad)
        ns.check("ip", "link", "set", name, "up")
