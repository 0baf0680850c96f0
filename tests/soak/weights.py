# SPDX-License-Identifier: Apache-2.0
"""How soon a route's new weights hold in every sidecar, and what sidecars and
controllers weigh in a large cluster."""

import json
import os
import subprocess
import time

from cluster import network
from cluster.namespaces import nsenter
from cluster.state import ClusterError
from kube import (PYTHON, SYSTEM, container, deployment, namespace, poll,
                  route, server, service)

CLIENTS = 10
VERSIONS = ("v1", "v2")
REPORT_PORT = 9000
WITHIN = 1.0  # seconds from the start of kubectl
SIDECAR_MIB, CONTROLLER_MIB = 10, 100
CROWD = "soak-crowd"


def _backends(version):
    return [{"name": v, "port": 80, "weight": 100 if v == version else 0}
            for v in VERSIONS]


def _servers(ns):
    for version in VERSIONS:
        yield deployment(ns, version, server("--version", version,
                                             program="graceful.py"))
        yield service(ns, version)
    yield service(ns, "split", {"app": VERSIONS[0]})
    yield route(ns, "split", "split", {"backendRefs": _backends(VERSIONS[0])})


def _clients(ns):
    # Each talks to three of the cluster's Services.
    return deployment(ns, "clients", container(
        [*PYTHON, "/workloads/watch.py", "http://split/", "http://v1/",
         "http://v2/"],
        readinessProbe={"httpGet": {"path": "/", "port": REPORT_PORT}}),
        replicas=CLIENTS,
        annotations={"eastwest.dev/skip-inbound-ports": str(REPORT_PORT)})


class Clients:
    def __init__(self, cluster, ns):
        self.cluster, self.ns = cluster, ns
        self.pods = {p["metadata"]["name"]: p["status"]["podIP"]
                     for p in self.all()}

    def all(self):
        return self.cluster.items("pods", self.ns, "--selector", "app=clients")

    def reports(self):
        done = subprocess.run(
            [*nsenter(self.cluster.state), "curl", "-sSf", "-m", "10",
             *(f"http://{ip}:{REPORT_PORT}/" for ip in self.pods.values())],
            text=True, capture_output=True)
        if done.returncode != 0:
            raise ClusterError(f"reports of the clients: {done.stderr}")
        decode, text, found = json.JSONDecoder(), done.stdout, []
        while text:
            value, end = decode.raw_decode(text)
            found.append(value)
            text = text[end:].lstrip()
        return dict(zip(self.pods, found))

    def all_see(self, version):
        return all(r["seen"] and r["seen"][-1][0] == version
                   for r in self.reports().values())


def _flip(clients, version):
    """Seconds for each pod from the start of kubectl to the first request
    that was answered by the new version; and until kubectl was done."""
    before = {pod: len(r["seen"]) for pod, r in clients.reports().items()}
    patch = json.dumps({"spec": {"rules": [
        {"backendRefs": _backends(version)}]}})
    begin = time.time()
    clients.cluster.kubectl("patch", "httproute", "split", "--namespace",
                            clients.ns, "--type=merge", "--patch", patch)
    done = time.time() - begin
    poll(f"{version} for all clients", 30, lambda: clients.all_see(version))
    seconds = {}
    for pod, report in clients.reports().items():
        # One change for one patch: nothing goes back and forth.
        if len(report["seen"]) != before[pod] + 1:
            raise ClusterError(f"{pod} saw {report['seen'][before[pod]:]}")
        seconds[pod] = report["seen"][-1][1] - begin
    return seconds, done


def flips(clients, count, say):
    faults, worst = [], {}
    version = next(iter(clients.reports().values()))["seen"][-1][0]
    for i in range(count):
        version = next(v for v in VERSIONS if v != version)
        seconds, done = _flip(clients, version)
        for pod, value in seconds.items():
            worst[pod] = max(worst.get(pod, 0), value)
            if value > WITHIN:
                faults.append(f"patch {i + 1}: {pod} after {value:.3f} s "
                              f"(kubectl took {done:.3f} s)")
        say(f"patch {i + 1}: kubectl {done:.3f} s, sidecars "
            f"{min(seconds.values()):.3f} to {max(seconds.values()):.3f} s "
            "after its start")
    say(f"{count} patches, {len(worst)} pods: longest for each pod "
        + " ".join(f"{value:.3f}" for value in sorted(worst.values())) + " s")
    return faults


# ---- memory ----

def _resident(status):
    """MiB of the process of a container, by the container's status."""
    container_id = status["containerID"].rpartition("/")[2]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                if container_id not in file.read():
                    continue
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                for line in file:
                    if line.startswith("VmRSS:"):
                        return int(line.split()[1]) / 1024
        except (FileNotFoundError, ProcessLookupError):
            pass
    raise ClusterError(f"no process of container {container_id}")


def _status(pod, kind, name):
    return next(s for s in pod["status"][kind] if s["name"] == name)


def sidecars(clients):
    return [_resident(_status(p, "initContainerStatuses", "eastwest-sidecar"))
            for p in clients.all()]


def controllers(cluster):
    return [_resident(_status(p, "containerStatuses", "controller"))
            for p in cluster.items("pods", SYSTEM, "--selector",
                                   "app.kubernetes.io/component=controller")]


def sizes(clients, say, when):
    found = sidecars(clients), controllers(clients.cluster)
    say(f"{when}: sidecars {min(found[0]):.1f} to {max(found[0]):.1f} MiB, "
        "controllers " + " ".join(f"{s:.1f}" for s in found[1]) + " MiB")
    return found


def crowd(cluster, services, endpoints):
    cluster.delete("namespace", CROWD)
    cluster.apply(namespace(CROWD, False))
    done = subprocess.run(
        [*nsenter(cluster.state), *PYTHON,
         os.path.join(os.path.dirname(__file__), "crowd.py"), network.NODE,
         "6443", cluster.state.path("certs"), CROWD, str(services),
         str(endpoints)], text=True, capture_output=True)
    if done.returncode != 0:
        raise ClusterError(done.stderr)


def run(cluster, services, count, say, ns="soak-weights"):
    """Patches; then, with that many Services of five endpoints more, memory
    and patches again."""
    cluster.delete("namespace", ns)
    cluster.apply(namespace(ns))
    try:
        cluster.apply(*_servers(ns))
        for name in VERSIONS:
            cluster.rolled_out(ns, name)
        cluster.apply(_clients(ns))
        cluster.rolled_out(ns, "clients", 300)
        clients = Clients(cluster, ns)
        poll("answers of v1", 30, lambda: clients.all_see(VERSIONS[0]))
        faults = flips(clients, count, say)
        sizes(clients, say, "before")
        if services:
            crowd(cluster, services, 5)
            say(f"{services} Services with {services * 5} endpoints made")
            faults += flips(clients, count, say)
        for pod, report in clients.reports().items():
            faults += [f"{pod}: {text}" for text in report["failures"]]
        found = sizes(clients, say, "after")
        for what, values, most in (("sidecar", found[0], SIDECAR_MIB),
                                   ("controller", found[1], CONTROLLER_MIB)):
            faults += [f"{what} of {v:.1f} MiB: more than {most}"
                       for v in values if v > most]
        return faults
    finally:
        for name in (ns, CROWD):
            cluster.delete("namespace", name, wait=False)
