# SPDX-License-Identifier: Apache-2.0
"""A cluster as the tests use it: kubectl, helm, objects, and waiting."""

import json
import os
import subprocess

import yaml

from cluster import archives, build, containerd, crds, mesh, network
from cluster.namespaces import nsenter
from cluster.state import REPOSITORY, ClusterError, State, wait_for

CHART = mesh.CHART
SYSTEM = mesh.NAMESPACE
RELEASE = mesh.RELEASE
PYTHON = ["/usr/bin/python3"]


def helm_alone(*args):
    """Helm without a cluster: (exit status, stdout, stderr)."""
    done = subprocess.run([f"{build.BIN}/helm", *args], text=True,
                          capture_output=True, cwd=REPOSITORY)
    return done.returncode, done.stdout, done.stderr


def rendered(*options):
    """The chart's objects, in the order of the files."""
    code, out, err = helm_alone("template", RELEASE, CHART, "--namespace",
                                SYSTEM, "--kube-version",
                                build.KUBERNETES, *options)
    assert code == 0, err
    return [o for o in yaml.safe_load_all(out) if o]


class Cluster:
    def __init__(self, name):
        self.state = State(name)

    def kubectl(self, *args, stdin=None, fail=True):
        return crds.kubectl(self.state, *args, stdin=stdin, fail=fail)

    def helm(self, *args):
        return crds.client(self.state, "helm", *args)

    def environ(self):
        return {**os.environ, "KUBECONFIG": self.state.kubeconfig}

    def apply(self, *objects, dry_run=False):
        """What kubectl said, its warnings included."""
        text = json.dumps({"apiVersion": "v1", "kind": "List",
                           "items": list(objects)})
        done = subprocess.run(
            [*nsenter(self.state), f"{build.BIN}/kubectl", "apply",
             "--server-side", "--force-conflicts",
             *(["--dry-run=server"] if dry_run else []), "-f", "-"],
            input=text, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=self.environ())
        if done.returncode != 0:
            raise ClusterError(done.stdout)
        return done.stdout

    def get(self, kind, name, ns=None):
        """The object; None if there is none."""
        text = self.kubectl("get", kind, name, "--ignore-not-found", "-o",
                            "json", *(["--namespace", ns] if ns else []))
        return json.loads(text) if text.strip() else None

    def items(self, kind, ns=None, *options):
        where = ["--namespace", ns] if ns else ["--all-namespaces"]
        return json.loads(self.kubectl("get", kind, "-o", "json", *where,
                                       *options))["items"]

    def delete(self, kind, name, ns=None, wait=True):
        self.kubectl("delete", kind, name, "--ignore-not-found",
                     f"--wait={str(wait).lower()}",
                     *(["--namespace", ns] if ns else []))

    def exec(self, ns, pod, *words, container=None, fail=True):
        return self.kubectl("exec", "--namespace", ns, pod,
                            *(["-c", container] if container else []), "--",
                            *words, fail=fail)

    def spawn(self, *args, **options):
        """kubectl in the background."""
        return subprocess.Popen(
            [*nsenter(self.state), f"{build.BIN}/kubectl", *args], text=True,
            env=self.environ(), **options)

    def pod_ready(self, ns, name, seconds=90):
        def check():
            pod = self.get("pod", name, ns)
            return pod if is_ready(pod) else None
        return self._wait(f"pod {ns}/{name} ready", seconds, check, ns)

    def rolled_out(self, ns, deployment, seconds=120):
        try:
            self.kubectl("rollout", "status", f"deployment/{deployment}",
                         "--namespace", ns, f"--timeout={seconds}s")
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.describe(ns)}") from None

    def ended(self, ns, name, seconds=90):
        """The phase in which a pod has ended."""
        def check():
            phase = (self.get("pod", name, ns) or {}).get(
                "status", {}).get("phase")
            return phase if phase in ("Succeeded", "Failed") else None
        return self._wait(f"end of pod {ns}/{name}", seconds, check, ns)

    def _wait(self, what, seconds, check, ns):
        try:
            return wait_for(what, seconds, check, 0.2)
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.describe(ns)}") from None

    def describe(self, ns):
        pods = self.kubectl("get", "pods", "--namespace", ns, "-o", "wide",
                            fail=False)
        events = self.kubectl("get", "events", "--namespace", ns,
                              "--sort-by=.lastTimestamp", fail=False)
        return f"{pods}\n" + "\n".join(events.splitlines()[-15:])

    def uninstall(self):
        if RELEASE in self.helm("list", "--namespace", SYSTEM, "--short",
                                "--all"):
            self.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait")

    def webhooks(self):
        return [o["metadata"]["name"]
                for o in self.items("mutatingwebhookconfigurations")]


def is_ready(pod):
    conditions = (pod or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True"
               for c in conditions)


# ---- objects ----

def namespace(name, inject=True, **labels):
    if inject:
        labels["eastwest.dev/inject"] = "enabled"
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels}}


def container(command, name="app", **more):
    return {"name": name, "image": archives.WORKLOADS_IMAGE,
            "imagePullPolicy": "Never", "command": command, **more}


def server(*options, port=8080, program="echo.py", **more):
    """A server of tests/workloads in a container."""
    return container(
        [*PYTHON, f"/workloads/{program}", "--port", str(port), *options],
        env=[{"name": "POD_NAME", "valueFrom": {
            "fieldRef": {"fieldPath": "metadata.name"}}}],
        ports=[{"containerPort": port}],
        readinessProbe={"httpGet": {"path": "/healthz", "port": port},
                        "periodSeconds": 1}, **more)


def idle():
    """A container in which commands are run."""
    return container([*PYTHON, "-c", "import signal as s; t = {s.SIGTERM}; "
                      "s.pthread_sigmask(s.SIG_BLOCK, t); s.sigwait(t)"])


def pod_spec(*containers, **more):
    return {"containers": list(containers), **more}


def pod(ns, name, *containers, labels=None, annotations=None, **more):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": ns,
                         "labels": labels or {},
                         "annotations": annotations or {}},
            "spec": pod_spec(*containers, **more)}


def deployment(ns, name, *containers, replicas=1, annotations=None, **more):
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"replicas": replicas,
                     "selector": {"matchLabels": {"app": name}},
                     "template": {
                         "metadata": {"labels": {"app": name},
                                      "annotations": annotations or {}},
                         "spec": pod_spec(*containers, **more)}}}


def service(ns, name, selector=None, port=80, target=8080):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"selector": selector or {"app": name},
                     "ports": [{"port": port, "targetPort": target}]}}


def route(ns, name, parent, *rules):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"parentRefs": [{"group": "", "kind": "Service",
                                     "name": parent}],
                     "rules": list(rules)}}


# Arguments: seconds, threads, URL. As JSON: how often which pod answered, and
# what else happened.
LOAD = """
import collections, json, sys, threading, time, urllib.request
end = time.monotonic() + float(sys.argv[1])
pods, bad = collections.Counter(), []

def work():
    while time.monotonic() < end:
        begin = time.time()
        try:
            with urllib.request.urlopen(sys.argv[3], timeout=30) as answer:
                pods[json.load(answer)["pod"]] += 1
        except Exception as e:
            reason = (getattr(e, "headers", None) or {}).get(
                "eastwest-refusal")
            bad.append(f"{begin:.2f} +{time.time() - begin:.2f} {e} {reason}")

threads = [threading.Thread(target=work) for _ in range(int(sys.argv[2]))]
for t in threads: t.start()
for t in threads: t.join()
print(json.dumps({"pods": pods, "bad": bad}))
"""


class Load:
    """Requests from a pod until the end of the block; see LOAD."""

    def __init__(self, cluster, ns, name, url, seconds, threads=4):
        self.process = cluster.spawn(
            "exec", "--namespace", ns, name, "-c", "app", "--", *PYTHON, "-c",
            LOAD, str(seconds), str(threads), url, stdout=subprocess.PIPE)

    def result(self):
        out, _ = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, out
        return json.loads(out)


# Arguments: host, port, folder of certificates, path; the body on the first
# line. Until the second: how often it asked, and what was no success.
ASK = """
import http.client, json, ssl, sys, threading
host, port, folder, path = sys.argv[1:]
body, end = sys.stdin.readline(), threading.Event()
context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
conn = http.client.HTTPSConnection(host, int(port), context=context)
asked, refused = 0, []
threading.Thread(target=lambda: (sys.stdin.readline(), end.set())).start()
while not end.is_set():
    conn.request("POST", path, body, {"content-type": "application/json"})
    answer = conn.getresponse()
    text = answer.read().decode()
    asked += 1
    if answer.status != 201:
        refused.append(text)
print(json.dumps([asked, refused]))
"""


class Refusals:
    """Asks all the time whether a pod would be admitted; keeps what it was
    told when not. A dry run is reviewed as any other."""

    def __init__(self, cluster, ns):
        self.asked, self.refused = 0, []
        self.body = json.dumps(pod(ns, "asked", idle()))
        self.process = subprocess.Popen(
            [*nsenter(cluster.state), *PYTHON, "-c", ASK, network.NODE, "6443",
             cluster.state.path("certs"),
             f"/api/v1/namespaces/{ns}/pods?dryRun=All"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        self.process.stdin.write(self.body + "\n")
        self.process.stdin.flush()
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate("\n", timeout=60)
        self.asked, self.refused = json.loads(out)


def load_image(cluster, archive):
    containerd.load(cluster.state, archive)


def poll(what, seconds, check, interval=0.2):
    """The first true result; check may raise ClusterError for a while."""
    last = []

    def quiet():
        try:
            return check()
        except ClusterError as error:
            last[:] = [str(error)]
            return None

    try:
        return wait_for(what, seconds, quiet, interval)
    except ClusterError as error:
        raise ClusterError("\n".join([str(error), *last])) from None


