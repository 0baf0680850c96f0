# SPDX-License-Identifier: Apache-2.0
"""Sockets of this process inside of pods, and HTTP/1 and HTTP/2 over them.

A socket belongs to the network namespace in which it was made, so a thread
that visits the pod's is all it takes: what a test does with its socket is
redirected as the app's would be, and a test can be the app.
"""
import contextlib
import ctypes
import http.client
import os
import socket
import threading
import time

import h2.config
import h2.connection
import h2.events

import meshes as m

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TIMEOUT = 20


def visit(netns, call):
    """The result of call(), made by a thread in this namespace."""
    result = []

    def run():
        try:
            fd = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if LIBC.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(fd)
            result.append((call(), None))
        except OSError as e:
            result.append((None, e))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = result[0]
    if error:
        raise error
    return value


def in_thread(call, *args):
    """Runs it; finish() waits and gives its result or its exception."""
    box = []

    def run():
        try:
            box.append((call(*args), None))
        except BaseException as e:  # pylint: disable=broad-except
            box.append((None, e))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def finish(seconds=60):
        thread.join(seconds)
        assert box, "still running"
        if box[0][1]:
            raise box[0][1]
        return box[0][0]
    return finish


class Net:
    """The network of one pod, and names of Services as it sees them."""

    def __init__(self, mesh, pod):
        self.mesh, self.pod = mesh, pod
        self.row = mesh.pod(pod)
        self.known = {}

    def resolve(self, name, family=4):
        if (name, family) not in self.known:
            self.known[name, family] = self.mesh.exec(
                self.pod, "getent", f"ahostsv{family}", name).stdout.split()[0]
        return self.known[name, family]

    def socket(self, family=4, kind=socket.SOCK_STREAM):
        af = socket.AF_INET6 if family == 6 else socket.AF_INET
        s = visit(self.row["netns"], lambda: socket.socket(af, kind))
        s.settimeout(TIMEOUT)
        return s

    def connect(self, name, port=80, family=4):
        """To a Service by name, or to an address."""
        if name[0].isdigit() or ":" in name:
            family = 6 if ":" in name else 4
            to = name
        else:
            to = self.resolve(name, family)
        s = self.socket(family)
        try:
            s.connect((to, port))
        except OSError:
            s.close()
            raise
        if s.proto == socket.IPPROTO_TCP or s.type == socket.SOCK_STREAM:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def listen(self, port, receive_buffer=None):
        """As an app of the pod would, on all addresses of both families."""
        s = self.socket(6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.bind(("::", port))
        s.listen(64)
        return s

    def http(self, name, port=80, family=4):
        """http.client's connection, to be closed by the caller."""
        conn = http.client.HTTPConnection(name, port, timeout=TIMEOUT)
        conn.sock = self.connect(name, port, family)
        return conn

    def wire(self, name, port=80, family=4):
        return Wire(self.connect(name, port, family))

    def sidecar_rss(self):
        """Resident memory of the pod's sidecar in bytes."""
        pid = next(c["pid"] for c in self.row["containers"]
                   if c["name"] == "eastwest-sidecar")
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


def accept(listener):
    conn, _ = listener.accept()
    conn.settimeout(TIMEOUT)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Wire(conn)


class Wire:
    """HTTP/1 as bytes on a socket, for either side."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, *parts):
        self.sock.sendall(b"".join(
            p.encode("latin-1") if isinstance(p, str) else p for p in parts))

    def request(self, line, *fields, host="h"):
        self.send("\r\n".join([line, f"host: {host}", *fields, "", ""]))

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return data

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError(f"end before {mark!r}: {self.buffer[:300]!r}")
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise EOFError(f"{len(self.buffer)} of {size} bytes")
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def rest(self):
        """All to the end."""
        while self.more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def fields(self):
        found = {}
        while line := self.until(b"\r\n").decode("latin-1"):
            name, _, value = line.partition(":")
            found.setdefault(name.lower(), []).append(value.strip())
        return found

    def head(self):
        """The first line, and the fields as {name: [values]}."""
        return self.until(b"\r\n").decode("latin-1"), self.fields()

    def chunk(self):
        data = self.exactly(int(self.until(b"\r\n").split(b";")[0], 16))
        if data:
            assert self.exactly(2) == b"\r\n"
        return data

    def chunks(self):
        """The whole chunked body and its trailers."""
        body = b""
        while data := self.chunk():
            body += data
        return body, self.fields()

    def body(self, fields):
        if "transfer-encoding" in fields:
            return self.chunks()[0]
        return self.exactly(int(fields.get("content-length", ["0"])[0]))

    def response(self):
        """Status, fields, body of a final response."""
        line, fields = self.head()
        return int(line.split()[1]), fields, self.body(fields)

    def closed(self):
        """Until the other side is gone, however it went."""
        with contextlib.suppress(ConnectionError):
            while self.sock.recv(65536):
                pass
        return True


class Stream:
    """One HTTP/2 stream as its client sees it."""

    def __init__(self):
        self.headers, self.trailers, self.interim = {}, {}, []
        self.body, self.ended, self.reset = bytearray(), False, None

    @property
    def status(self):
        return int(self.headers[":status"])


class H2:
    """An HTTP/2 client with prior knowledge; run() until it is so."""

    def __init__(self, sock, authority="h", scheme="http", **settings):
        self.sock, self.authority, self.scheme = sock, authority, scheme
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding="utf-8", **settings))
        self.streams, self.goaway = {}, None
        self.held = set()  # what these get is not acknowledged
        self.conn.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def open(self, method, path, *fields, end=True):
        number = self.conn.get_next_available_stream_id()
        self.conn.send_headers(number, [
            (":method", method), (":scheme", self.scheme),
            (":authority", self.authority), (":path", path), *fields],
            end_stream=end)
        self.streams[number] = Stream()
        self.flush()
        return number

    def send(self, number, data, end=False):
        """As much as the windows allow at a time; reads meanwhile."""
        data = memoryview(data)
        while data:
            room = min(self.conn.local_flow_control_window(number),
                       self.conn.max_outbound_frame_size, len(data))
            if room <= 0:
                self.read()
                continue
            self.conn.send_data(number, bytes(data[:room]))
            data = data[room:]
            self.flush()
        if end:
            self.conn.end_stream(number)
            self.flush()

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the connection has ended")
        for event in self.conn.receive_data(data):
            self.on_event(event)
        self.flush()

    def on_event(self, e):
        if isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = e
            return
        stream = self.streams.get(getattr(e, "stream_id", None))
        if stream is None:
            return
        if isinstance(e, h2.events.InformationalResponseReceived):
            stream.interim.append(dict(e.headers)[":status"])
        elif isinstance(e, h2.events.ResponseReceived):
            stream.headers = dict(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            stream.body += e.data
            if e.stream_id not in self.held:
                self.conn.acknowledge_received_data(
                    e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            stream.trailers = dict(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(e, h2.events.StreamReset):
            stream.reset = e.error_code

    def run(self, condition):
        while not condition():
            self.read()

    def finish(self, *numbers):
        """Until these streams (all, when none is named) have ended."""
        wanted = [self.streams[n] for n in numbers or self.streams]
        self.run(lambda: all(s.ended or s.reset is not None for s in wanted))
        return wanted[0] if len(wanted) == 1 else wanted

    def get(self, path, *fields):
        return self.finish(self.open("GET", path, *fields))


@contextlib.contextmanager
def servers(mesh, namespace, objects):
    """A namespace of its own in the shared mesh, all of it ready."""
    file = f"{namespace}.yaml"
    mesh.write(file, [m.namespace(namespace), *objects])
    pods = sum(o["spec"].get("replicas", 1) for o in objects
               if o["kind"] in ("Pod", "Deployment"))
    services = [(o["metadata"]["name"], p["port"]) for o in objects
                if o["kind"] == "Service" for p in o["spec"]["ports"]]
    try:
        m.wait_for(lambda: sum(p["is_ready"] for p in mesh.pods()
                               if p["namespace"] == namespace) == pods,
                   60, f"pods of {namespace}")
        mesh.sync()
        net = Net(mesh, f"{namespace}/client")
        m.wait_for(lambda: [net.resolve(f"{s}.{namespace}")
                            for s, _ in services], 10, "names")
        for name, port in services:
            net.connect(f"{name}.{namespace}", port).close()
        m.wait_for(lambda: endpoints_known(mesh, namespace, len(services)),
                   10, "endpoints")
        yield net
    finally:
        mesh.remove(file)


def endpoints_known(mesh, namespace, count):
    found = [d for d in mesh.destinations(f"{namespace}/client").values()
             if d and d.get("namespace") == namespace and
             any(b.get("endpoints") for b in d.get("backends", []))]
    return len(found) >= count


def timed(call, *args):
    start = time.monotonic()
    result = call(*args)
    return result, time.monotonic() - start
