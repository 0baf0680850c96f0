# SPDX-License-Identifier: Apache-2.0
"""TCP, TLS of the app's own, databases: bytes through two sidecars without
configuration."""
import contextlib
import hashlib
import json
import select
import socket
import ssl
import struct
import time

import pytest

import meshes as m
import wire

NS = "proto-other"
MB = 1 << 20
RAW = range(9001, 9031)
ports = iter(RAW)


def script_pod(name, script, port):
    """A server that a shell starts, as the pod's user."""
    made = m.deployment(NS, name, ["echo.py"], ports=(port,), probe=port)
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["sh", "-ec", script]
    return [made, m.service(NS, name, {"app": name}, ports=[
        {"name": "p", "port": port, "targetPort": port}])]


def server_pod(name, command, port=8080):
    return [m.deployment(NS, name, [*command, "--port", str(port)],
                         ports=(port,), probe=port),
            m.service(NS, name, {"app": name}, ports=[
                {"name": "p", "port": port, "targetPort": port}])]


REDIS = ("exec redis-server --port 6379 --bind '* -::*' --save '' "
         "--protected-mode no --dir /tmp --daemonize no")
DATABASE = """
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
dir=$(mktemp -d /tmp/postgres.XXXXXX)
$bin/initdb -D $dir/data -U app -A trust --no-sync >/dev/null
echo "host all all all trust" >>$dir/data/pg_hba.conf
exec $bin/postgres -D $dir/data -k $dir -p 5432 -c 'listen_addresses=*' \\
  -c fsync=off
"""


@pytest.fixture(scope="module")
def net(mesh):
    raw = m.service(NS, "raw", {"app": "raw"}, ports=[
        {"name": f"p{p}", "port": p, "targetPort": p} for p in RAW])
    with wire.servers(mesh, NS, [
            m.pod(NS, "client"), m.pod(NS, "raw", labels={"app": "raw"}), raw,
            *server_pod("tcp", ["tcp_echo.py"]),
            *server_pod("sink", ["tcp_echo.py", "--sink"]),
            *server_pod("source", ["tcp_echo.py", "--source", str(16 * MB)]),
            *server_pod("banner", ["tcp_server_first.py"]),
            *server_pod("banner2", ["tcp_server_first.py"]),
            *server_pod("tls", ["tls_echo.py", "--name", f"tls.{NS}"], 8443),
            *script_pod("redis", REDIS, 6379),
            *script_pod("postgres", DATABASE, 5432)]) as made:
        yield made


@pytest.fixture(scope="module")
def server(mesh, net):
    return wire.Net(mesh, f"{NS}/raw")


@pytest.fixture
def app(net, server):
    """This test is the app: it listens in the other pod."""
    class Ends:
        port = next(ports)
        listener = server.listen(port)

        def connect(self, family=4):
            return net.wire(f"raw.{NS}", self.port, family)

        def accept(self):
            return wire.accept(self.listener)
    made = Ends()
    with contextlib.closing(made.listener):
        yield made


both_families = pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])


# TCP.

@both_families
def test_bytes_come_back(net, family):
    with net.wire(f"tcp.{NS}", 8080, family) as w:
        for size in (1, 3, 1000, 100000):
            data = bytes(i * 7 % 256 for i in range(size))
            w.send(b"\x01", data)
            assert w.exactly(size + 1) == b"\x01" + data


@both_families
def test_the_client_ends_its_direction_first(net, family):
    """The server sees the end and can still say what it counted."""
    with net.wire(f"sink.{NS}", 8080, family) as w:
        w.send(b"\x00" * 100000)
        w.sock.shutdown(socket.SHUT_WR)
        assert w.rest().decode().strip() == hashlib.sha256(
            bytes(100000)).hexdigest()


def test_the_server_ends_its_direction_first(app):
    with app.connect() as w:
        w.send(b"\x01hello")
        with app.accept() as a:
            assert a.exactly(6) == b"\x01hello"
            a.send("answer")
            a.sock.shutdown(socket.SHUT_WR)
            assert w.rest() == b"answer"
            for i in range(3):
                w.send(bytes([i]))
                assert a.exactly(1) == bytes([i])
            w.sock.shutdown(socket.SHUT_WR)
            assert a.rest() == b""


def test_a_client_with_nothing_to_say_that_ends_its_direction(app):
    """As `nc -N host port </dev/null`."""
    with app.connect() as w:
        w.sock.shutdown(socket.SHUT_WR)
        with app.accept() as a:
            assert a.rest() == b""
            a.send("the time")
            a.sock.shutdown(socket.SHUT_WR)
            assert w.rest() == b"the time"


def test_a_reset_is_passed_on(app):
    for resets, hears in ((0, 1), (1, 0)):
        with app.connect() as w:
            w.send(b"\x01")
            with app.accept() as a:
                a.exactly(1)
                ends = [w.sock, a.sock]
                ends[resets].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
                ends[resets].close()
                assert wire.Wire(ends[hears]).closed()


def test_a_server_that_only_sends(net):
    with net.wire(f"source.{NS}", 8080) as w:
        digest, total = hashlib.sha256(), 0
        while data := w.sock.recv(MB):
            digest.update(data)
            total += len(data)
        block = bytes(range(251))
        want = (block * (16 * MB // 251 + 1))[:16 * MB]
        assert (total, digest.digest()) == (
            16 * MB, hashlib.sha256(want).digest())


BULK = """
import hashlib, json, socket, subprocess, sys
host, size = sys.argv[1], int(sys.argv[2])
# A cipher's key stream: no two blocks are the same.
stream = subprocess.Popen(
    "openssl enc -aes-128-ctr -K 0 -iv 0 -in /dev/zero 2>/dev/null"
    f" | head -c {size}", shell=True, stdout=subprocess.PIPE)
s = socket.create_connection((host, 8080), 10)
s.settimeout(60)
digest, buffer = hashlib.sha256(), bytearray(1 << 20)
while n := stream.stdout.readinto(buffer):
    piece = memoryview(buffer)[:n]
    digest.update(piece)
    s.sendall(piece)
s.shutdown(socket.SHUT_WR)
print(json.dumps([digest.hexdigest(), s.makefile().read().strip()]))
"""


def test_1_gib_is_exact(net):
    """256 MiB with a sanitized sidecar, for the sake of time."""
    with open(f"{m.BIN}/eastwest-sidecar", "rb") as file:
        size = 256 * MB if b"__asan_init" in file.read() else 1024 * MB
    done = net.mesh.exec(f"{NS}/client", m.PYTHON, "-c", BULK,
                         f"sink.{NS}", str(size))
    sent, received = json.loads(done.stdout)
    assert sent == received


@both_families
def test_memory_is_bounded_when_nobody_reads(app, net, server, family):
    with app.connect(family) as w:
        w.send(b"\x01")
        with app.accept() as a:
            for reader, writer in ((a, w), (w, a)):
                before = net.sidecar_rss(), server.sidecar_rss()
                sent = push_until_stuck(writer.sock, 256 * MB)
                assert sent < 64 * MB
                grown = (net.sidecar_rss() - before[0],
                         server.sidecar_rss() - before[1])
                assert max(grown) < 8 * MB, grown
                reader.exactly(sent)


def push_until_stuck(sock, limit):
    """Sends until nothing was taken for half a second: bytes sent."""
    sock.setblocking(False)
    sent, piece = 0, bytes(MB)
    while sent < limit and select.select([], [sock], [], 0.5)[1]:
        sent += sock.send(piece)
    sock.settimeout(wire.TIMEOUT)
    return sent


def test_many_connections_at_a_time(net):
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(net.wire(f"tcp.{NS}", 8080))
                 for _ in range(200)]
        for i, w in enumerate(wires):
            w.send(b"\x01", struct.pack("!I", i))
        for i, w in enumerate(wires):
            assert w.exactly(5) == b"\x01" + struct.pack("!I", i)


# Who speaks first.

@both_families
def test_the_server_speaks_first(net, family):
    """The first time it takes a look at the client; then it is known."""
    name = "banner" if family == 4 else "banner2"
    for limit in (2.5, 0.5, 0.5):
        start = time.monotonic()
        with net.wire(f"{name}.{NS}", 8080, family) as w:
            assert w.until(b"\r\n").startswith(b"220 ")
            assert time.monotonic() - start < limit
            w.send("line\r\n")
            assert w.until(b"\r\n") == b"line"


def test_a_client_that_says_nothing_is_left_alone(app):
    """It is connected to the server, and nobody hangs up."""
    with app.connect() as w:
        with app.accept() as a:
            assert not select.select([w.sock, a.sock], [], [], 2)[0]
            w.send("now")
            assert a.exactly(3) == b"now"
            a.send("well")
            assert w.exactly(4) == b"well"


def test_a_client_that_connects_and_goes(app):
    for _ in range(3):
        app.connect().sock.close()
    with app.connect() as w:
        w.send(b"\x01")
        deadline = time.monotonic() + wire.TIMEOUT
        while time.monotonic() < deadline:
            with app.accept() as a:
                if a.more() == b"\x01":
                    return
    raise AssertionError("not connected")


@pytest.mark.parametrize("text", ["GET", "PRI * HTTP/2.0\r\n", "HELO there",
                                  "\x16\x03\x01"])
def test_a_few_bytes_that_look_like_something_else(app, text):
    """A client that stops in between is passed on in the end: within the time
    for a head."""
    with app.connect() as w:
        w.send(text)
        w.sock.shutdown(socket.SHUT_WR)
        with app.accept() as a:
            assert a.rest() == text.encode()


# The app's own TLS.

def trusting(net, *alpn):
    with contextlib.closing(net.connect(f"tls.{NS}", 8443)) as s:
        blind = ssl._create_unverified_context()  # pylint: disable=W0212
        with blind.wrap_socket(s, server_hostname=f"tls.{NS}") as t:
            pem = ssl.DER_cert_to_PEM_cert(t.getpeercert(True))
    context = ssl.create_default_context(cadata=pem)
    context.set_alpn_protocols(alpn)
    return context


@both_families
def test_https_of_the_app_end_to_end(net, family):
    """The certificate that the client sees is the app's."""
    context = trusting(net, "http/1.1")
    s = net.connect(f"tls.{NS}", 8443, family)
    with wire.Wire(context.wrap_socket(s, server_hostname=f"tls.{NS}")) as w:
        for i in range(3):
            w.request(f"GET /{i} HTTP/1.1")
            status, _, body = w.response()
            said = json.loads(body)
            assert status == 200 and said["path"] == f"/{i}"
        assert said["sni"] == f"tls.{NS}" and said["alpn"] == "http/1.1"
        assert "x-forwarded-client-cert" not in said["headers"]
        w.request(f"GET /bytes/{8 * MB} HTTP/1.1")
        assert len(w.response()[2]) == 8 * MB


def test_http2_within_tls_of_the_app(net):
    context = trusting(net, "h2")
    t = context.wrap_socket(net.connect(f"tls.{NS}", 8443),
                            server_hostname=f"tls.{NS}")
    assert t.selected_alpn_protocol() == "h2"
    with wire.H2(t, scheme="https") as c:
        for i in range(30):
            c.open("GET", f"/{i}")
        for i, stream in enumerate(c.finish()):
            assert json.loads(stream.body)["path"] == f"/{i}"


def test_a_certificate_for_another_name_is_refused_by_the_client(net):
    context = trusting(net, "h2")
    with contextlib.closing(net.connect(f"tls.{NS}", 8443)) as s:
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(s, server_hostname="elsewhere.test")


def test_curl_with_https(net):
    r = net.mesh.curl(f"{NS}/client", f"https://tls.{NS}:8443/", "-k")
    assert r.json["alpn"] == "h2" and r.json["tls"] == "TLSv1.3"


# Nobody there.

def ended(w):
    """How a connection ended that reached nobody."""
    try:
        return "end" if w.sock.recv(1) == b"" else "data"
    except ConnectionError:
        return "reset"


@both_families
def test_a_port_where_nobody_listens(net, server, family):
    """Redirected connections are accepted first; then they are reset."""
    address = server.row["ips"][0 if family == 4 else 1]
    for name, port in ((f"raw.{NS}", RAW[-1]), (address, 9999)):
        start = time.monotonic()
        try:
            with net.wire(name, port, family) as w:
                w.send(b"\x01")
                assert ended(w) == "reset"
        except ConnectionError:
            pass  # at once, as without the mesh
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("address", ["198.18.254.253", "fd00:6577:1::fffd"])
def test_an_address_that_nobody_has(net, address):
    start = time.monotonic()
    try:
        with net.wire(address, 80) as w:
            w.send(b"\x01")
            assert ended(w) == "reset"
    except (ConnectionError, OSError):
        pass
    assert time.monotonic() - start < 15


def test_a_server_outside_of_the_mesh(net):
    with net.wire("outside.plain") as w:
        w.request("GET / HTTP/1.1")
        assert json.loads(w.response()[2])["version"] == "outside"


# Databases.

def run(net, *command, **kwargs):
    return net.mesh.exec(f"{NS}/client", *command, **kwargs).stdout


@both_families
def test_redis(net, family):
    address = net.resolve(f"redis.{NS}", family)
    cli = ["redis-cli", "-h", address]
    assert run(net, *cli, "PING") == "PONG\n"
    assert run(net, *cli, "SET", "a", "1") == "OK\n"
    assert run(net, *cli, "INCR", "a") == "2\n"
    big = "x" * (16 * MB)
    assert run(net, *cli, "-x", "SET", "big", input=big) == "OK\n"
    assert run(net, *cli, "STRLEN", "big") == f"{len(big)}\n"
    assert run(net, *cli, "GET", "big") == big + "\n"


def test_redis_pipelining(net):
    with net.wire(f"redis.{NS}", 6379) as w:
        w.send(*(f"*3\r\n$3\r\nSET\r\n$4\r\nk{i:03}\r\n$4\r\nv{i:03}\r\n"
                 f"*2\r\n$3\r\nGET\r\n$4\r\nk{i:03}\r\n" for i in range(500)))
        for i in range(500):
            assert w.until(b"\r\n") == b"+OK"
            assert w.until(b"\r\n") == b"$4"
            assert w.until(b"\r\n") == f"v{i:03}".encode()


def test_redis_publishes(net):
    with net.wire(f"redis.{NS}", 6379) as sub, \
            net.wire(f"redis.{NS}", 6379) as pub:
        sub.send("SUBSCRIBE news\r\n")
        assert sub.until(b":1\r\n").endswith(b"news\r\n")
        for i in range(5):
            pub.send(f"PUBLISH news item{i}\r\n")
            assert pub.until(b"\r\n") == b":1"
            assert sub.until(f"item{i}\r\n".encode()).startswith(b"*3")


SQL = """
import hashlib, json, psycopg2, sys
c = psycopg2.connect(host=sys.argv[1], port=5432, user="app",
                     dbname="postgres", connect_timeout=10,
                     sslmode=sys.argv[2])
q = c.cursor()
q.execute("CREATE TEMP TABLE t (id int, v text, b bytea)")
big = bytes(range(256)) * 40000
q.execute("INSERT INTO t VALUES (1, %s, %s)", ("one", big))
q.executemany("INSERT INTO t VALUES (%s, %s, NULL)",
              [(i, str(i)) for i in range(2, 500)])
c.commit()
q.execute("SELECT count(*), sum(id) FROM t")
counts = q.fetchone()
q.execute("SELECT b FROM t WHERE id = 1")
same = bytes(q.fetchone()[0]) == big
q.execute("SELECT g FROM generate_series(1, 100000) g")
rows = len(q.fetchall())
q.execute("LISTEN news"); c.commit()
q.execute("NOTIFY news, 'hello'"); c.commit()
c.poll()
print(json.dumps([counts, same, rows, [n.payload for n in c.notifies]]))
"""


@both_families
@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_postgresql(net, family, sslmode):
    address = net.resolve(f"postgres.{NS}", family)
    said = json.loads(run(net, m.PYTHON, "-c", SQL, address, sslmode))
    assert said == [[499, sum(range(500))], True, 100000, ["hello"]]


def test_postgresql_cancels_a_query(net):
    """The cancellation comes on a connection of its own."""
    code = """
import psycopg2, sys, threading, time
c = psycopg2.connect(host=sys.argv[1], user="app", dbname="postgres")
q = c.cursor()
threading.Timer(0.3, c.cancel).start()
start = time.monotonic()
try:
    q.execute("SELECT pg_sleep(30)")
except psycopg2.errors.QueryCanceled:
    print("cancelled", time.monotonic() - start < 10)
"""
    assert run(net, m.PYTHON, "-c", code, f"postgres.{NS}") == \
        "cancelled True\n"
