# SPDX-License-Identifier: Apache-2.0
"""Controllers with --kubernetes against an API server in memory."""
import base64
import datetime as dt
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import controller_client as cc
import meshes as m
from kube_api import GATEWAY, KubeApi

SYSTEM = "eastwest-system"
GOOD = "good-token"  # of app/client


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Controller:
    """One replica."""

    def __init__(self, api, folder, pod="a", *more, binaries=m.BIN):
        self.api, self.pod = api, pod
        self.token_file = folder / f"token-{pod}"
        self.token_file.write_text("api-token\n")
        self.log = folder / f"log-{pod}"
        self.port, self.metrics_port = free_port(), free_port()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(binaries, "eastwest-controller"), "--kubernetes",
                 "--kube-server", f"http://127.0.0.1:{api.port}",
                 "--kube-token-file", str(self.token_file),
                 "--namespace", SYSTEM, "--pod", pod,
                 "--listen", f"127.0.0.1:{self.port}",
                 "--metrics-listen", f"127.0.0.1:{self.metrics_port}", *more],
                stderr=log, stdout=log)

    def http(self, path):
        """(status, text) of the port of metrics; None: it does not listen."""
        url = f"http://127.0.0.1:{self.metrics_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=20) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return None, ""

    def metric(self, line):
        for text in self.http("/metrics")[1].splitlines():
            if text.startswith(line + " "):
                return float(text.split()[-1])
        return None

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        return self.http("/ready")[0] == 200

    def ready(self, seconds=20):
        m.wait_for(self.is_ready, seconds, "ready")
        return self

    def holds_lease(self):
        return self.metric("eastwest_controller_lease_held") == 1

    def roots(self):
        status, pem = cc.ask(self.port, "GET", "/v1/roots")
        assert status == 200
        return pem.decode()

    def identity(self, token=GOOD):
        return cc.Identity(self.port, token)

    def watch(self, address, identity=None):
        return cc.Watch(self.port, identity or self.identity(), address)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it; what the sanitizers found fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        text = self.log.read_text()
        assert code in (0, -signal.SIGKILL) and "Sanitizer" not in text and \
            "runtime error" not in text, f"{code}\n{text[-6000:]}"


class World:
    """An API server with a namespace of the mesh, and replicas."""

    def __init__(self, folder):
        self.api, self.folder, self.replicas = KubeApi(), folder, []
        self.api.bearers = {"api-token"}
        self.api.reviews = {
            GOOD: ("system:serviceaccount:app:client", ["eastwest"],
                   "client-0"),
            "other-audience": ("system:serviceaccount:app:client", ["vault"],
                               "client-0"),
            "a-user": ("jane", ["eastwest"], "")}
        self.api.put(namespace(SYSTEM, mesh=False), namespace("app"))

    def start(self, pod="a", *more, **options):
        c = Controller(self.api, self.folder, pod, *more, **options)
        self.replicas.append(c)
        return c

    def close(self):
        try:
            for c in self.replicas:
                c.stop()
        finally:
            for c in self.replicas:
                if c.process.poll() is None:
                    c.kill()
            self.api.stop()


# ---- objects ----

def namespace(name, mesh=True):
    labels = {"eastwest.dev/inject": "enabled"} if mesh else {}
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels}}


def service(name, ip, port=80, ns="app", **spec):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP",
                     "selector": {"app": name},
                     "ports": [{"name": "http", "port": port,
                                "targetPort": 8080, "protocol": "TCP"}],
                     **spec}}


def slice_of(name, ips, ns="app", n=0):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-{n}", "namespace": ns,
                         "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}}
                          for ip in ips]}


def route(name, parent, to, kind="HTTPRoute", version="v1", ns="app",
          port=80, **meta):
    return {"apiVersion": f"{GATEWAY}/{version}", "kind": kind,
            "metadata": {"name": name, "namespace": ns, **meta},
            "spec": {"parentRefs": [{"group": "", "kind": "Service",
                                     "name": parent}],
                     "rules": [{"backendRefs": [{"name": to, "port": port}]}]}}


def secret(name, ns=SYSTEM, **files):
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": ns},
            "data": {k: base64.b64encode(v.encode()).decode()
                     for k, v in files.items()}}


def make_root(name="test root"):
    """(certificate, key) in PEM of a root for a mesh."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.utcnow()
    crt = x509.CertificateBuilder().subject_name(who).issuer_name(who) \
        .public_key(key.public_key()).serial_number(
            x509.random_serial_number()) \
        .not_valid_before(now - dt.timedelta(hours=1)) \
        .not_valid_after(now + dt.timedelta(days=30)) \
        .add_extension(x509.BasicConstraints(True, 0), True) \
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(
            key.public_key()), False) \
        .add_extension(x509.KeyUsage(
            False, False, False, False, False, True, True, False, False),
            True).sign(key, hashes.SHA256())
    return (crt.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(serialization.Encoding.PEM,
                              serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()).decode())


def x509_of(pem):
    return x509.load_pem_x509_certificate(pem.encode())


def uris_of(certificate):
    san = certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName)
    return san.value.get_values_for_type(x509.UniformResourceIdentifier)
