# SPDX-License-Identifier: Apache-2.0
"""A local mesh under test: up, down, commands in pods, what its parts say."""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

# pylint: disable=wrong-import-position
from localmesh.__main__ import container_of  # noqa: E402
from localmesh.containers import user_prefix  # noqa: E402
from localmesh.network import HUB4  # noqa: E402
from localmesh.state import State, request  # noqa: E402

WORKLOADS = ROOT / "tests" / "workloads"
BIN = os.environ.get("EASTWEST_BIN", str(ROOT / "build" / "debug" / "bin"))
PYTHON = "/usr/bin/python3"
HUB4 = "198.18.255.1"


def wait_for(condition, seconds=10, what="it"):
    """Polls until |condition| gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, subprocess.SubprocessError, KeyError,
                IndexError, ValueError, OSError) as e:
            last = e
        assert time.monotonic() < deadline, \
            f"{what} did not happen within {seconds} s; last: {last!r}"
        time.sleep(0.02)


class Response:
    """What curl -i printed; the last response if there were interim ones."""

    def __init__(self, raw):
        text = raw.replace("\r\n", "\n")
        while True:
            head, _, self.text = text.partition("\n\n")
            lines = head.split("\n")
            found = re.match(r"HTTP/([\d.]+) (\d+)", lines[0])
            assert found, f"no HTTP response: {raw[:500]!r}"
            self.version, self.status = found[1], int(found[2])
            if self.status >= 200 or self.status == 101:
                break
            text = self.text
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())

    def header(self, name):
        values = self.headers.get(name.lower(), [])
        return ", ".join(values) if values else None

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.text[:300]!r}>"


class Mesh:
    """One mesh with a folder of its own. Use as a context manager."""

    def __init__(self, name, folder, bin_dir=BIN):
        self.name, self.folder = name, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Pods run as other users: they must reach the folder.
        for parent in [self.folder, *self.folder.parents][:4]:
            if str(parent).startswith("/tmp/"):
                parent.chmod(0o755)
        self.state = pathlib.Path(f"/run/eastwest/{name}")
        self.reports = self.folder.parent / f"{name}-sanitizer"
        self._written = {}
        self.env = dict(os.environ, PYTHONPATH=str(ROOT / "tests"),
                        EASTWEST_BIN=bin_dir,
                        EASTWEST_SANITIZER_DIR=str(self.reports))

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *exc):
        self.down()
        self.check_sanitizers()

    def cli(self, *args, check=True, timeout=120, **kwargs):
        kwargs.setdefault("capture_output", True)
        kwargs.setdefault("text", True)
        done = subprocess.run([PYTHON, "-m", "localmesh", *args],
                              env=self.env, timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, \
            f"{args}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *more):
        self.reports.mkdir(exist_ok=True)
        self.reports.chmod(0o777)
        self.cli("up", "--name", self.name, str(self.folder), *more)

    def down(self):
        self.cli("down", "--name", self.name, check=False)

    def check_sanitizers(self):
        found = [p.read_text() for p in sorted(self.reports.iterdir())]
        assert not found, "sanitizer report:\n" + "\n".join(found)[:20000]

    # Manifests.

    def write(self, name, manifests):
        """One file of manifests: text, an object, or a list of objects."""
        if not isinstance(manifests, str):
            many = manifests if isinstance(manifests, list) else [manifests]
            # JSON is YAML too, and has no bare "y" that would be a boolean.
            manifests = "\n---\n".join(json.dumps(o, indent=1) for o in many)
            self._check_names(name, many)
        temporary = self.folder / f".{name}.tmp"
        temporary.write_text(manifests)
        temporary.rename(self.folder / name)

    def _check_names(self, file, objects):
        """Tests share the mesh: none may replace what another one made."""
        mine = {(o["kind"], o["metadata"].get("namespace"),
                 o["metadata"]["name"]) for o in objects}
        for other, names in self._written.items():
            assert other == file or not mine & names, \
                f"{file}: {mine & names} stand in {other} already"
        self._written[file] = mine

    def remove(self, name):
        self._written.pop(name, None)
        (self.folder / name).unlink(missing_ok=True)

    # Pods.

    def _enter(self, pod, container):
        """The words before a command that make it run in a container: what
        `./dev exec` does, without the start of an interpreter each time."""
        row = self.pod(pod)
        part = container_of(row, container)
        assert part["pid"], f"{pod}: {part['name']} does not run"
        how = part["run"]
        return ["nsenter", "-t", str(part["pid"]), "-n", "-m", "-p", "-u", "--",
                *user_prefix(how["uid"], how["gid"], how["capabilities"],
                             *how["prefix"]),
                "env", "-i", "-C", how["cwd"],
                *(f"{k}={v}" for k, v in how["env"].items())]

    def exec(self, pod, *command, container=None, check=True, timeout=120,
             **kwargs):
        """|pod| is ns/name or ns/deploy/name."""
        kwargs.setdefault("capture_output", True)
        kwargs.setdefault("text", True)
        done = subprocess.run([*self._enter(pod, container), *command],
                              timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, \
            f"{command}: exit code {done.returncode}\n{done.stdout}\n" \
            f"{done.stderr}"
        return done

    def popen(self, pod, *command, container=None, **kwargs):
        return subprocess.Popen([*self._enter(pod, container), *command],
                                **kwargs)

    def curl(self, pod, url, *options, timeout=10):
        """The response to one request of curl in |pod|."""
        done = self.exec(pod, "curl", "-sSi", "--max-time", str(timeout),
                         *options, url, timeout=timeout + 20, text=False)
        return Response(done.stdout.decode("utf-8", "surrogateescape"))

    def tally(self, pod, url, count, *options, by="pod"):
        """How often |count| requests on one connection got which answer."""
        sep = "&" if "?" in url else "?"
        out = self.exec(pod, "curl", "-sS", "--max-time", "60", *options,
                        "-w", "\n%{http_code}\n",
                        f"{url}{sep}n=[1-{count}]", timeout=90).stdout
        counts = {}
        for body, status in re.findall(r"(?s)(.*?)\n(\d{3})\n", out):
            key = json.loads(body)[by] if status == "200" else int(status)
            counts[key] = counts.get(key, 0) + 1
        return counts

    def pods(self):
        return request(State(self.name), {"request": "status"})["pods"]

    def pod(self, name):
        """The row of a pod: |name| is "ns/name" or "ns/deploy/name"."""
        parts = name.split("/")
        for row in self.pods():
            if row["terminating"] or row["namespace"] != parts[0]:
                continue
            if parts[-1] == (row["owner"][2] if len(parts) == 3
                             else row["name"]):
                return row
        raise AssertionError(f"no pod {name}")

    # What the parts say.

    def metrics(self, pod):
        """{series as in the text format: value} of a pod's sidecar."""
        text = self.exec(pod, "curl", "-sS", "http://127.0.0.1:15020/metrics",
                         container="eastwest-sidecar").stdout
        return self.parse_metrics(text)

    @staticmethod
    def parse_metrics(text):
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                found[series] = float(value)
        return found

    def metric(self, pod, family, **labels):
        """The sum over all series of |family| that have these labels."""
        total = 0.0
        for series, value in self.metrics(pod).items():
            if series.partition("{")[0] == family and all(
                    f'{k}="{v}"' in series for k, v in labels.items()):
                total += value
        return total

    def log(self, pod, container="eastwest-sidecar"):
        """The log of a container as a list of objects (JSON lines)."""
        out = self.cli("logs", "--name", self.name, pod, "-c",
                       container).stdout
        return [json.loads(line) for line in out.splitlines()
                if line.startswith("{")]

    def destinations(self, pod):
        """{address: destination} as the pod's sidecar knows them."""
        out = self.exec(pod, "curl", "-sS",
                        "http://127.0.0.1:15000/destinations",
                        container="eastwest-sidecar").stdout
        rows = [json.loads(line) for line in out.splitlines() if line]
        return {r["address"]: r.get("destination") for r in rows}

    def controller_metrics(self):
        return self.parse_metrics(subprocess.run(
            ["nsenter", f"--net=/run/netns/{State(self.name).hub}", "curl",
             "-sS", f"http://{HUB4}:15020/metrics"], check=True, text=True,
            capture_output=True).stdout)

    def sync(self):
        """Until the controller has read all manifests and what follows from
        them: cluster addresses and EndpointSlices come in files of their own,
        so it may see a route before the Services that it names."""
        request(State(self.name), {"request": "sync", "timeout": 30})

        def looks():
            return self.controller_metrics()["eastwest_controller_looks_total"]
        before = looks()
        # One look may have begun before the last file was there.
        wait_for(lambda: looks() >= before + 2, 30, "two looks at the files")

    def controller_log(self):
        path = self.state / "logs" / "controller.log"
        return [json.loads(line) for line in path.read_text().splitlines()
                if line.startswith("{")]

    def route_status(self, kind, namespace, name):
        """status.parents of a route, or []."""
        path = self.state / "status" / f"{kind}_{namespace}_{name}.json"
        if not path.exists():
            return []
        return json.loads(path.read_text())["status"]["parents"]

    def condition(self, kind, namespace, name, type_, parent=0):
        for c in self.route_status(kind, namespace, name)[parent][
                "conditions"]:
            if c["type"] == type_:
                return c
        raise KeyError(type_)

    def in_hub(self, *command, **kwargs):
        """A command outside of all pods, where the hub routes."""
        kwargs.setdefault("capture_output", True)
        kwargs.setdefault("text", True)
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/ew-{self.name}", *command],
            timeout=60, check=True, **kwargs)


# Manifests that many tests need.

def namespace(name, injected=True):
    labels = {"eastwest.dev/inject": "enabled"} if injected else {}
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels}}


def deployment(ns, name, command, replicas=1, labels=None, ports=(8080,),
               annotations=None, probe=8080, account=None, **container):
    """|command| runs in the folder of workloads, as /usr/bin/python3 does."""
    labels = labels or {"app": name}
    main = {"name": "main", "image": "localhost/workload",
            "command": [PYTHON, str(WORKLOADS / command[0]), *command[1:]],
            "ports": [{"containerPort": p} for p in ports],
            "env": [{"name": "POD_NAME", "valueFrom": {
                        "fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "POD_NAMESPACE", "valueFrom": {
                        "fieldRef": {"fieldPath": "metadata.namespace"}}}],
            **container}
    if probe:
        main["readinessProbe"] = {"tcpSocket": {"port": probe}}
    spec = {"containers": [main]}
    if account:
        spec["serviceAccountName"] = account
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": ns, "name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {
                         "metadata": {"labels": labels,
                                      "annotations": annotations or {}},
                         "spec": spec}}}


def pod(ns, name, command=("sleep", "infinity"), account=None, labels=None,
        annotations=None):
    spec = {"containers": [{"name": "main", "image": "localhost/workload",
                            "command": list(command)}]}
    if account:
        spec["serviceAccountName"] = account
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": ns, "name": name,
                         "labels": labels or {},
                         "annotations": annotations or {}}, "spec": spec}


def service(ns, name, selector, port=80, target=8080, app_protocol=None,
            annotations=None, **spec):
    """With one port, named "http" unless |spec| gives ports."""
    one = {"name": "http", "port": port, "targetPort": target}
    if app_protocol:
        one["appProtocol"] = app_protocol
    body = {"ports": [one], **spec}
    if selector is not None:
        body["selector"] = selector
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": ns, "name": name,
                         "annotations": annotations or {}}, "spec": body}


def route(kind, ns, name, parent, rules, port=None, parent_ns=None,
          created=None, **spec):
    """|parent| is the name of a Service, or a list of parentRefs."""
    if isinstance(parent, str):
        ref = {"group": "", "kind": "Service", "name": parent}
        if port:
            ref["port"] = port
        if parent_ns:
            ref["namespace"] = parent_ns
        parent = [ref]
    api = "v1alpha2" if kind == "TCPRoute" else "v1"
    meta = {"namespace": ns, "name": name}
    if created:
        meta["creationTimestamp"] = created
    return {"apiVersion": f"gateway.networking.k8s.io/{api}", "kind": kind,
            "metadata": meta,
            "spec": {"parentRefs": parent, "rules": rules, **spec}}


def http_route(ns, name, parent, rules, **more):
    return route("HTTPRoute", ns, name, parent, rules, **more)


def backend(name, port=80, **more):
    return {"name": name, "port": port, **more}
