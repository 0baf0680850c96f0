# SPDX-License-Identifier: Apache-2.0
"""Connections that mean harm: to the sidecar's own ports, in circles, and
handshakes that are none."""
import ssl
import time

import pytest

import hostility as h
import meshes as m
import wire

NS = "hostile-net"
OUTBOUND, INBOUND, ADMIN, STATUS = 15001, 15006, 15000, 15020
OWN = (OUTBOUND, INBOUND, ADMIN)
GET = "GET /MARK HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
MESH = ["eastwest/http2"]
# A reset while connecting, or within the handshake.
UNREACHED = ("connect-failed", "identity-mismatch")


@pytest.fixture(scope="module")
def arena(mesh):
    """The Service "inside" leads to the sidecar's own ports."""
    with h.arena(mesh, NS, m.service(
            NS, "inside", {"app": "witness"}, ports=[
                {"name": f"p{p}", "port": p, "targetPort": p}
                for p in (*OWN, STATUS)])) as made:
        yield made


@pytest.fixture(autouse=True)
def unharmed(mesh, arena):
    before = h.lives(mesh, NS)
    yield
    assert h.lives(mesh, NS) == before
    arena.check_peace()
    assert arena.witness.faults == []


def address_of(arena, pod):
    return arena.mesh.pod(pod)["ips"]


# The sidecar's own ports.

def test_no_own_port_is_a_way_in_or_around(arena):
    """From the app of the pod, by loopback and by its address, and from
    outside, through the mesh and around it: the connection ends without a
    byte, and nothing comes back to its beginning."""
    client, witness = f"{NS}/client", f"{NS}/witness"
    targets = {client: ["127.0.0.1", "::1", "127.0.0.2",
                        *address_of(arena, client),
                        *address_of(arena, witness)],
               "plain/client": address_of(arena, witness)}
    wrong = {}
    for pod, addresses in targets.items():
        cases = [h.case(f"{pod} {to} {port}", (to, port), ("send", GET),
                        ("read",), seconds=8)
                 for to in addresses for port in OWN]
        for name, result in arena.attack(pod, cases).items():
            # Its own app may see the administration, with its own rules.
            admin = "15000" in name and "127.0.0.1" in name
            refused = "Refused" in result.error or result.end == "reset"
            if result.total:
                refused = result.statuses == [403] if admin else \
                    result.responses[0][1]["eastwest-refusal"] in UNREACHED
            if not refused:
                wrong[name] = result
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())
    assert not arena.witness.saw("/MARK")


def test_a_service_that_leads_to_own_ports_leads_nowhere(arena):
    """What comes over the mesh, with an identity, gets no further."""
    inside = arena.service("inside")
    got = arena.attack(f"{NS}/client", [
        h.case(str(port), (inside, port), ("send", GET), ("read",))
        for port in OWN])
    for port, result in got.items():
        assert result.statuses == [503], (port, result)
        assert result.responses[0][1]["eastwest-refusal"] in UNREACHED, result
    assert not arena.witness.saw("/MARK")


def test_own_ports_are_counted(arena):
    def count():
        return arena.mesh.metric(f"{NS}/witness",
                                 "eastwest_inbound_refused_total",
                                 reason="not redirected")
    before = count()
    arena.attack("plain/client", [
        h.case(str(i), (arena.ip, INBOUND), ("send", GET), ("read",))
        for i in range(3)])
    assert count() == before + 3


def request(line, *fields, body=""):
    return "\r\n".join([line, *fields, "connection: close", "", body])


def test_the_administration_is_no_tool_for_web_pages(arena):
    """Its Host must be a loopback name, and what changes things is POST."""
    here, local = ("127.0.0.1", ADMIN), "host: localhost"
    cases = {
        "foreign": (request("GET /destinations HTTP/1.1", "host: evil"), 403),
        "looks-local": (request("GET /destinations HTTP/1.1",
                                "host: localhost.evil"), 403),
        "local-port": (request("GET /destinations HTTP/1.1",
                               "host: 127.0.0.1.evil:15000"), 403),
        "v6-evil": (request("GET /destinations HTTP/1.1",
                            "host: [::1].evil"), 400),
        "absolute": (request("GET http://evil/destinations HTTP/1.1", local),
                     403),
        "drain-get": (request("GET /drain HTTP/1.1", local), 405),
        "drain-foreign": (request("POST /drain HTTP/1.1", "host: evil",
                                  "content-length: 0"), 403),
        "log-get": (request("GET /log-level?level=debug HTTP/1.1", local),
                    405),
        "log-odd": (request("POST /log-level?level=x HTTP/1.1", local,
                            "content-length: 0"), 400),
        "delete": (request("DELETE /destinations HTTP/1.1", local), 405),
        "two-hosts": (request("POST /drain HTTP/1.1", local, "host: evil"),
                      400),
        "huge": (request("POST /drain HTTP/1.1", "host: evil",
                         "content-length: 999999999"), 413),
        "fields": (request("GET / HTTP/1.1", local, *["x: y"] * 500), 431),
        "connect": (request("CONNECT evil:1 HTTP/1.1", "host: evil:1"), 400),
    }
    got = arena.attack(f"{NS}/client", [
        h.case(name, here, ("send", text), ("read",), seconds=2)
        for name, (text, _) in cases.items()])
    wrong = {n: r for n, r in got.items()
             if r.statuses != [cases[n][1]]}
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())


def test_the_status_port_only_tells(arena):
    got = arena.attack("plain/client", [
        h.case(method, (arena.ip, STATUS),
               ("send", request(f"{method} /metrics HTTP/1.1", "host: h",
                                "content-length: 0")), ("read",))
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")] + [
        h.case(path, (arena.ip, STATUS),
               ("send", request(f"GET {path} HTTP/1.1", "host: h")),
               ("read",))
        for path in ("/drain", "/log-level", "/destinations", "/..%2f")])
    for name, result in got.items():
        assert result.statuses == [404 if "/" in name else 405], result


def test_idle_connections_to_the_status_port_lock_nobody_out(arena):
    post = request("POST /metrics HTTP/1.1", "host: h", "content-length: 9")
    waiting = wire.in_thread(arena.attack, "plain/client", [
        h.case(str(i), (arena.ip, STATUS), ("send", "" if i % 2 else post),
               ("pause", 4)) for i in range(200)])

    def ask():
        with arena.outside.wire(arena.ip, STATUS) as w:
            w.sock.settimeout(2)
            w.request("GET /ready HTTP/1.1")
            return w.response()[0] == 200

    until = time.monotonic() + 4
    while time.monotonic() < until:
        # Like the idle ones it may be the one that makes room.
        m.wait_for(ask, 3, "an answer to a probe")
    assert len(waiting()) == 200


# Circles.

def test_a_pod_that_calls_its_own_service_is_called_once(arena):
    for pod, to in ((f"{NS}/witness", (arena.service("witness"), 80)),
                    (f"{NS}/witness", (arena.ip, 8080)),
                    (f"{NS}/witness", ("127.0.0.1", 8080))):
        mark = f"/own-{to[0]}"
        result = arena.attack(pod, [h.case("1", to, (
            "send", GET.replace("/MARK", mark)), ("until", "seen\n"))])["1"]
        assert result.statuses == [200]
        assert len(arena.witness.whole(mark)) == 1


def test_what_an_app_of_the_mesh_relays_is_no_loop_of_the_sidecars(arena):
    """The address of a Service as Host, from the server's own pod: routes go
    by the address that was dialled, never by what a client writes."""
    echo = arena.service("echo")
    result = arena.attack(f"{NS}/client", [h.case("1", (
        arena.service("witness"), 80), (
        "send", f"GET http://{echo}/relay HTTP/1.1\r\nhost: {echo}\r\n\r\n"),
        ("until", "seen\n"))])["1"]
    assert result.statuses == [200]
    assert len(arena.witness.whole("/relay")) == 1


# Handshakes.

def hello(alpn, server_name=None):
    """A ClientHello as OpenSSL makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def records(data, size):
    """The same handshake in records of |size| bytes."""
    body = data[5:]
    return b"".join(b"\x16\x03\x01" + len(body[i:i + size]).to_bytes(2, "big")
                    + body[i:i + size] for i in range(0, len(body), size))


def refusals(arena, pod):
    return {name: sum(v for k, v in arena.mesh.metrics(pod).items()
                      if k.startswith(name))
            for name in ("eastwest_tls_failures_total",
                         "eastwest_inbound_refused_total")}


MESH_HELLO = hello(MESH)
BROKEN = {
    "plain": [("send", MESH_HELLO + GET.encode())],
    "plain-later": [("send", MESH_HELLO), ("pause", 0.2), ("send", GET)],
    "preface": [("send", MESH_HELLO + h.HELLO)],
    "twice": [("send", MESH_HELLO + MESH_HELLO)],
    "alert": [("send", MESH_HELLO + b"\x15\x03\x03\0\2\2\x28")],
    "app-data": [("send", MESH_HELLO + b"\x17\x03\x03\0\5hello")],
    "huge-record": [("send", MESH_HELLO + b"\x17\x03\x03\xff\xff" +
                     b"x" * 70000)],
    "empty-records": [("send", MESH_HELLO), ("repeat", b"\x16\x03\x03\0\0",
                                             1000)],
    "change-cipher": [("send", MESH_HELLO),
                      ("repeat", b"\x14\x03\x03\0\1\1", 1000)],
    "small-records": [("send", records(MESH_HELLO, 1)), ("send", GET)],
    "end": [("send", MESH_HELLO), ("pause", 0.2), ("end",)],
    "tls12": [("tls", {"alpn": MESH, "max": "1.2"})],
    "no-certificate": [("tls", {"alpn": MESH}), ("send", h.HELLO)],
    "unknown-protocol": [("tls", {"alpn": ["eastwest/evil"]})],
}


@pytest.mark.parametrize("pod", ["witness", "deploy/strict"])
def test_what_offers_the_mesh_without_a_proof_is_refused_and_counted(
        arena, pod):
    """Each is one failed handshake and one refused connection, whether plain
    text is allowed there or not."""
    to = (address_of(arena, f"{NS}/{pod}")[0], 8080)
    before = refusals(arena, f"{NS}/{pod}")
    got = arena.attack("plain/client", [
        h.case(name, to, *steps, ("read",), seconds=8)
        for name, steps in BROKEN.items()])
    wrong = {n: r for n, r in got.items()
             if not (r.end or r.error) or b"HTTP/1" in r.received or
             b"seen" in r.received}
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())
    after = refusals(arena, f"{NS}/{pod}")
    assert {k: after[k] - before[k] for k in after} == {
        k: len(BROKEN) for k in after}
    assert not arena.witness.saw("/MARK")


GARBAGE = {
    "length": b"\x16\x03\x01\xff\xff" + b"\xff" * 100,
    "zeros": b"\x16\x03\x01\0\x40" + b"\0" * 64,
    "hello-length": b"\x16\x03\x01\0\x40\1\xff\xff\xff" + b"\0" * 60,
    "cut-list": MESH_HELLO[:40] + b"\xff" * 200,
    "version": b"\x16\x09\x09" + MESH_HELLO[3:],
    "sslv2": b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10" + b"\1" * 40,
    "binary": bytes(range(256)),
    "tls": hello(["h2"]),
    "no-alpn": hello(None),
    "words": b"HELO evil\r\n",
}


def test_strict_takes_nothing_that_is_not_the_mesh(arena):
    """Garbage and the TLS of others: a reset, and counted."""
    # Port 9999 has no probe, so a connection is refused as a whole.
    to = (address_of(arena, f"{NS}/deploy/strict")[0], 9999)
    before = refusals(arena, f"{NS}/deploy/strict")
    got = arena.attack("plain/client", [
        h.case(name, to, ("send", data), ("end",), ("read",))
        for name, data in GARBAGE.items()])
    wrong = {n: r for n, r in got.items() if r.end != "reset" or r.total}
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())
    after = refusals(arena, f"{NS}/deploy/strict")
    assert after["eastwest_inbound_refused_total"] - \
        before["eastwest_inbound_refused_total"] == len(GARBAGE)


def test_half_a_hello_waits_alone(arena):
    """Handshakes that never end hold up nobody else's."""
    for pod, name in (("witness", "witness"), ("deploy/strict", "strict")):
        ip = address_of(arena, f"{NS}/{pod}")[0]
        waiting = wire.in_thread(arena.attack, "plain/client", [
            h.case(str(i), (ip, 8080), ("send", MESH_HELLO[:100 + i]),
                   ("pause", 3)) for i in range(100)])
        for _ in range(3):
            with arena.client.wire(f"{name}.{NS}") as w:
                w.request("GET /peace HTTP/1.1")
                assert w.response()[0] == 200
        waiting()
