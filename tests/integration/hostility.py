# SPDX-License-Identifier: Apache-2.0
"""What the tests with hostile peers share: sending cases from within pods,
a server that notes all that reaches it, and frames of HTTP/2 made by hand."""
import contextlib
import json
import re
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import hpack

import meshes as m
import wire

SCRIPT = str(m.ROOT / "tests" / "clients" / "hostile.py")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, \
    CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
CALM = 11


# Sending.

class Result:
    """What one case of tests/clients/hostile.py came back with."""

    def __init__(self, row):
        self.__dict__.update(row)
        self.received = row["received"].encode("latin-1")

    def __repr__(self):
        return f"<{self.name}: end={self.end!r} error={self.error!r} " \
            f"sent={self.sent} total={self.total} {self.received[:400]!r}>"

    @property
    def responses(self):
        """HTTP/1 responses as (status, {field: value}, body), strictly."""
        found, rest = [], self.received
        while rest:
            head, mark, rest = rest.partition(b"\r\n\r\n")
            assert mark, f"not a response: {head[:300]!r}"
            line, *lines = head.decode("latin-1").split("\r\n")
            status = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", line)
            assert status, line
            fields = dict(x.lower().split(": ", 1) for x in lines)
            status = int(status[1])
            if status >= 200 and "content-length" in fields:
                size = int(fields["content-length"])
                assert len(rest) >= size, f"half a body: {rest[:300]!r}"
                body, rest = rest[:size], rest[size:]
            elif status >= 200 and "transfer-encoding" in fields:
                body, rest = unchunked(rest)
            else:
                body = b""
            found.append((status, fields, body))
        return found

    @property
    def statuses(self):
        return [status for status, _, _ in self.responses]

    @property
    def frames(self):
        """HTTP/2 frames as (type, flags, stream, payload)."""
        found, rest = [], self.received
        while len(rest) >= 9:
            size = int.from_bytes(rest[:3], "big")
            if len(rest) < 9 + size:
                break
            found.append((rest[3], rest[4], int.from_bytes(rest[5:9], "big"),
                          rest[9:9 + size]))
            rest = rest[9 + size:]
        return found

    @property
    def goaway(self):
        """The error code of the last GOAWAY, or None."""
        codes = [int.from_bytes(p[4:8], "big")
                 for t, _, _, p in self.frames if t == GOAWAY]
        return codes[-1] if codes else None

    @property
    def resets(self):
        return {s: int.from_bytes(p, "big")
                for t, _, s, p in self.frames if t == RST}

    @property
    def heads(self):
        """{stream: last response head as a dict}."""
        decoder, found = hpack.Decoder(), {}
        for t, flags, stream, payload in self.frames:
            if t == HEADERS:
                assert flags & END_HEADERS and not flags & PADDED
                found[stream] = dict(decoder.decode(payload))
        return found


def unchunked(rest):
    body = b""
    while True:
        line, mark, rest = rest.partition(b"\r\n")
        assert mark, "half a chunked body"
        size = int(line, 16)
        if size == 0:
            rest = b"\r\n" + rest
            return body, rest[rest.index(b"\r\n\r\n") + 4:]
        assert rest[size:size + 2] == b"\r\n"
        body, rest = body + rest[:size], rest[size + 2:]


def text(data):
    return data if isinstance(data, str) else data.decode("latin-1")


def case(name, to, *steps, **more):
    steps = [[verb, *(text(w) if isinstance(w, bytes) else w for w in words)]
             for verb, *words in steps]
    return {"name": name, "to": list(to), "steps": steps, **more}


def attack(mesh, pod, cases, together=True):
    """{name: Result} of cases sent by one process in |pod|."""
    more = ["--together"] if together else []
    done = mesh.exec(pod, m.PYTHON, SCRIPT, *more, input=json.dumps(cases))
    return {row["name"]: Result(row) for row in json.loads(done.stdout)}


# HTTP/2 by hand: none of a library's checks, each block of its own.

def frame(kind, flags, stream, payload=b"", size=None):
    return struct.pack(">I", len(payload) if size is None else size)[1:] + \
        struct.pack(">BBI", kind, flags, stream) + payload


def block(fields):
    """Literal fields without indexing: the state of no decoder changes."""
    out = b""
    for name, value in fields:
        name, value = (x.encode("latin-1") if isinstance(x, str) else x
                       for x in (name, value))
        out += b"\x00" + number(len(name)) + name + number(len(value)) + value
    return out


def number(n, prefix=7, first=0):
    most = (1 << prefix) - 1
    if n < most:
        return bytes([first | n])
    out, n = bytes([first | most]), n - most
    while n >= 128:
        out, n = out + bytes([n % 128 | 128]), n // 128
    return out + bytes([n])


def get(path="/", *fields, method="GET", authority="h"):
    return [(":method", method), (":scheme", "http"),
            (":authority", authority), (":path", path), *fields]


def headers(stream, fields, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, block(fields))


HELLO = PREFACE + frame(SETTINGS, 0, 0)


# Servers of the test's own.

class Raw:
    """A server of a test on a port of its own: act(conn) for each
    connection. Use as a context manager."""

    def __init__(self, net, port, act):
        self.act, self.port = act, port
        self.listener = net.listen(port)
        self.listener.settimeout(None)
        self.conns, self.faults = [], []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        # The port's next server must not be met by way of this one's.
        for conn in self.conns:
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)

    def accept(self):
        while True:
            try:
                conn = wire.accept(self.listener)
            except OSError:
                return
            self.conns.append(conn)
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        try:
            with conn:
                self.act(conn)
        except (OSError, EOFError):
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.faults.append(e)


class Request:
    def __init__(self, method, target, fields):
        self.method, self.target, self.body = method, target, b""
        self.fields, self.trailers = {}, {}
        for name, value in fields:
            self.fields.setdefault(name.lower(), []).append(value)

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields}>"


class Witness:
    """An app in a pod: notes all that it gets, and answers what is whole.

    It takes HTTP/1 exactly as it ought to be and HTTP/2, so what a sidecar
    lets through in any other form is noted and left without an answer.
    """

    def __init__(self, net, port):
        self.listener = net.listen(port)
        self.listener.settimeout(None)
        self.requests, self.heads, self.raw = [], [], []
        self.faults = []
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        # close() alone would leave the thread in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def saw(self, mark):
        """Whether any part of a request held |mark|."""
        inside = mark.encode("latin-1")
        return any(inside in bytes(raw) for raw in self.raw) or \
            any(mark in str(head) for head in self.heads)

    def whole(self, mark):
        """The complete requests whose target holds |mark|."""
        return [r for r in self.requests if mark in r.target]

    def accept(self):
        while True:
            try:
                conn = wire.accept(self.listener)
            except OSError:
                return
            conn.sock.settimeout(60)
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        raw = bytearray()
        self.raw.append(raw)
        more = conn.more

        def noting():
            data = more()
            raw.extend(data[:max(0, (1 << 20) - len(raw))])
            return data
        conn.more = noting
        try:
            with conn:
                while len(conn.buffer) < 4 and conn.more():
                    pass
                if conn.buffer[:4] == PREFACE[:4]:
                    self.serve_h2(conn)
                else:
                    while self.serve_h1(conn):
                        pass
        except (OSError, EOFError):
            pass
        except (ValueError, AssertionError) as e:
            self.faults.append(f"{e!r} in {bytes(raw[-500:])!r}")

    def serve_h1(self, conn):
        if not conn.buffer and not conn.more():
            return False
        line, *lines = conn.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, target, version = line.split(" ")
        assert version == "HTTP/1.1", line
        r = Request(method, target, (x.split(": ", 1) for x in lines))
        self.heads.append(r)
        assert len(r.fields["host"]) == 1, line
        if "transfer-encoding" in r.fields:
            assert r.fields["transfer-encoding"] == ["chunked"]
            assert "content-length" not in r.fields
            r.body, r.trailers = conn.chunks()
        else:
            assert len(r.fields.get("content-length", [])) < 2
            r.body = conn.body(r.fields)
        self.requests.append(r)
        body = b"" if method == "HEAD" else b"seen\n"
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", body)
        return True

    def serve_h2(self, conn):
        c = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1",
            validate_inbound_headers=False))
        c.initiate_connection()
        conn.send(c.data_to_send())
        streams, data = {}, conn.buffer
        while data:
            for e in c.receive_data(data):
                self.on_h2(c, streams, e)
            conn.send(c.data_to_send())
            conn.buffer = b""
            data = conn.more()

    def on_h2(self, c, streams, e):
        if isinstance(e, h2.events.RequestReceived):
            pseudo = dict(e.headers)
            r = Request(pseudo[":method"], pseudo[":path"],
                        (f for f in e.headers if f[0][0] != ":"))
            r.fields["host"] = [pseudo.get(":authority", "")]
            streams[e.stream_id] = r
            self.heads.append(r)
        elif isinstance(e, h2.events.DataReceived):
            streams[e.stream_id].body += e.data
            if e.flow_controlled_length:
                c.acknowledge_received_data(e.flow_controlled_length,
                                            e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            for name, value in e.headers:
                streams[e.stream_id].trailers.setdefault(
                    name, []).append(value)
        elif isinstance(e, h2.events.StreamEnded):
            r = streams.pop(e.stream_id)
            self.requests.append(r)
            with contextlib.suppress(h2.exceptions.ProtocolError):
                c.send_headers(e.stream_id, [(":status", "200")])
                c.send_data(e.stream_id, b"seen\n", end_stream=True)


# Who must survive.

def lives(mesh, namespace):
    """What changes when a sidecar there dies: its process, its restarts."""
    return sorted((r["name"], c["pid"], c["restarts"]) for r in mesh.pods()
                  if r["namespace"] == namespace for c in r["containers"]
                  if c["name"] == "eastwest-sidecar")


def rss(pod_row):
    """Resident memory of a pod's sidecar, in MiB."""
    pid = next(c["pid"] for c in pod_row["containers"]
               if c["name"] == "eastwest-sidecar")
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / (1 << 20)


class Arena:
    """A namespace with pods client, witness (this process serves there on
    8080 and 8081), echo, and strict: echo with strict mTLS."""

    def __init__(self, mesh, ns, net):
        self.mesh, self.ns, self.client = mesh, ns, net
        self.server = wire.Net(mesh, f"{ns}/witness")
        self.outside = wire.Net(mesh, "plain/client")
        self.witness = Witness(self.server, 8080)
        self.ip = self.server.row["ips"][0]

    def service(self, name):
        return self.client.resolve(f"{name}.{self.ns}")

    def attack(self, pod, cases, together=True):
        return attack(self.mesh, pod, cases, together)

    def check_peace(self):
        """A decent client of each way in gets its answer."""
        for net, host, port in ((self.client, f"witness.{self.ns}", 80),
                                (self.outside, self.ip, 8080)):
            with net.wire(host, port) as w:
                w.request("GET /peace HTTP/1.1")
                assert w.response()[::2] == (200, b"seen\n")
            with wire.H2(net.connect(host, port)) as c:
                assert c.get("/peace").body == b"seen\n"


@contextlib.contextmanager
def arena(mesh, ns, *more):
    app = {"app": "witness"}
    strict = m.deployment(ns, "strict", ["echo.py", "--port", "8080"],
                          annotations={"eastwest.dev/strict": "true"})
    with wire.servers(mesh, ns, [
            m.pod(ns, "client"), m.pod(ns, "witness", labels=app),
            m.service(ns, "witness", app),
            m.service(ns, "down", app, app_protocol="kubernetes.io/ws"),
            m.deployment(ns, "echo", ["echo.py", "--port", "8080"]),
            m.service(ns, "echo", {"app": "echo"}),
            strict, m.service(ns, "strict", {"app": "strict"}),
            *more]) as net:
        made = Arena(mesh, ns, net)
        with contextlib.closing(made.witness):
            yield made
