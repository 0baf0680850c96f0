# SPDX-License-Identifier: Apache-2.0
"""A controller without Kubernetes, alone: folders, files and its two ports."""
import json
import os
import select
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import h2.events
import yaml

import controller_client as cc
import meshes as m
from kube_controller import free_port

BINARY = os.path.join(m.BIN, "eastwest-controller")
TOKENS = {"alice-0123456789abcdef": ("app", "alice", "alice-0"),
          "bob-0123456789abcdef": ("other", "bob", "")}
ALICE, BOB = TOKENS


def text_of(objects):
    return yaml.safe_dump_all(objects) if isinstance(objects, list) \
        else objects


class Local:
    """Processes one after the other over the same folders."""

    def __init__(self, folder):
        self.folder = folder
        self.manifests, self.overlay = folder / "manifests", folder / "overlay"
        self.status_dir, self.ca = folder / "status", folder / "ca"
        self.tokens, self.log = folder / "tokens.json", folder / "log"
        self.manifests.mkdir()
        self.overlay.mkdir()
        self.set_tokens(TOKENS)
        self.process = self.port = self.metrics_port = None

    # ---- what it reads ----

    def set_tokens(self, tokens):
        new = self.folder / "tokens.new"
        new.write_text(json.dumps({"tokens": [
            {"token": t, "namespace": ns, "serviceAccount": account, "pod": pod}
            for t, (ns, account, pod) in tokens.items()]}))
        new.rename(self.tokens)

    def write(self, name, objects, folder=None):
        """As an editor does that never leaves half a file."""
        path = (folder or self.manifests) / name
        path.parent.mkdir(exist_ok=True)
        new = path.with_name("." + path.name)
        new.write_text(text_of(objects))
        new.rename(path)
        return path

    def remove(self, name, folder=None):
        ((folder or self.manifests) / name).unlink()

    # ---- the process ----

    def arguments(self, *more, folders=None):
        found = []
        for f in folders or [self.manifests, self.overlay]:
            found += ["--manifests", str(f)]
        return [*found, "--status-dir", str(self.status_dir),
                "--ca-dir", str(self.ca), "--token-file", str(self.tokens),
                "--listen", f"127.0.0.1:{self.port}",
                "--metrics-listen", f"127.0.0.1:{self.metrics_port}", *more]

    def launch(self, *more, **options):
        self.port, self.metrics_port = free_port(), free_port()
        self.log.write_text("")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, *self.arguments(*more, **options)], stderr=log,
                stdout=log)

    def start(self, *more, **options):
        """Until it is ready; again if somebody took a port meanwhile."""
        for _ in range(5):
            self.launch(*more, **options)
            m.wait_for(lambda: self.process.poll() is not None or
                       self.http("/ready")[0] == 200, 20, "ready")
            if self.process.poll() is None:
                return self
            assert "can't listen" in self.log.read_text(), \
                self.log.read_text()[-4000:]
        raise AssertionError("no port is free")

    def stop(self, signum=signal.SIGTERM):
        """Ends it; what the sanitizers found fails the test."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None
        text = self.log.read_text()
        assert code == 0 and "Sanitizer" not in text and \
            "runtime error" not in text, f"{code}\n{text[-6000:]}"

    # ---- what it says ----

    def logged(self, **members):
        """The lines of the log that have these members."""
        lines = [json.loads(x) for x in self.log.read_text().splitlines()
                 if x.startswith("{") and x.endswith("}")]
        return [x for x in lines if members.items() <= x.items()]

    def refused(self, text):
        """Until an object or a file was refused with that text."""
        def found():
            return [x for x in self.logged(msg="object refused")
                    if text in x["error"]]
        return m.wait_for(found, 10, f"refused: {text}")[0]["error"]

    def http(self, path, method="GET"):
        """(status, text) of the port of metrics; None: it does not listen."""
        r = urllib.request.Request(
            f"http://127.0.0.1:{self.metrics_port}{path}", method=method)
        try:
            with urllib.request.urlopen(r, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return None, ""

    def metric(self, line):
        for text in self.http("/metrics")[1].splitlines():
            if text.startswith(line + " "):
                return float(text.split()[-1])
        return None

    def known(self, kind):
        """How many objects of that kind are in force."""
        return self.metric(f'eastwest_controller_objects{{kind="{kind}"}}')

    def faults(self):
        return self.metric("eastwest_controller_object_faults_total")

    def status(self, name, kind="HTTPRoute", ns="app"):
        return json.loads(
            (self.status_dir / f"{kind}_{ns}_{name}.json").read_text())

    def roots(self):
        status, pem = cc.ask(self.port, "GET", "/v1/roots")
        assert status == 200
        return pem.decode()

    def identity(self, token=ALICE):
        return cc.Identity(self.port, token)

    def watch(self, address, identity=None):
        return cc.Watch(self.port, identity or self.identity(), address)


class Streams:
    """Many requests on one connection; `lines` by stream until close()."""

    def __init__(self, port, identity=None):
        self.connection = cc.Connection(port, **(identity.tls if identity
                                                 else {}))
        self.connection.flush()
        self.lock = threading.Lock()
        self.statuses, self.lines, self.rest = {}, {}, {}
        self.over = set()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def open(self, path, method="GET", body=b""):
        with self.lock:
            h = self.connection.h2
            stream = h.get_next_available_stream_id()
            self.lines[stream], self.rest[stream] = [], b""
            h.send_headers(stream, [
                (":method", method), (":scheme", "https"), (":path", path),
                (":authority", "controller")], end_stream=not body)
            if body:
                h.send_data(stream, body, end_stream=True)
            self.connection.flush()
        return stream

    def follow(self, address):
        return self.open(f"/v1/destinations/{address}")

    def reset(self, stream):
        with self.lock:
            self.connection.h2.reset_stream(stream)
            self.connection.flush()

    def take(self, e):
        if isinstance(e, h2.events.ResponseReceived):
            names = {(k if isinstance(k, str) else bytes(k).decode()): v
                     for k, v in e.headers}
            self.statuses[e.stream_id] = int(names[":status"])
        elif isinstance(e, h2.events.DataReceived):
            self.connection.h2.acknowledge_received_data(
                e.flow_controlled_length, e.stream_id)
            *whole, self.rest[e.stream_id] = (
                self.rest[e.stream_id] + e.data).split(b"\n")
            self.lines[e.stream_id] += [json.loads(x) for x in whole]
        elif isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)):
            self.over.add(e.stream_id)

    def receive(self):
        """What has come; None if it is no whole record yet."""
        sock = self.connection.sock
        limit = sock.gettimeout()
        sock.settimeout(0)
        try:
            return sock.recv(65536)
        except ssl.SSLWantReadError:
            return None
        finally:
            sock.settimeout(limit)

    def read(self):
        """An SSL object is not for two threads at a time: one that reads while
        another one writes now and then loses what has come."""
        sock = self.connection.sock
        try:
            while True:
                if not sock.pending():
                    select.select([sock], [], [])
                with self.lock:
                    data = self.receive()
                    if data == b"":
                        return
                    for e in self.connection.h2.receive_data(data or b""):
                        self.take(e)
                    self.connection.flush()
        except (OSError, ValueError):
            pass

    def destination(self, stream):
        """The newest state, None before the first."""
        states = [x for x in self.lines[stream] if "destination" in x]
        return states[-1]["destination"] if states else None

    def answers(self, streams, seconds=cc.TIMEOUT):
        """The statuses, once all have one."""
        m.wait_for(lambda: all(s in self.statuses for s in streams), seconds,
                   "answers")
        return [self.statuses[s] for s in streams]

    def close(self):
        self.connection.close()
        self.thread.join(cc.TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
