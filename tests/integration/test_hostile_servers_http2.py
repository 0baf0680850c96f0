# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 servers that mean harm: frames made by hand, answered to a client
of HTTP/2, by a server with a sidecar and by one without."""
import itertools

import pytest

import hostility as h
import meshes as m
import wire
from hostility import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                       GOAWAY, HEADERS, HELLO, PADDED, PING, PREFACE, PUSH,
                       RST, SETTINGS, WINDOW, block, frame, get, headers)

NS, OUT = "hostile-srv2", "hostile-out2"
PORTS = range(9001, 9041)
OK = (":status", "200")
OPEN = END_HEADERS


class Arena:
    """This test is the server, in the pod raw of either namespace."""

    def __init__(self, mesh, client):
        self.mesh, self.client = mesh, client
        self.nets = {ns: wire.Net(mesh, f"{ns}/raw") for ns in (NS, OUT)}
        self.ports = {ns: itertools.cycle(PORTS) for ns in self.nets}

    def raw(self, ns, act):
        """A server in the pod raw of |ns|; .to is how to reach it."""
        made = h.Raw(self.nets[ns], next(self.ports[ns]), act)
        made.to = self.client.resolve(f"raw.{ns}"), made.port
        return made


def objects(ns):
    app = {"app": "raw"}
    return [m.pod(ns, "raw", labels=app),
            m.service(ns, "raw", app, ports=[
                {"name": f"p{p}", "port": p, "targetPort": p}
                for p in PORTS]),
            m.deployment(ns, "echo", ["h2c_echo.py", "--port", "8080"]),
            m.service(ns, "echo", {"app": "echo"})]


@pytest.fixture(scope="module")
def arena(mesh):
    mesh.write(f"{OUT}.yaml", [m.namespace(OUT, False), *objects(OUT)])
    with wire.servers(mesh, NS, [m.pod(NS, "client"), *objects(NS)]) as net:
        made = Arena(mesh, net)
        m.wait_for(lambda: peaceful(made), 30)
        yield made
    mesh.remove(f"{OUT}.yaml")


def peaceful(arena):
    for ns in (NS, OUT):
        with wire.H2(arena.client.connect(f"echo.{ns}")) as c:
            assert c.get("/sound").status == 200
    return True


@pytest.fixture(params=[NS, OUT], ids=["with", "without"])
def where(request):
    """The server has a sidecar, or it has none."""
    return request.param


@pytest.fixture(autouse=True)
def unharmed(mesh, arena):
    before = h.lives(mesh, NS)
    yield
    assert h.lives(mesh, NS) == before
    assert peaceful(arena)


def explain(wrong):
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())


# A server that reads frames, and says what the test wants.

def read_frame(conn):
    start = conn.exactly(9)
    payload = conn.exactly(int.from_bytes(start[:3], "big"))
    return start[3], start[4], int.from_bytes(start[5:], "big"), payload


def answer(make, settings=b"", requests=None):
    """act(conn) that sends make(stream), bytes, for each request."""
    def act(conn):
        assert conn.exactly(len(PREFACE)) == PREFACE
        conn.send(frame(SETTINGS, 0, 0, settings))
        while True:
            kind, flags, stream, _ = read_frame(conn)
            if kind == SETTINGS and not flags & ACK:
                conn.send(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                conn.send(frame(PING, ACK, 0, b"eastwest"))
            elif kind == HEADERS:
                if requests is not None:
                    requests.append(stream)
                conn.send(make(stream))
    return act


def ask_all(arena, where, table, seconds=10):
    """{name: Result} of one request to each server of |table|."""
    made = [(name, arena.raw(where, act)) for name, act in table.items()]
    try:
        got = h.attack(arena.mesh, f"{NS}/client", [
            h.case(name, raw.to, ("send", HELLO + headers(
                1, get(f"/{name}"))), ("answer",), ("pause", 0.1),
                seconds=seconds) for name, raw in made])
        faults = {name: raw.faults for name, raw in made if raw.faults}
    finally:
        for _, raw in made:
            raw.__exit__()
    explain(faults)
    return got


def outcome(result):
    """"whole", "cut", (status, reason) of a refusal, or "none"."""
    head = result.heads.get(1)
    ended = any(s == 1 and flags & END_STREAM for t, flags, s, _ in
                result.frames if t in (DATA, HEADERS))
    if head and "eastwest-refusal" in head:
        return int(head[":status"]), head["eastwest-refusal"]
    if 1 in result.resets or result.end:
        return "cut"
    if head and ended:
        return "whole"
    return "none"


def reply(*fields, flags=END_STREAM | END_HEADERS, more=b""):
    return answer(lambda s: headers(s, fields, flags) +
                  more.replace(b"@@@@", s.to_bytes(4, "big")))


def body(payload, flags=END_STREAM):
    return frame(DATA, flags, 1, payload).replace(
        b"\0\0\0\1" + payload, b"@@@@" + payload)


def http1(conn):
    conn.exactly(len(PREFACE))
    conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def at_once(data):
    def act(conn):
        conn.send(data)
        conn.rest()
    return act


HUGE = block([OK] + [("x", "y" * 1000)] * 80)
# An entry of the table, and 15,000 references to it.
BOMB = block([OK]) + b"\x40\x01x" + h.number(4000) + b"y" * 4000 + \
    b"\xbe" * 15000


def split(stream, payload):
    pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)]
    return b"".join(
        frame(CONTINUATION if i else HEADERS,
              (0 if i else END_STREAM) |
              (END_HEADERS if i == len(pieces) - 1 else 0), stream, piece)
        for i, piece in enumerate(pieces))


HEADS = {
    "no-status": reply(("x", "y")),
    "two-statuses": reply(OK, (":status", "404")),
    "late-status": reply(("x", "y"), OK),
    "status-99": reply((":status", "99")),
    "status-600": reply((":status", "600")),
    "status-word": reply((":status", "two")),
    "status-long": reply((":status", "2000")),
    "status-plus": reply((":status", "+20")),
    "switch": reply((":status", "101"), flags=OPEN),
    "path": reply(OK, (":path", "/evil")),
    "unknown": reply(OK, (":evil", "1")),
    "upper": reply(OK, ("X-Upper", "1")),
    "crlf": reply(OK, ("x", "a\r\nevil: 1")),
    "nul": reply(OK, ("x", "a\0b")),
    "name": reply(OK, ("x y", "1")),
    "crlf-name": reply(OK, ("x: 1\r\nevil", "1")),
    "empty-name": reply(OK, ("", "1")),
    "connection": reply(OK, ("connection", "close")),
    "coding": reply(OK, ("transfer-encoding", "chunked")),
    "upgrade": reply(OK, ("upgrade", "h2c")),
    "two-lengths": reply(OK, ("content-length", "0"),
                         ("content-length", "5")),
    "length-word": reply(OK, ("content-length", "five")),
    "length-plus": reply(OK, ("content-length", "+0")),
    "length-alone": reply(OK, ("content-length", "5")),
    "hint-ends": reply((":status", "103")),
    "huge": answer(lambda s: split(s, HUGE)),
    "many": reply(OK, *[("x", "y")] * 500),
    "bomb": answer(lambda s: split(s, BOMB)),
    "data-first": answer(lambda s: frame(DATA, 0, s, b"evil")),
    "hpack": answer(lambda s: frame(HEADERS, 5, s, b"\xff" * 20)),
    "push": answer(lambda s: frame(PUSH, END_HEADERS, s, b"\0\0\0\2" +
                                   block(get("/evil"))) + headers(s, [OK])),
    "reset": answer(lambda s: frame(RST, 0, s, b"\0\0\0\1")),
    "reset-calm": answer(lambda s: frame(RST, 0, s, b"\0\0\0\x0b")),
    "reset-none": answer(lambda s: frame(RST, 0, s, b"\0\0\0\0")),
    "refused": answer(lambda s: frame(RST, 0, s, b"\0\0\0\7")),
    "goaway": answer(lambda s: frame(GOAWAY, 0, 0, b"\0" * 8)),
    "goaway-calm": answer(lambda s: frame(GOAWAY, 0, 0, b"\0" * 7 + b"\x0b")),
    "continuation": answer(lambda s: frame(CONTINUATION, 4, s, b"")),
    "interleaved": answer(lambda s: frame(HEADERS, 1, s, block([OK])) +
                          frame(PING, 0, 0, b"12345678")),
    "other-stream": answer(lambda s: headers(s + 2, [OK])),
    "even-stream": answer(lambda s: headers(2, [OK])),
    "too-long": answer(lambda s: frame(HEADERS, 5, s, b"\0" * 20000)),
    "window": answer(lambda s: frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff")),
    "window-zero": answer(lambda s: frame(WINDOW, 0, 0, b"\0\0\0\0")),
    "settings": answer(lambda s: frame(SETTINGS, 0, 0, b"12345")),
    "settings-frame": answer(lambda s: b"", b"\0\5\0\0\0\1"),
    "settings-window": answer(lambda s: b"", b"\0\4\xff\xff\xff\xff"),
    "settings-push": answer(lambda s: b"", b"\0\2\0\0\0\1"),
    "no-settings": at_once(headers(1, [OK])),
    "http1": http1,
    "greeting": at_once(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "tls": at_once(b"\x15\x03\x01\0\2\2\x46" * 2),
    "close": lambda conn: None,
}


@pytest.mark.parametrize("part", range(2))
def test_responses_that_are_malformed_become_a_502(arena, where, part):
    table = dict(itertools.islice(HEADS.items(), part, None, 2))
    got = ask_all(arena, where, table)
    explain({n: (outcome(r), r) for n, r in got.items()
             if outcome(r) not in ((502, "upstream-protocol"),
                                   (502, "upstream-reset")) or
             b"evil" in r.received})


BODIES = {
    "short": reply(OK, ("content-length", "5"), flags=OPEN,
                   more=body(b"abc")),
    "long": reply(OK, ("content-length", "3"), flags=OPEN,
                  more=body(b"abc", 0) + body(b"evil")),
    "reset": reply(OK, flags=OPEN, more=body(b"abc", 0) +
                   b"\0\0\4\3\0@@@@\0\0\0\2"),
    "bad-trailers": reply(OK, flags=OPEN, more=body(b"abc", 0) +
                          headers(1, [("connection", "evil")]).replace(
                              b"\0\0\0\1\0", b"@@@@\0")),
    "pseudo-trailers": reply(OK, flags=OPEN, more=body(b"abc", 0) +
                             headers(1, [(":status", "500")]).replace(
                                 b"\0\0\0\1\0", b"@@@@\0")),
    "open-trailers": reply(OK, flags=OPEN, more=body(b"abc", 0) +
                           headers(1, [("x", "y")], END_HEADERS).replace(
                               b"\0\0\0\1\0", b"@@@@\0")),
    "padding": reply(OK, flags=OPEN, more=body(b"\x09abc", PADDED)),
    "goaway": reply(OK, flags=OPEN, more=body(b"abc", 0) +
                    frame(GOAWAY, 0, 0, b"\0" * 7 + b"\2")),
    "garbage": reply(OK, flags=OPEN, more=body(b"abc", 0) +
                     frame(DATA, 0, 0, b"x")),
    "flow": reply(OK, flags=OPEN, more=body(b"x" * 16384, 0) * 400),
}


def test_a_response_that_is_cut_off_never_looks_whole(arena, where):
    got = ask_all(arena, where, BODIES)
    explain({n: (outcome(r), r) for n, r in got.items()
             if outcome(r) not in ("cut", (502, "upstream-protocol"),
                                   (502, "upstream-reset")) or
             b"evil" in r.received})


# More than enough.

def flood(piece, first=b"", times=2000, each=64):
    def act(conn):
        assert conn.exactly(len(PREFACE)) == PREFACE
        conn.send(frame(SETTINGS, 0, 0))
        kind = stream = None
        while kind != HEADERS:
            kind, _, stream, _ = read_frame(conn)
        number = stream.to_bytes(4, "big")
        conn.send(first.replace(b"@@@@", number))
        # Nobody reads here: what the sidecar answers has nowhere to go.
        for _ in range(times):
            conn.send(piece.replace(b"@@@@", number) * each)
    return act


HINT = frame(HEADERS, END_HEADERS, 1, block([(":status", "103")])).replace(
    b"\0\0\0\1\0", b"@@@@\0")
FIRST = frame(HEADERS, END_HEADERS, 1, block([OK])).replace(
    b"\0\0\0\1\0", b"@@@@\0")
FLOODS = {
    "ping": flood(frame(PING, 0, 0, b"12345678")),
    "settings": flood(frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1")),
    "hints": flood(HINT),
    "empty-data": flood(b"\0\0\0\0\0@@@@", FIRST),
    "continuation": flood(b"\0\0\0\x09\0@@@@", b"\0\0\0\1\0@@@@"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_a_server_end_its_connection(arena, where, kind):
    pods = [f"{NS}/client", f"{NS}/raw"]
    before = [h.rss(arena.mesh.pod(p)) for p in pods]
    got = ask_all(arena, where, {kind: FLOODS[kind]})[kind]
    assert outcome(got) in ((502, "upstream-protocol"),
                            (502, "upstream-reset"), "cut"), got
    for pod, was in zip(pods, before):
        assert h.rss(arena.mesh.pod(pod)) - was < 100


def test_hints_for_a_client_that_does_not_read_are_bounded(arena, where):
    pods = [f"{NS}/client", f"{NS}/raw"]
    before = [h.rss(arena.mesh.pod(p)) for p in pods]
    with arena.raw(where, FLOODS["hints"]) as raw:
        h.attack(arena.mesh, f"{NS}/client", [
            h.case("1", raw.to, ("send", HELLO + headers(1, get())),
                   ("deaf",), ("pause", 4))])
    for pod, was in zip(pods, before):
        assert h.rss(arena.mesh.pod(pod)) - was < 50


@pytest.mark.parametrize("kind", ["refused", "goaway"])
def test_a_server_that_always_refuses_is_not_asked_for_ever(arena, where,
                                                            kind):
    data = {"refused": lambda s: frame(RST, 0, s, b"\0\0\0\7"),
            "goaway": lambda s: frame(GOAWAY, 0, 0, b"\0" * 8)}[kind]
    asked = []
    got = ask_all(arena, where, {kind: answer(data, requests=asked)})[kind]
    assert outcome(got) == (502, "upstream-reset"), got
    assert len(asked) <= 10


def test_a_server_that_allows_no_stream_is_not_dialled_for_ever(arena, where):
    raws = []

    def act(conn):
        raws.append(conn)
        answer(lambda s: b"", b"\0\3\0\0\0\0")(conn)
    got = ask_all(arena, where, {"none": act}, 3)["none"]
    assert outcome(got) != "whole"
    assert len(raws) <= 128


def test_a_server_that_opens_no_window_holds_its_request_only(arena, where):
    """And a bounded part of its body."""
    pods = [f"{NS}/client", f"{NS}/raw"]
    before = [h.rss(arena.mesh.pod(p)) for p in pods]
    closed = b"\0\4\0\0\0\0"
    piece = frame(DATA, 0, 1, b"x" * 16384)
    with arena.raw(where, answer(lambda s: b"", closed)) as raw:
        got = h.attack(arena.mesh, f"{NS}/client", [
            h.case("1", raw.to, ("send", HELLO + headers(
                1, get("/", method="POST"), OPEN)),
                ("send", piece * 3), ("pause", 1))])["1"]
    assert outcome(got) == "none"
    for pod, was in zip(pods, before):
        assert h.rss(arena.mesh.pod(pod)) - was < 50


def test_odd_but_allowed_answers_pass(arena, where):
    table = {
        "unknown-frames": answer(lambda s: frame(0xbe, 0xff, s, b"?") +
                                 headers(s, [OK])),
        "hints": answer(lambda s: headers(s, [(":status", "103")], OPEN) * 3 +
                        headers(s, [OK])),
        "padded": answer(lambda s: frame(
            HEADERS, 0xd, s, b"\4" + block([OK]) + b"\0" * 4)),
        "rest-unread": answer(lambda s: headers(s, [OK]) +
                              frame(RST, 0, s, b"\0\0\0\0")),
        "trailers": answer(lambda s: headers(s, [OK], OPEN) +
                           headers(s, [("x", "y")])),
        "goaway-later": answer(lambda s: frame(
            GOAWAY, 0, 0, s.to_bytes(4, "big") + b"\0" * 4) +
            headers(s, [OK])),
    }
    got = ask_all(arena, where, table)
    explain({n: (outcome(r), r) for n, r in got.items()
             if outcome(r) != "whole" or r.heads[1].get(
                 ":status") not in ("200", None)})
