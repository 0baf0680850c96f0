# SPDX-License-Identifier: Apache-2.0
"""Certificates, tokens and roots that change while pods run."""
import contextlib
import json
import os
import signal

import pytest

import identities as ids
import meshes as m
import wire
from traffic import Traffic

# The shortest that there is. A certificate is dated back by a minute, so a
# third of its time is always up: it is renewed each second.
LIFETIME = 60


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    made = m.Mesh(f"rn{os.getpid()}",
                  tmp_path_factory.mktemp("renewal") / "manifests")
    made.write("all.yaml", [
        m.namespace("app"), m.namespace("plain", False),
        m.pod("plain", "client"), m.pod("app", "client", account="client"),
        m.deployment("app", "echo", ["echo.py", "--port", "8080"], 2),
        m.service("app", "echo", {"app": "echo"}),
        m.deployment("app", "grpc", ["grpc_echo.py", "--port", "8080"]),
        m.service("app", "grpc", {"app": "grpc"})])
    try:
        made.up("--certificate-lifetime", str(LIFETIME))
        yield made
    finally:
        made.down()
        made.check_sanitizers()


def injected(mesh):
    return [f"{p['namespace']}/{p['name']}" for p in mesh.pods()
            if p["namespace"] == "app"]


def renewals(mesh, pod, result="ok"):
    return mesh.metric(pod, "eastwest_identity_renewals_total", result=result)


def all_renewed(mesh, times=1):
    """Until each sidecar got |times| certificates more than it has now."""
    before = {pod: renewals(mesh, pod) for pod in injected(mesh)}
    for pod, count in before.items():
        m.wait_for(lambda pod=pod, count=count: renewals(mesh, pod) >= count +
                   times, 30, f"renewals of {pod}")


def expiry(mesh, pod):
    return mesh.metric(pod, "eastwest_identity_expiry_timestamp_seconds")


@contextlib.contextmanager
def unharmed(mesh):
    """Requests of all kinds go on through the block, and none fails."""
    with Traffic(mesh, "app/client", "http", "http://echo.app") as web, \
            Traffic(mesh, "app/client", "grpc", "grpc.app:80") as rpc, \
            Traffic(mesh, "app/client", "stream", "grpc.app:80") as stream:
        yield
        for traffic in (web, rpc, stream):
            traffic.flawless()


def restart_controller(mesh):
    for what in ("stop", "start"):
        mesh.cli("controller", "--name", mesh.name, what)


def test_certificates_are_renewed_under_traffic(own):
    pods = injected(own)
    before = {pod: expiry(own, pod) for pod in pods}
    with unharmed(own):
        all_renewed(own, 3)
    for pod in pods:
        assert expiry(own, pod) > before[pod]
        assert renewals(own, pod, "failed") == 0


def test_a_new_connection_shows_the_newest_certificate(own, tmp_path):
    ca = ids.Authority.of(own)
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", ids.spiffe("app")))
    net = wire.Net(own, "plain/client")

    def serial():
        with context.wrap_socket(net.connect(
                own.pod("app/deploy/grpc")["ips"][0], 8080)) as tls:
            return tls.getpeercert()["serialNumber"]
    first = serial()
    m.wait_for(lambda: serial() != first, 20, "another certificate")


def kill_sidecar(mesh, pod):
    row = side_of(mesh, pod)
    os.kill(row["pid"], signal.SIGKILL)
    m.wait_for(lambda: side_of(mesh, pod)["restarts"] > row["restarts"] and
               side_of(mesh, pod)["pid"], 20, "a new sidecar")


def side_of(mesh, pod):
    return next(c for c in mesh.pod(pod)["containers"]
                if c["name"] == "eastwest-sidecar")


def ready_says(mesh, pod):
    ip = mesh.pod(pod)["ips"][0]
    return mesh.in_hub("curl", "-sS", "-w", " %{http_code}",
                       f"http://{ip}:15020/ready").stdout


def test_a_wrong_token_keeps_the_pod_from_being_ready(own):
    client = own.pod("app/client")
    token = own.state / "tokens" / client["uid"]
    good = token.read_text()
    try:
        token.write_text("not-a-token")
        kill_sidecar(own, "app/client")
        m.wait_for(lambda: "no certificate yet 503" in ready_says(
            own, "app/client").replace("\n", ""), 10, "not ready")
        said = m.wait_for(lambda: [
            line for line in own.log("app/client") if line.get("msg") ==
            "no certificate from the controller"], 10, "the reason")[-1]
        assert said["reason"] == "status 401: token: not known", said
        assert own.pod("app/client")["sidecar"] == "not ready"
        assert renewals(own, "app/client", "failed") >= 1
        # It has no identity, so to others it is outside of the mesh.
        r = own.curl("app/client", "http://echo.app/")
        assert "x-forwarded-client-cert" not in r.json["headers"]
        refused = m.wait_for(lambda: [
            line for line in own.controller_log() if line.get("msg") ==
            "certificate refused"], 10, "the controller's side")[-1]
        assert refused["reason"] == "token"
        assert client["ips"][0] in refused["peer"]
    finally:
        token.write_text(good)
    m.wait_for(lambda: own.pod("app/client")["is_ready"], 20, "ready again")
    assert own.curl("app/client", "http://echo.app/").status == 200


def test_a_token_that_goes_bad_later_keeps_the_certificate(own):
    """What is valid stays in use; the attempts go on and are counted."""
    token = own.state / "tokens" / own.pod("app/client")["uid"]
    good = token.read_text()
    try:
        token.write_text("not-a-token")
        failed = renewals(own, "app/client", "failed")
        m.wait_for(lambda: renewals(own, "app/client", "failed") > failed,
                   20, "a failed renewal")
        assert own.pod("app/client")["is_ready"]
        assert own.curl("app/client", "http://echo.app/").status == 200
    finally:
        token.write_text(good)
    all_renewed(own)


def trust(mesh, key, *authorities):
    """ca.crt has these, and the first signs; the controller starts anew."""
    folder = mesh.state / "ca"
    mesh.cli("controller", "--name", mesh.name, "stop")
    for name, mode, data in (
            ("ca.key", 0o600, key.key_pem),
            ("ca.crt", 0o644, b"".join(a.pem for a in authorities))):
        new = folder / f"{name}.test"
        new.write_bytes(data)
        new.chmod(mode)
        new.rename(folder / name)
    mesh.cli("controller", "--name", mesh.name, "start")
    all_renewed(mesh)


def shown(mesh, who, roots, file):
    """The identity that echo sees of a certificate of |who|; None: refused."""
    context = ids.client_context(roots.pem, who.issue(file, ids.spiffe("x")))
    net = wire.Net(mesh, "plain/client")
    try:
        with context.wrap_socket(net.connect(
                mesh.pod("app/deploy/echo")["ips"][0], 8080)) as tls:
            stream = wire.H2(tls, "echo").get("/", ("eastwest-app-http", "1"))
            return json.loads(stream.body)["headers"][
                "x-forwarded-client-cert"]
    except (OSError, EOFError):
        return None


def test_the_root_is_replaced_under_traffic(own, tmp_path):
    """Trust the new one, sign with it, drop the old one."""
    old = ids.Authority.of(own)
    new = ids.Authority.new(old)
    file = tmp_path / "pem"
    identity = [f"URI={ids.spiffe('x')}"]
    assert shown(own, old, old, file) == identity
    assert shown(own, new, old, file) is None
    with unharmed(own):
        trust(own, old, old, new)
        assert shown(own, new, old, file) == identity
        trust(own, new, new, old)
        assert shown(own, old, new, file) == identity
        trust(own, new, new)
    assert shown(own, new, new, file) == identity
    assert shown(own, old, new, file) is None
    # A pod that comes later gets its certificate from the new root too.
    own.cli("restart", "--name", own.name, "app/deploy/echo")
    assert own.curl("app/client", "http://echo.app/").status == 200
