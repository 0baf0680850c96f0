# SPDX-License-Identifier: Apache-2.0
"""cluster.local for the pods: dnsmasq over a hosts file that we rewrite."""

import os
import signal

from . import network
from .services import FAMILIES, ready_endpoints
from .state import write_atomic
from .supervise import Service


def _names(service, slices):
    """[(address, name)] that one Service contributes."""
    spec, meta = service["spec"], service["metadata"]
    base = f"{meta['name']}.{meta['namespace']}.svc.cluster.local"
    if spec.get("clusterIP") != "None":
        return [(ip, base) for ip in spec.get("clusterIPs") or []]
    found = []
    for kind in FAMILIES:
        for ip, _ in ready_endpoints(service, slices, kind, None):
            found.append((ip, base))
    ready = {ip for ip, _ in found}
    for item in slices:
        if item["metadata"]["namespace"] == meta["namespace"] and \
                (item["metadata"].get("labels") or {}).get(
                    "kubernetes.io/service-name") == meta["name"]:
            for endpoint in item.get("endpoints") or []:
                ip = endpoint["addresses"][0]
                if endpoint.get("hostname") and ip in ready:
                    found.append((ip, f"{endpoint['hostname']}.{base}"))
    return found


def hosts(services, slices, pods):
    """The hosts file. An ExternalName is an alias, written out."""
    pairs = []
    for service in services:
        pairs += _names(service, slices)
    known = {}
    for ip, name in pairs:
        known.setdefault(name, []).append(ip)
    for service in services:
        target = service["spec"].get("externalName")
        if target and service["spec"]["type"] == "ExternalName":
            meta = service["metadata"]
            name = f"{meta['name']}.{meta['namespace']}.svc.cluster.local"
            pairs += [(ip, name)
                      for ip in known.get(target.rstrip("."), [])]
    for pod in pods:
        for ip in pod.ips:
            dashed = ip.replace(".", "-").replace(":", "-")
            pairs.append((ip, f"{dashed}.{pod.namespace}.pod.cluster.local"))
    return "".join(f"{ip} {name}\n" for ip, name in sorted(set(pairs)))


class Dns:
    def __init__(self, state):
        self._file = state.path("hosts")
        self._text = None
        # Nothing is forwarded: the mesh has no way out, and a name that it
        # doesn't know is answered at once with NXDOMAIN.
        self._server = Service("dnsmasq", [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
            "--pid-file=", "--no-resolv", "--no-hosts", "--no-poll",
            "--bind-interfaces", f"--listen-address={network.DNS4}",
            f"--listen-address={network.DNS6}", "--user=nobody",
            f"--addn-hosts={self._file}", "--local-ttl=1", "--address=/#/",
            "--log-facility=-"], state.path("logs", "dnsmasq.log"))

    def publish(self, services, slices, pods):
        text = hosts(services, slices, pods)
        if text == self._text:
            return
        write_atomic(self._file, text)
        self._text = text
        if not self._server.started:
            os.environ["PATH"] += ":/usr/sbin:/sbin"
            self._server.start()
        else:
            self._server.signal(signal.SIGHUP)

    async def stop(self):
        await self._server.stop()
