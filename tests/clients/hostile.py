# SPDX-License-Identifier: Apache-2.0
"""Sends what no decent client sends: cases in on stdin, results out, as JSON.

A case is {"name", "to": [address, port], "steps": [[verb, ...], ...]} and
optionally "seconds", the time for the whole case. Bytes are strings of
Latin-1. All cases run at the same time when --together is given, else one
after the other; a case has one connection. The verbs:

  send TEXT              all of it, reading meanwhile
  repeat TEXT N          N times, until the other side has had enough
  count TEXT FIRST STEP N  N times, the number FIRST + i * STEP as 4 bytes
                         big-endian in the place of "@@@@"
  drip TEXT SECONDS      byte by byte, as fast as fits in so many seconds
  pause SECONDS          reading meanwhile
  until TEXT             reads until it came
  answer                 reads until stream 1 of HTTP/2 was ended or reset
  read                   reads to the end of the connection
  deaf                   no reading from now on
  end                    ends our direction
  tls {alpn, max, cert, name}  a handshake; what follows goes through it

A result is {"name", "received", "total", "sent", "end", "seconds", "error"}:
at most KEPT bytes received and how many there were, bytes sent, and how the
other side ended the connection: "fin", "reset", or "" when it did not.
"error" is that of connecting or of TLS, "" when there was none.
"""
import argparse
import json
import select
import socket
import ssl
import sys
import threading
import time

KEPT = 1 << 18
BATCH = 256  # repetitions in one write
PATIENCE = 15


class Over(Exception):
    """The other side has ended the connection, or the time is up."""


class Case:
    def __init__(self, spec):
        self.spec = spec
        self.received, self.total, self.sent = b"", 0, 0
        self.end = self.error = ""
        self.deaf = False
        self.sock = None
        self.start = self.deadline = 0.0

    def run(self):
        self.start = time.monotonic()
        self.deadline = self.start + self.spec.get("seconds", PATIENCE)
        try:
            address, port = self.spec["to"]
            self.sock = socket.create_connection((address, port), PATIENCE)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.setblocking(False)
            for verb, *words in self.spec["steps"]:
                getattr(self, "do_" + verb)(*words)
        except Over:
            pass
        except ConnectionResetError:
            self.end = "reset"
        except (OSError, ValueError) as e:
            self.error = self.error or f"{type(e).__name__}: {e}"
        finally:
            if self.sock:
                self.sock.close()
        return {"name": self.spec.get("name", ""), "total": self.total,
                "received": self.received.decode("latin-1"),
                "sent": self.sent, "end": self.end, "error": self.error,
                "seconds": round(time.monotonic() - self.start, 3)}

    # One turn of waiting.

    def left(self, limit=None):
        now = time.monotonic()
        if now >= self.deadline:
            raise Over
        return min(self.deadline, limit or self.deadline) - now

    def turn(self, seconds, write=False):
        """Waits for reading and, when asked, for writing; True: may write."""
        reads = [] if self.deaf else [self.sock]
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            seconds = 0
        readable, writable, _ = select.select(
            reads, [self.sock] if write else [], [], max(seconds, 0))
        if readable or (reads and isinstance(self.sock, ssl.SSLSocket) and
                        self.sock.pending()):
            self.take()
        return bool(writable)

    def take(self):
        try:
            data = self.sock.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except ssl.SSLError as e:
            self.error = e.reason or str(e)
            raise Over from None
        except ConnectionError:
            self.end = "reset"
            raise Over from None
        if not data:
            self.end = "fin"
            raise Over
        self.total += len(data)
        self.received = (self.received + data)[:KEPT]

    def last_words(self, error):
        """What the other side said before is still to be read. A reset that
        sending was told of is not told to reading again."""
        try:
            while True:
                self.take()
        finally:
            if self.end == "fin" and isinstance(error, ConnectionResetError):
                self.end = "reset"

    def write(self, data):
        data = memoryview(data)
        while data:
            if not self.turn(self.left(), write=True):
                continue
            try:
                n = self.sock.send(data)
            except (BlockingIOError, ssl.SSLWantReadError,
                    ssl.SSLWantWriteError):
                continue
            except ConnectionError as e:
                self.last_words(e)
            data = data[n:]
            self.sent += n

    # The verbs.

    def do_send(self, text):
        self.write(text.encode("latin-1"))

    def do_repeat(self, text, n):
        one = text.encode("latin-1")
        batch = max(1, min(BATCH, (1 << 20) // len(one)))
        while n > 0:
            self.write(one * min(n, batch))
            n -= batch

    def do_count(self, text, first, step, n):
        one = text.encode("latin-1")
        for at in range(0, n, BATCH):
            self.write(b"".join(
                one.replace(b"@@@@", (first + i * step).to_bytes(4, "big"))
                for i in range(at, min(n, at + BATCH))))

    def do_drip(self, text, seconds):
        for byte in text.encode("latin-1"):
            self.write(bytes([byte]))
            self.do_pause(seconds / len(text))

    def do_pause(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.deaf:
                time.sleep(self.left(until))
            else:
                self.turn(self.left(until))

    def do_until(self, text):
        wanted = text.encode("latin-1")
        while wanted not in self.received:
            self.turn(self.left())

    def do_answer(self):
        while not any(stream == 1 and (kind == 3 or (kind < 2 and flags & 1))
                      for kind, flags, stream in self.frames()):
            self.turn(self.left())

    def frames(self):
        at = 0
        while at + 9 <= len(self.received):
            head = self.received[at:at + 9]
            yield head[3], head[4], int.from_bytes(head[5:], "big")
            at += 9 + int.from_bytes(head[:3], "big")

    def do_read(self):
        while True:
            self.turn(self.left())

    def do_deaf(self):
        self.deaf = True

    def do_end(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: it came before
            self.end = "reset"
            raise Over from None

    def do_tls(self, how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if how.get("alpn"):
            context.set_alpn_protocols(how["alpn"])
        if how.get("max") == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if how.get("cert"):
            context.load_cert_chain(how["cert"])
        self.sock.settimeout(self.left())
        try:
            self.sock = context.wrap_socket(self.sock,
                                            server_hostname=how.get("name"))
        except ssl.SSLError as e:
            self.error = e.reason or str(e)
            raise Over from None
        except ConnectionError:
            self.end = "reset"
            raise Over from None
        self.sock.setblocking(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--together", action="store_true")
    args = parser.parse_args()
    cases = [Case(spec) for spec in json.load(sys.stdin)]
    if not args.together:
        json.dump([case.run() for case in cases], sys.stdout)
        return
    results = [None] * len(cases)

    def run(i):
        results[i] = cases[i].run()
    threads = [threading.Thread(target=run, args=(i,))
               for i in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
