# SPDX-License-Identifier: Apache-2.0
"""What a sidecar costs as a Service has more rules or more endpoints, and as
the mesh has more routes."""

import ipaddress
import json
import subprocess

import meshes as m

from . import measure, report, sample
from .bed import HEADER, wait_for
from .load import wrk
from .origin import PORTS
from .works import Work

SIZES = (1, 10, 100, 10000)
# As many rules as the Gateway API allows in one route, and endpoints that
# Kubernetes puts into one slice.
PER_ROUTE, PER_SLICE, PER_FILE = 16, 100, 1000
PORT = PORTS["http1"][0]
# Addresses that the server's pod without sidecar answers for.
MANY = ipaddress.ip_network("198.18.64.0/18")
TEXT = {
    "rules": "rules on the Service that is asked, half exact paths and half "
             "prefixes; the request matches the last",
    "headers": "rules on the Service that is asked, each for another value of "
               "one header; the request matches the last",
    "endpoints": "endpoints of the Service that is asked (plain HTTP)",
    "routes": "HTTPRoutes in the mesh, each for a Service of its own; one of "
              "them is asked",
}


def _target():
    return [m.backend("http1-v1", PORT)]


def _path(number):
    kind = "Exact" if number % 2 else "PathPrefix"
    return {"path": {"type": kind, "value": f"/api/v1/item-{number}"}}


def _header(number):
    return {"headers": [{"type": "Exact", "name": HEADER[0],
                         "value": f"item-{number}"}]}


def _rules(kind, match, size):
    """HTTPRoutes with |size| rules in all; the last takes every request."""
    every = [{"matches": [match(i)], "backendRefs": _target()}
             for i in range(size - 1)]
    every.append({"backendRefs": _target()})
    name = f"{kind}-{size}"
    return [m.http_route("mesh", f"{name}-{i}", name, every[i:i + PER_ROUTE])
            for i in range(0, size, PER_ROUTE)]


def rules(size):
    return _rules("rules", _path, size)


def headers(size):
    return _rules("headers", _header, size)


def endpoints(size):
    """EndpointSlices with |size| addresses in all."""
    every = [{"addresses": [str(MANY[i + 1])], "conditions": {"ready": True}}
             for i in range(size)]
    name = f"endpoints-{size}"
    return [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {"namespace": "mesh", "name": f"{name}-{i}",
                          "labels": {"kubernetes.io/service-name": name}},
             "addressType": "IPv4",
             "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
             "endpoints": every[i:i + PER_SLICE]}
            for i in range(0, size, PER_SLICE)]


def routes(size):
    """|size| HTTPRoutes, one of them for the Service that is asked."""
    found = [m.http_route("mesh", "routes", "routes",
                          [{"backendRefs": _target()}])]
    for i in range(size - 1):
        name = f"other-{i}"
        found += [m.service("mesh", name, None, PORT, PORT, "http",
                            clusterIP="None"),
                  m.http_route("mesh", name, name,
                               [{"backendRefs": _target()}])]
    return found


class Growth:
    """Measures one peer, Eastwest: it needs its mesh."""

    def __init__(self, peer, rounds, seconds, say):
        self.peer, self.mesh = peer, peer.bed.mesh
        self.rounds, self.seconds, self.say = rounds, seconds, say

    # What is written goes beside the mesh's own objects: only the controller
    # has to read it, not the part of the local mesh that starts pods.

    def _write(self, name, objects):
        for i in range(0, len(objects), PER_FILE):
            path = self.mesh.state / "objects" / f"{name}-{i}.yaml"
            temporary = path.with_name(f".{path.name}")
            temporary.write_text("\n---\n".join(
                json.dumps(o) for o in objects[i:i + PER_FILE]))
            temporary.rename(path)

    def _unwrite(self, name):
        for path in (self.mesh.state / "objects").glob(f"{name}-*.yaml"):
            path.unlink()

    def _services(self, names, selector):
        self.mesh.write("growth.yaml", [
            m.service("mesh", name, selector, PORT, PORT, "http")
            for name in names])

    def _route_many(self):
        """Leads the many addresses to the server's pod."""
        pod = self.peer.bed.pod("plain", "server")
        link = "ewh" + pod["netns"].rpartition("-")[2]
        self.mesh.in_hub("ip", "route", "add", str(MANY), "via",
                         pod["ips"][0], "dev", link, "onlink")
        subprocess.run(["ip", "-n", pod["netns"], "route", "add", "local",
                        str(MANY), "dev", "lo"], check=True)

    # What is asked.

    def _ask(self, name, seconds, connections=32):
        return wrk(self.peer.client_netns,
                   f"{self.peer.service_ip(name)}:{PORT}", "/", name,
                   connections, seconds, headers=[f"{HEADER[0]}: v1"])

    def _known(self, name, count):
        """Until the client's sidecar has the whole state of a Service."""
        def known():
            self._ask(name, 1, 1)
            found = [d for d in self.mesh.destinations("mesh/client").values()
                     if d and d.get("name") == name]
            return found and count(found[0])
        wait_for(known, 60, f"{name}: known to the sidecar")

    def _row(self, work, name, count):
        """The memory of a fresh controller, and of fresh sidecars that know
        this Service alone."""
        for do in ("stop", "start"):
            self.mesh.cli("controller", "--name", self.mesh.name, do)
        self.peer.restart()
        self._known(name, count)
        own = measure.memory(self.peer.sides()[0])
        controller = measure.memory(self.peer.controller())
        return report.bare(self.peer.name, work, rss_idle_mib=own.rss,
                           pss_idle_mib=own.pss,
                           controller_rss_mib=controller.rss)

    def _measure(self, names):
        """{name: samples}, in interleaved rounds."""
        samples = {name: [] for name in names}
        for number in range(self.rounds):
            for name in names:
                work = Work(name, "", "http1", lambda peer, seconds, name=name:
                            self._ask(name, seconds))
                one = sample.take(self.peer, work, self.seconds)
                samples[name].append(one)
                self.say(f"{name} {number + 1}/{self.rounds}: "
                         f"{one.per_request(one.client.total):.1f} us at the "
                         "client's side")
        return samples

    @staticmethod
    def _fill(rows, samples):
        for row in rows:
            row.update({k: v for k, v in report.costs(
                samples[row["work"]]).items() if v is not None})
        return rows

    def _same_mesh(self, kind, make, count, selector=None):
        """One Service for each size, all there at once."""
        names = [f"{kind}-{size}" for size in SIZES]
        self._services(names, selector)
        for size, name in zip(SIZES, names):
            self._write(name, make(size))
        rows = [self._row(name, name, lambda d, size=size: count(d) == size)
                for size, name in zip(SIZES, names)]
        samples = self._measure(names)
        for name in names:
            self._unwrite(name)
        self.mesh.remove("growth.yaml")
        return self._fill(rows, samples)

    def rules(self):
        return self._same_mesh("rules", rules, lambda d: len(d["rules"]),
                               {"app": "server"})

    def headers(self):
        return self._same_mesh("headers", headers, lambda d: len(d["rules"]),
                               {"app": "server"})

    def endpoints(self):
        self._route_many()
        return self._same_mesh(
            "endpoints", endpoints,
            lambda d: len(d["backends"][0].get("endpoints", [])))

    def _controller_has(self, size):
        text = self.mesh.in_hub(
            "curl", "-s", "http://198.18.255.1:15020/metrics").stdout
        return self.mesh.parse_metrics(text).get(
            'eastwest_controller_objects{kind="HTTPRoute"}', 0) >= size

    def routes(self):
        rows = []
        self._services(["routes"], {"app": "server"})
        for size in SIZES:
            self._write("routes", routes(size))
            wait_for(lambda size=size: self._controller_has(size), 60,
                     f"{size} routes in the controller")
            row = self._row(f"routes-{size}", "routes",
                            lambda d: len(d["rules"]) == 1)
            samples = self._measure(["routes"])
            rows += self._fill([row], {row["work"]: samples["routes"]})
        self._unwrite("routes")
        self.mesh.remove("growth.yaml")
        return rows

    def take(self, kind):
        return {"rules": self.rules, "headers": self.headers,
                "endpoints": self.endpoints, "routes": self.routes}[kind]()
