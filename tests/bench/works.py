# SPDX-License-Identifier: Apache-2.0
"""The kinds of work, each the same for all peers."""

import dataclasses

from . import load
from .origin import GRPC_MESSAGE

FIRST, HALF = "http1-1k-32", "http1-1k-half"
# The connections of the constant rates.
EVEN = 16
# Seconds in which a thousand TLS handshakes are over for every peer.
WARM = 5


@dataclasses.dataclass
class Work:
    name: str
    text: str
    door: str
    # (peer, seconds) -> load.Load
    run: object
    # Part of --quick?
    quick: bool = False
    # Seconds of load before those that count.
    warm: int = 0


def _http1(path, connections, closing=False):
    def run(peer, seconds):
        return load.wrk(peer.client_netns, peer.address("http1"), path,
                        "http1", connections, seconds, closing)
    return run


def _warm(connections, seconds_before):
    """|connections| are there, and the proxies' own, when it counts."""
    def run(peer, seconds):
        return load.h2load(
            peer.client_netns, f"http://{peer.address('http1')}/", "http1",
            seconds, ["--h1", f"-c{connections}", "-m1",
                      f"--warm-up-time={seconds_before}"])
    return run


def _http2(connections, streams):
    def run(peer, seconds):
        return load.h2load(
            peer.client_netns, f"http://{peer.address('http2')}/", "http2",
            seconds, [f"-c{connections}", f"-m{streams}"])
    return run


def _grpc(connections, streams):
    def run(peer, seconds):
        message = peer.folder / "message"
        message.write_bytes(GRPC_MESSAGE)
        return load.h2load(
            peer.client_netns,
            f"http://{peer.address('grpc')}/bench.Echo/Unary", "grpc", seconds,
            [f"-c{connections}", f"-m{streams}", "-d", message,
             "-H", "content-type: application/grpc", "-H", "te: trailers"])
    return run


def _constant(rate):
    def run(peer, seconds):
        return load.constant(peer.client_netns, peer.address("http1"), "/",
                             "http1", EVEN, rate, seconds)
    return run


def _stream(reverse):
    def run(peer, seconds):
        return load.stream(peer.client_netns, peer.address("tcp"), seconds,
                           reverse)
    return run


def half(slowest):
    """The work at half of what the slowest peer can do at most."""
    rate = max(EVEN, round(slowest / 2 / EVEN) * EVEN)
    return Work(HALF, f"HTTP/1.1, 1 KB, constant {rate:,} requests/s (half of "
                "the slowest peer's maximum)", "http1", _constant(rate))


WORKS = [
    Work(FIRST, "HTTP/1.1, 1 KB, 32 connections", "http1", _http1("/", 32),
         quick=True),
    Work("http1-1k-1000rps", "HTTP/1.1, 1 KB, constant 1,000 requests/s over "
         f"{EVEN} connections", "http1", _constant(1000),
         quick=True),
    # Made when the rate is known.
    Work(HALF, "", "http1", None),
    Work("http1-1k-1", "HTTP/1.1, 1 KB, 1 connection", "http1",
         _http1("/", 1)),
    Work("http1-1k-1000", "HTTP/1.1, 1 KB, 1,000 connections", "http1",
         _warm(1000, WARM), warm=WARM),
    Work("http1-64k-32", "HTTP/1.1, 64 KiB, 32 connections", "http1",
         _http1("/64k", 32)),
    Work("http1-1m-8", "HTTP/1.1, 1 MiB, 8 connections", "http1",
         _http1("/1m", 8), quick=True),
    Work("http1-new-32", "HTTP/1.1, 1 KB, a new client connection for each "
         "request, 32 at a time", "http1", _http1("/", 32, closing=True),
         quick=True),
    Work("http2-1k-32", "HTTP/2, 1 KB, 4 connections with 8 streams each",
         "http2", _http2(4, 8), quick=True),
    Work("grpc-unary-32", "gRPC unary, 64 bytes each way, 4 connections with "
         "8 streams each", "grpc", _grpc(4, 8), quick=True),
    Work("tcp-up", "one TCP stream, client to server, per MiB", "tcp",
         _stream(False), quick=True),
    Work("tcp-down", "one TCP stream, server to client, per MiB", "tcp",
         _stream(True)),
]
