# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients that mean harm: frames made by hand, on both ways in."""
import pytest

import hostility as h
import wire
from hostility import (ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                       GOAWAY, HEADERS, HELLO, PADDED, PING, PREFACE,
                       PRIORITY, PUSH, RST, SETTINGS, WINDOW, block, frame,
                       get, headers)

NS = "hostile2"
OPEN = END_HEADERS  # without END_STREAM: a body follows
PROTOCOL_ERROR, FLOW, SIZE, COMPRESSION = 1, 3, 6, 9


@pytest.fixture(scope="module")
def arena(mesh):
    with h.arena(mesh, NS) as made:
        yield made


@pytest.fixture(params=["outbound", "down", "inbound"])
def way(request, arena):
    """Whose codec reads: (pod, address). Down: the app gets HTTP/1.1."""
    if request.param == "inbound":
        return "plain/client", (arena.ip, 8080)
    service = "down" if request.param == "down" else "witness"
    return f"{NS}/client", (arena.service(service), 80)


@pytest.fixture(autouse=True)
def unharmed(mesh, arena):
    before = h.lives(mesh, NS)
    yield
    assert h.lives(mesh, NS) == before
    arena.check_peace()
    assert arena.witness.faults == []


def explain(wrong):
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())


# Requests that are malformed or ambiguous.

def change(**values):
    """A GET whose pseudo fields are these; None leaves one out."""
    found = []
    for name, value in (("method", "GET"), ("scheme", "http"),
                        ("authority", "h"), ("path", "/MARK")):
        value = values.get(name, value)
        if value is not None:
            found.append((":" + name, value))
    return found


MALFORMED = {
    "crlf-value": change() + [("x", "a\r\nevil: 1")],
    "lf-value": change() + [("x", "a\nevil: 1")],
    "nul-value": change() + [("x", "a\0b")],
    "ctl-value": change() + [("x", "a\x01b")],
    "crlf-name": change() + [("x: a\r\nevil", "1")],
    "space-name": change() + [("x y", "1")],
    "colon-name": change() + [("x:y", "1")],
    "nul-name": change() + [("x\0y", "1")],
    "empty-name": change() + [("", "1")],
    "upper-name": change() + [("X-Upper", "1")],
    "crlf-path": change(path="/MARK HTTP/1.1\r\nhost: evil\r\n\r\nGET /evil"),
    "space-path": change(path="/MARK HTTP/1.1"),
    "tab-path": change(path="/MARK\tx"),
    "nul-path": change(path="/MARK\0"),
    "eight-bit-path": change(path="/MARK\xff"),
    "fragment": change(path="/MARK#x"),
    "backslash": change(path="/MARK\\x"),
    "dots": change(path="/MARK/../admin"),
    "dots-coded": change(path="/MARK/%2e%2e/admin"),
    "nul-coded": change(path="/MARK%00"),
    "relative": change(path="MARK"),
    "absolute": change(path="http://evil/MARK"),
    "star": change(path="*") + [("x", "MARK")],
    "empty-path": change(path="") + [("x", "MARK")],
    "no-path": change(path=None) + [("x", "MARK")],
    "two-paths": change() + [(":path", "/evil")],
    "late-pseudo": [*change(path=None), ("x", "1"), (":path", "/MARK")],
    "unknown-pseudo": change() + [(":evil", "1")],
    "status": change() + [(":status", "200")],
    "protocol": change() + [(":protocol", "websocket")],
    "no-method": change(method=None),
    "space-method": change(method="GET /evil HTTP/1.1\r\nx:"),
    "crlf-method": change(method="GET\r\n"),
    "empty-method": change(method=""),
    "no-scheme": change(scheme=None),
    "connect": change(method="CONNECT"),
    "connect-plain": [(":method", "CONNECT"), (":authority", "h:1"),
                      ("x", "MARK")],
    "crlf-authority": change(authority="h\r\nevil: 1"),
    "space-authority": change(authority="h evil"),
    "userinfo": change(authority="u@h"),
    "slash-authority": change(authority="h/evil"),
    "comma-authority": change(authority="h,evil"),
    "port-authority": change(authority="h:99999"),
    "empty-authority": change(authority=""),
    "no-authority": change(authority=None),
    "other-host": change() + [("host", "evil")],
    "two-hosts": change(authority=None) + [("host", "h"), ("host", "evil")],
    "bad-host": change(authority=None) + [("host", "h evil")],
    "te": change() + [("te", "gzip")],
    "transfer-encoding": change() + [("transfer-encoding", "chunked")],
    "connection": change() + [("connection", "close")],
    "keep-alive": change() + [("keep-alive", "1")],
    "proxy-connection": change() + [("proxy-connection", "x")],
    "upgrade": change() + [("upgrade", "h2c")],
    "length": change() + [("content-length", "5")],
    "two-lengths": change() + [("content-length", "0"),
                               ("content-length", "5")],
    "list-length": change() + [("content-length", "0, 0")],
    "plus-length": change() + [("content-length", "+0")],
    "minus-length": change() + [("content-length", "-1")],
    "huge-length": change() + [("content-length", "9" * 30)],
}


def marked(fields, mark):
    return [(n, v.replace("MARK", mark)) for n, v in fields]


def judged(result, stream=1):
    """How a request ended: its status and reason, or its error code."""
    if stream in result.heads:
        head = result.heads[stream]
        return int(head[":status"]), head.get("eastwest-refusal")
    return result.resets.get(stream, result.goaway)


def check(arena, way, table, steps):
    """Each case ends in a 400 of ours or PROTOCOL_ERROR, nothing arrives, and
    unless the connection was ended the next request on it is served."""
    pod, to = way
    mark = f"{way[0].partition('/')[0]}{to[0].replace('.', '')}"
    behind = get("/behind")
    got = arena.attack(pod, [
        h.case(name, to, ("send", HELLO + steps(
            marked(fields, f"{name}-{mark}-"))),
            ("pause", 0.5), ("send", headers(99, behind)),
            ("until", "seen\n"), seconds=5)
        for name, fields in table.items()])
    wrong = {}
    for name, result in got.items():
        if judged(result) not in ((400, "bad-request"), PROTOCOL_ERROR) or (
                judged(result, 99) != (200, None) and result.end != "fin"):
            wrong[name] = judged(result), judged(result, 99), result
        if arena.witness.saw(f"{name}-{mark}-"):
            wrong[name] = "reached the app", result
    explain(wrong)
    assert not arena.witness.saw("evil")


def test_malformed_heads_are_refused_and_never_passed_on(arena, way):
    check(arena, way, MALFORMED, lambda fields: headers(1, fields))


def test_a_body_of_another_length_is_never_a_whole_request(arena, way):
    pod, to = way
    mark = f"{way[0].partition('/')[0]}{to[0].replace('.', '')}"
    table = {
        "short": (5, [frame(DATA, END_STREAM, 1, b"abcd")]),
        "long": (5, [frame(DATA, END_STREAM, 1, b"abcdef")]),
        "none": (5, [frame(DATA, END_STREAM, 1, b"")]),
        "later": (5, [frame(DATA, 0, 1, b"abcde"),
                      frame(DATA, END_STREAM, 1, b"GET /evil HTTP/1.1\r\n")]),
        "trailed": (5, [frame(DATA, 0, 1, b"abc"),
                        headers(1, [("x", "1")])]),
        "zero": (0, [frame(DATA, END_STREAM, 1, b"GET /evil HTTP/1.1\r\n")]),
    }
    got = arena.attack(pod, [
        h.case(name, to, ("send", HELLO + headers(1, get(
            f"/{name}-{mark}-", ("content-length", str(length)),
            method="POST"), OPEN) + b"".join(frames)), ("pause", 0.5))
        for name, (length, frames) in table.items()])
    explain({name: r for name, r in got.items()
             if judged(r) not in ((400, "bad-request"), PROTOCOL_ERROR)})
    for name in table:
        assert not arena.witness.whole(f"/{name}-{mark}-")
    assert not arena.witness.saw("evil")


def test_trailers_can_not_become_headers(arena, way):
    pod, to = way
    mark = f"trailers-{way[0].partition('/')[0]}{to[0].replace('.', '')}-"
    evil = [(n, "evil") for n in (
        "host", "authorization", "cookie", "content-type",
        "x-forwarded-client-cert", "eastwest-app-http")]
    arena.attack(pod, [h.case("1", to, (
        "send", HELLO + headers(1, get(f"/{mark}", method="POST"), OPEN) +
        frame(DATA, 0, 1, b"x") + headers(1, [("x-sum", "1"), *evil])),
        ("until", "seen\n"))])
    r, = arena.witness.whole(mark)
    assert "evil" not in str(r.fields)
    assert r.trailers == {"x-sum": ["1"]}


@pytest.mark.parametrize("trailers", [
    [(":path", "/evil")], [("x", "a\r\nevil: 1")], [("X", "1")],
    [("connection", "evil")], [("transfer-encoding", "chunked")],
], ids=["pseudo", "crlf", "upper", "connection", "te"])
def test_malformed_trailers_end_the_request(arena, way, trailers):
    pod, to = way
    got = arena.attack(pod, [h.case("1", to, (
        "send", HELLO + headers(1, get("/bad-trailers", method="POST"), OPEN) +
        frame(DATA, 0, 1, b"x") + headers(1, trailers)), ("pause", 0.5))])
    assert judged(got["1"]) in ((400, "bad-request"), PROTOCOL_ERROR)
    assert not arena.witness.whole("/bad-trailers")


def test_nobody_but_the_mesh_speaks_for_the_mesh(arena, way):
    pod, to = way
    mark = f"forged-{way[0].partition('/')[0]}{to[0].replace('.', '')}-"
    arena.attack(pod, [h.case("1", to, ("send", HELLO + headers(1, get(
        f"/{mark}", ("x-forwarded-client-cert", "evil"),
        ("x_forwarded_client_cert", "evil"),
        ("x-forwarded-client-cert", "evil2"),
        ("eastwest-app-http", "1")))), ("until", "seen\n"))])
    r, = arena.witness.whole(mark)
    peer = [f"URI=spiffe://cluster.local/ns/{NS}/sa/default"]
    assert r.fields.get("x-forwarded-client-cert") == (
        None if pod == "plain/client" else peer)
    assert "evil" not in str(r.fields)
    assert "eastwest-app-http" not in r.fields


def test_huge_heads_get_431_and_the_connection_goes_on(arena, way):
    """Counted as decoded, each crumb of a cookie too."""
    pod, to = way
    bomb = b"\x40" + h.number(1) + b"x" + h.number(4000) + b"y" * 4000
    table = {
        "fields": block(get("/huge") + [("x", "y")] * 200),
        "crumbs": block(get("/huge") + [("cookie", "a")] * 3000),
        "value": block(get("/huge") + [("x", "y" * 70000)]),
        # One byte each that means 4 KB: the first of the dynamic table.
        "bomb": block(get("/huge")) + bomb + b"\xbe" * 15000,
    }

    def split(payload):
        pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)]
        kinds = [(HEADERS, END_STREAM)] + [(CONTINUATION, 0)] * len(pieces)
        return b"".join(
            frame(kind, flags | (END_HEADERS if p is pieces[-1] else 0), 1, p)
            for (kind, flags), p in zip(kinds, pieces))
    got = arena.attack(pod, [
        h.case(name, to, ("send", HELLO + split(payload) +
                          headers(3, get("/after-huge"))),
               ("until", "seen\n"), seconds=8)
        for name, payload in table.items()])
    # One field larger than all together may be is too much for HPACK.
    assert got.pop("value").goaway == COMPRESSION
    explain({name: r for name, r in got.items()
             if judged(r) != (431, "head-too-large") or
             judged(r, 3) != (200, None)})
    assert not arena.witness.saw("/huge")


# Frames out of order or out of shape.

FRAMES = {
    "no-settings": (PREFACE + headers(1, get()), PROTOCOL_ERROR),
    "data-zero": (HELLO + frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "data-idle": (HELLO + frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
    "headers-zero": (HELLO + headers(0, get()), PROTOCOL_ERROR),
    "headers-even": (HELLO + headers(2, get()), PROTOCOL_ERROR),
    "hpack-garbage": (HELLO + frame(HEADERS, 5, 1, b"\xff" * 20),
                      COMPRESSION),
    "hpack-index": (HELLO + frame(HEADERS, 5, 1, b"\xfe"), COMPRESSION),
    "hpack-zero": (HELLO + frame(HEADERS, 5, 1, b"\x80"), COMPRESSION),
    "hpack-table": (HELLO + frame(HEADERS, 5, 1, b"\x3f\xff\xff\x7f"),
                    COMPRESSION),
    "hpack-short": (HELLO + frame(HEADERS, 5, 1, b"\x00\x10x"), COMPRESSION),
    "too-long": (HELLO + frame(DATA, 0, 1, b"x" * 16385), SIZE),
    "said-too-long": (HELLO + frame(HEADERS, 5, 1, b"", size=0xffffff), SIZE),
    "padding": (HELLO + headers(1, get(), OPEN) +
                frame(DATA, PADDED, 1, b"\x05abc"), PROTOCOL_ERROR),
    "settings-size": (HELLO + frame(SETTINGS, 0, 0, b"12345"), SIZE),
    "settings-stream": (HELLO + frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "settings-ack": (HELLO + frame(SETTINGS, ACK, 0, b"\0" * 6), SIZE),
    "settings-window": (HELLO + frame(SETTINGS, 0, 0,
                                      b"\0\4\x80\0\0\0"), FLOW),
    "settings-frame": (HELLO + frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"),
                       PROTOCOL_ERROR),
    "settings-push": (HELLO + frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"),
                      PROTOCOL_ERROR),
    "ping-size": (HELLO + frame(PING, 0, 0, b"1234567"), SIZE),
    "ping-stream": (HELLO + frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR),
    "window-zero": (HELLO + frame(WINDOW, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR),
    "window-size": (HELLO + frame(WINDOW, 0, 0, b"\0\0\1"), SIZE),
    "window-idle": (HELLO + frame(WINDOW, 0, 1, b"\0\0\0\1"),
                    PROTOCOL_ERROR),
    "window-over": (HELLO + frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), FLOW),
    "rst-idle": (HELLO + frame(RST, 0, 1, b"\0\0\0\0"), PROTOCOL_ERROR),
    "rst-zero": (HELLO + frame(RST, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR),
    "rst-size": (HELLO + headers(1, get()) + frame(RST, 0, 1, b"\0"), SIZE),
    "push": (HELLO + frame(PUSH, END_HEADERS, 1, b"\0\0\0\2" +
                           block(get())), PROTOCOL_ERROR),
    "goaway-stream": (HELLO + frame(GOAWAY, 0, 1, b"\0" * 8),
                      PROTOCOL_ERROR),
    "continuation": (HELLO + frame(CONTINUATION, END_HEADERS, 1, b""),
                     PROTOCOL_ERROR),
    "interleaved": (HELLO + frame(HEADERS, 1, 1, block(get())) +
                    frame(PING, 0, 0, b"12345678"), PROTOCOL_ERROR),
    "other-stream": (HELLO + frame(HEADERS, 1, 1, block(get())) +
                     frame(CONTINUATION, END_HEADERS, 3, b""),
                     PROTOCOL_ERROR),
    "priority-self": (HELLO + frame(HEADERS, 0x25, 1, b"\0\0\0\1\0" +
                                    block(get())), PROTOCOL_ERROR),
    "priority-size": (HELLO + frame(PRIORITY, 0, 1, b"\0"), SIZE),
}


def test_frames_that_may_not_be_end_the_connection(arena, way):
    pod, to = way
    got = arena.attack(pod, [h.case(name, to, ("send", data), ("read",))
                             for name, (data, _) in FRAMES.items()])
    wrong = {}
    for name, result in got.items():
        if result.end != "fin" or result.goaway != FRAMES[name][1]:
            wrong[name] = result.goaway, result
    explain(wrong)
    assert not arena.witness.faults


def test_odd_but_allowed_frames_are_taken(arena, way):
    pod, to = way
    odd = frame(0xbe, 0xff, 0, b"?") + frame(0xbe, 0xff, 77, b"?") + \
        frame(SETTINGS, 0, 0, b"\xbe\xef\0\0\0\1") + \
        frame(PRIORITY, 0, 9, b"\0\0\0\3\0")
    padded = frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1,
                   b"\x0a" + block(get("/odd")) + b"\0" * 10)
    got = arena.attack(pod, [
        h.case("1", to, ("send", HELLO + odd + padded), ("until", "seen\n"))])
    assert judged(got["1"]) == (200, None)


# Floods.

def flood(arena, way, *steps, seconds=30):
    pod, to = way
    return arena.attack(pod, [h.case("flood", to, ("send", HELLO), *steps,
                                     ("read",), seconds=seconds)])["flood"]


def heads_for(arena, mark):
    return sum(mark in r.target for r in list(arena.witness.heads))


EMPTY = frame(DATA, 0, 1)
FLOODS = {
    "ping": (b"", frame(PING, 0, 0, b"12345678")),
    "settings": (b"", frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1")),
    "empty-settings": (b"", frame(SETTINGS, 0, 0)),
    "priority": (b"", frame(PRIORITY, 0, 1, b"\0\0\0\3\0")),
    "window": (b"", frame(WINDOW, 0, 0, b"\0\0\0\1")),
    "empty-data": (headers(1, get("/flood", method="POST"), OPEN), EMPTY),
    "padded-data": (headers(1, get("/flood", method="POST"), OPEN),
                    frame(DATA, PADDED, 1, b"\0")),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_frames_that_do_nothing_are_stopped(arena, way, kind):
    first, again = FLOODS[kind]
    # Whether all of it was written by then depends on the kernel's buffers.
    result = flood(arena, way, ("send", first), ("repeat", again, 300000))
    assert result.goaway == CALM and result.end, result


def test_a_flood_of_unknown_frames_costs_the_others_nothing(arena, way):
    """They are to be ignored (RFC 9113 section 4.1), and nothing is kept."""
    pod, to = way
    waiting = wire.in_thread(arena.attack, pod, [h.case(
        str(i), to, ("send", HELLO), ("repeat", frame(0xbe, 0, 0), 300000),
        ("send", headers(1, get("/unknown"))), ("until", "seen\n"),
        seconds=30) for i in range(2)])
    arena.check_peace()
    for result in waiting().values():
        assert judged(result) == (200, None)


def counted(data, first=1, step=2, n=100000):
    """|data| for many streams: their number is the @@@@ in it."""
    return "count", data, first, step, n


def streams(kind, flags, payload):
    """A frame whose stream is filled in for each."""
    return frame(kind, flags, 1, payload).replace(
        b"\0\0\0\1" + payload, b"@@@@" + payload, 1)


RESETS = {
    "reset": lambda path: streams(HEADERS, 5, block(get(path))) +
    streams(RST, 0, b"\0\0\0\x08"),
    # What follows makes the server reset.
    "window-zero": lambda path: streams(HEADERS, 4, block(get(path))) +
    streams(WINDOW, 0, b"\0\0\0\0"),
    "window-over": lambda path: streams(HEADERS, 4, block(get(path))) +
    streams(WINDOW, 0, b"\x7f\xff\xff\xff"),
    "half-closed": lambda path: streams(HEADERS, 5, block(get(path))) +
    streams(DATA, 0, b"x"),
    "wrong-length": lambda path: streams(HEADERS, 4, block(
        get(path, ("content-length", "1")))) + streams(DATA, 1, b"xx"),
    "malformed": lambda path: streams(HEADERS, 5, block(
        get(path, ("connection", "x")))),
}


@pytest.mark.parametrize("kind", RESETS)
def test_rapid_resets_are_stopped_before_they_cost_the_app(arena, way, kind):
    path = f"/rapid-{kind}-{way[0].partition('/')[0]}{way[1][0]}"
    result = flood(arena, way, counted(RESETS[kind](path)))
    assert result.goaway is not None and result.end, result
    # These may end the connection at the first one.
    if kind not in ("half-closed", "window-zero"):
        assert result.goaway == CALM, result
    assert heads_for(arena, path) < 1100


def test_an_endless_head_is_cut_off(arena, way):
    first = frame(HEADERS, END_STREAM, 1, block(get("/endless")))
    for piece in (block([("x", "y" * 100)]), b""):
        result = flood(arena, way, ("send", first),
                       ("repeat", frame(CONTINUATION, 0, 1, piece), 1000000))
        assert result.goaway is not None and result.end, result
        assert result.sent < 8 << 20
    assert not arena.witness.saw("/endless")


def test_floods_by_who_never_reads_use_no_memory(arena, way):
    """The answers have no end, and nobody takes them."""
    pod, to = way
    reader = f"{NS}/witness" if pod == "plain/client" else f"{NS}/client"
    row = arena.mesh.pod(reader)
    before = h.rss(row)
    for again in (frame(PING, 0, 0, b"12345678"),
                  frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1")):
        arena.attack(pod, [
            h.case(str(i), to, ("send", HELLO), ("deaf",),
                   ("repeat", again, 200000), ("pause", 0.5), seconds=10)
            for i in range(8)])
    # The sanitized build keeps what is freed for a while.
    assert h.rss(row) - before < 150


def test_readers_that_open_no_window_hold_little(arena):
    """A hundred streams of 8 MiB each, and nobody takes a byte."""
    pods = [f"{NS}/client", f"{NS}/deploy/echo"]
    before = [h.rss(arena.mesh.pod(p)) for p in pods]
    closed = frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")
    requests = b"".join(headers(i, get("/bytes/8388608"))
                        for i in range(1, 200, 2))
    result, = arena.attack(pods[0], [
        h.case("1", (arena.service("echo"), 80),
               ("send", PREFACE + closed + requests), ("pause", 3))]).values()
    assert len(result.heads) == 100 and not result.end
    assert not [f for f in result.frames if f[0] == DATA]
    for pod, was in zip(pods, before):
        assert h.rss(arena.mesh.pod(pod)) - was < 150


def test_who_ignores_the_window_is_reset(arena, way):
    """All at once, and the server takes it at its own speed."""
    pod, to = way
    data = frame(DATA, 0, 1, b"x" * 16384)
    got = arena.attack(pod, [h.case(
        str(i), to, ("send", HELLO + headers(1, get("/flow", method="POST"),
                                             OPEN) + data * 300),
        ("pause", 0.5)) for i in range(4)])
    for result in got.values():
        assert result.resets.get(1, result.goaway) in (PROTOCOL_ERROR,
                                                       FLOW, CALM), result


def test_one_byte_at_a_time_is_served_and_ends(arena, way):
    pod, to = way
    tiny = frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1")
    result, = arena.attack(pod, [
        h.case("1", to, ("send", PREFACE + tiny + headers(1, get("/tiny"))),
               ("until", frame(DATA, 0, 1, b"s")),
               *[("send", frame(WINDOW, 0, 1, b"\0\0\0\1"))] * 4,
               ("pause", 0.5))]).values()
    data = [f for f in result.frames if f[0] == DATA]
    assert b"".join(f[3] for f in data) == b"seen\n"
    assert len(data) >= 2
