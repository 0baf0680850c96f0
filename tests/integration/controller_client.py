# SPDX-License-Identifier: Apache-2.0
"""What a sidecar asks the controller, from Python: one connection a question."""
import json
import socket
import ssl
import tempfile
import threading
import time

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from meshes import wait_for

TIMEOUT = 20


def make_csr():
    """(PEM of the key, PEM of the request)"""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([])).sign(key, hashes.SHA256())
    return (key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()).decode(),
        csr.public_bytes(serialization.Encoding.PEM).decode())


class Connection:
    """HTTP/2 over TLS; no server name is checked, only who signed."""

    def __init__(self, port, roots=None, chain=None, key=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        if roots:
            context.load_verify_locations(cadata=roots)
        else:
            context.verify_mode = ssl.CERT_NONE
        if chain:
            with tempfile.NamedTemporaryFile("w") as f:
                f.write(key + chain)
                f.flush()
                context.load_cert_chain(f.name)
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.sock = context.wrap_socket(plain)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration())
        self.h2.initiate_connection()

    def send(self, method, path, body=b""):
        self.h2.send_headers(1, [
            (":method", method), (":scheme", "https"), (":path", path),
            (":authority", "controller")], end_stream=not body)
        for at in range(0, len(body), 16384):
            self.h2.send_data(1, body[at:at + 16384],
                              end_stream=at + 16384 >= len(body))
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def events(self):
        """Until the end of the stream."""
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            for e in self.h2.receive_data(data):
                if isinstance(e, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(
                        e.flow_controlled_length, e.stream_id)
                yield e
                if isinstance(e, (h2.events.StreamEnded,
                                  h2.events.StreamReset)):
                    self.flush()
                    return
            self.flush()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def ask(port, method, path, body=b"", **tls):
    """(status, body) of one request."""
    c = Connection(port, **tls)
    try:
        c.send(method, path, body)
        status, data = None, b""
        for e in c.events():
            if isinstance(e, h2.events.ResponseReceived):
                status = int(dict((bytes(k), v) for k, v in (
                    (k.encode() if isinstance(k, str) else k, v)
                    for k, v in e.headers))[b":status"])
            elif isinstance(e, h2.events.DataReceived):
                data += e.data
        return status, data
    finally:
        c.close()


class Identity:
    """A key and its certificate, bought with a token."""

    def __init__(self, port, token, roots=None):
        self.key, csr = make_csr()
        self.status, data = ask(port, "POST", "/v1/certificates", json.dumps(
            {"token": token, "csr": csr}).encode(), roots=roots)
        answer = json.loads(data)
        self.error = answer.get("error")
        self.chain, self.roots = answer.get("chain"), answer.get("roots")

    @property
    def tls(self):
        return {"roots": self.roots, "chain": self.chain, "key": self.key}


class Watch:
    """Follows one address; `states` grows until close()."""

    def __init__(self, port, identity, address):
        self.states, self.beats, self.ended = [], 0, False
        self.connection = Connection(port, **identity.tls)
        self.connection.send("GET", f"/v1/destinations/{address}")
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        line = b""
        try:
            for e in self.connection.events():
                if not isinstance(e, h2.events.DataReceived):
                    continue
                *lines, line = (line + e.data).split(b"\n")
                for one in map(json.loads, lines):
                    if "destination" in one:
                        assert one["complete"] is True
                        self.states.append(one["destination"])
                    else:
                        self.beats += 1
        except (OSError, ValueError):
            pass
        self.ended = True

    def until(self, condition, seconds=TIMEOUT, what="the state"):
        """The newest state, once it meets the condition."""
        wait_for(lambda: self.states and condition(self.states[-1]), seconds,
                 what)
        return self.states[-1]

    def quiet_for(self, seconds):
        """Whether no state comes for that long."""
        n, end = len(self.states), time.monotonic() + seconds
        while time.monotonic() < end and len(self.states) == n:
            time.sleep(0.02)
        return len(self.states) == n

    def close(self):
        self.connection.close()
        self.thread.join(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
