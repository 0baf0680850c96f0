# SPDX-License-Identifier: Apache-2.0
"""The mesh's network: a hub namespace that routes between one per pod.

No bridge: each pod has a /32 and a /128 on eth0 and a default route over a
link-local gateway, so that every packet between pods passes the hub's
routing (and its address translation), as it would pass a node's.
"""

import ctypes
import ipaddress
import os

from .state import NETNS, MeshError
from .supervise import run

PODS4 = ipaddress.ip_network("198.18.0.0/17")
PODS6 = ipaddress.ip_network("fd00:6577:1::/64")
SERVICES4 = ipaddress.ip_network("198.18.128.0/17")
SERVICES6 = ipaddress.ip_network("fd00:6577:2::/112")
HUB4, HUB6 = "198.18.255.1", "fd00:6577:2::ff01"
DNS4, DNS6 = "198.18.255.10", "fd00:6577:2::ff0a"
GATEWAY4, GATEWAY6 = "169.254.1.1", "fe80::1"
FIRST_POD, LAST_POD = 10, 0x7ffe

CLONE_NEWNET = 0x40000000

HUB_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    # A pod that calls itself by a Service address goes back on the
    # interface it came from; the hub must not tell it a shorter way.
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv6/conf/default/accept_dad": 0,
}
POD_SYSCTLS = {
    # Container runtimes do the same: no privilege for low ports and ping.
    "net/ipv4/ip_unprivileged_port_start": 0,
    "net/ipv4/ping_group_range": "0 2147483647",
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/all/accept_ra": 0,
}


def enter(path):
    """Move this process (its main thread) to a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, CLONE_NEWNET) != 0:
            err = ctypes.get_errno()
            raise OSError(err, f"setns {path}: {os.strerror(err)}")
    finally:
        os.close(fd)


async def ip(lines):
    code, out = await run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")
    if code != 0:
        raise MeshError(f"ip -batch: {out.strip()}")


def _sysctl(values):
    # The IPv6 ones are missing where the kernel has no IPv6.
    for name, value in values.items():
        try:
            with open(f"/proc/sys/{name}", "w", encoding="utf-8") as file:
                file.write(f"{value}\n")
        except FileNotFoundError:
            if "ipv6" not in name:
                raise


async def create_hub(state):
    """Make the hub and stay in it: probes and helpers belong there."""
    await ip([f"netns add {state.hub}"])
    enter(f"{NETNS}/{state.hub}")
    _sysctl(HUB_SYSCTLS)
    await ip([
        "link set lo up",
        # Forwarding needs a route for addresses that only the address
        # translation knows; what is left of them is rejected there. (Not
        # every kernel has dummy devices.)
        "link add ew0 type veth peer name ew1",
        "link set ew0 up",
        "link set ew1 up",
        f"addr add {HUB4}/32 dev ew0",
        f"addr add {DNS4}/32 dev ew0",
        f"addr add {HUB6}/128 dev ew0 nodad",
        f"addr add {DNS6}/128 dev ew0 nodad",
        f"route add {SERVICES4} dev ew0",
        f"route add {SERVICES6} dev ew0",
    ])


def addresses(number):
    return str(PODS4[number]), str(PODS6[number])


async def create_pod(state, number):
    """A namespace with its interface; returns (its name, its addresses)."""
    netns, link = f"{state.hub}-{number}", f"ewh{number}"
    ip4, ip6 = addresses(number)
    hub_mac = f"02:65:00:00:{number >> 8:02x}:{number & 255:02x}"
    pod_mac = f"02:65:01:00:{number >> 8:02x}:{number & 255:02x}"
    await ip([
        f"netns add {netns}",
        f"link add {link} address {hub_mac} type veth "
        f"peer name eth0 address {pod_mac} netns {netns}",
        f"link set {link} up",
        f"addr add {GATEWAY4}/32 dev {link}",
        f"addr add {GATEWAY6}/64 dev {link} nodad",
        f"route add {ip4}/32 dev {link} src {HUB4}",
        f"route add {ip6}/128 dev {link} src {HUB6}",
        f"neigh add {ip4} lladdr {pod_mac} dev {link} nud permanent",
        f"neigh add {ip6} lladdr {pod_mac} dev {link} nud permanent",
    ])
    sysctls = "".join(f"[ ! -e /proc/sys/{n} ] || echo {v} >/proc/sys/{n}\n"
                      for n, v in POD_SYSCTLS.items())
    batch = "\n".join([
        "link set lo up",
        f"addr add {ip4}/32 dev eth0",
        f"addr add {ip6}/128 dev eth0 nodad",
        "link set eth0 up",
        f"route add {GATEWAY4}/32 dev eth0",
        f"route add default via {GATEWAY4} dev eth0 src {ip4}",
        f"route add ::/0 via {GATEWAY6} dev eth0 src {ip6}",
        f"neigh add {GATEWAY4} lladdr {hub_mac} dev eth0 nud permanent",
        f"neigh add {GATEWAY6} lladdr {hub_mac} dev eth0 nud permanent",
    ])
    script = f"set -e\n{sysctls}ip -batch - <<'END'\n{batch}\nEND\n"
    code, out = await run("nsenter", f"--net={NETNS}/{netns}", "--",
                          "/bin/sh", "-c", script)
    if code != 0:
        raise MeshError(f"network of {netns}: {out.strip()}")
    return netns, [ip4, ip6]


async def remove_pod(state, number):
    # The interface goes at once; the namespace may live on in a file
    # descriptor somewhere, and must not answer for the address then.
    await run("ip", "-force", "-batch", "-",
              stdin=f"link del ewh{number}\nnetns del {state.hub}-{number}\n")
