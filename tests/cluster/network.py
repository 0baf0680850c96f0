# SPDX-License-Identifier: Apache-2.0
"""The cluster's network namespace. It has no uplink: nothing leaves it."""

import json
import os
import socket
import struct
import subprocess

from .namespaces import CLONE_NEWNET, enter
from .state import ClusterError

# All of the benchmarking range: no packet of a test fits a real network.
CLUSTER = "198.18.0.0/15"
PODS = "198.18.0.0/17"
SERVICES = "198.19.0.0/17"
API_SERVICE, DNS_SERVICE = "198.19.0.1", "198.19.0.10"
NODE, DNS = "198.19.255.1", "198.19.255.10"
DOMAIN = "cluster.local"

SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
}


def _ip(*lines, netns=None):
    words = ["ip", *(["-n", netns] if netns else []), "-batch", "-"]
    done = subprocess.run(words, input="\n".join(lines) + "\n", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise ClusterError(f"ip -batch: {done.stdout.strip()}")


def create(state):
    """Makes the namespace; this process is in it from then on."""
    _ip(f"netns add {state.scope}")
    enter(state.netns, CLONE_NEWNET)
    for name, value in SYSCTLS.items():
        if os.path.exists(f"/proc/sys/{name}"):
            with open(f"/proc/sys/{name}", "w", encoding="utf-8") as file:
                file.write(f"{value}\n")
    _ip("link set lo up",
        # A bridge with no ports: not every kernel has dummy devices.
        "link add node0 type bridge",
        "link set node0 up",
        f"addr add {NODE}/32 dev node0",
        f"addr add {DNS}/32 dev node0",
        # Addresses that only the translation knows need a route all the same.
        f"route add default dev node0 src {NODE}")


def remove(state):
    if os.path.exists(state.netns):
        _ip(f"netns del {state.scope}")


def cni():
    """Each pod routed by itself (ptp): on a shared bridge an answer from a
    pod behind a Service would pass by the address translation."""
    return json.dumps({
        "cniVersion": "0.4.0", "name": "cluster",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "mtu": 1500,
             "ipam": {"type": "host-local", "dataDir": "/var/lib/cni",
                      "ranges": [[{"subnet": PODS}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }, indent=1)


def resolves(server, name):
    """True when a DNS server has an IPv4 address for the name."""
    labels = b"".join(bytes([len(part)]) + part.encode()
                      for part in name.split("."))
    query = (struct.pack(">6H", 0x4557, 0x0100, 1, 0, 0, 0) + labels
             + b"\0" + struct.pack(">2H", 1, 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            sock.connect((server, 53))
            sock.send(query)
            answer = sock.recv(4096)
        except OSError:
            return False
    identity, flags, _, count = struct.unpack(">4H", answer[:8])
    return identity == 0x4557 and flags & 15 == 0 and count > 0
