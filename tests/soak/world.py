# SPDX-License-Identifier: Apache-2.0
"""The servers, the client that loads them, and the judgement of its report.

Of each kind, HTTP/1.1 and gRPC, there are two Deployments behind one Service:
one whose pods come and go, and one pod that stays."""

import json
import subprocess
import threading
import time

from cluster.namespaces import nsenter
from cluster.state import ClusterError
from kube import (PYTHON, container, deployment, namespace, pod, poll, server,
                  service)

REPORT_PORT = 9000
GRACE = 3  # seconds for what is open when a server ends
# A server of HTTP/1.1 that ends can't take back a request that comes on a
# connection just then, and a POST must not be sent twice; one of gRPC cancels
# calls that come while it says GOAWAY. So each is told to end when nobody
# sends to it any more, as is usual.
PRESTOP = 5
SLACK = 1  # seconds between clocks of different programs
KINDS = ("http", "grpc")
WIDTH = 2  # pods of a Deployment whose pods come and go
POD_LINE = ("{.metadata.name} {.metadata.deletionTimestamp}"
            '{"\\n"}')


def _container(kind):
    program = "graceful.py" if kind == "http" else "grpc_echo.py"
    made = server(f"--grace={GRACE}", program=program)
    if kind == "grpc":
        made["readinessProbe"] = {"tcpSocket": {"port": 8080},
                                  "periodSeconds": 1}
    made["lifecycle"] = {"preStop": {"sleep": {"seconds": PRESTOP}}}
    return made


def _deployments(ns, kind):
    for name, replicas in ((f"{kind}-moving", WIDTH), (f"{kind}-steady", 1)):
        made = deployment(ns, name, _container(kind), replicas=replicas)
        made["spec"]["template"]["metadata"]["labels"]["kind"] = kind
        yield made


def _service(ns, kind):
    made = service(ns, kind, {"kind": kind})
    if kind == "grpc":
        made["spec"]["ports"][0]["appProtocol"] = "kubernetes.io/h2c"
    return made


def _client(ns, rate, streams):
    # Its report is asked for from the node, also without an API server.
    return pod(ns, "client", container(
        [*PYTHON, "/workloads/load.py", "--http", "http:80", "--grpc",
         "grpc:80", "--rate", str(rate), "--streams", str(streams)],
        readinessProbe={"httpGet": {"path": "/", "port": REPORT_PORT}}),
        annotations={"eastwest.dev/skip-inbound-ports": str(REPORT_PORT)})


class Fault(Exception):
    """What was promised did not happen."""


class World:
    def __init__(self, cluster, ns, rate=100, streams=20):
        self.cluster, self.ns = cluster, ns
        self.rate, self.streams = rate, streams
        self.gone = {}  # pods that were told to end, and when
        self.watch = self.address = None

    def __enter__(self):
        c = self.cluster
        c.delete("namespace", self.ns)
        c.apply(namespace(self.ns))
        for kind in KINDS:
            c.apply(*_deployments(self.ns, kind), _service(self.ns, kind))
        for kind in KINDS:
            for name in (f"{kind}-moving", f"{kind}-steady"):
                c.rolled_out(self.ns, name)
        self.watch = c.spawn("get", "pods", "--namespace", self.ns, "--watch",
                             "-o", f"jsonpath={POD_LINE}",
                             stdout=subprocess.PIPE)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            c.apply(_client(self.ns, self.rate, self.streams))
            c.pod_ready(self.ns, "client")
            self.address = c.get("pod", "client", self.ns)["status"]["podIP"]
            poll("all streams open", 30, lambda: len(
                self.report()["open"]) == self.streams)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.watch.kill()
        self.watch.wait()
        self.cluster.delete("namespace", self.ns, wait=False)

    def _listen(self):
        for line in self.watch.stdout:
            name, *deleted = line.split()
            if deleted:
                self.gone.setdefault(name, time.time())

    def report(self, stop=False):
        # By a program in the cluster's network.
        words = ["curl", "-sS", "-m", "60", *(["-XPOST"] if stop else []),
                 f"http://{self.address}:{REPORT_PORT}/stop"]
        done = subprocess.run([*nsenter(self.cluster.state), *words],
                              text=True, capture_output=True)
        if done.returncode != 0:
            raise ClusterError(f"report of the client: {done.stderr}")
        return json.loads(done.stdout)

    def pods(self, kind):
        """Of those that come and go, in the order of their age."""
        found = [p for p in self.cluster.items(
            "pods", self.ns, "--selector", f"app={kind}-moving")
            if "deletionTimestamp" not in p["metadata"]]
        return [p["metadata"]["name"] for p in sorted(
            found, key=lambda p: p["metadata"]["creationTimestamp"])]

    def finish(self, seconds):
        """Ends the load; the report and what is wrong with it."""
        report = self.report(stop=True)
        return report, list(faults(report, self.gone, self.rate * seconds))


def faults(report, gone, least):
    for failure in report["failures"]:
        yield json.dumps(failure)
    for end in report["ends"]:
        if end["pod"] not in gone:
            yield f"stream of a pod that stays: {json.dumps(end)}"
        elif end["end"] < gone[end["pod"]] + PRESTOP + GRACE - SLACK:
            yield (f"stream that its server did not end: {json.dumps(end)}, "
                   f"told to end at {gone[end['pod']]}")
    for name, pod_ in report["silent"].items():
        yield f"stream {name} to {pod_}: silent"
    for kind in KINDS:
        # The machine may be too busy for the rate; not for half of it.
        if report["done"].get(kind, 0) < least / 2:
            yield (f"{kind}: {report['done'].get(kind, 0)} requests, "
                   f"expected {least:.0f}")


def _slowest(report, kind):
    seconds, begin = report["slowest"].get(kind, (0, 0))
    return f"{seconds} s at {time.strftime('%T', time.localtime(begin))}"


def summary(report):
    done, failed = report["done"], report["failed"]
    words = [f"{done.get(k, 0)} {k} requests, {failed.get(k, 0)} failed, "
             f"slowest {_slowest(report, k)}" for k in KINDS]
    words.append(f"{len(report['open'])} streams open at the end, "
                 f"{len(report['ends'])} ended before")
    words += [json.dumps(f) for f in report["failures"][:3]]
    return "; ".join(words)
