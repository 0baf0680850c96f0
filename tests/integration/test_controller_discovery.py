# SPDX-License-Identifier: Apache-2.0
"""The controller alone: certificates, roots, discovery over TLS and HTTP/2."""
import contextlib
import datetime as dt
import json
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import controller_client as cc
import kube_controller as k
import meshes as m
from kube_controller import route, service, slice_of
from local_controller import ALICE, BOB, Local, Streams

IP, ADDRESS = "10.0.0.1", "10.0.0.1:80"
SPIFFE = "spiffe://cluster.local/ns"


@pytest.fixture
def idle(tmp_path):
    """Not started yet."""
    made = Local(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def local(idle):
    return idle.start()


def post(local, body):
    """(status, object) of a request for a certificate."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    status, data = cc.ask(local.port, "POST", "/v1/certificates", body)
    return status, json.loads(data)


def outcome(local, which):
    return local.metric(
        f'eastwest_controller_certificates_total{{outcome="{which}"}}')


def csr_of(key, uri=None, signer=None):
    b = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")]))
    if uri:
        b = b.add_extension(x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(uri)]), False)
    csr = b.sign(signer or key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def p256():
    return ec.generate_private_key(ec.SECP256R1())


# ---- certificates ----

def test_certificate_is_for_the_owner_of_the_token(local):
    key = p256()
    status, answer = post(local, {
        "token": ALICE, "csr": csr_of(key, f"{SPIFFE}/app/sa/admin")})
    assert status == 200 and sorted(answer) == ["chain", "roots"]
    assert answer["roots"] == local.roots()
    leaf, root = k.x509_of(answer["chain"]), k.x509_of(answer["roots"])
    assert k.uris_of(leaf) == [f"{SPIFFE}/app/sa/alice"]
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert san.critical and len(list(san.value)) == 1
    assert leaf.subject == x509.Name([])
    assert leaf.public_key().public_numbers() == \
        key.public_key().public_numbers()
    root.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes,
                             ec.ECDSA(hashes.SHA256()))
    (line,) = local.logged(msg="certificate issued")
    assert line["id"] == f"{SPIFFE}/app/sa/alice" and line["pod"] == "alice-0"
    assert ALICE not in local.log.read_text()
    assert outcome(local, "issued") == 1


@pytest.mark.parametrize("seconds", [60, 86400, 7776000])
def test_lifetime_of_certificates(idle, seconds):
    idle.start("--certificate-lifetime", str(seconds))
    leaf = k.x509_of(idle.identity().chain)
    now = dt.datetime.utcnow()
    assert abs((leaf.not_valid_after - now).total_seconds() - seconds) < 20
    assert abs((now - leaf.not_valid_before).total_seconds() - 60) < 20


def test_trust_domain(idle):
    idle.start("--trust-domain", "example.org")
    who = idle.identity(BOB)
    assert k.uris_of(k.x509_of(who.chain)) == \
        ["spiffe://example.org/ns/other/sa/bob"]
    with idle.watch(ADDRESS, who) as w:
        w.until(lambda d: d["kind"] == "unknown")


@pytest.mark.parametrize("token", ["", "frob", ALICE[:-1], ALICE + "0",
                                   ALICE + "\0"])
def test_tokens_that_are_not_known(local, token):
    status, answer = post(local, {"token": token, "csr": csr_of(p256())})
    assert status in (400, 401) and list(answer) == ["error"]
    assert (status == 401) == ("\0" not in token)
    if status == 401:
        assert answer["error"] == "token: not known"
        assert outcome(local, "token") == 1
    assert outcome(local, "issued") == 0


def test_tokens_are_read_again(local):
    csr = csr_of(p256())
    assert post(local, {"token": ALICE, "csr": csr})[0] == 200
    carol = "carol-0123456789abcdef"
    local.set_tokens({carol: ("third", "carol", "")})
    assert post(local, {"token": ALICE, "csr": csr})[0] == 401
    assert post(local, {"token": carol, "csr": csr})[0] == 200
    new = local.folder / "tokens.bad"
    new.write_text('{"tokens":[{"token" "' + ALICE + '"}]}')
    new.rename(local.tokens)
    assert post(local, {"token": carol, "csr": csr})[0] == 200
    (line,) = local.logged(msg="token file refused")
    assert line["file"] == str(local.tokens) and line["line"] == 1
    local.tokens.unlink()
    assert post(local, {"token": carol, "csr": csr})[0] == 200
    text = local.log.read_text()
    assert ALICE not in text and carol not in text


@pytest.mark.parametrize("body", [
    b"", b"frob", b"[]", b"7", b"{}", b'{"token":"x"}', b'{"csr":"x"}',
    b'{"token":1,"csr":"x"}', b'{"token":"x","csr":null}',
    b'{"token":"x","csr":"y"} z', b'{"token":"x","token":"y","csr":"z"}',
    b'{"token":"\xff","csr":"z"}', b"[" * 60000], ids=lambda b: b[:40].decode(
        "ascii", "replace"))
def test_what_is_no_request_for_a_certificate(local, body):
    assert post(local, body) == (
        400, {"error": "expected a JSON object with token and csr"})
    assert outcome(local, "malformed") == 1
    assert local.roots()


def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def tampered():
    lines = csr_of(p256()).splitlines()
    at = len(lines) - 3
    lines[at] = lines[at][:8] + ("A" if lines[at][8] != "A" else "B") + \
        lines[at][9:]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("make", [
    lambda: "", lambda: "frob", lambda: csr_of(rsa_key()),
    lambda: csr_of(ec.generate_private_key(ec.SECP384R1())), tampered,
    lambda: csr_of(p256())[:200], lambda: "x" * 20000,
], ids=["empty", "text", "rsa", "p384", "tampered", "cut", "long"])
def test_faulty_csrs(local, make):
    status, answer = post(local, {"token": ALICE, "csr": make()})
    assert status == 400 and answer["error"].startswith("csr: ")
    assert outcome(local, "csr") == 1


def test_request_that_is_too_large(local):
    body = json.dumps({"token": ALICE, "csr": "x" * 65536}).encode()
    with Streams(local.port) as s:
        stream = s.open("/v1/certificates", "POST")
        h = s.connection.h2
        with s.lock:
            other = h.get_next_available_stream_id()
            s.lines[other], s.rest[other] = [], b""
            h.send_headers(other, [
                (":method", "POST"), (":scheme", "https"),
                (":path", "/v1/certificates"), (":authority", "controller"),
                ("content-length", str(len(body)))])
            s.connection.flush()
        assert s.answers([stream, other]) == [400, 413]


def test_request_that_grows_too_large(local):
    with Streams(local.port) as s:
        h = s.connection.h2
        with s.lock:
            stream = h.get_next_available_stream_id()
            s.lines[stream], s.rest[stream] = [], b""
            h.send_headers(stream, [
                (":method", "POST"), (":scheme", "https"),
                (":path", "/v1/certificates"), (":authority", "controller")])
            s.connection.flush()
        sent = 0
        while sent <= 65536:
            with s.lock:
                n = min(h.local_flow_control_window(stream), 16000)
                if n:
                    h.send_data(stream, b"x" * n)
                    s.connection.flush()
            sent += n
            time.sleep(0 if n else 0.01)
        assert s.answers([stream]) == [413]
    assert local.identity().status == 200


def test_too_many_requests_are_told_to_come_again(local):
    body = json.dumps({"token": "frob", "csr": "x"}).encode()
    with Streams(local.port) as s:
        statuses = []
        deadline = time.monotonic() + 60
        while 429 not in statuses and time.monotonic() < deadline:
            opened = [s.open("/v1/certificates", "POST", body)
                      for _ in range(100)]
            statuses += s.answers(opened)
            m.wait_for(lambda o=opened: s.over.issuperset(o))
    assert statuses.index(429) >= 1000 and set(statuses) == {401, 429}
    m.wait_for(lambda: local.identity().status == 200)
    assert outcome(local, "rate-limit") == statuses.count(429)


def test_methods_and_paths(local):
    for path, method, status in (
            ("/v1/certificates", "GET", 405), ("/v1/roots", "POST", 405),
            (f"/v1/destinations/{ADDRESS}", "POST", 405),
            ("/v1/destinations", "GET", 404), ("/", "GET", 404),
            ("/v1/roots/", "GET", 404), ("/metrics", "GET", 404)):
        got, body = cc.ask(local.port, method, path)
        assert got == status and "error" in json.loads(body), path


# ---- TLS ----

def context(**more):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_controller_has_an_identity(local):
    who = local.identity()
    c = cc.Connection(local.port, **who.tls)
    try:
        assert c.sock.version() == "TLSv1.3"
        assert c.sock.selected_alpn_protocol() == "h2"
        leaf = x509.load_der_x509_certificate(c.sock.getpeercert(True))
    finally:
        c.close()
    assert k.uris_of(leaf) == [
        f"{SPIFFE}/eastwest-system/sa/eastwest-controller"]


def test_only_tls_13(local):
    plain = socket.create_connection(("127.0.0.1", local.port), 20)
    with plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context(maximum_version=ssl.TLSVersion.TLSv1_2).wrap_socket(plain)


def test_plain_text_is_not_answered(local):
    with socket.create_connection(("127.0.0.1", local.port), 20) as s:
        s.sendall(b"GET /v1/roots HTTP/1.1\r\nhost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while data := s.recv(4096):
                assert b"HTTP/" not in data and b"BEGIN" not in data
    assert local.roots()


def refused(local, **tls):
    """Whether the client is not let in: with TLS 1.3 it hears of it late."""
    try:
        status, _ = cc.ask(local.port, "GET", f"/v1/destinations/{ADDRESS}",
                           **tls)
        return status is None
    except (OSError, ssl.SSLError):
        return True


def leaf_of(root_pem, key_pem, uri, **more):
    """(chain, key) of a client, signed by that root."""
    root, key = k.x509_of(root_pem), p256()
    signer = serialization.load_pem_private_key(key_pem.encode(), None)
    now = dt.datetime.utcnow()
    b = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(
        root.subject).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
                more.get("begin", now - dt.timedelta(minutes=5))
            ).not_valid_after(more.get("end", now + dt.timedelta(hours=1)))
    for extension, critical in (
            (x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(u) for u in
                 ([uri] if isinstance(uri, str) else uri)]), True),
            (x509.BasicConstraints(False, None), True),
            (x509.KeyUsage(True, False, False, False, False, False, False,
                           False, False), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(
                root.public_key()), False)):
        b = b.add_extension(extension, critical)
    chain = b.sign(signer, hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM).decode()
    return {"chain": chain, "key": key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()).decode()}


def test_who_may_follow(local):
    root = local.roots()
    key = (local.ca / "ca.key").read_text()
    stranger, stranger_key = k.make_root()
    good = f"{SPIFFE}/app/sa/x"
    now, day = dt.datetime.utcnow(), dt.timedelta(days=1)
    assert refused(local, **leaf_of(stranger, stranger_key, good))
    assert refused(local, **leaf_of(root, key,
                                    "spiffe://example.org/ns/app/sa/x"))
    assert refused(local, **leaf_of(root, key, "https://cluster.local/ns/a"))
    assert refused(local, **leaf_of(root, key, [good, good + "y"]))
    assert refused(local, **leaf_of(root, key, good, begin=now - 2 * day,
                                    end=now - day))
    assert refused(local, **leaf_of(root, key, good, begin=now + day,
                                    end=now + 2 * day))
    with Streams(local.port) as s:
        assert s.answers([s.follow(ADDRESS)]) == [403]


def test_ids_without_a_namespace(local):
    root, key = local.roots(), (local.ca / "ca.key").read_text()
    for path in ("sa/x", "ns/app", "ns//sa/x", "frob"):
        tls = leaf_of(root, key, f"spiffe://cluster.local/{path}")
        try:
            status, _ = cc.ask(local.port, "GET",
                               f"/v1/destinations/{ADDRESS}", **tls)
        except OSError:
            status = None
        assert status in (403, None), path


def test_certificate_of_an_earlier_trust_domain(idle):
    idle.start()
    old = idle.identity()
    idle.stop()
    idle.start("--trust-domain", "example.org")
    assert refused(idle, chain=old.chain, key=old.key)


# ---- discovery ----

def is_service(d):
    return d["kind"] == "service"


def test_first_state(local):
    local.write("a.yaml", [service("echo", IP), slice_of("echo", ["10.1.0.1"]),
                           route("r", "echo", "echo")])
    m.wait_for(lambda: local.known("HTTPRoute") == 1)
    with Streams(local.port, local.identity()) as s:
        stream = s.follow(ADDRESS)
        d = m.wait_for(lambda: s.destination(stream))
        line = s.lines[stream][0]
        assert sorted(line) == ["complete", "destination", "version"]
        assert line["complete"] is True and line["version"] >= 1
        assert s.statuses[stream] == 200 and stream not in s.over
    assert (d["kind"], d["namespace"], d["name"], d["port"], d["portName"],
            d["protocol"]) == ("service", "app", "echo", 80, "http", "http")
    assert "defaultBackend" not in d
    assert d["rules"][0]["route"] == {"kind": "HTTPRoute", "namespace": "app",
                                      "name": "r"}
    (backend,) = d["backends"]
    assert backend["endpoints"] == [{"address": "10.1.0.1", "port": 8080}]


def test_type_of_the_answer(local):
    c = cc.Connection(local.port, **local.identity().tls)
    try:
        c.send("GET", f"/v1/destinations/{ADDRESS}")
        head = next(e for e in c.events()
                    if isinstance(e, cc.h2.events.ResponseReceived))
        assert ("content-type", "application/x-ndjson") in [
            tuple(x if isinstance(x, str) else bytes(x).decode() for x in h)
            for h in head.headers]
    finally:
        c.close()


@pytest.mark.parametrize("address", [
    "10.9.9.9:80", f"{IP}:81", "[fd00::9]:80", "[::ffff:10.9.9.9]:1",
    "10.9.9.9:65535"])
def test_addresses_that_are_not_known(local, address):
    local.write("a.yaml", [service("echo", IP)])
    m.wait_for(lambda: local.known("Service") == 1)
    with local.watch(address) as w:
        assert w.until(lambda d: True)["kind"] == "unknown"


@pytest.mark.parametrize("address", [
    "", "x", IP, "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:x", "fd00::1:80",
    "[fd00::1]", "localhost:80", "10.0.0.1:80/", "10.0.0.1:80%20",
    "10.0.0.1:+80"])
def test_what_is_no_address(local, address):
    assert cc.ask(local.port, "GET", f"/v1/destinations/{address}",
                  **local.identity().tls) == (
        400, b'{"error":"expected IP:PORT or [IPv6]:PORT"}\n')


def test_changes(local):
    with local.watch(ADDRESS) as w, local.watch("10.0.0.2:80") as other:
        w.until(lambda d: d["kind"] == "unknown")
        other.until(lambda d: d["kind"] == "unknown")
        local.write("a.yaml", [service("echo", IP)])
        w.until(is_service)
        local.write("r.yaml", [route("r", "echo", "echo")])
        w.until(lambda d: len(d.get("rules", [])) == 1)
        local.remove("r.yaml")
        w.until(lambda d: "rules" not in d)
        local.remove("a.yaml")
        w.until(lambda d: d["kind"] == "unknown")
        assert len(w.states) == 5 and len(other.states) == 1


def test_versions_grow_and_several_changes_are_one(local):
    with Streams(local.port, local.identity()) as s:
        stream = s.follow(ADDRESS)
        m.wait_for(lambda: s.destination(stream))
        local.write("a.yaml", [service("echo", IP), slice_of("echo", [
            f"10.1.0.{i}" for i in range(1, 50)]),
            *(route(f"r{i}", "echo", "echo") for i in range(20))])
        m.wait_for(lambda: "rules" in s.destination(stream))
        assert len(s.destination(stream)["rules"]) == 20
        versions = [x["version"] for x in s.lines[stream]
                    if "destination" in x]
    assert len(versions) == 2 and versions[0] < versions[1]


def test_routes_of_the_clients_namespace(local):
    mine = route("mine", "echo", "echo", ns="other")
    mine["spec"]["parentRefs"][0]["namespace"] = "app"
    local.write("a.yaml", [service("echo", IP), route("r", "echo", "echo"),
                           mine])

    def name_is(name):
        return lambda d: "rules" in d and \
            [r["route"]["name"] for r in d["rules"]] == [name]
    with local.watch(ADDRESS) as a, \
            local.watch(ADDRESS, local.identity(BOB)) as b:
        a.until(name_is("r"))
        b.until(name_is("mine"))
    m.wait_for(lambda: local.metric("eastwest_controller_streams") == 0)


def test_identities_of_endpoints(local):
    def pod(name, ip, **spec):
        return {"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "app"},
                "spec": {"serviceAccountName": name, **spec},
                "status": {"phase": "Running", "podIP": ip}}
    local.write("a.yaml", [
        service("echo", IP), slice_of("echo", ["10.1.0.1", "10.1.0.2",
                                               "10.1.0.3"]),
        pod("one", "10.1.0.1"), pod("host", "10.1.0.2", hostNetwork=True)])
    with local.watch(ADDRESS) as w, local.watch("10.1.0.1:99") as direct:
        w.until(lambda d: is_service(d) and
                d["backends"][0]["endpoints"][0].get("pod") == "one")
        local.write("ns.yaml", [k.namespace("app")])
        d = w.until(lambda d: "identity" in d["backends"][0]["endpoints"][0])
        assert [e.get("identity") for e in d["backends"][0]["endpoints"]] == \
            [f"{SPIFFE}/app/sa/one", None, None]
        d = direct.until(lambda d: d["kind"] == "pod" and
                         "identity" in d["backends"][0]["endpoints"][0])
        assert d["backends"][0]["endpoints"] == [
            {"address": "10.1.0.1", "port": 99, "pod": "one",
             "identity": f"{SPIFFE}/app/sa/one"}]


def test_heartbeats(local):
    with Streams(local.port, local.identity()) as s:
        streams = [s.follow(ADDRESS), s.follow("10.0.0.2:80")]
        m.wait_for(lambda: all(len(s.lines[x]) == 2 for x in streams), 13)
        for lines in (s.lines[x] for x in streams):
            assert lines[1] == {"heartbeat": lines[0]["version"]}


def test_many_streams(local):
    who = local.identity()
    with contextlib.ExitStack() as stack:
        all_ = [stack.enter_context(Streams(local.port, who))
                for _ in range(4)]
        opened = [(s, s.follow(f"10.0.{i}.1:80")) for s in all_
                  for i in range(250)]
        m.wait_for(lambda: all(s.destination(x) for s, x in opened), 30)
        assert local.metric("eastwest_controller_streams") == 1000
        assert local.metric("eastwest_controller_destinations") == 250
        local.write("a.yaml", [service(f"s{i}", f"10.0.{i}.1")
                               for i in range(250)])
        m.wait_for(lambda: all(is_service(s.destination(x))
                               for s, x in opened), 30)
        assert local.metric("eastwest_controller_states_sent_total") == 2000
        for s, x in opened[:100]:
            s.reset(x)
        m.wait_for(lambda: local.metric("eastwest_controller_streams") == 900)
    m.wait_for(lambda: local.metric("eastwest_controller_streams") == 0)
    assert local.metric("eastwest_controller_destinations") == 0


def test_one_address_twice_on_a_connection(local):
    with Streams(local.port, local.identity()) as s:
        streams = [s.follow(ADDRESS) for _ in range(2)]
        m.wait_for(lambda: all(s.destination(x) for x in streams))
        s.reset(streams[0])
        local.write("a.yaml", [service("echo", IP)])
        m.wait_for(lambda: is_service(s.destination(streams[1])))
        assert local.metric("eastwest_controller_streams") == 1


def big(n, turn=0):
    """A state of some 300 KB."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [service("echo", IP, ports=[{"name": "http", "port": 80}]),
            slice_of("echo", [f"10.{1 + turn}.{i // 250}.{i % 250 + 1}"
                              for i in range(n)])]})


class Stalled:
    """Asks, and then does not read."""

    def __init__(self, local):
        self.connection = cc.Connection(local.port, **local.identity().tls)
        self.connection.send("GET", f"/v1/destinations/{ADDRESS}")

    def lines(self):
        """What comes once it reads."""
        rest = b""
        for e in self.connection.events():
            if isinstance(e, cc.h2.events.DataReceived):
                *whole, rest = (rest + e.data).split(b"\n")
                yield from map(json.loads, whole)


def first_address(d):
    return d["backends"][0]["endpoints"][0]["address"] if d["backends"] else ""


def test_client_that_does_not_read_gets_the_newest_state_when_it_does(local):
    local.write("a.json", big(5000))
    m.wait_for(lambda: local.known("EndpointSlice") == 1)
    slow = Stalled(local)
    with local.watch(ADDRESS) as w:
        w.until(lambda d: first_address(d) == "10.1.0.1")
        for turn in range(1, 7):
            local.write("a.json", big(5000, turn))
            w.until(lambda d, t=turn: first_address(d) == f"10.{1 + t}.0.1")
        got = []
        for line in slow.lines():
            if "destination" in line:
                got.append(first_address(line["destination"]))
            if got and got[-1] == "10.7.0.1":
                break
        assert len(got) <= 4, got
    slow.connection.close()


def test_client_that_does_not_read_for_half_a_minute_is_left(local):
    local.write("a.json", big(5000))
    m.wait_for(lambda: local.known("EndpointSlice") == 1)
    slow = Stalled(local)
    with local.watch(ADDRESS) as w:
        for turn in range(5):
            local.write("a.json", big(5000, turn))
            w.until(lambda d, t=turn: first_address(d) == f"10.{1 + t}.0.1")
        m.wait_for(lambda: local.metric(
            "eastwest_controller_streams_slow_total") == 1, 45)
        assert local.metric("eastwest_controller_streams") == 1
        assert local.logged(msg="sidecar does not read",
                            peer=f"{SPIFFE}/app/sa/alice")
        assert not w.ended
    slow.connection.close()
