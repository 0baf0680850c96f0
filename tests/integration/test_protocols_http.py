# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through two sidecars and no configuration at all."""
import contextlib
import hashlib
import itertools
import json
import select
import socket
import struct
import time

import pytest

import meshes as m
import wire

NS = "proto-http"
MB = 1 << 20
RAW = range(9001, 9041)
ports = iter(RAW)


@pytest.fixture(scope="module")
def net(mesh):
    raw = m.service(NS, "raw", {"app": "raw"}, ports=[
        {"name": f"p{p}", "port": p, "targetPort": p} for p in RAW])
    with wire.servers(mesh, NS, [
            m.pod(NS, "client"), m.pod(NS, "raw", labels={"app": "raw"}), raw,
            m.deployment(NS, "echo", ["echo.py", "--port", "8080"]),
            m.service(NS, "echo", {"app": "echo"})]) as made:
        yield made


@pytest.fixture(scope="module")
def server(mesh, net):
    return wire.Net(mesh, f"{NS}/raw")


class App:
    """This test is the app: it listens in the other pod."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.port = next(ports)
        self.listener = server.listen(self.port)

    def wire(self, family=4):
        return self.client.wire(f"raw.{NS}", self.port, family)

    def accept(self):
        return wire.accept(self.listener)


@pytest.fixture
def app(net, server):
    made = App(net, server)
    with contextlib.closing(made.listener):
        yield made


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def echo(request, net):
    with net.wire(f"echo.{NS}", 80, request.param) as made:
        yield made


def get(w, path, *fields):
    w.request(f"GET {path} HTTP/1.1", *fields)
    return w.response()


def pattern(size):
    block = bytes(range(251))
    return (block * (size // 251 + 1))[:size]


def sha(data):
    return hashlib.sha256(data).hexdigest()


# Connections.

def test_one_connection_serves_many_requests(echo):
    for i in range(20):
        status, _, body = get(echo, f"/{i}")
        assert status == 200 and json.loads(body)["path"] == f"/{i}"


def test_pipelined_requests_are_answered_in_order(echo):
    delays = [0.3, 0.0, 0.1, 0.0, 0.05]
    echo.send(*(f"POST /{i}?delay={d} HTTP/1.1\r\nhost: h\r\n"
                f"content-length: 3\r\n\r\nab{i}" for i, d in
                enumerate(delays)))
    for i in range(5):
        status, _, body = echo.response()
        said = json.loads(body)
        assert status == 200 and said["path"].startswith(f"/{i}?")
        assert said["body_sha256"] == sha(f"ab{i}".encode())


def test_many_requests_pipelined_at_once(echo):
    echo.send(*(f"GET /{i} HTTP/1.1\r\nhost: h\r\n\r\n" for i in range(500)))
    for i in range(500):
        assert json.loads(echo.response()[2])["path"] == f"/{i}"


def test_connection_close_ends_the_connection(echo):
    status, fields, _ = get(echo, "/", "connection: close")
    assert status == 200 and fields["connection"] == ["close"]
    assert echo.rest() == b""


def test_a_half_closed_client_still_gets_its_answer(echo):
    echo.request("GET /?delay=0.2 HTTP/1.1")
    echo.sock.shutdown(socket.SHUT_WR)
    assert echo.response()[0] == 200
    assert echo.rest() == b""


def test_a_server_that_closes_after_each_answer(echo):
    """The app's connections are not the client's."""
    for _ in range(5):
        assert get(echo, "/close")[0] == 200


# Messages.

def test_target_and_fields_arrive_as_they_were_sent(app):
    target = "/a//b/c/%2e%2Ec;x=1?q=%7e&&=%C3%A4?"
    with app.wire() as w:
        w.send(f"GET {target} HTTP/1.1\r\nHost: some.host:81\r\n"
               "x-two: 1\r\nX-Two:  2 \r\nx-empty:\r\n"
               "x-latin: caf\xe9 \"q\"\r\n\r\n")
        with app.accept() as a:
            line, fields = a.head()
            assert line == f"GET {target} HTTP/1.1"
            assert fields["host"] == ["some.host:81"]
            assert fields["x-two"] == ["1", "2"]
            assert fields["x-empty"] == [""]
            assert fields["x-latin"] == ['caf\xe9 "q"']
            assert set(fields) == {"host", "x-two", "x-empty", "x-latin",
                                   "x-forwarded-client-cert"}
            a.send("HTTP/1.1 299 Something\r\nset-cookie: a=1, b\r\n"
                   "Set-Cookie: c=2\r\nserver: mine\r\n"
                   "content-length: 2\r\n\r\nok")
            assert w.response() == (299, {
                "set-cookie": ["a=1, b", "c=2"], "server": ["mine"],
                "content-length": ["2"]}, b"ok")


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "DELETE", "TRACE",
                                    "PROPFIND", "x-Own!"])
def test_any_method_passes(net, method):
    with net.wire(f"echo.{NS}") as w:
        w.request(f"{method} /m HTTP/1.1")
        assert json.loads(w.response()[2])["method"] == method


def test_options_for_the_server_as_a_whole(net):
    with net.wire(f"echo.{NS}") as w:
        w.request("OPTIONS * HTTP/1.1")
        assert json.loads(w.response()[2])["path"] == "*"


@pytest.mark.parametrize("size", [0, 1, 100000])
def test_chunked_both_ways(echo, size):
    data = pattern(size)
    echo.request("POST /echo HTTP/1.1", "transfer-encoding: chunked")
    for i in range(0, size, 7001):
        piece = data[i:i + 7001]
        echo.send(f"{len(piece):x};ext=1\r\n", piece, "\r\n")
    echo.send("0\r\n\r\n")
    status, fields, body = echo.response()
    assert status == 200 and body == data
    assert size == 0 or fields["transfer-encoding"] == ["chunked"]
    assert get(echo, "/")[0] == 200


def test_length_both_ways(echo):
    data = pattern(100000)
    echo.request("PUT /echo HTTP/1.1", "content-length: 100000")
    echo.send(data)
    status, fields, body = echo.response()
    assert (status, fields["content-length"], body) == (200, ["100000"], data)


def test_trailers_both_ways(app):
    with app.wire() as w:
        w.request("POST / HTTP/1.1", "transfer-encoding: chunked",
                  "te: trailers", "trailer: x-up")
        w.send("3\r\nabc\r\n0\r\nx-up: 1\r\nx-up: 2\r\n\r\n")
        with app.accept() as a:
            _, fields = a.head()
            assert fields["trailer"] == ["x-up"]
            assert a.chunks() == (b"abc", {"x-up": ["1", "2"]})
            a.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
                   "trailer: x-down\r\n\r\n2\r\nde\r\n0\r\nx-down: 3\r\n\r\n")
            _, fields = w.head()
            assert fields["trailer"] == ["x-down"]
            assert w.chunks() == (b"de", {"x-down": ["3"]})


def test_continue_is_asked_and_given_by_the_app(app):
    with app.wire() as w:
        w.request("POST / HTTP/1.1", "expect: 100-continue",
                  "content-length: 5")
        with app.accept() as a:
            assert a.head()[1]["expect"] == ["100-continue"]
            assert not select.select([w.sock], [], [], 0.2)[0], "not ours"
            a.send("HTTP/1.1 100 Continue\r\n\r\n")
            assert w.head() == ("HTTP/1.1 100 Continue", {})
            w.send("hello")
            assert a.exactly(5) == b"hello"
            a.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            assert w.response()[0] == 200


def test_the_app_may_refuse_instead_of_continue(app):
    with app.wire() as w:
        w.request("POST / HTTP/1.1", "expect: 100-continue",
                  "content-length: 5")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno")
            status, _, body = w.response()
            assert (status, body) == (417, b"no")


def test_early_hints_pass(app):
    with app.wire() as w:
        w.request("GET / HTTP/1.1")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
            assert w.head() == ("HTTP/1.1 103 Early Hints",
                                {"link": ["</a>"]})
            a.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            assert w.response()[0] == 200


def test_head_keeps_the_length_and_has_no_body(echo):
    echo.request("HEAD /bytes/12345 HTTP/1.1")
    line, fields = echo.head()
    assert line.startswith("HTTP/1.1 200 ")
    assert fields["content-length"] == ["12345"]
    echo.request("HEAD /chunked/10 HTTP/1.1")
    assert echo.head()[0].startswith("HTTP/1.1 200 ")
    assert get(echo, "/")[0] == 200


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(echo, status):
    for method in ("GET", "POST"):
        echo.request(f"{method} /?status={status}&header=etag:x HTTP/1.1",
                     "content-length: 0")
        line, fields = echo.head()
        assert line.startswith(f"HTTP/1.1 {status} ")
        assert fields["etag"] == ["x"]
        assert "transfer-encoding" not in fields
        assert "content-length" not in fields
    assert get(echo, "/")[0] == 200


def test_304_keeps_the_length_of_what_it_stands_for(app):
    with app.wire() as w:
        w.request("GET / HTTP/1.1", "if-none-match: x")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n")
            line, fields = w.head()
            assert line.startswith("HTTP/1.1 304 ")
            assert fields["content-length"] == ["9"]


def test_a_body_that_ends_with_the_connection(app):
    with app.wire() as w:
        w.request("GET / HTTP/1.1")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.0 200 OK\r\n\r\nall of ")
            a.send("it")
        assert w.response()[::2] == (200, b"all of it")


def test_a_body_that_broke_off_is_not_made_to_look_whole(app):
    for framing in ("content-length: 10\r\n\r\nhalf!",
                    "transfer-encoding: chunked\r\n\r\n5\r\nhalf!\r\n"):
        with app.wire() as w:
            w.request("GET / HTTP/1.1")
            with app.accept() as a:
                a.head()
                a.send("HTTP/1.1 200 OK\r\n", framing)
            with pytest.raises((EOFError, ConnectionError)):
                w.response()


# HTTP/1.0.

def test_http_1_0_client(echo):
    echo.send("GET /chunked/5000 HTTP/1.0\r\n\r\n")
    line, fields = echo.head()
    assert line.split()[1] == "200"
    assert "transfer-encoding" not in fields
    assert echo.rest() == pattern(5000)


def test_http_1_0_client_that_keeps_its_connection(echo):
    for i in range(3):
        echo.send(f"GET /{i} HTTP/1.0\r\nconnection: keep-alive\r\n"
                  "host: old\r\n\r\n")
        status, fields, body = echo.response()
        assert status == 200 and fields["connection"] == ["keep-alive"]
        assert json.loads(body)["host"] == "old"


# Sizes.

def test_a_large_head_passes_in_both_directions(echo):
    value = "v" * 1000
    status, fields, body = get(
        echo, f"/{'p' * 4000}?header=x-long:{'r' * 4000}",
        *(f"x-{i}: {value}" for i in range(50)))
    said = json.loads(body)
    assert status == 200 and fields["x-long"] == ["r" * 4000]
    assert len(said["path"]) > 8000
    assert all(said["headers"][f"x-{i}"] == [value] for i in range(50))


def test_a_head_beyond_the_limit_is_refused_by_name(echo):
    # What is too much may be refused before all of it was read.
    with contextlib.suppress(ConnectionError):
        echo.request("GET / HTTP/1.1", *(f"x-{i}: {'v' * 1000}"
                                         for i in range(100)))
    status, _, _ = echo.response()
    assert status == 431


def test_a_large_head_of_a_response_passes(app):
    with app.wire() as w:
        w.request("GET / HTTP/1.1")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 200 OK\r\n", *(f"x-{i}: {'v' * 1000}\r\n"
                                            for i in range(50)),
                   "content-length: 0\r\n\r\n")
            fields = w.response()[1]
            assert all(fields[f"x-{i}"] == ["v" * 1000] for i in range(50))


def receive(w, size):
    digest, left = hashlib.sha256(), size
    while left:
        piece = w.buffer[:left] or w.sock.recv(min(left, MB))
        assert piece, f"{left} bytes are missing"
        w.buffer = w.buffer[len(piece):]
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()


def test_64_mib_down_are_exact(echo):
    echo.request(f"GET /bytes/{64 * MB} HTTP/1.1")
    _, fields = echo.head()
    assert fields["content-length"] == [str(64 * MB)]
    assert receive(echo, 64 * MB) == sha(pattern(64 * MB))


def test_64_mib_up_are_exact(echo):
    data = pattern(64 * MB)
    echo.request("POST / HTTP/1.1", f"content-length: {len(data)}")
    echo.send(data)
    said = json.loads(echo.response()[2])
    assert (said["body_bytes"], said["body_sha256"]) == (len(data), sha(data))


def test_64_mib_chunked_both_ways_at_once(net):
    data, digest, total = pattern(64 * MB), hashlib.sha256(), 0
    with net.wire(f"echo.{NS}") as w:
        w.request("POST /echo HTTP/1.1", "transfer-encoding: chunked")

        def upload():
            view = memoryview(data)
            for i in range(0, len(data), MB):
                w.sock.sendall(b"%x\r\n" % MB)
                w.sock.sendall(view[i:i + MB])
                w.sock.sendall(b"\r\n")
            w.sock.sendall(b"0\r\n\r\n")
        finish = wire.in_thread(upload)
        w.head()
        while piece := w.chunk():
            digest.update(piece)
            total += len(piece)
        w.fields()
        finish()
    assert (total, digest.hexdigest()) == (len(data), sha(data))


# Who waits for whom.

STUCK = 24 * MB  # what kernels hold between two pods, generously


def push_until_stuck(sock, limit):
    """Sends until nothing was taken for half a second: bytes sent."""
    sock.setblocking(False)
    sent, piece = 0, bytes(MB)
    while sent < limit and select.select([], [sock], [], 0.5)[1]:
        sent += sock.send(piece)
    sock.settimeout(wire.TIMEOUT)
    return sent


@contextlib.contextmanager
def memory_is_bounded(*nets):
    before = [n.sidecar_rss() for n in nets]
    yield
    grown = [n.sidecar_rss() - b for n, b in zip(nets, before)]
    assert max(grown) < 8 * MB, grown


def test_a_slow_reader_stops_the_writer(app, net, server):
    with app.wire() as w:
        w.request("GET / HTTP/1.1")
        with app.accept() as a:
            a.head()
            a.send(f"HTTP/1.1 200 OK\r\ncontent-length: {256 * MB}\r\n\r\n")
            with memory_is_bounded(net, server):
                sent = push_until_stuck(a.sock, 256 * MB)
                assert sent < STUCK
            w.head()
            finish = wire.in_thread(receive, w, sent)
            assert finish() == sha(bytes(sent))


def test_an_app_that_does_not_read_stops_the_client(app, net, server):
    with app.wire() as w:
        w.request("POST / HTTP/1.1", f"content-length: {256 * MB}")
        with app.accept() as a:
            a.head()
            with memory_is_bounded(net, server):
                sent = push_until_stuck(w.sock, 256 * MB)
                assert sent < STUCK
            assert receive(a, sent) == sha(bytes(sent))


def test_a_slow_writer_is_heard_at_once(app):
    """Each piece arrives before the next is sent, in both directions."""
    with app.wire() as w:
        w.request("POST / HTTP/1.1", "transfer-encoding: chunked")
        with app.accept() as a:
            a.head()
            for i in range(5):
                w.send(f"1\r\n{i}\r\n")
                assert a.chunk() == f"{i}".encode()
            a.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            assert w.head()[0] == "HTTP/1.1 200 OK"
            for i in range(5):
                a.send(f"1\r\n{i}\r\n")
                assert w.chunk() == f"{i}".encode()
            w.send("0\r\n\r\n")
            a.send("0\r\n\r\n")
            assert w.chunks() == (b"", {})


def test_a_slow_reader_does_not_hold_up_others(app, net):
    with app.wire() as slow:
        slow.request("GET / HTTP/1.1")
        with app.accept() as a:
            a.head()
            a.send(f"HTTP/1.1 200 OK\r\ncontent-length: {256 * MB}\r\n\r\n")
            push_until_stuck(a.sock, 256 * MB)
            with app.wire() as w:
                w.request("GET /other HTTP/1.1")
                with app.accept() as b:
                    assert b.head()[0] == "GET /other HTTP/1.1"
                    b.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    assert w.response()[2] == b"ok"


def test_a_head_byte_by_byte(echo):
    for byte in b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n":
        echo.sock.sendall(bytes([byte]))
    assert json.loads(echo.response()[2])["path"] == "/slow"


def test_server_sent_events_arrive_one_by_one(app):
    with app.wire() as w:
        w.request("GET / HTTP/1.1", "accept: text/event-stream")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                   "transfer-encoding: chunked\r\n\r\n")
            w.head()
            for i in range(10):
                event = f"id: {i}\n\n".encode()
                a.send(f"{len(event):x}\r\n", event, "\r\n")
                assert w.chunk() == event


def test_server_sent_events_of_a_real_server(echo):
    echo.request("GET /sse HTTP/1.1")
    assert echo.head()[1]["content-type"] == ["text/event-stream"]
    start, times = time.monotonic(), []
    for i in range(10):
        assert f"data: event {i}\n".encode() in echo.chunk()
        times.append(time.monotonic() - start)
    assert times[-1] - times[0] > 0.3, times


def test_an_answer_before_the_body_is_read(app):
    with app.wire() as w:
        w.request("POST / HTTP/1.1", f"content-length: {64 * MB}")
        w.send(bytes(1000))
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
            status, _, body = w.response()
            assert (status, body) == (403, b"no")


def test_an_answer_before_the_body_is_read_and_an_end(app):
    """The client is in the middle of a large upload when the app hangs up."""
    with app.wire() as w:
        w.request("POST / HTTP/1.1", f"content-length: {64 * MB}")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 413 Large\r\nconnection: close\r\n"
                   "content-length: 2\r\n\r\nno")
            a.sock.shutdown(socket.SHUT_WR)
            finish = wire.in_thread(a.closed)
            status, _, body = w.response()
            assert (status, body) == (413, b"no")
            w.sock.close()
            assert finish()


def test_a_client_that_goes_away_cancels_the_request(app):
    """Also when it said goodbye politely: it might only have half-closed, so
    that takes a few seconds."""
    waiting, receiving = app.wire(), app.wire()
    waiting.request("GET / HTTP/1.1")
    with app.accept() as a:
        a.head()
        receiving.request("GET / HTTP/1.1")
        with app.accept() as b:
            b.head()
            b.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            receiving.head()
            waiting.sock.close()
            receiving.sock.close()
            for _, seconds in (wire.timed(a.closed), wire.timed(b.closed)):
                assert seconds < 10


@pytest.mark.parametrize("when", ["reset", "sending"])
def test_a_client_that_is_cut_off_cancels_the_request_at_once(app, when):
    w = app.wire()
    w.request("POST / HTTP/1.1", f"content-length: {10 * MB}"
              if when == "sending" else "content-length: 0")
    with app.accept() as a:
        a.head()
        if when == "reset":
            w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack("ii", 1, 0))
        w.sock.close()
        _, seconds = wire.timed(a.closed)
        assert seconds < 3


def test_an_app_that_goes_away_is_a_502(app):
    with app.wire() as w:
        for _ in range(2):
            w.request("POST / HTTP/1.1", "content-length: 0")
            with app.accept() as a:
                a.head()
            status, fields, _ = w.response()
            assert status == 502
            assert fields["eastwest-refusal"] == ["upstream-reset"]


def test_nobody_listens(net):
    """As HTTP says it: the client's connection is kept."""
    with net.wire(f"raw.{NS}", next(ports)) as w:
        for _ in range(2):
            status, fields, _ = get(w, "/")
            assert status == 503
            assert fields["eastwest-refusal"] == ["connect-failed"]


# Upgrades.

def upgraded(app, w, protocol):
    w.request("GET /up HTTP/1.1", "connection: Upgrade",
              f"upgrade: {protocol}")
    a = app.accept()
    line, fields = a.head()
    assert line == "GET /up HTTP/1.1"
    assert fields["upgrade"] == [protocol]
    assert fields["connection"][0].lower() == "upgrade"
    a.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
           f"upgrade: {protocol}\r\nx-own: 1\r\n\r\nfirst words")
    line, fields = w.head()
    assert line.startswith("HTTP/1.1 101 ")
    assert fields["upgrade"] == [protocol] and fields["x-own"] == ["1"]
    assert w.exactly(11) == b"first words"
    return a


@pytest.mark.parametrize("protocol", ["echo/1", "SPDY/3.1", "tcp"])
def test_an_upgrade_to_any_protocol(app, protocol):
    with app.wire() as w, upgraded(app, w, protocol) as a:
        for i in range(3):
            w.send(f"GET /{i} HTTP/1.1\r\n\r\n")
            assert a.until(b"\r\n\r\n") == f"GET /{i} HTTP/1.1".encode()
            a.send(bytes([i]) * 70000)
            assert w.exactly(70000) == bytes([i]) * 70000


def test_large_amounts_after_an_upgrade(app):
    data = pattern(16 * MB)
    with app.wire() as w, upgraded(app, w, "bulk") as a:
        finish = [wire.in_thread(receive, a, len(data)),
                  wire.in_thread(receive, w, len(data)),
                  wire.in_thread(w.send, data), wire.in_thread(a.send, data)]
        assert finish[0]() == finish[1]() == sha(data)


@pytest.mark.parametrize("closer", ["client", "app"])
def test_the_end_of_an_upgraded_connection_is_passed_on(app, closer):
    with app.wire() as w, upgraded(app, w, "x") as a:
        one, other = (w, a) if closer == "client" else (a, w)
        one.send("last words")
        one.sock.close()
        assert other.exactly(10) == b"last words"
        assert other.closed()


def test_an_upgrade_that_the_app_declines(app):
    with app.wire() as w:
        w.request("GET / HTTP/1.1", "connection: upgrade", "upgrade: what")
        with app.accept() as a:
            a.head()
            a.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")
            status, fields, body = w.response()
            assert (status, body) == (200, b"no")
            assert "upgrade" not in fields


# Many at a time.

def test_200_connections_at_a_time(net):
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(net.wire(f"echo.{NS}"))
                 for _ in range(200)]
        for i, w in enumerate(wires):
            w.request(f"GET /{i}?delay=0.2 HTTP/1.1")
        for i, w in enumerate(wires):
            assert json.loads(w.response()[2])["path"] == f"/{i}?delay=0.2"


def test_bodies_of_all_sizes_around_the_buffers(echo):
    edges = [1 << n for n in (12, 13, 14, 15, 16, 17)]
    for size in itertools.chain.from_iterable(
            (e - 1, e, e + 1) for e in edges):
        data = pattern(size)
        echo.request("POST /echo HTTP/1.1", f"content-length: {size}")
        echo.send(data)
        assert echo.response()[2] == data, size
        status, _, body = get(echo, f"/chunked/{size}")
        assert (status, body) == (200, data), size
