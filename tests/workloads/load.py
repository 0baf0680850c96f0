# SPDX-License-Identifier: Apache-2.0
"""A client that asks at a fixed rate and keeps streams open.

Half of the HTTP/1.1 requests are GET, half are POST with a body, so that
nothing may be sent twice unseen. Connections are kept, one for each worker.
GET on the port of --port tells how it went, POST /stop ends it first.
"""

import argparse
import collections
import functools
import http.client
import http.server
import json
import queue
import select
import socket
import threading
import time

import grpc

WORKERS = 10
TIMEOUT = 30
PAUSE = 0.5   # between two messages of a stream
CYCLE = 20    # seconds after which every other pair of streams is opened anew
SILENCE = 10  # of a stream that is at fault
KEPT = 200    # failures that are told in full
BODY = bytes(range(256)) * 4


class Fault(Exception):
    """Its text is what the report shows."""


class Tally:
    """What happened; for all threads."""

    def __init__(self):
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.done, self.pods = collections.Counter(), {}
        self.slowest = {}  # seconds and begin
        self.failed, self.failures = collections.Counter(), []
        self.ends, self.open = [], {}

    def success(self, kind, pod, begin, seconds):
        slow = [round(seconds, 3), round(begin, 3)]
        with self.lock:
            self.done[kind] += 1
            if pod:
                self.pods.setdefault(kind, collections.Counter())[pod] += 1
            self.slowest[kind] = max(self.slowest.get(kind, slow), slow)

    def failure(self, kind, begin, why):
        with self.lock:
            self.failed[kind] += 1
            if len(self.failures) < KEPT:
                self.failures.append(
                    {"kind": kind, "begin": round(begin, 3),
                     "seconds": round(time.time() - begin, 3), "why": why})

    def beat(self, name, pod):
        with self.lock:
            self.open[name] = (pod, time.time())

    def ended(self, name, begin, why):
        """A stream; only who knows which pods ended can judge it."""
        with self.lock:
            pod, last = self.open.pop(name, ("", begin))
            self.ends.append({"stream": name, "pod": pod, "begin": begin,
                              "last": last, "end": time.time(), "why": why})

    def report(self):
        with self.lock:
            now = time.time()
            return {"done": self.done, "pods": self.pods,
                    "slowest": self.slowest, "failed": self.failed,
                    "failures": self.failures, "ends": self.ends,
                    "open": {n: pod for n, (pod, _) in self.open.items()},
                    "silent": {n: pod for n, (pod, last) in self.open.items()
                               if now - last > SILENCE}}


def paced(tally, rate, first):
    """Turns at a rate; late ones are not made up for."""
    due = time.monotonic() + first / rate
    while not tally.stop.wait(max(0, due - time.monotonic())):
        yield
        due = max(due + 1 / rate, time.monotonic())


def repeat(tally, kind, rate, first, once):
    """once() gives the pod that answered."""
    for turn, _ in enumerate(paced(tally, rate, first)):
        begin, clock = time.time(), time.monotonic()
        try:
            pod = once(turn)
        except (OSError, http.client.HTTPException, ValueError,
                grpc.RpcError, Fault) as error:
            tally.failure(kind, begin, said(error))
        else:
            tally.success(kind, pod, begin, time.monotonic() - clock)


def said(error):
    if isinstance(error, grpc.RpcError):
        refusal = dict(error.initial_metadata() or ()).get("eastwest-refusal")
        return f"{error.code().name} {error.details()} {refusal or ''}"
    return f"{type(error).__name__}: {error}"


class Http:
    """One connection, as an ordinary client keeps it: one that the server
    has closed is not used again."""

    def __init__(self, address):
        self.conn = http.client.HTTPConnection(address, timeout=TIMEOUT)

    def once(self, turn):
        sock = self.conn.sock
        if sock and select.select([sock], [], [], 0)[0]:
            self.conn.close()
        try:
            return self.ask(turn % 2)
        except BaseException:
            self.conn.close()
            raise

    def ask(self, post):
        if post:
            self.conn.request("POST", "/echo", BODY)
        else:
            self.conn.request("GET", "/?delay=0.02")
        answer = self.conn.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise Fault(f"{'POST' if post else 'GET'} {answer.status} "
                        f"{answer.getheader('eastwest-refusal')}")
        if post and data != BODY:
            raise Fault(f"POST: {len(data)} bytes that are not the body")
        return answer.getheader("x-pod")


class Grpc:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(
            address, (("grpc.use_local_subchannel_pool", 1),))
        self.echo = self.channel.unary_unary("/eastwest.test.Echo/Echo")
        self.chat = self.channel.stream_stream("/eastwest.test.Echo/Chat")

    def once(self, turn):
        answer, call = self.echo.with_call(b"%d" % turn, timeout=TIMEOUT)
        if answer != b"%d" % turn:
            raise Fault(f"another message: {answer[:80]}")
        return dict(call.initial_metadata()).get("x-pod")

    def stream(self, tally, name, life):
        """Messages to and fro until the server ends it."""
        waiting = queue.SimpleQueue()
        waiting.put(b"0")
        call = self.chat(iter(waiting.get, None))
        try:
            pod = dict(call.initial_metadata()).get("x-pod")
            for message in call:
                tally.beat(name, pod)
                if life.over():
                    call.cancel()
                    return None
                waiting.put(b"%d" % (int(message) + 1))
            return f"{call.code().name} {call.details()}"
        finally:
            waiting.put(None)


def http_stream(address, tally, name, life):
    """A request whose body goes on while its response comes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as sock:
        read = sock.makefile("rb")
        sock.sendall(f"POST /echo HTTP/1.1\r\nhost: {address}\r\n"
                     "transfer-encoding: chunked\r\n\r\n".encode())
        sock.sendall(b"4\r\nping\r\n")
        status = read.readline().split()
        fields = http.client.parse_headers(read)
        if status[1:2] != [b"200"]:
            raise Fault(f"{status} {fields['eastwest-refusal']}")
        while True:
            wanted = 4
            while wanted:
                size = int(read.readline(), 16)
                if size == 0:
                    return "end of the body"
                wanted -= len(read.read(size))
                read.readline()
            tally.beat(name, fields["x-pod"])
            if life.over():
                sock.sendall(b"0\r\n\r\n")
                return None
            sock.sendall(b"4\r\nping\r\n")


class Life:
    """Of a stream, as its client wants it."""

    def __init__(self, tally, seconds):
        self.stop, self.end = tally.stop, time.monotonic() + seconds

    def over(self):
        return self.stop.wait(PAUSE) or time.monotonic() > self.end


def keep_stream(tally, name, seconds, stream):
    """Opens it again as often as it ends."""
    while not tally.stop.is_set():
        begin = time.time()
        try:
            why = stream(tally, name, Life(tally, seconds))
        except (OSError, http.client.HTTPException, ValueError,
                grpc.RpcError, Fault) as error:
            why = said(error)
        if why:
            tally.ended(name, begin, why)
            tally.stop.wait(0.1)


def threads(args, tally):
    for i in range(WORKERS):
        for kind, client in (("http", Http(args.http)),
                             ("grpc", Grpc(args.grpc))):
            yield functools.partial(repeat, tally, kind, args.rate / WORKERS,
                                    i / WORKERS, client.once)
    for i in range(args.streams):
        # Those that stay end up with servers that stay; the others go back
        # to all of them, so that streams end with servers to the last.
        name = f"{'grpc' if i % 2 else 'http'}-{i}"
        stream = (Grpc(args.grpc).stream if i % 2 else
                  functools.partial(http_stream, args.http))
        yield functools.partial(keep_stream, tally, name,
                                CYCLE if i & 2 else float("inf"), stream)


def answerer(tally, running):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.tell(json.dumps(tally.report()).encode())

        def do_POST(self):
            tally.stop.set()
            for thread in running:
                thread.join(TIMEOUT)
            self.do_GET()

        def tell(self, text):
            self.send_response(200)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass
    return Answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--http", required=True, help="HOST:PORT of graceful")
    parser.add_argument("--grpc", required=True, help="HOST:PORT of grpc_echo")
    parser.add_argument("--rate", type=float, default=100,
                        help="requests per second of each kind (100)")
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--port", type=int, default=9000,
                        help="where the report is (9000)")
    args = parser.parse_args()
    tally, running = Tally(), []
    for work in threads(args, tally):
        running.append(threading.Thread(target=work, daemon=True))
    for thread in running:
        thread.start()
    http.server.ThreadingHTTPServer(
        ("", args.port), answerer(tally, running)).serve_forever()


if __name__ == "__main__":
    main()
