# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 echo: says what arrived, as JSON; special paths misbehave.

One file without imports of our own, so that a pod can be given just this
file. The other servers import from here.
"""

import argparse
import asyncio
import collections
import errno
import hashlib
import http
import ipaddress
import json
import logging
import os
import re
import signal
import socket
import struct
import sys
import threading
import urllib.parse

MAX_HEAD = 1 << 20
MAX_KEYS = 10000
MAX_DELAY = 3600
PIECE = 65536
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
DIGITS = re.compile(r"[0-9]{1,18}\Z")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r\n\Z")
# 251 is a prime: bytes that are lost or moved by a buffer's size show.
PATTERN = bytes(range(251)) * 261


class Bad(Exception):
    """The client's fault."""

    def __init__(self, text, status=400):
        super().__init__(text)
        self.status = status


def pattern(size):
    """Deterministic bytes in pieces: byte i is i modulo 251."""
    while size > 0:
        piece = PATTERN[:size]
        size -= len(piece)
        yield piece


def number(text, what):
    if not DIGITS.match(text):
        raise Bad(f"{what} is {text!r}: expected a number")
    return int(text)


def address(name):
    """A socket's name as ip:port, IPv4 never in IPv6's clothes."""
    if not name:
        return ""
    ip = ipaddress.ip_address(name[0].partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return f"[{ip}]:{name[1]}" if ip.version == 6 else f"{ip}:{name[1]}"


def grouped(pairs):
    """Header fields as {name in lower case: [values in order]}."""
    fields = {}
    for name, value in pairs:
        fields.setdefault(name.lower(), []).append(value)
    return fields


def split_target(target):
    """The path and the query of a request-target of any form."""
    if "://" in target and not target.startswith("/"):
        parts = urllib.parse.urlsplit(target)
        return parts.path or "/", parts.query
    path, _, query = target.partition("?")
    return path, query


class Exchange:
    """One request and its response. A server's own kind sends and receives.

    body() gives the request's pieces and then sets .trailers (pairs);
    head(), write() and end() send the response; reset() and cut() end it
    before its time, without and with what was written.
    """

    def __init__(self, method, target, version, fields, host, extra):
        self.method, self.target, self.http = method, target, version
        self.path, self.query = split_target(target)
        self.fields, self.host, self.extra = fields, host, extra
        self.remote = self.local = ""
        self.trailers = []
        self.digest, self.size = hashlib.sha256().hexdigest(), 0
        self.started = self.is_cut = False
        self.keep = True

    def values(self, name):
        return [v for n, v in self.fields if n.lower() == name]

    async def answer(self, status, fields, body):
        await self.head(status, fields, len(body))
        await self.write(body)
        await self.end()


class Wish:
    """What a request asks for by its query, on any path."""

    def __init__(self, query):
        self.status, self.delay, self.fields = None, 0.0, []
        for name, value in urllib.parse.parse_qsl(query) if query else ():
            if name == "status":
                self.status = self.checked_status(value)
            elif name == "delay":
                self.delay = self.checked_delay(value)
            elif name == "header":
                self.fields.append(self.checked_field(value))

    @staticmethod
    def checked_status(text):
        status = number(text, "status")
        if not 200 <= status <= 999:
            raise Bad(f"status is {text!r}: expected 200 to 999")
        return status

    @staticmethod
    def checked_delay(text):
        try:
            delay = float(text)
        except ValueError:
            delay = -1
        if not 0 <= delay <= MAX_DELAY:
            raise Bad(f"delay is {text!r}: expected 0 to {MAX_DELAY} seconds")
        return delay

    @staticmethod
    def checked_field(text):
        name, _, value = text.partition(":")
        if not TOKEN.match(name) or re.search(r"[\r\n\0]", value):
            raise Bad(f"header is {text!r}: expected name:value")
        return name, value.strip()


class App:
    """What all HTTP versions answer."""

    def __init__(self, version=""):
        self.who = {"pod": os.environ.get("POD_NAME") or socket.gethostname(),
                    "namespace": os.environ.get("POD_NAMESPACE", ""),
                    "version": version}
        self.counts = collections.Counter()
        self.fails = collections.Counter()
        self.healthy = True
        self.paths = {
            "status": self.status, "delay": self.delay, "bytes": self.bytes,
            "chunked": self.chunked, "close": self.close,
            "reset": self.reset, "half": self.half, "sse": self.sse,
            "fail-first": self.fail_first, "counts": self.tell_counts,
            "healthz": self.healthz}

    @staticmethod
    def count(counter, key):
        """How often this key was seen now; None when there are too many."""
        if key not in counter and len(counter) >= MAX_KEYS:
            return None
        counter[key] += 1
        return counter[key]

    async def serve(self, x):
        self.count(self.counts, x.path)
        try:
            await self.serve_path(x)
        except Bad as e:
            if x.started:
                x.reset()
                return
            x.keep = False
            await x.answer(e.status, [("content-type", "text/plain")],
                           f"{e}\n".encode())

    async def serve_path(self, x):
        wish = Wish(x.query)
        parts = x.path.strip("/").split("/") + ["", ""]
        if parts[0] == "echo" and x.method in ("POST", "PUT"):
            await self.mirror(x, wish)
            return
        digest, size = hashlib.sha256(), 0
        async for piece in x.body():
            digest.update(piece)
            size += len(piece)
        x.digest, x.size = digest.hexdigest(), size
        if wish.delay:
            await asyncio.sleep(wish.delay)
        special = self.paths.get(parts[0])
        if special:
            await special(x, wish, parts)
        else:
            await self.tell(x, wish)

    def describe(self, x):
        return {**self.who, "method": x.method, "path": x.target,
                "host": x.host, "http": x.http, "headers": grouped(x.fields),
                "trailers": grouped(x.trailers), "remote": x.remote,
                "local": x.local, "body_sha256": x.digest,
                "body_bytes": x.size, **x.extra}

    async def tell(self, x, wish, status=200, what=None):
        body = json.dumps(self.describe(x) if what is None else what)
        await x.answer(wish.status or status,
                       [("content-type", "application/json"), *wish.fields],
                       body.encode() + b"\n")

    async def start(self, x, wish, length, *fields,
                    kind="application/octet-stream"):
        await x.head(wish.status or 200, [("content-type", kind), *fields,
                                          *wish.fields], length)

    async def mirror(self, x, wish):
        lengths = x.values("content-length")
        if wish.delay:
            await asyncio.sleep(wish.delay)
        kind = (x.values("content-type") or ["application/octet-stream"])[0]
        length = number(lengths[0], "content-length") if lengths else None
        # The head goes out with the first piece: what is wrong before it
        # can still be answered.
        async for piece in x.body():
            if not x.started:
                await self.start(x, wish, length, kind=kind)
            await x.write(piece)
        if not x.started:
            await self.start(x, wish, 0, kind=kind)
        await x.end(x.trailers)

    async def status(self, x, wish, parts):
        await self.tell(x, wish, Wish.checked_status(parts[1]))

    async def delay(self, x, wish, parts):
        await asyncio.sleep(Wish.checked_delay(parts[1]))
        await self.tell(x, wish)

    async def bytes(self, x, wish, parts):
        size = number(parts[1], "size")
        await self.start(x, wish, size)
        for piece in pattern(size):
            await x.write(piece)
        await x.end()

    async def chunked(self, x, wish, parts):
        size = number(parts[1], "size")
        await self.start(x, wish, None, ("trailer", "x-checksum"))
        digest = hashlib.sha256()
        for piece in pattern(size):
            digest.update(piece)
            await x.write(piece)
        await x.end([("x-checksum", digest.hexdigest())])

    async def close(self, x, wish, _parts):
        x.keep = False
        await self.tell(x, wish)

    async def reset(self, x, _wish, _parts):
        x.reset()

    async def half(self, x, wish, _parts):
        body = json.dumps(self.describe(x)).encode()
        await self.start(x, wish, len(body), kind="application/json")
        await x.write(body[:len(body) // 2])
        x.cut()

    async def sse(self, x, wish, _parts):
        await self.start(x, wish, None, ("cache-control", "no-store"),
                         kind="text/event-stream")
        for i in range(10):
            if i:
                await asyncio.sleep(0.05)
            await x.write(f"id: {i}\ndata: event {i}\n\n".encode())
        await x.end()

    async def fail_first(self, x, wish, parts):
        times = number(parts[1], "times")
        seen = self.count(self.fails, (times, parts[2]))
        if seen is None:
            raise Bad("too many keys", 507)
        await self.tell(x, wish, 503 if seen <= times else 200)

    async def tell_counts(self, x, wish, _parts):
        await self.tell(x, wish, what=self.counts)

    async def healthz(self, x, wish, parts):
        if x.method == "POST" and parts[1] in ("fail", "ok"):
            self.healthy = parts[1] == "ok"
            await self.tell(x, wish)
        else:
            await self.tell(x, wish, 200 if self.healthy else 503)


class Http1(Exchange):
    def __init__(self, reader, writer, method, target, version, fields,
                 extra):
        hosts = [v for n, v in fields if n.lower() == "host"]
        super().__init__(method, target, version, fields,
                         hosts[0] if hosts else "", extra)
        self.reader, self.writer = reader, writer
        tokens = [t.strip().lower() for v in self.values("connection")
                  for t in v.split(",")]
        self.keep = "close" not in tokens and (version == "1.1" or
                                               "keep-alive" in tokens)
        self.chunked = self.bodiless = False
        self.pending = b""

    def framing(self):
        """None when chunked, else the length of the request's body."""
        codings = self.values("transfer-encoding")
        lengths = set(self.values("content-length"))
        if codings:
            if lengths or [c.lower() for c in codings] != ["chunked"]:
                raise Bad("transfer-encoding is not only chunked")
            return None
        if len(lengths) > 1:
            raise Bad("more than one content-length")
        return number(lengths.pop(), "content-length") if lengths else 0

    async def body(self):
        left = self.framing()
        if left == 0:
            return
        if "100-continue" in [v.lower() for v in self.values("expect")]:
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if left is None:
            async for piece in self.chunks():
                yield piece
        else:
            async for piece in self.exactly(left):
                yield piece

    async def exactly(self, left):
        while left:
            piece = await self.reader.read(min(left, PIECE))
            if not piece:
                raise ConnectionError("end within a body")
            left -= len(piece)
            yield piece

    async def chunks(self):
        while True:
            line = CHUNK_SIZE.match(await self.reader.readuntil(b"\r\n"))
            if not line:
                raise Bad("a chunk without a size")
            size = int(line.group(1), 16)
            if size == 0:
                break
            async for piece in self.exactly(size):
                yield piece
            if await self.reader.readexactly(2) != b"\r\n":
                raise Bad("a chunk longer than its size")
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            self.trailers.append(field(line[:-2].decode("latin-1")))

    async def head(self, status, fields, length):
        self.started = True
        self.bodiless = self.method == "HEAD" or status in (204, 304)
        self.chunked = False
        try:
            reason = http.HTTPStatus(status).phrase
        except ValueError:
            reason = "Test"
        lines = [f"HTTP/1.1 {status} {reason}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if status not in (204, 304):
            if length is not None:
                lines.append(f"content-length: {length}")
            elif self.http == "1.1":
                self.chunked = not self.bodiless
                lines.append("transfer-encoding: chunked")
            else:
                self.keep = False
        if not self.keep:
            lines.append("connection: close")
        elif self.http == "1.0":
            lines.append("connection: keep-alive")
        text = "\r\n".join(lines) + "\r\n\r\n"
        self.pending = text.encode("latin-1", "replace")

    async def send(self, data):
        data, self.pending = self.pending + data, b""
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def write(self, data):
        if self.bodiless or not data:
            return
        if self.chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        await self.send(data)

    async def end(self, trailers=()):
        last = b""
        if self.chunked:
            text = "".join(f"{n}: {v}\r\n" for n, v in trailers)
            last = b"0\r\n" + text.encode("latin-1") + b"\r\n"
        await self.send(last)

    def reset(self):
        self.is_cut = True
        reset(self.writer)

    def cut(self):
        self.is_cut = True


def reset(writer):
    """Closes with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    writer.transport.abort()


def field(line):
    name, colon, value = line.partition(":")
    if not colon or not TOKEN.match(name):
        raise Bad(f"not a header field: {line!r}")
    return name, value.strip(" \t")


async def read_head(reader):
    """Method, target, version and fields; None at the connection's end."""
    head = b""
    while not head:  # An empty line before a request is allowed.
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            raise Bad("the head is too large", 431) from None
    lines = head[:-4].decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if (len(words) != 3 or not TOKEN.match(words[0]) or
            words[2] not in ("HTTP/1.1", "HTTP/1.0")):
        raise Bad(f"not a request: {lines[0][:100]!r}")
    return words[0], words[1], words[2][5:], [field(li) for li in lines[1:]]


async def linger(reader, writer):
    """Closes so that the client can read all: unread bytes would cause RST."""
    if writer.can_write_eof() and not writer.transport.is_closing():
        writer.write_eof()
        try:
            async with asyncio.timeout(1):
                while await reader.read(PIECE):
                    pass
        except TimeoutError:
            pass


async def serve_http1(app, reader, writer, extra):
    remote = address(writer.get_extra_info("peername"))
    local = address(writer.get_extra_info("sockname"))
    while True:
        try:
            head = await read_head(reader)
        except Bad as e:
            x = Http1(reader, writer, "GET", "/", "1.1", [], extra)
            x.keep = False
            await x.answer(e.status, [("content-type", "text/plain")],
                           f"{e}\n".encode())
            break
        if not head:
            return
        x = Http1(reader, writer, *head, extra)
        x.remote, x.local = remote, local
        await app.serve(x)
        if x.is_cut or not x.keep:
            break
    await linger(reader, writer)


def listen(ports, host=None):
    """Sockets for all ports, on all addresses of both families."""
    sockets = []
    for port in ports:
        if host:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                       flags=socket.AI_PASSIVE)
            sockets.append(bound(found[0][0], found[0][4]))
            continue
        try:
            sockets.append(bound(socket.AF_INET6, ("::", port)))
        except OSError as e:
            if e.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            sockets.append(bound(socket.AF_INET, ("0.0.0.0", port)))
    return sockets


def bound(family, name):
    # With the protocol named: else asyncio leaves Nagle's algorithm on.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only = 0 if name[0] == "::" else 1
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind(name)
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


def guarded(serve):
    """A handler of connections for asyncio: whatever clients do is normal."""
    async def handle(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            writer.close()
    return handle


async def serve_forever(sockets, serve, tls=None):
    servers = [await asyncio.start_server(guarded(serve), sock=sock, ssl=tls,
                                          limit=MAX_HEAD, backlog=1024)
               for sock in sockets]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def arguments(text):
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--port", type=int, action="append",
                        help="may be repeated; 8080 if absent")
    parser.add_argument("--host", help="listen on this address, not on all")
    return parser


def end_on_signals():
    """Ends at once, whatever the loop waits for: a thread takes signals."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait():
        signal.sigwait(signals)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def sockets_of(args):
    """Set-up that all servers share: signals, quiet, listening sockets."""
    end_on_signals()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        return listen(args.port or [8080], args.host)
    except OSError as e:
        sys.exit(f"cannot listen: {e}")


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--version", default="",
                        help='reported as "version"')
    args = parser.parse_args()
    app = App(args.version)
    asyncio.run(serve_forever(
        sockets_of(args), lambda r, w: serve_http1(app, r, w, {})))


if __name__ == "__main__":
    main()
