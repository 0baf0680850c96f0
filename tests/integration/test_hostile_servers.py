# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 servers that mean harm, with a sidecar of their own and without.

With one, it reads what the server says; without, the client's does. Either
way the client gets a whole response, a refusal that names its reason, or an
end that nobody can take for a whole response.
"""
import itertools
import socket
import struct
import threading
import time

import pytest

import hostility as h
import meshes as m
import wire

NS, OUT = "hostile-srv", "hostile-out"
PORTS = range(9001, 9041)
OK = "HTTP/1.1 200 OK\r\n"


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

    def get(self, ns, name, path, *fields, port=80):
        with self.client.wire(f"{name}.{ns}", port) as w:
            w.request(f"GET {path} HTTP/1.1", *fields)
            return w.response()


def objects(ns):
    app = {"app": "raw"}
    return [m.pod(ns, "raw", labels=app),
            m.service(ns, "raw", app, ports=[
                {"name": f"p{p}", "port": p, "targetPort": p}
                for p in PORTS]),
            m.deployment(ns, "faulty", ["faulty.py", "--port", "8080"]),
            m.service(ns, "faulty", {"app": "faulty"})]


@pytest.fixture(scope="module")
def arena(mesh):
    mesh.write(f"{OUT}.yaml", [m.namespace(OUT, False), *objects(OUT)])
    with wire.servers(mesh, NS, [m.pod(NS, "client"), *objects(NS)]) as net:
        made = Arena(mesh, net)
        for ns in (NS, OUT):
            m.wait_for(lambda: made.get(ns, "faulty", "/")[0] == 200, 30)
        yield made
    mesh.remove(f"{OUT}.yaml")


@pytest.fixture(params=[NS, OUT], ids=["with", "without"])
def where(request):
    """The server has a sidecar, or it has none."""
    return request.param


@pytest.fixture(autouse=True)
def unharmed(mesh, arena):
    before = h.lives(mesh, NS)
    yield
    assert h.lives(mesh, NS) == before
    for ns in (NS, OUT):
        assert arena.get(ns, "faulty", "/sound")[0] == 200


def head(conn):
    return conn.until(b"\r\n\r\n")


def say(data, stay=0.0):
    """A server that answers each request with exactly this."""
    data = data if isinstance(data, bytes) else data.encode("latin-1")

    def act(conn):
        while head(conn):
            conn.send(data)
            if not stay:
                conn.sock.shutdown(socket.SHUT_WR)
                conn.rest()
                return
    return act


REQUEST = "GET /{} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"


def ask_all(arena, where, table, stay):
    """{name: Result} of one request to each server of |table|."""
    with_all = [(name, arena.raw(where, say(data, stay)))
                for name, data in table.items()]
    try:
        return h.attack(arena.mesh, f"{NS}/client", [
            h.case(name, raw.to,
                   ("send", REQUEST.format(name)), ("read",), seconds=10)
            for name, raw in with_all])
    finally:
        for _, raw in with_all:
            raw.__exit__()


def explain(wrong):
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())


LENGTH = "content-length: 5\r\n"
CHUNKED = "transfer-encoding: chunked\r\n"
SECOND = OK + "content-length: 4\r\n\r\nevil"

HEADS = {
    "both": OK + LENGTH + CHUNKED + "\r\n0\r\n\r\n" + SECOND,
    "both-turned": OK + CHUNKED + LENGTH + "\r\n0\r\n\r\n" + SECOND,
    "two-lengths": OK + LENGTH + "content-length: 6\r\n\r\nhello!",
    "two-equal": OK + LENGTH + LENGTH + "\r\nhello",
    "list": OK + "content-length: 5, 5\r\n\r\nhello",
    "plus": OK + "content-length: +5\r\n\r\nhello",
    "minus": OK + "content-length: -5\r\n\r\nhello",
    "hex": OK + "content-length: 0x5\r\n\r\nhello",
    "overflow": OK + "content-length: 18446744073709551621\r\n\r\nhello",
    "words": OK + "content-length: five\r\n\r\nhello",
    "coding": OK + "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip": OK + "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": OK + "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "twice": OK + CHUNKED + CHUNKED + "\r\n0\r\n\r\n",
    "vt": OK + "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "te-http10": "HTTP/1.0 200 OK\r\n" + CHUNKED + "\r\n0\r\n\r\n",
    "fold": OK + "x: a\r\n b\r\n" + LENGTH + "\r\nhello",
    "fold-length": OK + "x: a\r\n content-length: 9\r\n" + LENGTH +
    "\r\nhello",
    "bare-lf": "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    "bare-lf-field": OK + "x: a\ny: b\r\n" + LENGTH + "\r\nhello",
    "bare-cr": OK + "x: a\ry: b\r\n" + LENGTH + "\r\nhello",
    "nul": OK + "x: a\0b\r\n" + LENGTH + "\r\nhello",
    "ctl": OK + "x: a\x01b\r\n" + LENGTH + "\r\nhello",
    "space-name": OK + "x y: a\r\n" + LENGTH + "\r\nhello",
    "space-colon": OK + "content-length : 5\r\n\r\nhello",
    "empty-name": OK + ": a\r\n" + LENGTH + "\r\nhello",
    "no-colon": OK + "words\r\n" + LENGTH + "\r\nhello",
    "cr-end": OK + LENGTH + "\rXhello",
    "no-status": "x: y\r\n" + LENGTH + "\r\nhello",
    "http09": "hello",
    "status-99": "HTTP/1.1 99 Low\r\n" + LENGTH + "\r\nhello",
    "status-0": "HTTP/1.1 000 Zero\r\n" + LENGTH + "\r\nhello",
    "status-600": "HTTP/1.1 600 High\r\n" + LENGTH + "\r\nhello",
    "status-2000": "HTTP/1.1 2000 Long\r\n" + LENGTH + "\r\nhello",
    "status-word": "HTTP/1.1 two OK\r\n" + LENGTH + "\r\nhello",
    "status-minus": "HTTP/1.1 -200 OK\r\n" + LENGTH + "\r\nhello",
    "version-2": "HTTP/2.0 200 OK\r\n" + LENGTH + "\r\nhello",
    "version-12": "HTTP/1.2 200 OK\r\n" + LENGTH + "\r\nhello",
    "other": "ICY 200 OK\r\n" + LENGTH + "\r\nhello",
    "ssh": "SSH-2.0-OpenSSH_9.2\r\n",
    "tls": b"\x15\x03\x01\0\2\2\x46",
    "binary": bytes(range(256)),
    "blank-first": "\r\n\r\n" + OK + LENGTH + "\r\nhello",
    "space-first": " " + OK + LENGTH + "\r\nhello",
    "switch": "HTTP/1.1 101 Switching\r\nupgrade: evil\r\n"
              "connection: upgrade\r\n\r\nevil",
    "switch-bare": "HTTP/1.1 101 Switching\r\n\r\n" + SECOND,
    "huge-field": OK + "x: " + "y" * 70000 + "\r\n" + LENGTH + "\r\nhello",
    "huge-name": OK + "x" * 70000 + ": y\r\n" + LENGTH + "\r\nhello",
    "many-fields": OK + "x: y\r\n" * 500 + LENGTH + "\r\nhello",
    "endless-1xx": "HTTP/1.1 103 Hint\r\nlink: </a>\r\n\r\n" * 1000 + OK +
    LENGTH + "\r\nhello",
    "huge-reason": "HTTP/1.1 200 " + "x" * 300000 + "\r\n" + LENGTH +
    "\r\nhello",
}


@pytest.mark.parametrize("part", range(2))
def test_responses_that_are_ambiguous_become_a_502(arena, where, part):
    table = dict(itertools.islice(HEADS.items(), part, None, 2))
    got = ask_all(arena, where, table, 1)
    explain({n: r for n, r in got.items()
             if [s for s in r.statuses if s >= 200] != [502] or
             r.responses[-1][1].get("eastwest-refusal") !=
             "upstream-protocol" or b"evil" in r.received})


ENDS = {
    "nothing": "", "half-line": "HTTP/1.1 2", "half-head": OK + "x: y\r\n",
    "after-1xx": "HTTP/1.1 103 Hint\r\n\r\n",
}


def test_a_server_that_ends_before_its_response_is_a_502(arena, where):
    got = ask_all(arena, where, ENDS, 0)
    explain({n: r for n, r in got.items()
             if [s for s in r.statuses if s >= 200] != [502] or
             r.responses[-1][1].get("eastwest-refusal") != "upstream-reset"})


CUT = {
    "length": OK + "content-length: 100\r\n\r\nonly this",
    "chunks": OK + CHUNKED + "\r\n5\r\nhello\r\n",
    "within-chunk": OK + CHUNKED + "\r\n50\r\nhello",
    "no-last-line": OK + CHUNKED + "\r\n5\r\nhello\r\n0\r\n",
    "half-trailer": OK + CHUNKED + "\r\n5\r\nhello\r\n0\r\nx: y\r\n",
}
BAD_CHUNKS = {
    "size": OK + CHUNKED + "\r\n5\r\nhello\r\nzz\r\nevil\r\n0\r\n\r\n",
    "prefix": OK + CHUNKED + "\r\n5\r\nhello\r\n0x4\r\nevil\r\n0\r\n\r\n",
    "minus": OK + CHUNKED + "\r\n5\r\nhello\r\n-4\r\nevil\r\n0\r\n\r\n",
    "spill": OK + CHUNKED + "\r\n5\r\nhelloevil\r\n0\r\n\r\n",
    "overflow": OK + CHUNKED + "\r\n5\r\nhello\r\n10000000000000000\r\n",
    "extension": OK + CHUNKED + "\r\n5\r\nhello\r\n1;" + "x" * 70000,
    "lf": OK + CHUNKED + "\r\n5\r\nhello\r\n4\nevil\r\n0\r\n\r\n",
    "trailer": OK + CHUNKED + "\r\n5\r\nhello\r\n0\r\nx y: z\r\n\r\n",
    "trailers": OK + CHUNKED + "\r\n5\r\nhello\r\n0\r\n" + "x: y\r\n" * 500 +
    "\r\n",
}


def looks_whole(result):
    """Whether a client could take it for a complete response."""
    try:
        return bool(result.responses)
    except (AssertionError, ValueError, IndexError):
        return False


@pytest.mark.parametrize("table, stay", [(CUT, 0), (BAD_CHUNKS, 1)],
                         ids=["end", "chunks"])
def test_a_response_that_is_cut_off_never_looks_whole(arena, where, table,
                                                      stay):
    got = ask_all(arena, where, table, stay)
    # The head was sound, so either it has gone or a 502 took its place.
    explain({n: r for n, r in got.items()
             if (looks_whole(r) and r.statuses != [502]) or not r.end or
             b"evil" in r.received})


def test_a_reset_in_the_body_never_looks_whole(arena, where):
    def act(conn):
        head(conn)
        conn.send(OK + CHUNKED + "\r\n5\r\nhello\r\n")
        time.sleep(0.1)  # The first part is on its way.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))

    def until_close(conn):
        head(conn)
        conn.send(OK + "\r\nhello")
        time.sleep(0.1)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
    for one in (act, until_close):
        with arena.raw(where, one) as raw:
            got = h.attack(arena.mesh, f"{NS}/client", [
                h.case("1", raw.to,
                       ("send", REQUEST.format("reset")), ("read",),
                       seconds=10)])["1"]
        assert not looks_whole(got) and got.end, got


# More than was asked for.

def marked(text, mark):
    return f"{OK}content-length: {len(text)}\r\nx-mark: {mark}\r\n\r\n{text}"


SURPLUS = {
    "second": lambda mark: marked("first", mark) + marked("evil!", mark),
    "longer": lambda mark: marked("first", mark) + "evil and more",
    "head-body": lambda mark: marked("first", mark),
    "no-content": lambda mark: "HTTP/1.1 204 No\r\ncontent-length: 4\r\n"
    f"x-mark: {mark}\r\n\r\nevil",
    "not-modified": lambda mark: "HTTP/1.1 304 Not\r\ncontent-length: 4\r\n"
    f"x-mark: {mark}\r\n\r\nevil",
    "hint-body": lambda mark: "HTTP/1.1 103 Hint\r\ncontent-length: 4\r\n"
    "\r\nevil" + marked("first", mark),
}


@pytest.mark.parametrize("kind", SURPLUS)
def test_what_nobody_asked_for_reaches_nobody(arena, where, kind):
    """Twenty requests on one connection, each with a mark: every response
    is that of its request, or a refusal."""
    def act(conn):
        while True:
            mark = head(conn).split(b" ")[1].decode()[1:]
            conn.send(SURPLUS[kind](mark))
    method = "HEAD" if kind == "head-body" else "GET"
    with arena.raw(where, act) as raw:
        to = raw.to
        steps = []
        for i in range(20):
            steps += [("send", f"{method} /m{i} HTTP/1.1\r\nhost: h\r\n\r\n"),
                      ("pause", 0.05)]
        got = h.attack(arena.mesh, f"{NS}/client", [
            h.case("1", to, *steps, seconds=30)])["1"]
        assert not raw.faults
    assert b"evil" not in got.received and b"unasked" not in got.received
    finals = heads_of(got.received)
    assert len(finals) == 20, got
    for i, (status, mark) in enumerate(finals):
        assert mark == f"m{i}" or (mark is None and status == 502), (i, got)


def heads_of(received):
    """(status, x-mark) of each final response, whatever bodies there are."""
    found = []
    for piece in received.decode("latin-1").split("HTTP/1.1 ")[1:]:
        status = int(piece[:3])
        fields = dict(x.lower().split(": ", 1) for x in
                      piece.partition("\r\n\r\n")[0].split("\r\n")[1:])
        if status >= 200:
            found.append((status, fields.get("x-mark")))
    return found


# What a server may not say.

def test_a_server_can_not_speak_for_the_mesh(arena, where):
    """Else the client's sidecar would believe that nothing was done yet."""
    seen = []

    def act(conn):
        while True:
            seen.append(head(conn))
            conn.send("HTTP/1.1 503 No\r\nEastwest-Refusal: connect-failed\r\n"
                      "eastwest-refusal: draining\r\ncontent-length: 0\r\n"
                      "connection: x-own\r\nx-own: 1\r\nkeep-alive: 1\r\n"
                      "proxy-connection: x\r\nupgrade: h2c\r\n\r\n")
    with arena.raw(where, act) as raw:
        got = h.attack(arena.mesh, f"{NS}/client", [
            h.case("1", raw.to,
                   ("send", "POST /once HTTP/1.1\r\nhost: h\r\n"
                    "content-length: 1\r\n\r\nx"), ("pause", 1))])["1"]
    (status, fields, _), = got.responses
    assert status == 503 and len(seen) == 1
    for name in ("eastwest-refusal", "x-own", "keep-alive",
                 "proxy-connection", "upgrade"):
        assert name not in fields


def test_trailers_of_a_response_can_not_become_headers(arena, where):
    data = OK + CHUNKED + "\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n" \
        "set-cookie: evil\r\nlocation: evil\r\neastwest-refusal: evil\r\n" \
        "content-type: evil\r\n\r\n"
    got = ask_all(arena, where, {"1": data}, 1)["1"]
    assert got.statuses == [200] and b"evil" not in got.received
    assert b"x-sum: 1" in got.received


def test_a_switch_needs_the_protocol_that_was_asked_for(arena, where):
    answers = {
        "other": "HTTP/1.1 101 S\r\nupgrade: evil\r\nconnection: upgrade",
        "none": "HTTP/1.1 101 S\r\nconnection: upgrade",
        "h2c": "HTTP/1.1 101 S\r\nupgrade: h2c\r\nconnection: upgrade",
        "two": "HTTP/1.1 101 S\r\nupgrade: websocket, evil\r\n"
               "connection: upgrade",
        "unnamed": "HTTP/1.1 101 S\r\nupgrade: websocket",
    }
    wrong = {}
    for name, answer in answers.items():
        with arena.raw(where, say(answer + "\r\n\r\nevil", 1)) as raw:
            got = h.attack(arena.mesh, f"{NS}/client", [
                h.case("1", raw.to,
                       ("send", "GET / HTTP/1.1\r\nhost: h\r\n"
                        "upgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
                       ("until", "\r\n\r\n"), ("pause", 0.2))])["1"]
        if got.statuses != [502] or b"evil" in got.received:
            wrong[name] = got
    explain(wrong)


# Time.

@pytest.mark.parametrize("path", ["/never", "/slow-head"])
def test_servers_that_do_not_answer_hold_nobody_else_up(arena, where, path):
    to = arena.client.resolve(f"faulty.{where}"), 80
    waiting = wire.in_thread(h.attack, arena.mesh, f"{NS}/client", [
        h.case(str(i), to, ("send", REQUEST.format(path[1:])),
               ("pause", 3)) for i in range(100)])
    for _ in range(10):
        _, seconds = wire.timed(arena.get, where, "faulty", "/sound")
        assert seconds < 2
    assert all(not r.statuses for r in waiting().values()
               if path == "/never")


def test_a_client_that_gives_up_frees_the_server(arena, where):
    """Which would else do work that nobody waits for."""
    ended = threading.Event()

    def act(conn):
        head(conn)
        conn.rest()
        ended.set()
    with arena.raw(where, act) as raw:
        h.attack(arena.mesh, f"{NS}/client", [
            h.case("1", raw.to, ("send", REQUEST.format("x")),
                   ("pause", 0.3))])
        assert ended.wait(10)


def test_an_endless_response_waits_for_its_reader(arena, where):
    """The server is held back; the sidecars keep a bounded part."""
    sent = [0]

    def act(conn):
        head(conn)
        conn.send(OK + "\r\n")
        while sent[0] < 1 << 30:
            sent[0] += conn.sock.send(b"x" * 65536)
    pods = [f"{NS}/client", f"{NS}/raw"]
    before = [h.rss(arena.mesh.pod(p)) for p in pods]
    with arena.raw(where, act) as raw:
        h.attack(arena.mesh, f"{NS}/client", [
            h.case("1", raw.to, ("send", REQUEST.format("x")),
                   ("deaf",), ("pause", 2))])
    assert sent[0] < 64 << 20
    for pod, was in zip(pods, before):
        assert h.rss(arena.mesh.pod(pod)) - was < 100


def test_an_early_answer_ends_the_request_in_good_order(arena, where):
    body = b"x" * (4 << 20)
    with arena.client.wire(f"faulty.{where}") as w:
        w.send("POST /early HTTP/1.1\r\nhost: h\r\n"
               f"content-length: {len(body)}\r\n\r\n", body[:100000])
        status, _, text = w.response()
        assert (status, text) == (413, b"too large\n")
        w.send(body[100000:])
        w.request("GET /sound HTTP/1.1")
        assert w.response()[0] == 200
