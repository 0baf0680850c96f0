# SPDX-License-Identifier: Apache-2.0
"""The Gateway API's rules for meshes (GEP-1294 and those it builds on), first
half: what a route is attached to, whom it applies to, what it replaces."""
import pytest

import grpc_calls
import meshes as m
from gamma import (accepted_is, addresses, conditions_are, in_force, path,
                   rule, two_ports, version)

CLIENTS = ("app/client", "other/client")


@pytest.mark.parametrize("group", ["", "core"])
def test_rule_01_a_service_can_be_the_parent(mesh, frontend, group):
    ref = {"group": group, "kind": "Service", "name": frontend.name}
    frontend.apply(m.http_route("app", frontend.name, [ref], [rule("v2")]))
    in_force(mesh, frontend.name, frontend.name)
    assert mesh.tally("app/client", frontend.url + "/", 10, by="version") == {
        "v2": 10}
    accepted_is(mesh, frontend.name, "True", "Accepted")
    assert mesh.route_status("HTTPRoute", "app", frontend.name)[0][
        "parentRef"] == ref


def test_rule_01_other_parents_are_left_to_others(mesh, frontend):
    """Without group and kind the parent is a Gateway."""
    refs = [{"name": frontend.name},
            {"group": "", "kind": "Service", "name": frontend.name,
             "port": 80},
            {"group": "example.com", "kind": "Service", "name": frontend.name}]
    frontend.apply(m.http_route("app", frontend.name, refs, [rule("v2")]))
    in_force(mesh, frontend.name, frontend.name)
    assert [p["parentRef"] for p in mesh.route_status(
        "HTTPRoute", "app", frontend.name)] == [refs[1]]


def test_rule_01_a_route_of_others_changes_nothing(mesh, frontend):
    frontend.apply(
        m.http_route("app", f"{frontend.name}-gw",
                     [{"name": frontend.name}], [rule("v2")]),
        m.http_route("app", frontend.name, frontend.name,
                     [rule("v1", path("/x"))]))
    in_force(mesh, frontend.name, frontend.name)
    assert version(mesh, frontend.url + "/x") == "v1"
    assert version(mesh, frontend.url + "/") == (404, "no-route")
    assert mesh.route_status("HTTPRoute", "app", f"{frontend.name}-gw") == []


def test_rule_02_the_cluster_address_decides_and_not_the_host(mesh, frontend):
    frontend.route(rule("v2"))
    both = addresses(mesh, frontend.name)
    assert len(both) == 2
    for address in both:
        for host in ("echo-v1.app", "elsewhere.example", frontend.name):
            url = f"http://{address}/"
            assert version(mesh, url, "-H", f"Host: {host}") == "v2"
    # The other way round: the name of the parent at another's address.
    assert version(mesh, "http://echo-v1.app/", "-H",
                   f"Host: {frontend.name}.app") == "v1"


def test_rule_02_the_route_of_a_backend_does_not_apply_again(mesh, frontend):
    """Traffic goes to the backend's endpoints, not to its address."""
    inner = f"{frontend.name}-b"
    frontend.apply(
        m.service("app", inner, {"app": "echo", "version": "v1"}),
        m.http_route("app", frontend.name, frontend.name,
                     [{"backendRefs": [m.backend(inner)]}]),
        m.http_route("app", inner, inner, [rule("v2")]))
    in_force(mesh, frontend.name, frontend.name)
    in_force(mesh, inner, inner)
    assert version(mesh, f"http://{inner}.app/") == "v2"
    assert version(mesh, frontend.url + "/") == "v1"


def test_rule_03_without_a_route_a_service_is_what_it_was(mesh, frontend):
    tally = mesh.tally("app/client", frontend.url + "/", 60, by="version")
    assert set(tally) == {"v1", "v2"}


def test_rule_03_a_route_replaces_the_endpoints_of_the_service(mesh, frontend):
    frontend.route(rule("v2"))
    assert mesh.tally("app/client", frontend.url + "/", 40, by="version") == {
        "v2": 40}


def test_rule_03_without_its_route_the_service_is_back(mesh, frontend):
    frontend.route(rule("v2", path("/only")))
    assert version(mesh, frontend.url + "/") == (404, "no-route")
    mesh.remove(f"{frontend.name}-routes.yaml")
    in_force(mesh, frontend.name)
    tally = mesh.tally("app/client", frontend.url + "/", 60, by="version")
    assert set(tally) == {"v1", "v2"}
    m.wait_for(lambda: not mesh.route_status("HTTPRoute", "app",
                                             frontend.name))


def test_rule_04_what_no_rule_matches_gets_404(mesh, frontend):
    frontend.route(rule("v1", {**path("/yes"), "method": "GET",
                               "headers": [{"name": "x", "value": "1"}],
                               "queryParams": [{"name": "q", "value": "2"}]}))
    url, good = frontend.url, ("-H", "x: 1")
    assert version(mesh, f"{url}/yes?q=2", *good) == "v1"
    for wrong in ((f"{url}/no?q=2", *good), (f"{url}/yes?q=3", *good),
                  (f"{url}/yes", *good), (f"{url}/yes?q=2",),
                  (f"{url}/yes?q=2", *good, "-X", "DELETE")):
        assert version(mesh, *wrong) == (404, "no-route"), wrong


@pytest.mark.parametrize("protocol", ["--http1.0", "--http1.1",
                                      "--http2-prior-knowledge"])
def test_rule_04_404_in_every_version_of_http(mesh, frontend, protocol):
    frontend.route(rule("v1", path("/yes")))
    assert version(mesh, frontend.url + "/", protocol) == (404, "no-route")


@pytest.mark.parametrize("selector", [{"app": "echo"}, None])
def test_rule_05_a_selector_makes_no_difference(mesh, frontend, selector):
    frontend.apply(m.service("app", frontend.name, selector), name="service")
    frontend.route(rule("v2"))
    assert version(mesh, frontend.url + "/") == "v2"
    accepted_is(mesh, frontend.name, "True", "Accepted")


def test_rule_06_a_service_without_selector_is_a_pure_frontend(mesh, frontend):
    frontend.apply(m.service("app", frontend.name, None), name="service")
    frontend.route(rule("v1", path("/in")),
                   {"matches": [path("/self")],
                    "backendRefs": [m.backend(frontend.name)]})
    assert version(mesh, frontend.url + "/in") == "v1"
    assert version(mesh, frontend.url + "/") == (404, "no-route")
    # The end of the selector's EndpointSlices is a change of its own.
    m.wait_for(lambda: version(mesh, frontend.url + "/self") ==
               (503, "no-endpoints"), 10, "no endpoints any more")


def test_rule_06_without_a_route_nobody_answers_for_it(mesh, frontend):
    frontend.apply(m.service("app", frontend.name, None), name="service")
    m.wait_for(lambda: version(mesh, frontend.url + "/") ==
               (503, "no-endpoints"), 10, "no endpoints any more")


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_rule_07_services_with_outer_addresses_too(mesh, frontend, kind):
    frontend.apply(m.service("app", frontend.name, {"app": "echo"}, type=kind),
                   name="service")
    frontend.route(rule("v2"))
    assert version(mesh, frontend.url + "/") == "v2"


@pytest.mark.parametrize("spec", [
    {"clusterIP": "None"},
    {"type": "ExternalName", "externalName": "echo-v1.app"}])
def test_rule_07_no_parent_without_an_address_of_its_own(mesh, frontend, spec):
    """Such a route could never have an effect, and the author is told."""
    name = f"{frontend.name}-x"
    frontend.apply(m.service("app", name, {"app": "echo"}, **spec),
                   m.http_route("app", name, name, [rule("v2")]))
    accepted_is(mesh, name, "False", "NoMatchingParent")


def test_rule_07_a_headless_service_works_without_routes(mesh, frontend):
    name = f"{frontend.name}-x"
    frontend.apply(m.service("app", name, {"app": "echo", "version": "v2"},
                             port=8080, clusterIP="None"))
    m.wait_for(lambda: version(mesh, f"http://{name}.app:8080/") == "v2")


def test_rule_07_a_headless_service_can_be_a_backend(mesh, frontend):
    name = f"{frontend.name}-x"
    frontend.apply(m.service("app", name, {"app": "echo", "version": "v2"},
                             clusterIP="None"), name="headless")
    frontend.route({"backendRefs": [m.backend(name)]})
    m.wait_for(lambda: version(mesh, frontend.url + "/") == "v2")


def test_rule_07_an_external_name_is_no_backend(mesh, frontend):
    name = f"{frontend.name}-x"
    frontend.apply(m.service("app", name, None, type="ExternalName",
                             externalName="echo-v1.app"), name="outer")
    frontend.route({"backendRefs": [m.backend(name)]})
    assert version(mesh, frontend.url + "/") == (500, "invalid-backend")
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("False", "BackendNotFound")})


@pytest.mark.parametrize("refs", [None, [], [m.backend("echo-v1", weight=0)]])
def test_rule_08_the_parent_is_no_implicit_backend(mesh, frontend, refs):
    frontend.route({} if refs is None else {"backendRefs": refs})
    assert version(mesh, frontend.url + "/") == (500, "no-backends")


def test_rule_08_the_parent_can_be_a_backend(mesh, frontend):
    """A canary: most of it to the Service itself."""
    frontend.route(rule("v1", path("/v1")),
                   {"backendRefs": [m.backend(frontend.name)]})
    assert version(mesh, frontend.url + "/v1") == "v1"
    assert set(mesh.tally("app/client", frontend.url + "/", 60,
                          by="version")) == {"v1", "v2"}


LOWER = {"GRPCRoute": "HTTPRoute", "HTTPRoute": "TLSRoute",
         "TLSRoute": "TCPRoute"}


@pytest.mark.parametrize("winner", LOWER)
def test_rule_09_one_kind_of_route_wins_a_port(mesh, frontend, winner):
    """Also if the other one is older."""
    loser, name = LOWER[winner], frontend.name
    refs = [{"backendRefs": [m.backend("echo-v1")]}]
    old = m.route(loser, "app", f"{name}-old", name, refs,
                  created="2020-01-01T00:00:00Z")
    new = m.route(winner, "app", name, name, refs,
                  created="2021-01-01T00:00:00Z")
    for one in (old, new):
        if one["kind"] == "TLSRoute":
            one["spec"]["hostnames"] = ["tls.example"]
    frontend.apply(old, new)
    in_force(mesh, name, name)
    accepted_is(mesh, name, "True", "Accepted", kind=winner)
    accepted_is(mesh, f"{name}-old", "False", "Conflicted", kind=loser)
    c = mesh.condition(loser, "app", f"{name}-old", "Accepted")
    assert f"{winner} app/{name}" in c["message"], c


def test_rule_09_the_loser_takes_over_when_the_winner_goes(mesh, frontend):
    name = frontend.name
    frontend.apply(m.route("GRPCRoute", "app", f"{name}-g", name,
                           [{"backendRefs": [m.backend("echo-v1")]}]),
                   name="winner")
    frontend.apply(m.http_route("app", name, name, [rule("v2")]))
    in_force(mesh, name, f"{name}-g")
    accepted_is(mesh, name, "False", "Conflicted")
    mesh.remove(f"{name}-winner.yaml")
    in_force(mesh, name, name)
    assert version(mesh, frontend.url + "/") == "v2"
    accepted_is(mesh, name, "True", "Accepted")


def test_rule_09_ports_are_won_one_by_one(mesh, frontend):
    name = frontend.name
    two_ports(frontend)
    frontend.apply(
        m.http_route("app", name, name, [rule("v2")]),
        m.route("GRPCRoute", "app", f"{name}-g", name,
                [{"matches": [{"method": {"service": "a.B"}}],
                  "backendRefs": [m.backend("echo-v1")]}], port=81))
    in_force(mesh, name, name, port=80)
    in_force(mesh, name, f"{name}-g", port=81)
    assert version(mesh, frontend.url + "/") == "v2"
    assert version(mesh, frontend.url + ":81/") == (404, "no-route")
    accepted_is(mesh, name, "True", "Accepted")
    accepted_is(mesh, f"{name}-g", "True", "Accepted", kind="GRPCRoute")


@pytest.mark.parametrize("ref", [{"port": 81}, {"sectionName": "more"},
                                 {"port": 81, "sectionName": "more"}])
def test_rule_10_a_parent_can_be_one_port(mesh, frontend, ref):
    two_ports(frontend)
    ref = {"group": "", "kind": "Service", "name": frontend.name, **ref}
    frontend.apply(m.http_route("app", frontend.name, [ref],
                                [rule("v2", path("/only"))]))
    in_force(mesh, frontend.name, frontend.name, port=81)
    in_force(mesh, frontend.name, port=80)
    assert version(mesh, frontend.url + ":81/only") == "v2"
    assert version(mesh, frontend.url + ":81/") == (404, "no-route")
    assert version(mesh, frontend.url + "/") in ("v1", "v2")


def test_rule_10_without_a_port_it_is_all_ports(mesh, frontend):
    two_ports(frontend)
    frontend.apply(m.http_route("app", frontend.name, frontend.name,
                                [rule("v2")]))
    for port in (80, 81):
        in_force(mesh, frontend.name, frontend.name, port=port)
        assert mesh.tally("app/client", f"{frontend.url}:{port}/", 10,
                          by="version") == {"v2": 10}


@pytest.mark.parametrize("ref", [
    {"port": 82}, {"sectionName": "none"},
    {"port": 80, "sectionName": "more"}])
def test_rule_10_port_and_name_must_both_be_there(mesh, frontend, ref):
    two_ports(frontend)
    ref = {"group": "", "kind": "Service", "name": frontend.name, **ref}
    frontend.apply(m.http_route("app", frontend.name, [ref], [rule("v2")]))
    accepted_is(mesh, frontend.name, "False", "NoMatchingParent")
    for port in (80, 81):
        in_force(mesh, frontend.name, port=port)


def test_rule_10_several_parents_each_with_a_status(mesh, frontend):
    two_ports(frontend)
    refs = [{"group": "", "kind": "Service", "name": frontend.name, **x}
            for x in ({"port": 81}, {"port": 99}, {"sectionName": "http"})]
    frontend.apply(m.http_route("app", frontend.name, refs, [rule("v2")]))
    m.wait_for(lambda: [
        (p["parentRef"], p["conditions"][0]["reason"]) for p in
        mesh.route_status("HTTPRoute", "app", frontend.name)] == list(zip(
            refs, ["Accepted", "NoMatchingParent", "Accepted"])))
    for port in (80, 81):
        in_force(mesh, frontend.name, frontend.name, port=port)


def test_rule_11_nothing_follows_from_hostnames(mesh, frontend):
    frontend.route(rule("v2"), hostnames=["elsewhere.example"])
    assert version(mesh, frontend.url + "/") == "v2"
    accepted_is(mesh, frontend.name, "True", "Accepted")


def test_rule_11_users_match_the_host_header(mesh, frontend):
    host = [{"name": "Host", "value": "red.example"}]
    frontend.route(rule("v2", {"headers": host}), rule("v1"))
    assert version(mesh, frontend.url + "/", "-H", "Host: red.example") == "v2"
    assert version(mesh, frontend.url + "/") == "v1"


def test_rule_12_a_producer_route_is_for_all_namespaces(mesh, frontend):
    frontend.route(rule("v2", path("/p")))
    for pod in CLIENTS:
        in_force(mesh, frontend.name, frontend.name, pod=pod)
        assert version(mesh, frontend.url + "/p", pod=pod) == "v2"
        assert version(mesh, frontend.url + "/", pod=pod) == (404, "no-route")


def consumer(frontend, name, *rules, **more):
    return m.http_route("other", name, frontend.name, list(rules),
                        parent_ns="app", **more)


def to(service, ns, *matches):
    made = {"backendRefs": [m.backend(service, namespace=ns)]}
    return {**made, "matches": list(matches)} if matches else made


def test_rule_13_a_consumer_route_is_for_its_own_namespace(mesh, frontend):
    name = frontend.name
    frontend.apply(consumer(frontend, f"{name}-c", to("echo-v2", "app")))
    in_force(mesh, name, f"{name}-c", pod="other/client")
    in_force(mesh, name, pod="app/client")
    assert mesh.tally("other/client", frontend.url + "/", 20,
                      by="version") == {"v2": 20}
    assert set(mesh.tally("app/client", frontend.url + "/", 60,
                          by="version")) == {"v1", "v2"}
    accepted_is(mesh, f"{name}-c", "True", "Accepted", ns="other")
    assert mesh.route_status("HTTPRoute", "other", f"{name}-c")[0][
        "parentRef"] == {"group": "", "kind": "Service", "name": name,
                         "namespace": "app"}


def test_rule_14_consumer_routes_stand_alone(mesh, frontend):
    """Who has them does not see the producer's, not even for the rest."""
    name = frontend.name
    frontend.apply(
        m.http_route("app", name, name, [rule("v1", path("/p"))]),
        consumer(frontend, f"{name}-c", to("echo-v2", "app", path("/c"))))
    in_force(mesh, name, name, pod="app/client")
    in_force(mesh, name, f"{name}-c", pod="other/client")
    seen = {(pod, p): version(mesh, frontend.url + p, pod=pod)
            for pod in CLIENTS for p in ("/p", "/c")}
    assert seen == {("app/client", "/p"): "v1",
                    ("app/client", "/c"): (404, "no-route"),
                    ("other/client", "/p"): (404, "no-route"),
                    ("other/client", "/c"): "v2"}


def test_rule_14_a_consumer_may_have_another_kind_of_route(mesh, frontend):
    """No conflict between groups: each client sees one of them."""
    name = frontend.name
    frontend.apply(
        m.route("GRPCRoute", "app", f"{name}-g", name,
                [{"backendRefs": [m.backend("echo-v1")]}]),
        consumer(frontend, f"{name}-c", to("echo-v2", "app")))
    in_force(mesh, name, f"{name}-c", pod="other/client")
    in_force(mesh, name, f"{name}-g", pod="app/client")
    assert version(mesh, frontend.url + "/", pod="other/client") == "v2"
    for kind, ns, route in (("GRPCRoute", "app", f"{name}-g"),
                            ("HTTPRoute", "other", f"{name}-c")):
        accepted_is(mesh, route, "True", "Accepted", kind=kind, ns=ns)


@pytest.mark.parametrize("group", ["app", "other"])
def test_rule_14_the_routes_of_one_group_are_merged(mesh, frontend, group):
    name, pod = frontend.name, f"{group}/client"
    names = [f"{name}-{i}" for i in (1, 2)]
    frontend.apply(*[
        m.http_route(group, n, name, [to(f"echo-v{i}", "app",
                                         path(f"/{i}"))], parent_ns="app")
        for i, n in enumerate(names, 1)])
    in_force(mesh, name, *names, pod=pod)
    assert [version(mesh, frontend.url + p, pod=pod)
            for p in ("/1", "/2", "/3")] == ["v1", "v2", (404, "no-route")]


def test_rule_14_without_consumer_routes_the_producers_are_back(
        mesh, frontend):
    name = frontend.name
    frontend.apply(consumer(frontend, f"{name}-c", to("far", "other")),
                   name="consumer")
    frontend.apply(m.http_route("app", name, name, [rule("v1")]))
    in_force(mesh, name, f"{name}-c", pod="other/client")
    assert version(mesh, frontend.url + "/", pod="other/client") == "far"
    mesh.remove(f"{name}-consumer.yaml")
    in_force(mesh, name, name, pod="other/client")
    assert version(mesh, frontend.url + "/", pod="other/client") == "v1"


def test_rule_15_backends_elsewhere_need_no_grant(mesh, frontend):
    frontend.route(to("far", "other"))
    assert version(mesh, frontend.url + "/") == "far"
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs")})


def test_rule_15_backends_outside_of_the_mesh_too(mesh, frontend):
    frontend.route(to("outside", "plain"))
    assert version(mesh, frontend.url + "/") == "outside"


def test_rule_16_traffic_to_a_pod_is_not_routed(mesh, frontend):
    frontend.route(rule("v2", path("/only")))
    row = mesh.pod("app/deploy/echo-v1")
    assert len(row["ips"]) == 2
    for ip in row["ips"]:
        host = f"[{ip}]" if ":" in ip else ip
        r = mesh.curl("app/client", f"http://{host}:8080/free", "-H",
                      f"Host: {frontend.name}.app")
        assert r.status == 200 and r.json["pod"] == row["name"]


# Rules 17 and 18: the first of each pair wins; the order of writing is the
# other way round.
HTTP_ORDER = {
    "exact path": (path("/a", "Exact"), path("/a"), "/a", ()),
    "longer prefix": (path("/a/b"), path("/a"), "/a/b/c", ()),
    "path before method": (path("/a/b"), {**path("/a"), "method": "GET"},
                           "/a/b", ()),
    "method before headers": (
        {**path("/a"), "method": "GET"},
        {**path("/a"), "headers": [{"name": "x", "value": "1"},
                                   {"name": "z", "value": "1"}]},
        "/a", ("-H", "x: 1", "-H", "z: 1")),
    "more headers": (
        {"headers": [{"name": "x", "value": "1"},
                     {"name": "z", "value": "1"}]},
        {"headers": [{"name": "x", "value": "1"}]},
        "/", ("-H", "x: 1", "-H", "z: 1")),
    "headers before query": (
        {"headers": [{"name": "x", "value": "1"}]},
        {"queryParams": [{"name": "q", "value": "1"},
                         {"name": "r", "value": "1"}]},
        "/?q=1&r=1", ("-H", "x: 1")),
    "more query parameters": (
        {"queryParams": [{"name": "q", "value": "1"},
                         {"name": "r", "value": "1"}]},
        {"queryParams": [{"name": "q", "value": "1"}]},
        "/?q=1&r=1", ()),
}


@pytest.mark.parametrize("routes", [1, 2])
@pytest.mark.parametrize("case", HTTP_ORDER)
def test_rule_17_the_more_specific_match_wins(mesh, frontend, case, routes):
    """In one route, and against an older one."""
    first, second, target, options = HTTP_ORDER[case]
    rules = [rule("v2", second), rule("v1", first)]
    name = frontend.name
    if routes == 1:
        frontend.route(*rules)
    else:
        frontend.apply(*[
            m.http_route("app", f"{name}-{i}", name, [r],
                         created=f"202{i}-01-01T00:00:00Z")
            for i, r in enumerate(rules)])
        in_force(mesh, name, f"{name}-0", f"{name}-1")
    assert version(mesh, frontend.url + target, *options) == "v1"


def test_rule_17_one_of_several_matches_is_enough(mesh, frontend):
    frontend.route(rule("v1", path("/a"), {**path("/b"), "method": "PUT"}),
                   rule("v2"))
    assert version(mesh, frontend.url + "/a") == "v1"
    assert version(mesh, frontend.url + "/b", "-X", "PUT") == "v1"
    assert version(mesh, frontend.url + "/b") == "v2"


def test_rule_17_then_the_oldest_route(mesh, frontend):
    name = frontend.name
    frontend.apply(
        m.http_route("app", f"{name}-a", name, [rule("v2")],
                     created="2024-05-01T00:00:01Z"),
        m.http_route("app", f"{name}-b", name, [rule("v1")],
                     created="2024-05-01T00:00:00Z"))
    in_force(mesh, name, f"{name}-a", f"{name}-b")
    assert version(mesh, frontend.url + "/") == "v1"


def test_rule_17_then_the_first_by_name(mesh, frontend):
    name, same = frontend.name, "2024-05-01T00:00:00Z"
    frontend.apply(
        m.http_route("app", f"{name}-b", name, [rule("v2")], created=same),
        m.http_route("app", f"{name}-a", name, [rule("v1")], created=same))
    in_force(mesh, name, f"{name}-a", f"{name}-b")
    assert version(mesh, frontend.url + "/") == "v1"


def test_rule_17_then_the_first_rule(mesh, frontend):
    frontend.route(rule("v1", path("/a")), rule("v2", path("/a")))
    assert version(mesh, frontend.url + "/a") == "v1"


@pytest.fixture
def grpc(mesh, frontend):
    """Calls Echo through the frontend: its version, or its status."""
    grpc_calls.deploy(mesh)

    def call(method=f"{grpc_calls.ECHO}/Echo", *metadata):
        got = grpc_calls.call(mesh, f"{frontend.name}.app:80", method,
                              metadata=metadata)
        return got["version"] if got["code"] == "OK" else got["code"]
    return call


def grpc_rule(number, *matches):
    made = {"backendRefs": [m.backend(f"grpc-v{number}")]}
    return {**made, "matches": list(matches)} if matches else made


def method(service=None, name=None):
    pair = {"service": service, "method": name}
    return {"method": {k: v for k, v in pair.items() if v}}


HEADER = [{"name": "x", "value": "1"}]
GRPC_ORDER = {
    "service": (method(grpc_calls.ECHO), method(None, "Echo"), ()),
    "service and method": (method(grpc_calls.ECHO, "Echo"),
                           {**method(grpc_calls.ECHO), "headers": HEADER},
                           (("x", "1"),)),
    "headers": ({**method(grpc_calls.ECHO, "Echo"), "headers": HEADER},
                method(grpc_calls.ECHO, "Echo"), (("x", "1"),)),
}


@pytest.mark.parametrize("case", GRPC_ORDER)
def test_rule_18_the_more_specific_call_wins(frontend, grpc, case):
    first, second, metadata = GRPC_ORDER[case]
    frontend.route(grpc_rule(2, second), grpc_rule(1, first), kind="GRPCRoute")
    assert grpc(f"{grpc_calls.ECHO}/Echo", *metadata) == "v1"


def test_rule_18_then_the_oldest_route(mesh, frontend, grpc):
    name = frontend.name
    frontend.apply(*[m.route("GRPCRoute", "app", f"{name}-{n}", name,
                             [grpc_rule(v)], created=f"{year}-01-01T00:00:00Z")
                     for n, v, year in (("a", 2, 2022), ("b", 1, 2021))])
    in_force(mesh, name, f"{name}-a", f"{name}-b")
    assert grpc() == "v1"


def test_rule_18_never_together_with_an_http_route(mesh, frontend, grpc):
    name = frontend.name
    frontend.apply(
        m.http_route("app", name, name, [rule("v1")]),
        m.route("GRPCRoute", "app", f"{name}-g", name,
                [grpc_rule(2, method(grpc_calls.ECHO))]))
    in_force(mesh, name, f"{name}-g")
    assert grpc() == "v2"
    assert grpc("other.Service/Call") == "UNIMPLEMENTED"
    assert version(mesh, frontend.url + "/") == (404, "no-route")
    accepted_is(mesh, name, "False", "Conflicted")


def test_rule_18_nothing_but_invalid_backends_is_unavailable(frontend, grpc):
    frontend.route({"backendRefs": [m.backend("no-such-a"),
                                    m.backend("no-such-b")]}, kind="GRPCRoute")
    assert grpc() == "UNAVAILABLE"
