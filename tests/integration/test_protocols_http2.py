# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 with prior knowledge through two sidecars, without configuration."""
import contextlib
import hashlib
import json
import select
import socket

import h2.config
import h2.connection
import h2.events
import pytest

import meshes as m
import wire

NS = "proto-http2"
MB = 1 << 20
RAW = range(9001, 9011)
ports = iter(RAW)


@pytest.fixture(scope="module")
def net(mesh):
    raw = m.service(NS, "raw", {"app": "raw"}, ports=[
        {"name": f"p{p}", "port": p, "targetPort": p} for p in RAW])
    with wire.servers(mesh, NS, [
            m.pod(NS, "client"), m.pod(NS, "raw", labels={"app": "raw"}), raw,
            m.deployment(NS, "h2c", ["h2c_echo.py", "--port", "8080"]),
            m.service(NS, "h2c", {"app": "h2c"}),
            m.deployment(NS, "echo", ["echo.py", "--port", "8080"]),
            m.service(NS, "echo", {"app": "echo"})]) as made:
        yield made


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def client(request, net):
    with wire.H2(net.connect(f"h2c.{NS}", 80, request.param)) as made:
        yield made


class H2App:
    """This test is the app, with a connection of HTTP/2 that it accepted."""

    def __init__(self, listener):
        self.sock = wire.accept(listener).sock
        self.conn = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False))
        self.conn.initiate_connection()
        self.flush()
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def wait(self, kind, stream=None):
        """The next event of that kind."""
        while True:
            for i, event in enumerate(self.seen):
                if isinstance(event, kind) and stream in (
                        None, event.stream_id):
                    return self.seen.pop(i)
            data = self.sock.recv(65536)
            assert data, f"the end came before {kind.__name__}"
            self.seen += self.conn.receive_data(data)
            self.flush()


@pytest.fixture
def app(mesh, net):
    class Ends:
        port = next(ports)
        listener = wire.Net(mesh, f"{NS}/raw").listen(port)

        def connect(self):
            return wire.H2(net.connect(f"raw.{NS}", self.port))

        def accept(self):
            return H2App(self.listener)
    made = Ends()
    with contextlib.closing(made.listener):
        yield made


def pattern(size):
    block = bytes(range(251))
    return (block * (size // 251 + 1))[:size]


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_the_app_gets_http2(client):
    stream = client.get("/a?b", ("x-two", "1"), ("x-two", "2"))
    said = json.loads(stream.body)
    assert (stream.status, said["http"], said["path"]) == (200, "2", "/a?b")
    assert said["headers"]["x-two"] == ["1", "2"]
    assert said["scheme"] == "http" and said["host"] == "h"
    assert set(said["headers"]) == {"x-two", "x-forwarded-client-cert"}


def test_an_app_of_http1_still_gets_what_the_client_spoke(net):
    """The version is the client's; who speaks HTTP/2 to an app without it
    fails as it would without the mesh, but is told why."""
    with wire.H2(net.connect(f"echo.{NS}")) as c:
        stream = c.get("/")
        assert stream.status == 502
        assert stream.headers["eastwest-refusal"] in (
            "upstream-reset", "upstream-protocol")


def test_many_requests_one_after_the_other(client):
    for i in range(50):
        assert json.loads(client.get(f"/{i}").body)["path"] == f"/{i}"


def test_many_streams_at_a_time(client):
    numbers = [client.open("GET", f"/{i}?delay=0.3") for i in range(100)]
    for i, stream in enumerate(client.finish(*numbers)):
        assert json.loads(stream.body)["path"] == f"/{i}?delay=0.3"


def test_more_streams_than_one_connection_may_carry(net):
    """To the other sidecar they share connections."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(wire.H2(net.connect(f"h2c.{NS}")))
                   for _ in range(5)]
        for c in clients:
            for i in range(90):
                c.open("GET", f"/{i}?delay=0.3")
        for c in clients:
            for i, stream in enumerate(c.finish()):
                assert json.loads(stream.body)["path"] == f"/{i}?delay=0.3"


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 65535, 65536, 200000])
def test_bodies_both_ways(client, size):
    number = client.open("POST", "/echo", ("content-length", str(size)),
                         end=False)
    client.send(number, pattern(size), end=True)
    stream = client.finish(number)
    assert (stream.status, bytes(stream.body)) == (200, pattern(size))
    assert stream.headers["content-length"] == str(size)


def test_trailers_both_ways(client):
    number = client.open("POST", "/echo", ("te", "trailers"), end=False)
    client.send(number, b"abc")
    client.conn.send_headers(number, [("x-up", "1"), ("x-more", "2")],
                             end_stream=True)
    client.flush()
    stream = client.finish(number)
    assert stream.body == b"abc"
    assert stream.trailers == {"x-up": "1", "x-more": "2"}


def test_continue_head_and_statuses_without_body(client):
    number = client.open("POST", "/", ("expect", "100-continue"), end=False)
    stream = client.streams[number]
    client.run(lambda: stream.interim)
    assert stream.interim == ["100"]
    client.send(number, b"x", end=True)
    assert json.loads(client.finish(number).body)["body_bytes"] == 1

    stream = client.finish(client.open("HEAD", "/bytes/123"))
    assert (stream.headers["content-length"], stream.body) == ("123", b"")
    for status in (204, 304):
        stream = client.get(f"/?status={status}")
        assert (stream.status, stream.body) == (status, b"")


def test_16_mib_in_both_directions_at_once(client):
    data = pattern(16 * MB)
    number = client.open("POST", "/echo", end=False)
    client.send(number, data, end=True)
    stream = client.finish(number)
    assert sha(stream.body) == sha(data)


def test_a_stream_that_is_not_read_does_not_hold_up_others(net):
    with wire.H2(net.connect(f"h2c.{NS}")) as c:
        c.conn.increment_flow_control_window(4 * MB)
        c.flush()
        held = c.open("GET", f"/bytes/{4 * MB}")
        c.held.add(held)
        c.run(lambda: len(c.streams[held].body) == 65535)
        for i in range(20):
            assert len(c.get(f"/bytes/{100000 + i}").body) == 100000 + i
        assert len(c.streams[held].body) == 65535
        c.held.remove(held)
        c.conn.acknowledge_received_data(65535, held)
        c.flush()
        assert c.finish(held).body == pattern(4 * MB)


def test_a_cancelled_stream_is_cancelled_at_the_app(app):
    with app.connect() as c:
        first, second = c.open("GET", "/1"), c.open("GET", "/2")
        with app.accept() as a:
            streams = [a.wait(h2.events.RequestReceived).stream_id
                       for _ in range(2)]
            c.conn.reset_stream(first, 8)
            c.flush()
            reset = a.wait(h2.events.StreamReset)
            assert reset.error_code == 8 and reset.stream_id == streams[0]
            a.conn.send_headers(streams[1], [(":status", "200")],
                                end_stream=True)
            a.flush()
            assert c.finish(second).status == 200


def test_a_client_that_goes_away_cancels_its_streams(app):
    c = app.connect()
    c.open("GET", "/1")
    with app.accept() as a:
        a.wait(h2.events.RequestReceived)
        c.sock.close()
        assert a.wait(h2.events.StreamReset)


def test_a_reset_within_a_response_is_passed_on(client):
    stream = client.get("/half")
    # The reset may overtake the head; then it is as before a response.
    assert stream.reset is not None or stream.status == 502, vars(stream)
    assert stream.ended == (stream.reset is None)
    assert client.get("/").status == 200


def test_a_reset_before_a_response_is_a_502(client):
    stream = client.get("/reset")
    assert stream.status == 502
    assert stream.headers["eastwest-refusal"] == "upstream-reset"


def test_a_reset_is_no_stale_connection(app):
    """The app may have acted on it: it is not made again."""
    with app.connect() as c:
        c.open("GET", "/1")
        with app.accept() as a:
            for path in ("/1", "/2", "/3", "/4"):
                request = a.wait(h2.events.RequestReceived)
                assert dict(request.headers)[b":path"] == path.encode()
                if path in ("/1", "/4"):
                    a.conn.send_headers(request.stream_id,
                                        [(":status", "200")], end_stream=True)
                else:
                    a.conn.reset_stream(request.stream_id, 2)
                a.flush()
                status = 200 if path in ("/1", "/4") else 502
                assert c.finish().status == status
                assert not select.select([app.listener], [], [], 0)[0]
                c.streams.clear()
                c.open("GET", f"/{int(path[1:]) + 1}")


def test_goaway_of_the_app_is_not_the_clients(client):
    for _ in range(5):
        assert client.get("/close").status == 200
    assert client.goaway is None


def test_an_answer_before_the_body_was_sent(app):
    """With NO_ERROR behind it, as RFC 9113 section 8.1 has it."""
    with app.connect() as c:
        number = c.open("POST", "/", end=False)
        c.send(number, b"x" * 1000)
        with app.accept() as a:
            there = a.wait(h2.events.RequestReceived).stream_id
            a.conn.send_headers(there, [(":status", "413")])
            a.conn.end_stream(there)
            a.conn.reset_stream(there, 0)
            a.flush()
            stream = c.finish(number)
            assert stream.status == 413 and stream.ended


def test_each_message_of_a_stream_arrives_before_the_next(app):
    with app.connect() as c:
        number = c.open("POST", "/", end=False)
        with app.accept() as a:
            there = a.wait(h2.events.RequestReceived).stream_id
            a.conn.send_headers(there, [(":status", "200")])
            for i in range(10):
                c.send(number, bytes([i]))
                assert a.wait(h2.events.DataReceived).data == bytes([i])
                a.conn.send_data(there, bytes([i]))
                a.flush()
                c.run(lambda n=i + 1: len(c.streams[number].body) == n)


def test_a_large_head_passes(client):
    fields = [(f"x-{i}", "v" * 1000) for i in range(50)]
    said = json.loads(client.get("/", *fields).body)
    assert all(said["headers"][name] == [value] for name, value in fields)


def test_a_head_beyond_the_limit_is_refused(net):
    with wire.H2(net.connect(f"h2c.{NS}")) as c:
        fields = [(f"x-{i}", "v" * 1000) for i in range(100)]
        stream = c.get("/", *fields)
        assert stream.reset is not None or stream.status == 431


def test_the_end_of_the_clients_direction_ends_the_connection(net):
    with wire.H2(net.connect(f"h2c.{NS}")) as c:
        assert c.get("/").status == 200
        c.sock.shutdown(socket.SHUT_WR)
        assert wire.Wire(c.sock).closed()
