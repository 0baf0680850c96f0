# SPDX-License-Identifier: Apache-2.0
"""eastwest-injector under test, and pods for it."""
import base64
import copy
import datetime
import json
import os
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meshes import BIN, wait_for

INJECTOR = os.path.join(BIN, "eastwest-injector")
NAME = "eastwest-injector.eastwest-system.svc"
PREFIX = "eastwest.dev/"
BASE = ["--image", "mesh.test/eastwest:1", "--controller", "10.96.0.9:15010",
        "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]


# --- certificates ---

def _key():
    return ec.generate_private_key(ec.SECP256R1())


def _sign(name, key, issuer, issuer_key, ca):
    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder()
               .subject_name(named(name)).issuer_name(named(issuer))
               .public_key(key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(hours=1))
               .not_valid_after(now + datetime.timedelta(hours=1))
               .add_extension(x509.BasicConstraints(ca, None), True))
    if not ca:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME)]), False)
    return builder.sign(issuer_key, hashes.SHA256())


class Authority:
    """A CA and the files of the webhook's certificate."""

    def __init__(self, folder):
        self.folder, self.key = folder, _key()
        self.cert = _sign("ca", self.key, "ca", self.key, True)
        self.path = folder / "ca.crt"
        self.path.write_bytes(
            self.cert.public_bytes(serialization.Encoding.PEM))

    def issue(self, parts=("crt", "key")):
        """Replaces the files at once; returns the serial number."""
        key = _key()
        cert = _sign("webhook", key, "ca", self.key, False)
        texts = {
            "crt": cert.public_bytes(serialization.Encoding.PEM),
            "key": key.private_bytes(serialization.Encoding.PEM,
                                     serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption())}
        for part in parts:
            self.put(part, texts[part])
        return cert.serial_number

    def put(self, part, text):
        fresh = self.folder / "new"
        fresh.write_bytes(text)
        fresh.rename(self.folder / f"tls.{part}")


class ApiAuthority:
    """What an API server checks the webhook by: its caBundle."""

    def __init__(self, api, folder):
        self.api, self.file = api, folder / "bundle.crt"

    @property
    def path(self):
        config = self.api.get("mutatingwebhookconfigurations", "",
                              "eastwest-injector")
        text = config["webhooks"][0]["clientConfig"].get("caBundle", "")
        self.file.write_bytes(base64.b64decode(text))
        return self.file


# --- the program ---

class Injector:
    """With a certificate in files, or with |api| one of its own."""

    def __init__(self, folder, *options, certificate=True, api=None):
        self.folder, self.api, self.log = folder, api, folder / "log"
        args = []
        if api:
            (folder / "token").write_text("api-token\n")
            args += ["--kubernetes", "--kube-server",
                     f"http://127.0.0.1:{api.port}", "--kube-token-file",
                     folder / "token", "--namespace", "eastwest-system"]
        if not api or certificate == "files":
            self.ca = Authority(folder)
            args += ["--tls-cert", folder / "tls.crt", "--tls-key",
                     folder / "tls.key"]
            if certificate:
                self.ca.issue()
        else:
            self.ca = ApiAuthority(api, folder)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([INJECTOR, *BASE, *args, *options],
                                            stderr=log)
        self.port, self.status_port = wait_for(self._ports, 20, "the ports")

    def lines(self):
        text = self.log.read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines()
                if line.startswith("{")]

    def _ports(self):
        found = {line["tls"]: int(line["address"].rsplit(":", 1)[1])
                 for line in self.lines() if line["msg"] == "listening"}
        return found["true"], found["false"]

    def curl(self, path, *options, body=None):
        """(status, body)"""
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "30", "--cacert", self.ca.path,
             "--resolve", f"{NAME}:{self.port}:127.0.0.1", "-w",
             "\n%{http_code} %{http_version}", *options,
             *(["--data-binary", "@-"] if body is not None else []),
             f"https://{NAME}:{self.port}{path}"],
            input=body, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60)
        text, _, tail = done.stdout.rpartition(b"\n")
        status, version = tail.decode().split()
        self.version, self.error = version, done.stderr.decode()
        return int(status), text

    def status(self, path):
        with socket.create_connection(("127.0.0.1", self.status_port), 10) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n"
                      "Connection: close\r\n\r\n".encode())
            text = b""
            while chunk := s.recv(65536):
                text += chunk
        head, _, body = text.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def metric(self, name):
        for line in self.status("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(line.split()[-1])
        raise AssertionError(f"no {name}")

    def review(self, pod, **more):
        status, text = self.curl("/inject?timeout=10s",
                                 "-H", "Content-Type: application/json",
                                 body=json.dumps(a_review(pod, **more)).encode())
        assert status == 200, text
        answer = json.loads(text)
        assert answer["apiVersion"] == "admission.k8s.io/v1"
        assert answer["kind"] == "AdmissionReview"
        assert answer["response"]["uid"] == UID
        return answer["response"]

    def inject(self, pod, **more):
        """The pod as the API server would go on with it."""
        r = self.review(pod, **more)
        assert r["allowed"], r
        if "patch" not in r:
            return pod
        assert r["patchType"] == "JSONPatch"
        return json_patch(pod, json.loads(base64.b64decode(r["patch"],
                                                           validate=True)))

    def denied(self, pod):
        r = self.review(pod)
        assert not r["allowed"] and "patch" not in r
        assert r["status"]["code"] == 403
        return r["status"]["message"]

    def left(self, pod, **more):
        r = self.review(pod, **more)
        assert r["allowed"] and "patch" not in r and "patchType" not in r
        assert len(r["warnings"]) == 1
        return r["warnings"][0]

    def is_ready(self):
        assert self.alive(), self.log.read_text()[-4000:]
        return self.status("/ready")[0] == 200

    def ready(self, seconds=20):
        wait_for(self.is_ready, seconds, "ready")
        return self

    def serial(self):
        """Of the certificate that it serves with; None: with none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as s, \
                    context.wrap_socket(s, server_hostname=NAME) as t:
                der = t.getpeercert(binary_form=True)
        except (ssl.SSLError, ConnectionError):
            return None
        return x509.load_der_x509_certificate(der).serial_number

    def unchanged(self, pod):
        """Nothing to do, and nothing to tell."""
        r = self.review(pod)
        assert r == {"uid": UID, "allowed": True}, r

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def injector(tmp_path_factory):
    made = Injector(tmp_path_factory.mktemp("injector"))
    yield made
    # The sanitizers have the last word.
    assert made.stop() == 0, made.log.read_text(errors="replace")


@pytest.fixture
def start(tmp_path):
    made = []

    def starter(*options, **more):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Injector(folder, *options, **more))
        return made[-1]
    yield starter
    for one in made:
        assert one.stop() == 0, one.log.read_text(errors="replace")


# --- pods ---

UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def a_review(pod, **more):
    request = {
        "uid": UID, "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "operation": "CREATE", "object": pod,
        "oldObject": None, "dryRun": False,
        "userInfo": {"username": "system:node:a", "groups": ["x"]},
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}
    request.update(more)
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": request}


def a_pod(annotations=None, labels=None, **spec):
    """As a ReplicaSet's pod looks when webhooks get it."""
    meta = {"generateName": "web-5d4f-", "creationTimestamp": None,
            "labels": {"app": "web", **(labels or {})},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                                 "name": "web-5d4f", "uid": "u"}]}
    if annotations is not None:
        meta["annotations"] = annotations
    mount = {"name": "kube-api-access-x", "readOnly": True,
             "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {
        "volumes": [{"name": "kube-api-access-x", "projected": {
            "sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        "containers": [{"name": "web", "image": "web:1", "resources": {},
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "readinessProbe": {"httpGet": {
                            "path": "/healthz", "port": "http",
                            "scheme": "HTTP"}},
                        "volumeMounts": [mount]}],
        "restartPolicy": "Always", "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 30, **spec}, "status": {}}


def options(**values):
    return {PREFIX + k.replace("_", "-"): v for k, v in values.items()}


def json_patch(doc, ops):
    """RFC 6902, "add" and "remove" only, as strict as the RFC."""
    doc = copy.deepcopy(doc)
    for op in ops:
        assert set(op) == {"op", "path", "value"} and op["op"] == "add" or \
            set(op) == {"op", "path"} and op["op"] == "remove", op
        *way, last = [s.replace("~1", "/").replace("~0", "~")
                      for s in op["path"].split("/")[1:]]
        at = doc
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if op["op"] == "remove":
            del at[last]
        elif isinstance(at, list):
            index = len(at) if last == "-" else int(last)
            assert 0 <= index <= len(at), op
            at.insert(index, op["value"])
        else:
            at[last] = op["value"]
    return doc


def ours(pod):
    found = {c["name"]: c for c in pod["spec"]["initContainers"]}
    return found["eastwest-init"], found["eastwest-sidecar"]


def env_of(container):
    return {e["name"]: e.get("value") for e in container["env"]}
