# SPDX-License-Identifier: Apache-2.0
"""Mutual TLS between pods: on the wire, who is let in, who is believed."""
import contextlib
import json
import socket
import ssl

import pytest

import identities as ids
import meshes as m
import wire

NS = "ident"
LATE = 1.5
# A sidecar tells which version of HTTP the app is to get.
APP = ("eastwest-app-http", "1")
SECRET = b"card-4111-1111-1111-1111"
GOOD = ids.spiffe(NS, "imposter")
PROBE = {"httpGet": {"path": "/healthz", "port": 8080}}


def objects():
    everywhere = [
        ("echo", "echo.py"), ("h2c", "h2c_echo.py"), ("tcp", "tcp_echo.py"),
        ("first", "tcp_server_first.py")]
    made = []
    for name, file in everywhere:
        made += [m.deployment(NS, name, [file, "--port", "8080"]),
                 m.service(NS, name, {"app": name})]
    strict = m.deployment(
        NS, "strict", ["echo.py", "--port", "8080", "--port", "8081"],
        annotations={"eastwest.dev/strict": "true"}, probe=None,
        readinessProbe=PROBE)
    return [
        *made, m.service(NS, "bytes", {"app": "echo"}, app_protocol="tcp"),
        strict, m.service(NS, "strict", {"app": "strict"}),
        m.pod(NS, "client", account="caller",
              annotations={"eastwest.dev/access-log": "all"}),
        m.pod(NS, "tapped"),
        m.pod(NS, "imposter", account="imposter", labels={"app": "imposter"}),
        m.service(NS, "imposter", {"app": "imposter"}, ports=[
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "tcp", "port": 81, "targetPort": 8081,
             "appProtocol": "tcp"}])]


@pytest.fixture(scope="module")
def net(mesh):
    with wire.servers(mesh, NS, objects()) as made:
        yield made


@pytest.fixture(scope="module")
def ca(mesh):
    return ids.Authority.of(mesh)


@pytest.fixture(scope="module")
def outside(mesh):
    return wire.Net(mesh, "plain/client")


def ip_of(mesh, name, family=4):
    return mesh.pod(f"{NS}/{name}")["ips"][family // 6]


# On the wire.

def tcp_round(net, name, port, family=4, greets=False):
    with net.wire(name, port, family) as w:
        if greets:
            w.until(b"\n")
        w.send(SECRET + b"\n")
        assert w.until(b"\n").endswith(SECRET)


def http_round(net, name, port, family=4):
    with net.wire(name, port, family) as w:
        w.request("POST /echo HTTP/1.1", f"content-length: {len(SECRET)}")
        w.send(SECRET)
        assert w.response()[2] == SECRET


def h2_round(net, name, port, family=4):
    with wire.H2(net.connect(name, port, family)) as h2:
        number = h2.open("POST", "/echo", end=False)
        h2.send(number, SECRET, end=True)
        assert h2.finish(number).body == SECRET


ROUNDS = {"http1": ("echo", http_round, {}), "http2": ("h2c", h2_round, {}),
          "tcp": ("tcp", tcp_round, {}),
          "server-first": ("first", tcp_round, {"greets": True})}


@pytest.mark.parametrize("what", ROUNDS)
def test_all_bytes_between_meshed_pods_are_tls13(mesh, net, tmp_path, what):
    """By Service and by address of the pod, in both families."""
    name, call, options = ROUNDS[what]
    # Its sidecar has no connections yet to what is called here.
    tapped = wire.Net(mesh, f"{NS}/tapped")
    mine, theirs = tapped.row["ips"], mesh.pod(f"{NS}/deploy/{name}")["ips"]
    file = tmp_path / "capture"
    for i, family in enumerate((4, 6)):
        with ids.capture(mesh, file, f"tcp and host {mine[i]} and not port "
                         "15010 and not port 15020"):
            for to, port in ((f"{name}.{NS}", 80), (theirs[i], 8080)):
                call(tapped, to, port, family, **options)
        check_capture(ids.flows(file), mine[i], theirs[i])
        assert SECRET not in file.read_bytes()


def check_capture(flows, mine, theirs):
    to_server = [f for f in flows if f[0] == mine]
    assert len(to_server) >= 2, flows.keys()
    for flow in to_server:
        assert flow[2:] == (theirs, 8080)
        sent = ids.records(flows[flow])
        got = ids.records(flows[flow[2:] + flow[:2]])
        assert sent[0][0] == ids.HANDSHAKE
        assert sent[0][1][0] == ids.CLIENT_HELLO
        assert got[0][0] == ids.HANDSHAKE
        assert ids.selected_version(got[0][1]) == 0x0304
        for kind, payload in sent[1:] + got[1:]:
            # The one byte of "middlebox compatibility" says nothing.
            assert kind == ids.DATA or (kind, payload) == (
                ids.CHANGE, b"\x01"), (kind, payload[:40])
        assert len(sent) > 3 and len(got) > 3


# Who is let in: the sidecar of a server.

def as_peer(outside, to, context, alpn=ids.HTTP2):
    """What comes back on a connection with TLS; b"" if it is refused."""
    try:
        with context.wrap_socket(outside.connect(to, 8080)) as tls:
            if alpn == ids.HTTP2:
                return bytes(wire.H2(tls, "echo").get("/", APP).body)
            tls.sendall(SECRET + b"\n")
            return tls.recv(100)
    except (OSError, EOFError):
        return b""


def refused(mesh, pod, reason, call):
    """|call| is refused and counted under |reason| and under nothing else."""
    def counts():
        text = mesh.metrics(pod)
        return {k: v for k, v in text.items()
                if k.startswith("eastwest_tls_failures_total")}
    before = counts()
    assert call() == b""
    after = m.wait_for(lambda: (now := counts()) != before and now, 10,
                       "a counted failure")
    changed = [k for k in after if after[k] != before.get(k)]
    assert len(changed) == 1 and f'reason="{reason}"' in changed[0], changed


@pytest.mark.parametrize("fault", ids.FAULTS)
def test_a_server_refuses_a_client_certificate(mesh, net, ca, outside,
                                               tmp_path, fault):
    reason, make = ids.FAULTS[fault]
    good = ids.spiffe("app", "client")
    context = ids.client_context(ca.pem, make(ca, tmp_path / "pem", good))
    to = ip_of(mesh, "deploy/echo")
    refused(mesh, f"{NS}/deploy/echo", reason,
            lambda: as_peer(outside, to, context))
    # The same with a sound certificate passes: nothing else was wrong.
    context = ids.client_context(ca.pem, ca.issue(tmp_path / "good", good))
    said = json.loads(as_peer(outside, to, context))
    assert said["headers"]["x-forwarded-client-cert"] == [f"URI={good}"]


def test_a_server_refuses_a_client_without_certificate(mesh, net, ca, outside):
    context = ids.client_context(ca.pem)
    refused(mesh, f"{NS}/deploy/echo", "no-certificate", lambda: as_peer(
        outside, ip_of(mesh, "deploy/echo"), context))


def test_a_server_refuses_an_unknown_protocol(mesh, net, ca, outside,
                                              tmp_path):
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", ids.spiffe("app")), "eastwest/x")
    refused(mesh, f"{NS}/deploy/echo", "alpn", lambda: as_peer(
        outside, ip_of(mesh, "deploy/echo"), context))


def test_a_server_refuses_tls12(mesh, net, ca, outside, tmp_path):
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", ids.spiffe("app")))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    refused(mesh, f"{NS}/deploy/echo", "protocol", lambda: as_peer(
        outside, ip_of(mesh, "deploy/echo"), context))


def test_a_tunnel_needs_a_certificate_too(mesh, net, ca, outside, tmp_path):
    to, alpn = ip_of(mesh, "deploy/tcp"), "eastwest/tcp"
    refused(mesh, f"{NS}/deploy/tcp", "no-certificate", lambda: as_peer(
        outside, to, ids.client_context(ca.pem, None, alpn), alpn))
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", ids.spiffe("app")), alpn)
    assert as_peer(outside, to, context, alpn) == SECRET + b"\n"


def test_the_server_shows_its_own_id_and_nothing_is_resumed(
        mesh, net, ca, outside, tmp_path):
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", ids.spiffe("app")))
    with context.wrap_socket(outside.connect(
            ip_of(mesh, "deploy/echo"), 8080)) as tls:
        names = tls.getpeercert()["subjectAltName"]
        assert names == (("URI", ids.spiffe(NS)),)
        assert tls.version() == "TLSv1.3"
        assert wire.H2(tls, "echo").get("/", APP).status == 200
        session = tls.session
    assert session is None or not session.has_ticket


# Who is believed: the sidecar of a client.

class Imposter:
    """This test, in place of the sidecar in the pod ident/imposter."""

    def __init__(self, mesh):
        self.net, self.threads = wire.Net(mesh, f"{NS}/imposter"), []
        self.heard, self.peers, self.listeners = [], [], []

    def serve(self, port, answer):
        listener = self.net.listen(port)
        self.listeners.append(listener)

        def run():
            # Until the listener is closed.
            with contextlib.suppress(OSError):
                while True:
                    conn, _ = listener.accept()
                    conn.settimeout(wire.TIMEOUT)
                    with conn, contextlib.suppress(OSError):
                        answer(conn)
        self.threads.append(wire.in_thread(run))

    def tls(self, context):
        def answer(conn):
            with context.wrap_socket(conn, server_side=True) as tls:
                self.peers.append(tls.getpeercert()["subjectAltName"])
                while data := tls.recv(1000):
                    self.heard.append(data)
                    tls.sendall(data)
        return answer

    def raw(self, reply):
        def answer(conn):
            self.heard.append(conn.recv(1000))
            conn.sendall(reply)
            conn.shutdown(socket.SHUT_WR)
            while data := conn.recv(1000):
                self.heard.append(data)
        return answer

    def end(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for finish in self.threads:
            finish()


@pytest.fixture
def imposter(mesh, net):
    made = Imposter(mesh)
    for tool in ("iptables", "ip6tables"):
        m.subprocess.run(
            ["nsenter", f"--net=/run/netns/{made.net.row['netns']}", tool,
             "-w", "-t", "nat", "-F", "PREROUTING"], check=True)
    yield made
    made.end()


def tcp_answer(net):
    try:
        with net.wire(f"imposter.{NS}", 81) as w:
            w.send(SECRET)
            return w.exactly(len(SECRET))
    except (OSError, EOFError):
        return b""


def http_refusal(net):
    with net.wire(f"imposter.{NS}") as w:
        w.request("POST / HTTP/1.1", f"content-length: {len(SECRET)}")
        w.send(SECRET)
        status, fields, body = w.response()
        return status, fields["eastwest-refusal"], body.decode()


def disbelieved(mesh, net, imposter, reason):
    """Neither HTTP nor TCP gets a byte there; the reason is told."""
    client = f"{NS}/client"
    refused(mesh, client, reason, lambda: tcp_answer(net))
    status, refusal, body = http_refusal(net)
    assert (status, refusal) == (503, ["identity-mismatch"])
    assert reason in body, body
    assert SECRET not in b"".join(imposter.heard)
    m.wait_for(lambda: [
        line for line in mesh.log(client) if line.get("backend_name") ==
        "imposter" and line["detail"] == reason], 10, "the access log")


@pytest.mark.parametrize("fault", [*ids.FAULTS, "another id"])
def test_a_client_refuses_a_server_certificate(mesh, net, ca, imposter,
                                               tmp_path, fault):
    if fault == "another id":
        reason = "wrong-identity"
        file = ca.issue(tmp_path / "pem", ids.spiffe(NS, "caller"))
    else:
        reason, make = ids.FAULTS[fault]
        file = make(ca, tmp_path / "pem", GOOD)
    context = ids.server_context(ca.pem, file)
    imposter.serve(8080, imposter.tls(context))
    imposter.serve(8081, imposter.tls(context))
    disbelieved(mesh, net, imposter, reason)


def test_a_client_believes_the_right_certificate(mesh, net, ca, imposter,
                                                 tmp_path):
    """So what the others above refuse is the certificate."""
    file = ca.issue(tmp_path / "pem", GOOD)
    imposter.serve(8081, imposter.tls(ids.server_context(ca.pem, file)))
    assert tcp_answer(net) == SECRET
    assert imposter.peers == [(("URI", ids.spiffe(NS, "caller")),)]


def test_a_client_never_falls_back_to_plain_text(mesh, net, imposter):
    for port in (8080, 8081):
        imposter.serve(port, imposter.raw(b"HTTP/1.1 200 OK\r\n\r\n"))
    disbelieved(mesh, net, imposter, "protocol")


def test_a_client_refuses_tls12(mesh, net, ca, imposter, tmp_path):
    context = ids.server_context(ca.pem, ca.issue(tmp_path / "pem", GOOD))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for port in (8080, 8081):
        imposter.serve(port, imposter.tls(context))
    disbelieved(mesh, net, imposter, "peer-alert:protocol-version")


def test_a_client_tells_the_alert_of_the_server(mesh, net, imposter):
    for port in (8080, 8081):
        imposter.serve(port, imposter.raw(b"\x15\x03\x03\0\x02\x02\x28"))
    disbelieved(mesh, net, imposter, "peer-alert:handshake-failure")


def test_a_client_needs_the_protocol_to_be_selected(mesh, net, ca, imposter,
                                                    tmp_path):
    context = ids.server_context(ca.pem, ca.issue(tmp_path / "pem", GOOD))
    context.set_alpn_protocols([])
    for port in (8080, 8081):
        imposter.serve(port, imposter.tls(context))
    disbelieved(mesh, net, imposter, "alpn")


# Who called.

FORGED = ("x-forwarded-client-cert: URI=spiffe://forged",
          "X-Forwarded-Client-Cert: By=spiffe://forged;URI=spiffe://too")


@pytest.mark.parametrize("how", ["service", "pod-ip"])
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_the_app_sees_who_called_and_nothing_forged(mesh, net, family, how):
    to = (f"echo.{NS}", 80) if how == "service" else (
        ip_of(mesh, "deploy/echo", family), 8080)
    with net.wire(*to, family) as w:
        w.request("GET / HTTP/1.1", *FORGED)
        seen = json.loads(w.response()[2])["headers"]
    assert seen["x-forwarded-client-cert"] == [
        f"URI={ids.spiffe(NS, 'caller')}"]


def test_the_app_sees_who_called_over_http2(net):
    with wire.H2(net.connect(f"h2c.{NS}")) as h2:
        stream = h2.get("/", *(tuple(f.lower().split(": ")) for f in FORGED))
    assert json.loads(stream.body)["headers"]["x-forwarded-client-cert"] == [
        f"URI={ids.spiffe(NS, 'caller')}"]


def test_callers_on_shared_connections_are_told_apart(mesh, net):
    """The server's sidecar keeps connections to its app for all callers."""
    other = wire.Net(mesh, f"{NS}/tapped")
    for caller, account in [(net, "caller"), (other, "default")] * 3:
        with caller.wire(f"echo.{NS}") as w:
            w.request("GET / HTTP/1.1")
            seen = json.loads(w.response()[2])["headers"]
        assert seen["x-forwarded-client-cert"] == [
            f"URI={ids.spiffe(NS, account)}"]


def test_from_outside_the_mesh_nobody_has_an_identity(mesh, net, outside):
    with outside.wire(ip_of(mesh, "deploy/echo"), 8080) as w:
        w.request("GET / HTTP/1.1", *FORGED)
        seen = json.loads(w.response()[2])["headers"]
    assert "x-forwarded-client-cert" not in seen


def silent(sock):
    """Longer than a sidecar waits for the first bytes."""
    sock.settimeout(LATE)
    with contextlib.suppress(TimeoutError):
        assert not sock.recv(100)
    sock.settimeout(wire.TIMEOUT)


CALLERS = {"plain": None, "meshed": [f"URI={ids.spiffe(NS, 'caller')}"]}


@pytest.fixture(params=CALLERS)
def caller(request, net, outside):
    """The pod that calls, and the identity that the app is to see."""
    who = {"plain": outside, "meshed": net}[request.param]
    return who, CALLERS[request.param]


def test_who_speaks_late_forges_nothing(mesh, caller):
    """Silence is taken for a server that speaks first, not for trust."""
    who, identity = caller
    with who.wire(ip_of(mesh, "deploy/echo"), 8080) as w:
        silent(w.sock)
        w.request("GET / HTTP/1.1", *FORGED)
        seen = json.loads(w.response()[2])["headers"]
    assert seen.get("x-forwarded-client-cert") == identity


def test_who_speaks_http2_late_forges_nothing(mesh, caller):
    who, identity = caller
    sock = who.connect(ip_of(mesh, "deploy/h2c"), 8080)
    silent(sock)
    with wire.H2(sock) as h2:
        stream = h2.get("/", ("x-forwarded-client-cert", "URI=spiffe://x"))
    seen = json.loads(stream.body)["headers"]
    assert seen.get("x-forwarded-client-cert") == identity


def test_who_speaks_haltingly_forges_nothing(mesh, outside):
    echo = f"{NS}/deploy/echo"
    before = mesh.metric(echo, "eastwest_inbound_refused_total",
                         reason="late protocol")
    with outside.wire(ip_of(mesh, "deploy/echo"), 8080) as w:
        silent(w.sock)
        w.send(b"G")
        silent(w.sock)
        with contextlib.suppress(ConnectionError):
            w.request("ET / HTTP/1.1", *FORGED)
            assert w.rest() == b""
    m.wait_for(lambda: mesh.metric(
        echo, "eastwest_inbound_refused_total",
        reason="late protocol") == before + 1)


def test_http_on_a_port_for_bytes_forges_nothing(net):
    """Who writes Services or TCPRoutes could declare what he likes."""
    with net.wire(f"bytes.{NS}") as w:
        w.request("GET / HTTP/1.1", *FORGED)
        seen = json.loads(w.response()[2])["headers"]
    assert seen["x-forwarded-client-cert"] == CALLERS["meshed"]


def test_http_in_a_tunnel_of_the_mesh_forges_nothing(mesh, net, outside, ca,
                                                     tmp_path):
    """Nor does who has a certificate and no sidecar."""
    good = ids.spiffe("app", "client")
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", good), "eastwest/tcp")
    with wire.Wire(context.wrap_socket(outside.connect(
            ip_of(mesh, "deploy/echo"), 8080))) as w:
        w.request("GET / HTTP/1.1", *FORGED)
        seen = json.loads(w.response()[2])["headers"]
    assert seen["x-forwarded-client-cert"] == [f"URI={good}"]


def test_a_connection_that_says_nothing_changes_nothing(mesh, net):
    """A server of HTTP/2 greets, which makes it no server that speaks first."""
    tapped = wire.Net(mesh, f"{NS}/tapped")
    for _ in range(2):
        with tapped.wire(f"h2c.{NS}") as w:
            silent(w.sock)
        with wire.H2(tapped.connect(f"h2c.{NS}")) as h2:
            seen = json.loads(h2.get("/").body)["headers"]
        assert seen["x-forwarded-client-cert"] == [f"URI={ids.spiffe(NS)}"]


# Strict mode.

def status_of(net, to, line, port=8080):
    with net.wire(to, port) as w:
        w.request(line, "content-length: 0")
        status, fields, _ = w.response()
        return status, fields.get("eastwest-refusal")


DENIED = (403, ["denied"])


def test_strict_refuses_plain_text_from_outside(mesh, net, outside):
    """The port has a probe, so requests are looked at one by one."""
    to, strict = ip_of(mesh, "deploy/strict"), f"{NS}/deploy/strict"
    before = mesh.metric(strict, "eastwest_requests_refused_total",
                         reason="denied")
    lines = ["GET / HTTP/1.1", "POST /healthz HTTP/1.1",
             "GET /healthz?x HTTP/1.1", "GET /Healthz HTTP/1.1",
             "GET //healthz HTTP/1.1", "GET /healthz/fail HTTP/1.1"]
    for line in lines:
        assert status_of(outside, to, line) == DENIED, line
    assert mesh.metric(strict, "eastwest_requests_refused_total",
                       reason="denied") == before + len(lines)


def test_strict_lets_probes_pass(mesh, net, outside):
    to = ip_of(mesh, "deploy/strict")
    assert mesh.pod(f"{NS}/deploy/strict")["is_ready"]
    with outside.wire(to, 8080) as w:
        for line, status in (("GET /healthz HTTP/1.1", 200),
                             ("GET / HTTP/1.1", 403),
                             ("GET /healthz HTTP/1.1", 200)):
            w.request(line)
            assert w.response()[0] == status, line


def test_strict_gives_no_tunnel_on_a_port_with_a_probe(mesh, net, outside):
    """A tcpSocket probe may connect; bytes get nowhere."""
    with outside.wire(ip_of(mesh, "deploy/strict"), 8080) as w:
        w.send(b"\x16\x03\x01\x00\x05hello")
        with contextlib.suppress(ConnectionError):
            assert w.rest() == b""


def test_strict_refuses_connections_on_other_ports(mesh, net, outside):
    strict = f"{NS}/deploy/strict"
    before = mesh.metric(strict, "eastwest_inbound_refused_total")
    with outside.wire(ip_of(mesh, "deploy/strict"), 8081) as w:
        with contextlib.suppress(ConnectionError):
            w.request("GET /healthz HTTP/1.1")
            assert w.rest() == b""
    m.wait_for(lambda: mesh.metric(
        strict, "eastwest_inbound_refused_total") == before + 1)


def test_strict_lets_the_mesh_pass(mesh, net, outside, ca, tmp_path):
    assert status_of(net, f"strict.{NS}", "GET / HTTP/1.1", 80) == (200, None)
    to = ip_of(mesh, "deploy/strict")
    assert status_of(net, to, "POST / HTTP/1.1", 8081) == (200, None)
    context = ids.client_context(
        ca.pem, ca.issue(tmp_path / "pem", ids.spiffe("app", "client")))
    assert b"spiffe://cluster.local/ns/app/sa/client" in as_peer(
        outside, to, context)


def test_strict_lets_the_pod_call_itself(mesh, net):
    own = wire.Net(mesh, f"{NS}/deploy/strict")
    to = ip_of(mesh, "deploy/strict")
    for port in (8080, 8081):
        assert status_of(own, to, "GET / HTTP/1.1", port) == (200, None)


def test_without_strict_plain_text_passes(mesh, net, outside):
    assert status_of(outside, ip_of(mesh, "deploy/echo"),
                     "GET / HTTP/1.1") == (200, None)
