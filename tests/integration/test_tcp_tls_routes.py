# SPDX-License-Identifier: Apache-2.0
"""TCPRoutes and TLSRoutes: whole connections find their server."""
import json
import socket
import ssl

import pytest

import meshes as m
import wire
from gamma import accepted_is, conditions_are, in_force, rule, version

# Each server sends another number of bytes.
SIZES = {"v1": 1001, "v2": 2002}


@pytest.fixture(scope="module")
def servers(mesh):
    """Services of namespace app: tcp-v1, tcp-v2, tcp-echo, tcp-first, tls-v1,
    tls-v2."""
    programs = {
        **{f"tcp-{v}": ["tcp_echo.py", "--source", str(n)]
           for v, n in SIZES.items()},
        "tcp-echo": ["tcp_echo.py"], "tcp-first": ["tcp_server_first.py"],
        **{f"tls-{v}": ["tls_echo.py", "--version", v] for v in SIZES}}
    made = []
    for name, command in programs.items():
        labels = {"app": name, "kind": name[:3]}
        made += [m.deployment("app", name, [*command, "--port", "8080"], 1,
                              labels),
                 m.service("app", name, {"app": name})]
    mesh.write("servers.yaml", made)
    for name in programs:
        m.wait_for(lambda name=name: mesh.pod(f"app/deploy/{name}")[
            "is_ready"], 30, name)
    mesh.sync()


@pytest.fixture
def net(mesh):
    return wire.Net(mesh, "app/client")


def to(*names, **more):
    return {"backendRefs": [m.backend(n, **more) for n in names]}


def tcp(mesh, frontend, rules, **more):
    frontend.apply(m.route("TCPRoute", "app", frontend.name, frontend.name,
                           rules, **more))
    in_force(mesh, frontend.name, frontend.name, port=more.get("port", 80))


def server(net, frontend, port=80, family=4):
    """Which of the servers a new connection reaches; None: it was ended."""
    try:
        with net.wire(f"{frontend.name}.app", port, family) as w:
            w.sock.shutdown(socket.SHUT_WR)
            got = len(w.rest())
    except TimeoutError:
        raise
    except OSError:
        return None
    return {n: v for v, n in SIZES.items()}.get(got)


@pytest.mark.parametrize("family", [4, 6])
def test_a_tcp_route_leads_to_its_backend(
        mesh, frontend, servers, net, family):
    tcp(mesh, frontend, [to("tcp-v2")])
    assert [server(net, frontend, family=family) for _ in range(5)] == [
        "v2"] * 5
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs")}, kind="TCPRoute")


def test_bytes_come_through_unchanged_with_half_close(
        mesh, frontend, servers, net):
    tcp(mesh, frontend, [to("tcp-echo")])
    data = bytes(i % 251 for i in range(1 << 20))
    with net.wire(f"{frontend.name}.app") as w:
        def send():
            w.send(data)
            w.sock.shutdown(socket.SHUT_WR)
        finish = wire.in_thread(send)
        assert w.rest() == data
        finish()


def test_a_server_that_speaks_first_is_not_waited_for(
        mesh, frontend, servers, net):
    """The route says that it is bytes: nobody has to look at them."""
    tcp(mesh, frontend, [to("tcp-first")])
    assert "opaque" in {d.get("protocol") for d in
                        mesh.destinations("app/client").values()
                        if d and d.get("name") == frontend.name}
    with net.wire(f"{frontend.name}.app") as w:
        assert w.until(b"\n")


def test_http_below_a_tcp_route_has_an_identity(mesh, frontend, servers):
    """It is bytes to the route. The server's sidecar still says who calls, or
    whoever writes TCPRoutes could call as anybody."""
    tcp(mesh, frontend, [to("echo-v2")])
    r = mesh.curl("app/client", frontend.url + "/",
                  "-H", "eastwest-app-http: 2")
    assert r.status == 200 and r.json["version"] == "v2"
    assert r.json["headers"]["x-forwarded-client-cert"] == [
        "URI=spiffe://cluster.local/ns/app/sa/client"]
    assert "eastwest-app-http" not in r.json["headers"]


def test_connections_are_authenticated(mesh, frontend, servers, net):
    """They arrive at the server's sidecar as tunnels of the mesh."""
    tcp(mesh, frontend, [to("tcp-v1")])

    def tunnels():
        return mesh.metric("app/deploy/tcp-v1", "eastwest_tunnels_total",
                           direction="inbound")
    before = tunnels()
    assert server(net, frontend) == "v1"
    m.wait_for(lambda: tunnels() > before)


def test_weights_of_a_tcp_route(mesh, frontend, servers, net):
    tcp(mesh, frontend, [{"backendRefs": [
        m.backend("tcp-v1", weight=80), m.backend("tcp-v2", weight=20),
        m.backend("no-such", weight=0)]}])
    got = [server(net, frontend) for _ in range(150)]
    assert set(got) == {"v1", "v2"}
    # 120 is expected; the standard deviation is 4.9.
    assert 90 < got.count("v1") < 146, got.count("v1")


@pytest.mark.parametrize("backends,reason", [
    ([m.backend("no-such")], "BackendNotFound"),
    ([m.backend("tcp-v1", 99)], "BackendNotFound"),
    ([m.backend("tcp-v1", kind="Bucket")], "InvalidKind"),
    ([m.backend("tcp-v1", weight=0)], "ResolvedRefs")])
def test_without_a_valid_backend_connections_end(
        mesh, frontend, servers, net, backends, reason):
    tcp(mesh, frontend, [{"backendRefs": backends}])
    assert [server(net, frontend) for _ in range(5)] == [None] * 5
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": (str(reason == "ResolvedRefs"), reason)},
        kind="TCPRoute")


def test_the_share_of_a_backend_that_is_not_there_ends(
        mesh, frontend, servers, net):
    tcp(mesh, frontend, [to("tcp-v1", "no-such")])
    got = [server(net, frontend) for _ in range(120)]
    assert set(got) == {"v1", None}
    # 60 is expected; the standard deviation is 5.5.
    assert 22 < got.count(None) < 98, got.count(None)


def test_without_ready_endpoints_connections_end(
        mesh, frontend, servers, net):
    empty = f"{frontend.name}-e"
    frontend.apply(m.service("app", empty, {"app": "nobody"}), name="empty")
    tcp(mesh, frontend, [to(empty)])
    assert server(net, frontend) is None


def test_a_backend_that_comes_later_is_found(mesh, frontend, servers, net):
    late = f"{frontend.name}-l"
    tcp(mesh, frontend, [to(late)])
    assert server(net, frontend) is None
    frontend.apply(m.service("app", late, {"app": "tcp-v1"}), name="late")
    m.wait_for(lambda: server(net, frontend) == "v1")


def test_a_changed_route_is_for_new_connections(mesh, frontend, servers, net):
    tcp(mesh, frontend, [to("tcp-echo")])
    with net.wire(f"{frontend.name}.app") as w:
        w.send(b"before")
        assert w.exactly(6) == b"before"
        frontend.apply(m.route("TCPRoute", "app", frontend.name,
                               frontend.name, [to("tcp-v2")]))
        m.wait_for(lambda: server(net, frontend) == "v2")
        w.send(b"after")
        assert w.exactly(5) == b"after"


def test_a_tcp_route_for_one_port_leaves_the_others(
        mesh, frontend, servers, net):
    frontend.apply(m.service("app", frontend.name, {"app": "echo"}, ports=[
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "more", "port": 81, "targetPort": 8080}]), name="service")
    tcp(mesh, frontend, [to("tcp-v1")], port=81)
    assert server(net, frontend, 81) == "v1"
    r = mesh.curl("app/client", frontend.url + "/")
    assert r.status == 200 and "x-forwarded-client-cert" in r.json["headers"]


def test_the_oldest_tcp_route_has_the_port(mesh, frontend, servers, net):
    """Two can't be merged: there is nothing to tell connections apart by."""
    name = frontend.name
    frontend.apply(*[
        m.route("TCPRoute", "app", f"{name}-{v}", name, [to(f"tcp-{v}")],
                created=f"{year}-01-01T00:00:00Z")
        for v, year in (("v1", 2022), ("v2", 2021))])
    in_force(mesh, name, f"{name}-v2")
    assert server(net, frontend) == "v2"
    accepted_is(mesh, f"{name}-v2", "True", "Accepted", kind="TCPRoute")
    accepted_is(mesh, f"{name}-v1", "False", "Conflicted", kind="TCPRoute")


def test_a_consumer_route_for_tcp(mesh, frontend, servers, net):
    name = frontend.name
    frontend.apply(
        m.route("TCPRoute", "app", name, name, [to("tcp-v1")]),
        m.route("TCPRoute", "other", f"{name}-c", name,
                [to("tcp-v2", namespace="app")], parent_ns="app"))
    in_force(mesh, name, name)
    in_force(mesh, name, f"{name}-c", pod="other/client")
    assert server(net, frontend) == "v1"
    assert server(wire.Net(mesh, "other/client"), frontend) == "v2"


def test_tcp_to_a_backend_outside_of_the_mesh(mesh, frontend, servers):
    tcp(mesh, frontend, [to("outside", namespace="plain")])
    assert version(mesh, frontend.url + "/") == "outside"


# TLS

A, B = "a.example", "b.example"


@pytest.fixture
def secure(mesh, frontend, servers):
    """The frontend, on port 443 and for both TLS servers."""
    frontend.apply(m.service("app", frontend.name, {"kind": "tls"}, port=443),
                   name="service")
    return frontend


def tls_route(frontend, name, hostnames, rules, **more):
    spec = {"hostnames": hostnames} if hostnames else {}
    return m.route("TLSRoute", "app", name, frontend.name, rules, **spec,
                   **more)


def tls(mesh, frontend, hostnames, *names):
    frontend.apply(tls_route(frontend, frontend.name, hostnames,
                             [to(*names)]))
    in_force(mesh, frontend.name, frontend.name, port=443)


def reached(mesh, frontend, name, *options):
    """The version that answered under |name|; None: the connection ended."""
    done = mesh.exec("app/client", "curl", "-sSik", "--max-time", "10",
                     "--connect-to", f"::{frontend.name}.app:443", *options,
                     f"https://{name}/", check=False)
    if done.returncode == 0:
        r = m.Response(done.stdout)
        assert r.json["sni"] == (name.lower() if name[0].isalpha() else None)
        return r.json["version"]
    assert done.returncode == 35, done.stderr
    return None


def test_tls_of_the_app_passes_without_a_route(mesh, secure):
    m.wait_for(lambda: reached(mesh, secure, A), 10, "an answer")
    assert {reached(mesh, secure, A) for _ in range(22)} == {"v1", "v2"}


def test_exact_server_name(mesh, secure):
    tls(mesh, secure, [A], "tls-v2")
    assert reached(mesh, secure, A) == "v2"
    assert reached(mesh, secure, "A.Example") == "v2"
    for name in (B, "x.a.example", "example", "aa.example"):
        assert reached(mesh, secure, name) is None, name
    conditions_are(mesh, secure.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs")}, kind="TLSRoute")


def test_wildcard_server_name(mesh, secure):
    tls(mesh, secure, ["*.example"], "tls-v1")
    assert reached(mesh, secure, A) == "v1"
    assert reached(mesh, secure, "x.y.example") == "v1"
    for name in ("example", "a.example.com", "xexample"):
        assert reached(mesh, secure, name) is None, name


def test_several_names_of_one_route(mesh, secure):
    tls(mesh, secure, [A, B, "*.more.example"], "tls-v2")
    assert [reached(mesh, secure, n) for n in (
        A, B, "x.more.example", "more.example")] == ["v2", "v2", "v2", None]


def test_several_routes_the_closest_name_wins(mesh, secure):
    name = secure.name
    frontend_routes = {f"{name}-exact": ([A], "tls-v1", "2024"),
                       f"{name}-long": (["*.b.example"], "tls-v1", "2023"),
                       f"{name}-wild": (["*.example"], "tls-v2", "2022")}
    secure.apply(*[
        tls_route(secure, route, names, [to(backend)],
                  created=f"{year}-01-01T00:00:00Z")
        for route, (names, backend, year) in frontend_routes.items()])
    in_force(mesh, name, *frontend_routes, port=443)
    assert [reached(mesh, secure, n) for n in (
        A, "x.a.example", "x.b.example", "b.example")] == [
        "v1", "v2", "v1", "v2"]
    for route in frontend_routes:
        accepted_is(mesh, route, "True", "Accepted", kind="TLSRoute")


def test_the_older_route_has_a_name_that_two_ask_for(mesh, secure):
    name = secure.name
    secure.apply(*[
        tls_route(secure, f"{name}-{v}", [A], [to(f"tls-{v}")],
                  created=f"{year}-01-01T00:00:00Z")
        for v, year in (("v1", 2022), ("v2", 2021))])
    in_force(mesh, name, f"{name}-v1", f"{name}-v2", port=443)
    assert reached(mesh, secure, A) == "v2"


def test_no_server_name_is_no_match(mesh, secure):
    tls(mesh, secure, ["*.example"], "tls-v1")
    assert reached(mesh, secure, "192.0.2.1") is None


def test_a_route_without_names_takes_what_is_left(mesh, secure):
    name = secure.name
    secure.apply(tls_route(secure, name, [A], [to("tls-v1")]),
                 tls_route(secure, f"{name}-all", None, [to("tls-v2")]))
    in_force(mesh, name, name, f"{name}-all", port=443)
    assert [reached(mesh, secure, n) for n in (A, B, "192.0.2.1")] == [
        "v1", "v2", "v2"]


def test_what_is_not_tls_is_refused(mesh, secure, net):
    tls(mesh, secure, [A], "tls-v1")
    with pytest.raises((EOFError, ConnectionError)):
        with net.wire(f"{secure.name}.app", 443) as w:
            w.request("GET / HTTP/1.1", host=A)
            w.until(b"\r\n")


def test_the_apps_agree_on_everything_between_them(mesh, secure):
    """Protocol and version of TLS are theirs."""
    tls(mesh, secure, [A], "tls-v1")
    for options, alpn, tls_version in (
            (["--http2"], "h2", "TLSv1.3"),
            (["--http1.1", "--tls-max", "1.2"], "http/1.1", "TLSv1.2")):
        out = mesh.exec("app/client", "curl", "-sk", *options, "--connect-to",
                        f"::{secure.name}.app:443", f"https://{A}/").stdout
        seen = json.loads(out)
        assert (seen["alpn"], seen["tls"]) == (alpn, tls_version)
        assert "x-forwarded-client-cert" not in seen["headers"]


def test_a_client_hello_that_comes_in_pieces(mesh, secure, net):
    tls(mesh, secure, [A], "tls-v2")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=A)
    with net.wire(f"{secure.name}.app", 443) as w:
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        hello = outgoing.read()
        for i in range(0, len(hello), 100):
            w.send(hello[i:i + 100])
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                w.send(outgoing.read())
                assert w.more()
                incoming.write(w.buffer)
                w.buffer = b""
    assert session.version() == "TLSv1.3"


def test_weights_of_a_tls_route(mesh, secure, net):
    secure.apply(tls_route(secure, secure.name, [A], [{"backendRefs": [
        m.backend("tls-v1", weight=0), m.backend("tls-v2", weight=1)]}]))
    in_force(mesh, secure.name, secure.name, port=443)
    assert {reached(mesh, secure, A) for _ in range(8)} == {"v2"}
    secure.apply(tls_route(secure, secure.name, [A],
                           [to("tls-v1", "tls-v2")]))
    seen = set()
    m.wait_for(lambda: seen.add(reached(mesh, secure, A)) or
               seen == {"v1", "v2"}, 20, "both of them")


def test_an_invalid_backend_of_a_tls_route(mesh, secure):
    name = secure.name
    secure.apply(tls_route(secure, name, [A], [to("no-such")]),
                 tls_route(secure, f"{name}-b", [B], [to("tls-v1")]))
    in_force(mesh, name, name, f"{name}-b", port=443)
    assert reached(mesh, secure, A) is None
    assert reached(mesh, secure, B) == "v1"
    conditions_are(mesh, name, {"ResolvedRefs": ("False", "BackendNotFound")},
                   kind="TLSRoute")


def test_a_tls_backend_that_says_so_is_fine_for_a_tls_route(mesh, secure):
    name = f"{secure.name}-s"
    secure.apply(m.service("app", name, {"app": "tls-v1"},
                           app_protocol="kubernetes.io/wss"), name="backend")
    tls(mesh, secure, [A], name)
    assert reached(mesh, secure, A) == "v1"
    conditions_are(mesh, secure.name, {
        "ResolvedRefs": ("True", "ResolvedRefs")}, kind="TLSRoute")


def test_an_http_route_wins_over_a_tls_route(mesh, secure):
    name = secure.name
    secure.apply(tls_route(secure, f"{name}-t", [A], [to("tls-v1")]),
                 m.http_route("app", name, name, [rule("v2")]))
    in_force(mesh, name, name, port=443)
    assert version(mesh, f"http://{name}.app:443/") == "v2"
    accepted_is(mesh, f"{name}-t", "False", "Conflicted", kind="TLSRoute")
