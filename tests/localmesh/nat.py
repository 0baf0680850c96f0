# SPDX-License-Identifier: Apache-2.0
"""Cluster addresses for plain connections, translated as kube-proxy does.

The hub's whole table is replaced in one transaction at every change, so no
packet ever meets half of it.
"""

from . import network
from .services import ready_endpoints
from .state import MeshError
from .supervise import run

TOOLS = {"IPv4": "iptables-restore", "IPv6": "ip6tables-restore"}
RANGES = {"IPv4": network.SERVICES4, "IPv6": network.SERVICES6}
BITS = {"IPv4": 32, "IPv6": 128}


def _shown(ip):
    return f"[{ip}]" if ":" in ip else ip


def table(kind, services, slices, pods):
    """The input for iptables-restore of one family."""
    chains, jumps, rules = [], [], []
    bits = BITS[kind]
    for service in services:
        spec = service["spec"]
        for ip in spec.get("clusterIPs") or []:
            if ip == "None" or (":" in ip) != (kind == "IPv6"):
                continue
            for port in spec.get("ports") or []:
                protocol = port["protocol"].lower()
                targets = ready_endpoints(service, slices, kind, port)
                if protocol not in ("tcp", "udp") or not targets:
                    continue
                chain = f"SVC-{len(chains)}"
                chains.append(chain)
                jumps.append(f"-A SERVICES -d {ip}/{bits} -p {protocol} "
                             f"--dport {port['port']} -j {chain}")
                rules += _balance(chain, protocol, targets)
    # A pod that reaches itself over a Service must see another source.
    hairpins = [f"-A POSTROUTING -s {ip}/{bits} -d {ip}/{bits} -j MASQUERADE"
                for pod in pods for ip in pod.ips
                if (":" in ip) == (kind == "IPv6")]
    lines = ["*nat", ":PREROUTING ACCEPT", ":OUTPUT ACCEPT",
             ":POSTROUTING ACCEPT", ":SERVICES -",
             *(f":{chain} -" for chain in chains),
             "-A PREROUTING -j SERVICES", "-A OUTPUT -j SERVICES",
             *jumps, *rules, *hairpins, "COMMIT",
             # What is still addressed to a Service has no endpoint.
             "*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT",
             f"-A FORWARD -d {RANGES[kind]} -j REJECT",
             f"-A OUTPUT -o ew0 -d {RANGES[kind]} -j REJECT", "COMMIT"]
    return "\n".join(lines) + "\n"


def _balance(chain, protocol, targets):
    for i, (ip, port) in enumerate(targets):
        left = len(targets) - i
        chance = "" if left == 1 else \
            f"-m statistic --mode random --probability {1 / left:.8f} "
        yield (f"-A {chain} -p {protocol} {chance}-j DNAT "
               f"--to-destination {_shown(ip)}:{port}")


class Translation:
    def __init__(self):
        self._applied = {}

    async def apply(self, services, slices, pods):
        for kind, tool in TOOLS.items():
            text = table(kind, services, slices, pods)
            if self._applied.get(kind) == text:
                continue
            code, out = await run(tool, "-w", stdin=text)
            if code != 0:
                raise MeshError(f"{tool}: {out.strip()}")
            self._applied[kind] = text
