# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 clients that mean harm, inside of the mesh and outside of it.

Each case is sent on both ways: by an app of the mesh to a Service, where its
own sidecar is the first to read it, and by a pod without a sidecar to the
server's address, where the server's sidecar is. The witness, this test in the
server's pod, notes every byte that gets through.
"""
import pytest

import hostility as h
import wire

NS = "hostile"
H = "host: h\r\n"


@pytest.fixture(scope="module")
def arena(mesh):
    with h.arena(mesh, NS) as made:
        yield made


@pytest.fixture(params=["outbound", "inbound"])
def way(request, arena):
    """Whose codec reads the bytes: (pod, address)."""
    if request.param == "outbound":
        return f"{NS}/client", (arena.service("witness"), 80)
    return "plain/client", (arena.ip, 8080)


@pytest.fixture(autouse=True)
def unharmed(mesh, arena):
    before = h.lives(mesh, NS)
    yield
    assert h.lives(mesh, NS) == before
    arena.check_peace()
    assert arena.witness.faults == []


def send_all(arena, way, texts, *steps):
    pod, to = way
    return arena.attack(pod, [
        h.case(name, to, ("send", text), *steps, ("read",))
        for name, text in texts.items()])


def refused(table, mark):
    """{name: text} with its own MARK, and {name: status}."""
    texts = {name: row[0].replace("MARK", f"{mark}-{name}-")
             for name, row in table.items()}
    return texts, {name: row[1] for name, row in table.items()}


REASONS = {408: "head-timeout", 414: "target-too-long",
           431: "head-too-large"}


def check_refused(arena, way, table, mark, whole_only=False):
    """All of it is answered by the sidecar, once, and then it closes."""
    texts, wanted = refused(table, f"{mark}{way[0].partition('/')[0]}")
    got = send_all(arena, way, texts)
    wrong = {}
    for name, result in got.items():
        reason = REASONS.get(wanted[name], "bad-request")
        responses = result.responses
        if [r[0] for r in responses] != [wanted[name]] or \
                result.end != "fin" or \
                responses[0][1].get("eastwest-refusal") != reason or \
                responses[0][1].get("connection") != "close":
            wrong[name] = result
        marked = f"{mark}{way[0].partition('/')[0]}-{name}-"
        if arena.witness.whole(marked) or (
                not whole_only and arena.witness.saw(marked)):
            wrong[name] = "reached the app", result
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())


def post(*lines, body="", line="POST /MARK HTTP/1.1"):
    return "\r\n".join([line, "host: h", *lines, "", body])


SMUGGLED = "GET /MARKsmuggled HTTP/1.1\r\nhost: h\r\n\r\n"
CHUNKED = "transfer-encoding: chunked"

FRAMING = {
    "cl-te": (post("content-length: 6", CHUNKED,
                   body="0\r\n\r\nG" + SMUGGLED), 400),
    "te-cl": (post(CHUNKED, "content-length: 4",
                   body="5c\r\n" + SMUGGLED + "0\r\n\r\n"), 400),
    "two-cl-equal": (post("content-length: 1", "content-length: 1",
                          body="x"), 400),
    "two-cl": (post("content-length: 1", "content-length: 40",
                    body="x" + SMUGGLED), 400),
    "cl-list": (post("content-length: 1, 1", body="x"), 400),
    "cl-plus": (post("content-length: +1", body="x"), 400),
    "cl-minus": (post("content-length: -1", body="x"), 400),
    "cl-hex": (post("content-length: 0x1", body="x"), 400),
    "cl-inside": (post("content-length: 1 0", body="x"), 400),
    "cl-empty": (post("content-length: ", body="x"), 400),
    "cl-overflow": (post("content-length: 18446744073709551617",
                         body="x" + SMUGGLED), 400),
    "cl-name-space": (post("content-length : 1", body="x"), 400),
    "te-http10": (post(CHUNKED, body="0\r\n\r\n" + SMUGGLED,
                       line="POST /MARK HTTP/1.0"), 400),
    "te-unknown": (post("transfer-encoding: xchunked",
                        body="0\r\n\r\n"), 501),
    "te-vt": (post("transfer-encoding: \x0bchunked", body="0\r\n\r\n"), 400),
    "te-two": (post(CHUNKED, CHUNKED, body="0\r\n\r\n"), 400),
    "te-twice": (post("transfer-encoding: chunked, chunked",
                      body="0\r\n\r\n"), 400),
    "te-not-last": (post("transfer-encoding: chunked, identity",
                         body="0\r\n\r\n" + SMUGGLED), 400),
    "te-gzip": (post("transfer-encoding: gzip, chunked",
                     body="0\r\n\r\n"), 501),
    "te-param": (post("transfer-encoding: chunked;x=1",
                      body="0\r\n\r\n"), 501),
    "te-quoted": (post("transfer-encoding: \"chunked\"",
                       body="0\r\n\r\n"), 501),
    "te-empty": (post("transfer-encoding: ", body="0\r\n\r\n"), 501),
    "te-fold": (post("transfer-encoding:", " chunked",
                     body="0\r\n\r\n" + SMUGGLED), 400),
    "te-name-space": (post("transfer-encoding : chunked",
                           body="0\r\n\r\n" + SMUGGLED), 400),
}

LINES = {
    "obs-fold": (post("x: a", " b"), 400),
    "obs-fold-cl": (post("x: a", " content-length: 5", body="hello"), 400),
    "first-line-fold": ("GET /MARK HTTP/1.1\r\n host: h\r\n\r\n", 400),
    "bare-lf": ("GET /MARK HTTP/1.1\nhost: h\n\n", 400),
    "bare-lf-field": (f"GET /MARK HTTP/1.1\r\n{H}x: a\ny: b\r\n\r\n", 400),
    "bare-lf-end": (f"GET /MARK HTTP/1.1\r\n{H}\n", 400),
    "bare-cr": (f"GET /MARK HTTP/1.1\r\n{H}x: a\ry: b\r\n\r\n", 400),
    "bare-cr-line": ("GET /MARK HTTP/1.1\rhost: h\r\n\r\n", 400),
    "cr-end": (f"GET /MARK HTTP/1.1\r\n{H}x: a\r\n\rX{SMUGGLED}", 400),
    "nul-value": (post("x: a\0b"), 400),
    "nul-name": (post("x\0y: a"), 400),
    "ctl-value": (post("x: a\x01b"), 400),
    "del-value": (post("x: a\x7fb"), 400),
    "space-name": (post("x y: a"), 400),
    "space-colon": (post("x : a"), 400),
    "tab-name": (post("x\t: a"), 400),
    "empty-name": (post(": a"), 400),
    "eight-bit-name": (post("x\xe9: a"), 400),
    "no-colon": (post("just words"), 400),
    "paren-name": (post("x(y): a"), 400),
}

TARGETS = {
    "fragment": (f"GET /MARK#/admin HTTP/1.1\r\n{H}\r\n", 400),
    "backslash": (f"GET /MARK\\..\\admin HTTP/1.1\r\n{H}\r\n", 400),
    "dots": (f"GET /MARK/../admin HTTP/1.1\r\n{H}\r\n", 400),
    "dots-coded": (f"GET /MARK/%2e%2E/admin HTTP/1.1\r\n{H}\r\n", 400),
    "dots-half": (f"GET /MARK/.%2e/admin HTTP/1.1\r\n{H}\r\n", 400),
    "dots-end": (f"GET /MARK/.. HTTP/1.1\r\n{H}\r\n", 400),
    "dot": (f"GET /MARK/./admin HTTP/1.1\r\n{H}\r\n", 400),
    "nul-coded": (f"GET /MARK%00 HTTP/1.1\r\n{H}\r\n", 400),
    "nul": (f"GET /MARK\0 HTTP/1.1\r\n{H}\r\n", 400),
    "eight-bit": (f"GET /MARK\xff HTTP/1.1\r\n{H}\r\n", 400),
    "ctl": (f"GET /MARK\x1b[31m HTTP/1.1\r\n{H}\r\n", 400),
    "space-in": (f"GET /MARK /x HTTP/1.1\r\n{H}\r\n", 400),
    "space-end": (f"GET /MARK  HTTP/1.1\r\n{H}\r\n", 400),
    "tab": (f"GET /MARK\tHTTP/1.1\r\n{H}\r\n", 400),
    "star-get": (f"GET * HTTP/1.1\r\n{H}x: MARK\r\n\r\n", 400),
    "star-path": (f"OPTIONS *MARK HTTP/1.1\r\n{H}\r\n", 400),
    "connect": (f"CONNECT /MARK HTTP/1.1\r\n{H}\r\n", 400),
    "http09": ("GET /MARK\r\n", 400),
    "http09-spaced": ("GET /MARK \r\n", 400),
    "http20": (f"GET /MARK HTTP/2.0\r\n{H}\r\n", 505),
    "http12": (f"GET /MARK HTTP/1.2\r\n{H}\r\n", 505),
    "http-lower": (f"GET /MARK http/1.1\r\n{H}\r\n", 400),
    "http-long": (f"GET /MARK HTTP/1.10\r\n{H}\r\n", 400),
    "http-word": (f"GET /MARK HTTP/one\r\n{H}\r\n", 400),
    "no-authority": ("GET http:///MARK HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    "userinfo": ("GET http://u:p@h/MARK HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    "pri": ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 400),
    "long": (f"GET /MARK{'x' * 17000} HTTP/1.1\r\n{H}\r\n", 414),
}

HOSTS = {
    "two-equal": (f"GET /MARK HTTP/1.1\r\n{H}{H}\r\n", 400),
    "two": (f"GET /MARK HTTP/1.1\r\n{H}Host: other\r\n\r\n", 400),
    "none": ("GET /MARK HTTP/1.1\r\nx: y\r\n\r\n", 400),
    "empty": ("GET /MARK HTTP/1.1\r\nhost:\r\n\r\n", 400),
    "userinfo": ("GET /MARK HTTP/1.1\r\nhost: u@h\r\n\r\n", 400),
    "path": ("GET /MARK HTTP/1.1\r\nhost: h/admin\r\n\r\n", 400),
    "space": ("GET /MARK HTTP/1.1\r\nhost: h other\r\n\r\n", 400),
    "comma": ("GET /MARK HTTP/1.1\r\nhost: h, other\r\n\r\n", 400),
    "port": ("GET /MARK HTTP/1.1\r\nhost: h:80x\r\n\r\n", 400),
    "port-large": ("GET /MARK HTTP/1.1\r\nhost: h:65536\r\n\r\n", 400),
    "absolute-two": (f"GET http://h/MARK HTTP/1.1\r\n{H}{H}\r\n", 400),
    "absolute-none": ("GET http://h/MARK HTTP/1.1\r\nx: y\r\n\r\n", 400),
    "absolute-bad": ("GET http://h/MARK HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
}

SIZES = {
    "fields": (f"GET /MARK HTTP/1.1\r\n{H}" + "x: y\r\n" * 200 + "\r\n", 431),
    "value": (f"GET /MARK HTTP/1.1\r\n{H}x: {'y' * 70000}\r\n\r\n", 431),
    "name": (f"GET /MARK HTTP/1.1\r\n{H}{'x' * 70000}: y\r\n\r\n", 431),
    "spaces": (f"GET /MARK HTTP/1.1\r\n{H}x:{' ' * 300000}y\r\n\r\n", 431),
    "sum": (f"GET /MARK HTTP/1.1\r\n{H}" +
            f"x: {'y' * 7000}\r\n" * 10 + "\r\n", 431),
    "options": (f"GET /MARK HTTP/1.1\r\n{H}connection: " +
                ",".join(f"x{i}" for i in range(300)) + "\r\n\r\n", 400),
}


# A lenient server takes these for requests, so they must not pass as bytes.
STARTS = {
    "lf": (f"\nGET /MARK HTTP/1.1\r\n{H}\r\n", 400),
    "empty-lines": (f"\r\n\r\n\r\nGET /MARK HTTP/1.1\r\n{H}\r\n", 400),
    "space": (f" GET /MARK HTTP/1.1\r\n{H}\r\n", 400),
    "spaces": (f"GET  /MARK HTTP/1.1\r\n{H}\r\n", 400),
    "many-spaces": (f"GET{' ' * 2000}/MARK HTTP/1.1\r\n{H}\r\n", 400),
    "tab": (f"GET\t/MARK HTTP/1.1\r\n{H}\r\n", 400),
    "tabs": (f"GET\t/MARK\tHTTP/1.1\r\n{H}\r\n", 400),
    "cr": (f"GET\r/MARK\rHTTP/1.1\r\n{H}\r\n", 400),
    "form-feed": (f"GET\f/MARK\vHTTP/1.1\r\n{H}\r\n", 400),
    "relative": (f"GET MARK HTTP/1.1\r\n{H}\r\n", 400),
    "query": (f"GET ?MARK HTTP/1.1\r\n{H}\r\n", 400),
    "ftp": (f"GET ftp://h/MARK HTTP/1.1\r\n{H}\r\n", 400),
    "quoted": (f"GET \"/MARK\" HTTP/1.1\r\n{H}\r\n", 400),
    "bare-lf": (f"GET  /MARK HTTP/1.1\n{H}\r\n", 400),
}


def chunks(text):
    return post(CHUNKED, body=text)


CHUNKS = {
    "hex-prefix": (chunks("0x1\r\nx\r\n0\r\n\r\n"), 400),
    "plus": (chunks("+1\r\nx\r\n0\r\n\r\n"), 400),
    "minus": (chunks("-1\r\nx\r\n0\r\n\r\n"), 400),
    "underscore": (chunks("1_0\r\nx\r\n0\r\n\r\n"), 400),
    "space-before": (chunks(" 1\r\nx\r\n0\r\n\r\n"), 400),
    "no-size": (chunks("\r\nx\r\n0\r\n\r\n"), 400),
    "only-extension": (chunks(";a\r\nx\r\n0\r\n\r\n"), 400),
    "overflow": (chunks("10000000000000001\r\nx\r\n0\r\n\r\n"), 400),
    "spill": (chunks("1\r\nxyz\r\n0\r\n\r\n" + SMUGGLED), 400),
    "no-crlf": (chunks("1\r\nx0\r\n\r\n"), 400),
    "bare-lf-size": (chunks("1\nx\r\n0\r\n\r\n"), 400),
    "bare-lf-data": (chunks("1\r\nx\n0\r\n\r\n"), 400),
    "bare-cr-size": (chunks("1\rx\r\n0\r\n\r\n"), 400),
    "bare-lf-last": (chunks("0\n\n" + SMUGGLED), 400),
    "lf-extension": (chunks("1;a\nb\r\nx\r\n0\r\n\r\n" + SMUGGLED), 400),
    "cr-extension": (chunks("1;a\rb\r\nx\r\n0\r\n\r\n"), 400),
    "nul-extension": (chunks("1;a\0b\r\nx\r\n0\r\n\r\n"), 400),
    "long-extension": (chunks(f"1;{'a' * 300}\r\nx\r\n0\r\n\r\n"), 400),
    "sum-extensions": (chunks("1;abcdefgh\r\nx\r\n" * 50 + "0\r\n\r\n"), 400),
    "trailer-length": (chunks("0\r\ncontent-length: 5\r\n\r\n"), 400),
    "trailer-fold": (chunks("0\r\nx: a\r\n b\r\n\r\n"), 400),
    "trailer-nul": (chunks("0\r\nx: a\0\r\n\r\n"), 400),
    "trailer-many": (chunks("0\r\n" + "x: y\r\n" * 200 + "\r\n"), 431),
    "trailer-large": (chunks(f"0\r\nx: {'y' * 70000}\r\n\r\n"), 431),
}

TABLES = {"framing": FRAMING, "lines": LINES, "targets": TARGETS,
          "hosts": HOSTS, "sizes": SIZES, "starts": STARTS}


@pytest.mark.parametrize("name", TABLES)
def test_ambiguous_heads_are_refused_and_never_passed_on(arena, way, name):
    check_refused(arena, way, TABLES[name], name)


def test_bad_chunks_never_become_a_whole_request(arena, way):
    check_refused(arena, way, CHUNKS, "chunks", whole_only=True)


# What is let through is let through in one form.

def one(arena, way, name, text, *steps):
    pod, to = way
    if not steps:
        steps = ("read",),
    return arena.attack(pod, [h.case(name, to, ("send", text), *steps)])[name]


def seen(arena, way, name, text):
    """The one request that arrived; @ in |text| is the mark of it."""
    mark = f"{name}-{way[0].partition('/')[0]}-"
    result = one(arena, way, name, text.replace("@", mark),
                 ("until", "seen\n"))
    assert result.statuses == [200], result
    found = [r for r in arena.witness.requests
             if mark in r.target or mark in str(r.fields)]
    assert len(found) == 1
    return found[0]


def test_the_uri_of_an_absolute_form_wins_over_host(arena, way):
    r = seen(arena, way, "absolute",
             "GET HTTP://Some.Where:81/@?q HTTP/1.1\r\nhost: other\r\n\r\n")
    assert r.target.startswith("/absolute-") and r.target.endswith("?q")
    assert r.fields["host"] == ["some.where:81"]


def test_chunk_extensions_and_odd_sizes_do_not_travel(arena, way):
    r = seen(arena, way, "extension",
             "POST /@ HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: Chunked\r\n"
             "\r\n0005;a=b;c=\"d\"\r\nhello\r\n00;x\r\n\r\n")
    assert r.body == b"hello" and not r.trailers
    assert not arena.witness.saw(";a=b")


def test_trailers_can_not_become_headers(arena, way):
    r = seen(arena, way, "trailers",
             "POST /@ HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n"
             "trailer: x-sum\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n"
             "host: evil\r\nauthorization: evil\r\ncookie: evil\r\n"
             "content-type: evil\r\nconnection: evil\r\n"
             "x-forwarded-client-cert: evil\r\nx-forwarded-for: evil\r\n"
             "eastwest-app-http: 2\r\n\r\n")
    assert r.trailers == {"x-sum": ["1"]}
    assert "evil" not in str(r.fields)


def peer_of(way):
    """What the app may read about its client."""
    if way[0].startswith("plain/"):
        return None
    return [f"URI=spiffe://cluster.local/ns/{NS}/sa/default"]


FORGED = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/a/sa/admin"


@pytest.mark.parametrize("fields", [
    [FORGED], [FORGED, FORGED], [FORGED.replace("x-f", "X-F").upper()],
    [FORGED, "connection: x-forwarded-client-cert"],
    ["connection: close, x-forwarded-client-cert"],
    ["connection: eastwest-app-http, host, content-length"],
    ["eastwest-app-http: 2"], ["eastwest-app-http: 1",
                               "Eastwest-App-Http: 2, 1"],
], ids=range(8))
def test_nobody_but_the_mesh_speaks_for_the_mesh(arena, way, fields):
    name = f"forged{abs(hash(str(fields)))}"
    r = seen(arena, way, name, "\r\n".join(
        ["POST /@ HTTP/1.1", "host: h", "content-length: 1", *fields,
         "", "x"]))
    assert r.fields.get("x-forwarded-client-cert") == peer_of(way)
    assert "eastwest-app-http" not in r.fields
    assert "connection" not in r.fields
    assert (r.fields["host"], r.body) == (["h"], b"x")


def test_an_underscore_is_no_way_around(arena, way):
    """Many apps can't tell it from a hyphen."""
    r = seen(arena, way, "underscore",
             "GET /@ HTTP/1.1\r\nhost: h\r\nX_Forwarded_Client_Cert: evil\r\n"
             "x-forwarded_client-cert: evil\r\nx_kept: 1\r\n\r\n")
    assert "evil" not in str(r.fields) and r.fields["x_kept"] == ["1"]
    assert r.fields.get("x-forwarded-client-cert") == peer_of(way)


def test_hop_by_hop_fields_stay_on_their_hop(arena, way):
    r = seen(arena, way, "hop",
             "GET /@ HTTP/1.1\r\nhost: h\r\nConnection: keep-alive, X-Own\r\n"
             "keep-alive: 5\r\nproxy-connection: x\r\nx-own: 1\r\n"
             "te: gzip\r\nx-kept: 1\r\n\r\n")
    assert r.fields["x-kept"] == ["1"]
    for name in ("connection", "keep-alive", "proxy-connection", "x-own",
                 "te"):
        assert name not in r.fields


# Pipelining, upgrades, early bytes.

def test_the_good_before_the_bad_is_answered_and_nothing_behind(arena, way):
    mark = f"pipe-{way[0].partition('/')[0]}-"
    result = one(arena, way, "pipe",
                 f"GET /{mark}good HTTP/1.1\r\n{H}\r\n"
                 f"GET /{mark}bad HTTP/1.1\r\n{H}{H}\r\n"
                 f"GET /{mark}behind HTTP/1.1\r\n{H}\r\n")
    assert result.statuses == [200, 400] and result.end == "fin"
    assert arena.witness.whole(f"{mark}good")
    assert not arena.witness.saw(f"{mark}bad")
    assert not arena.witness.saw(f"{mark}behind")


def test_an_upgrade_to_h2c_is_ignored_and_its_fields_go(arena, way):
    r = seen(arena, way, "h2c",
             "GET /@ HTTP/1.1\r\nhost: h\r\nupgrade: h2c\r\n"
             "connection: Upgrade, HTTP2-Settings\r\n"
             "http2-settings: AAMAAABkAAQAAP__\r\n\r\n")
    assert "upgrade" not in r.fields and "http2-settings" not in r.fields


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_bytes_sent_too_early_are_not_spoken_to_the_app(arena, way, protocol):
    """The app does not switch, so what follows is either a request of its
    own, or nothing."""
    mark = f"early-{protocol}-{way[0].partition('/')[0]}-"
    result = one(arena, way, "early",
                 f"GET /{mark}first HTTP/1.1\r\nhost: h\r\n"
                 f"connection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
                 f"GET /{mark}second HTTP/1.1\r\nhost: h\r\n"
                 f"x-forwarded-client-cert: evil\r\n\r\n",
                 ("until", "seen\n"), ("pause", 0.3))
    assert result.statuses[0] == 200
    assert len(arena.witness.whole(f"{mark}first")) == 1
    assert not arena.witness.saw("evil")
    if protocol == "websocket":
        assert not arena.witness.saw(f"{mark}second")


def test_expect_without_a_body_leaves_no_request_behind(arena, way):
    """The app answers before the body: what comes then is no request."""
    mark = f"expect-{way[0].partition('/')[0]}-"
    result = one(arena, way, "expect",
                 f"POST /{mark}first HTTP/1.1\r\nhost: h\r\n"
                 "expect: 100-continue\r\ncontent-length: 60\r\n\r\n" +
                 f"GET /{mark}second HTTP/1.1\r\nhost: h\r\n\r\n".ljust(60),
                 ("until", "seen\n"), ("pause", 0.2))
    assert len(arena.witness.whole(f"{mark}first")) == 1
    assert not arena.witness.whole(f"/{mark}second")
    assert result.statuses[-1] == 200


# Time, and counting.

def test_refusals_are_counted_by_their_reason(arena, way):
    reader = f"{NS}/client" if way[0] == f"{NS}/client" else f"{NS}/witness"

    def counted():
        return {reason: arena.mesh.metric(
            reader, "eastwest_requests_refused_total", reason=reason)
            for reason in ("bad-request", "head-too-large",
                           "target-too-long")}
    before = counted()
    send_all(arena, way, {"1": HOSTS["two"][0], "2": HOSTS["none"][0],
                          "3": SIZES["fields"][0], "4": TARGETS["long"][0]})
    after = counted()
    assert {k: after[k] - before[k] for k in after} == {
        "bad-request": 2, "head-too-large": 1, "target-too-long": 1}


def test_slow_heads_hold_nobody_up_and_end_with_408(arena):
    slow = f"GET /slow HTTP/1.1\r\n{H}x: {'y' * 400}"
    good = f"GET /good HTTP/1.1\r\n{H}connection: close\r\n\r\n"
    ways = [(f"{NS}/client", (arena.service("witness"), 80)),
            ("plain/client", (arena.ip, 8080))]
    waiting = [wire.in_thread(arena.attack, pod, [
        h.case(str(i), to, ("drip", slow, 60), ("read",), seconds=25)
        for i in range(200)]) for pod, to in ways]
    for way in ways * 4:
        assert one(arena, way, "good", good).statuses == [200]
    for wait in waiting:
        results = wait().values()
        assert [r for r in results if r.statuses != [408]] == []
        assert {r.responses[0][1]["eastwest-refusal"] for r in results} == {
            "head-timeout"}
        assert all(9 < r.seconds < 25 for r in results)
    assert not arena.witness.saw("/slow")
