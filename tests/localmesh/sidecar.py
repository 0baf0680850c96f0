# SPDX-License-Identifier: Apache-2.0
"""What the injector would add to a pod: eastwest-init and the sidecar."""

import os

from . import network
from .containers import SEARCH_PATH
from .state import MeshError
from .validate import MESH_UID as UID

INIT, NAME = "eastwest-init", "eastwest-sidecar"
PREFIX = "eastwest.dev/"
DISCOVERY, METRICS, READY = 15010, 15020, 15020
INIT_OPTIONS = ("skip-inbound-ports", "skip-outbound-ports",
                "skip-outbound-cidrs", "skip-inbound-cidrs")
SIDECAR_OPTIONS = ("opaque-ports", "access-log", "log-level",
                   "drain-seconds", "destination-idle-seconds")


def sanitizer_env(mesh):
    """Reports of ASan, UBSan and LSan go to files, one per process."""
    env = {}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        given = os.environ.get(name)
        env[name] = ":".join(filter(None, [
            given, f"log_path={mesh.sanitizer}/report", "log_exe_name=1"]))
    if os.environ.get("LSAN_OPTIONS"):
        env["LSAN_OPTIONS"] = os.environ["LSAN_OPTIONS"]
    return env


def binary(mesh, name):
    path = os.path.join(mesh.bin, name)
    if not os.access(path, os.X_OK):
        raise MeshError(f"{path} is not there; build it with: ./dev build "
                        "(or set EASTWEST_BIN)")
    return path


def _options(annotations, names):
    words = []
    for name in names:
        value = (annotations.get(PREFIX + name) or "").strip()
        if value:
            words += [f"--{name}", value.replace(" ", "")]
    return words


def _port(container, value):
    if isinstance(value, int):
        return value
    for port in container.get("ports") or []:
        if port.get("name") == value:
            return port["containerPort"]
    return None


def _skipped(pod, port):
    listed = pod.object["metadata"]["annotations"].get(
        PREFIX + "skip-inbound-ports") or ""
    for item in filter(None, listed.replace(" ", "").split(",")):
        first, _, last = item.partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False


def moved_probe(pod, container, probe):
    """A tcpSocket probe is answered by the sidecar for the app: it accepts
    every connection that is redirected to it, so the kubelet could not tell."""
    target = probe.get("tcpSocket")
    port = _port(container, target["port"]) if target else None
    if port is None or target.get("host") or _skipped(pod, port):
        return probe
    moved = {k: v for k, v in probe.items() if k != "tcpSocket"}
    return {**moved, "httpGet": {"path": f"/probe/{port}", "port": READY}}


def probe_options(spec):
    """--probe for what a kubelet would ask over the network."""
    found = []
    for container in spec["containers"]:
        for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
            probe = container.get(kind) or {}
            target = probe.get("httpGet") or probe.get("tcpSocket")
            port = _port(container, target["port"]) if target else None
            if port is None:
                continue
            path = target.get("path", "/") if "httpGet" in probe else ""
            if path and not path.startswith("/"):
                path = "/" + path
            if f"{port}{path}" not in found:
                found.append(f"{port}{path}")
    return [word for one in found for word in ("--probe", one)]


def containers(pod):
    """[(container, role)] in the order of their start."""
    mesh, meta = pod.mesh, pod.object["metadata"]
    annotations = meta["annotations"]
    argv = [binary(mesh, NAME),
            "--controller", f"{network.HUB4}:{DISCOVERY}",
            "--trust-domain", "cluster.local",
            "--namespace", pod.namespace, "--pod", pod.name,
            "--service-account", pod.object["spec"]["serviceAccountName"],
            "--token-file", pod.token_file,
            "--roots-file", mesh.state.path("ca", "ca.crt")]
    for ip in pod.ips:
        argv += ["--pod-ip", ip]
    argv += _options(annotations, SIDECAR_OPTIONS)
    if annotations.get(PREFIX + "strict", "").strip() in ("true", "enabled"):
        argv.append("--strict")
    argv += probe_options(pod.object["spec"])
    init = [binary(mesh, INIT), *_options(annotations, INIT_OPTIONS)]
    env = {"PATH": SEARCH_PATH, **sanitizer_env(mesh)}
    base = {"cwd": "/", "env": env, "prefix": []}
    return [
        ({"name": INIT, "_run": {
            **base, "uid": 0, "gid": 0, "argv": init,
            "capabilities": "net_admin,net_raw"}}, "init"),
        ({"name": NAME, "_run": {
            **base, "uid": UID, "gid": UID, "argv": argv,
            "capabilities": "", "prefix": ["--no-new-privs"]},
          "readinessProbe": {"httpGet": {"path": "/ready", "port": READY}}},
         "sidecar"),
    ]


def controller_argv(mesh):
    path = mesh.state.path
    lifetime = mesh.certificate_lifetime
    return [binary(mesh, "eastwest-controller"),
            "--manifests", mesh.manifests.folder,
            "--manifests", path("objects"), "--status-dir", path("status"),
            "--listen", f"{network.HUB4}:{DISCOVERY}",
            "--metrics-listen", f"{network.HUB4}:{METRICS}",
            "--ca-dir", path("ca"), "--token-file", path("tokens.json"),
            "--log-level", "info",
            *(["--certificate-lifetime", str(lifetime)] if lifetime else [])]
