# SPDX-License-Identifier: Apache-2.0
"""Traffic that goes on while a test breaks something; run in a pod as a
program it makes requests until it is told to stop, and says how they went.

    traffic.py http URL         GET and POST on kept and on new connections
    traffic.py grpc TARGET      unary calls on one channel
    traffic.py stream TARGET    one call with messages to and fro, to the end

It ends after a line on its standard input.
"""
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

PAUSE = 0.01
BODY = b"0123456789" * 100


class Log:
    def __init__(self):
        self.good, self.bad, self.slowest = 0, [], 0.0
        self.answers = {}

    def note(self, what, took, error=None):
        if not self.good and not self.bad:
            print("begun", flush=True)
        self.slowest = max(self.slowest, took)
        if error is None:
            self.good += 1
            self.answers[what] = self.answers.get(what, 0) + 1
        elif len(self.bad) < 20:
            self.bad.append([round(time.time() % 1000, 3), what, error])


def stopped():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def one_http(conn, method, log):
    begin = time.monotonic()
    try:
        conn.request(method, "/echo" if method == "POST" else "/",
                     BODY if method == "POST" else None)
        response = conn.getresponse()
        body = response.read()
        error = None
        if response.status != 200 or method == "POST" and body != BODY:
            error = f"{response.status} {body[:200]!r}"
        who = json.loads(body)["pod"] if method == "GET" and not error \
            else method
    except (OSError, http.client.HTTPException) as e:
        who, error = method, repr(e)
        conn.close()
    log.note(who, time.monotonic() - begin, error)


def run_http(url, log):
    parts = urllib.parse.urlsplit(url)
    # Names are not what is tested.
    ip = socket.gethostbyname(parts.hostname)

    def new():
        return http.client.HTTPConnection(ip, parts.port or 80, timeout=20)
    kept = new()
    while not stopped():
        for method in ("GET", "POST"):
            one_http(kept, method, log)
            fresh = new()
            one_http(fresh, method, log)
            fresh.close()
            time.sleep(PAUSE)


def run_grpc(target, log):
    import grpc  # pylint: disable=import-outside-toplevel
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary("/eastwest.test.Echo/Echo")
        while not stopped():
            begin = time.monotonic()
            try:
                error = None if call(BODY, timeout=20) == BODY else "body"
            except grpc.RpcError as e:
                error = f"{e.code().name} {e.details()}"
            log.note("grpc", time.monotonic() - begin, error)
            time.sleep(PAUSE)


def run_stream(target, log):
    import grpc  # pylint: disable=import-outside-toplevel
    turn = threading.Semaphore(1)

    def messages():
        number = 0
        while not stopped():
            turn.acquire()
            number += 1
            yield str(number).encode()
            time.sleep(PAUSE)
    with grpc.insecure_channel(target) as channel:
        call = channel.stream_stream("/eastwest.test.Echo/Chat")
        expected = 0
        try:
            for message in call(messages(), timeout=60):
                expected += 1
                log.note("stream", 0, None if message == str(
                    expected).encode() else f"{message} for {expected}")
                turn.release()
        except grpc.RpcError as e:
            log.note("stream", 0, f"{e.code().name} {e.details()}")


def main():
    os.environ["GRPC_DNS_RESOLVER"] = "native"
    log = Log()
    kinds = {"http": run_http, "grpc": run_grpc, "stream": run_stream}
    kinds[sys.argv[1]](sys.argv[2], log)
    json.dump(log.__dict__, sys.stdout)


class Traffic:
    """One of the programs above in a pod, for as long as the block."""

    def __init__(self, mesh, pod, kind, to):
        import meshes as m  # pylint: disable=import-outside-toplevel
        self.process = mesh.popen(
            pod, m.PYTHON, os.path.abspath(__file__), kind, to,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = None
        assert self.process.stdout.readline() == "begun\n"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None and self.said is None:
            self.process.communicate("\n", timeout=60)

    def end(self):
        """How it went, as the fields of Log."""
        out, _ = self.process.communicate("\n", timeout=60)
        self.said = json.loads(out)
        return self.said

    def flawless(self, at_least=20):
        """Ends it; nothing may have failed."""
        said = self.end()
        assert not said["bad"], said
        assert said["good"] >= at_least, said
        return said


if __name__ == "__main__":
    main()
