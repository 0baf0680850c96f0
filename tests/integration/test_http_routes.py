# SPDX-License-Identifier: Apache-2.0
"""HTTPRoutes of a Service: matching, precedence, backends."""
import json

import pytest

import meshes as m
from http_tables import (FAR, V1, V2, ask, check, header, in_force, modify,
                         path, prefix, refused, routes, rule)

REGEX = "RegularExpression"


def test_any_match_of_a_rule_is_enough(mesh, frontend):
    frontend.route(rule("one", prefix("/"),
                        {"headers": [header("version", "one")]}),
                   rule("two", prefix("/v2"),
                        {"headers": [header("version", "two")]}, to=V2))
    check(mesh, frontend, [
        ("one", "/"), ("one", "/example"), ("one", "/", "Version: one"),
        ("two", "/v2"), ("two", "/v2/example"), ("two", "/v2/"),
        ("two", "/v2?x=/"), ("two", "/", "Version: two"),
        ("one", "/v2example"), ("one", "/foo/v2/example"), ("one", "/V2")])


def test_rules_of_several_routes_are_one_list(mesh, frontend):
    n = frontend.name
    routes(frontend, {
        f"{n}-a": [rule("a", prefix("/"), {
            "headers": [header("version", "one")]})],
        f"{n}-b": [rule("b", prefix("/v2"), {
            "headers": [header("version", "two")]})]})
    check(mesh, frontend, [
        ("a", "/"), ("a", "/example"), ("a", "/", "version: one"),
        ("b", "/v2"), ("b", "/v2/"), ("b", "/v2/example"),
        ("b", "/", "version: two"), ("a", "/v2example"),
        ("a", "/foo/v2/example"),
        # The prefix is longer, whatever else stands beside the shorter one.
        ("b", "/v2/example", "version: one")])


def test_an_exact_path_is_the_whole_path_without_its_query(mesh, frontend):
    frontend.route(rule("one", path("Exact", "/one")),
                   rule("two", path("Exact", "/two/")),
                   rule("enc", path("Exact", "/a%20b")))
    check(mesh, frontend, [
        ("one", "/one"), ("one", "/one?x=1"), ("one", "/one?"),
        (404, "/one/"), (404, "/One"), (404, "/one/example"), (404, "/"),
        (404, "/on"), (404, "/ones"), ("two", "/two/"), (404, "/two"),
        (404, "/?/one"), ("enc", "/a%20b")])


def test_a_prefix_takes_whole_segments(mesh, frontend):
    frontend.route(rule("plain", prefix("/abc")),
                   rule("slash", prefix("/xyz/")),
                   rule("deep", prefix("/abc/d/e")))
    check(mesh, frontend, [
        ("plain", "/abc"), ("plain", "/abc/"), ("plain", "/abc/def"),
        ("plain", "/abc?x=1"), ("plain", "/abc/d/ex"), (404, "/abcd"),
        (404, "/ABC"), (404, "/ab"), (404, "/"), (404, "/x/abc"),
        ("slash", "/xyz"), ("slash", "/xyz/"), ("slash", "/xyz/a"),
        (404, "/xyza"), ("deep", "/abc/d/e"), ("deep", "/abc/d/e/f"),
        ("plain", "/abc/d")])


def test_a_regular_expression_matches_the_whole_path(mesh, frontend):
    frontend.route(rule("number", path(REGEX, "/item/[0-9]+")),
                   rule("any", path(REGEX, "/any/.*")),
                   rule("either", path(REGEX, "/(cat|dog)/?")))
    check(mesh, frontend, [
        ("number", "/item/42"), ("number", "/item/42?x=y"),
        (404, "/item/"), (404, "/item/42/x"), (404, "/x/item/42"),
        (404, "/item/4a"), ("any", "/any/"), ("any", "/any/a/b/c"),
        (404, "/any"), ("either", "/cat"), ("either", "/dog/"),
        (404, "/cats"), (404, "/Cat")])


def test_headers_must_all_be_there(mesh, frontend):
    def on(*pairs):
        return [{"headers": [header(n, v) for n, v in pairs]}]
    frontend.route(
        rule("one", *on(("version", "one"))),
        rule("two", *on(("version", "two"))),
        rule("orange", *on(("version", "two"), ("color", "orange"))),
        rule("cold", *on(("color", "blue")), *on(("color", "green"))),
        rule("case", *on(("X-Mixed-Case", "Value"))))
    check(mesh, frontend, [
        ("one", "/", "Version: one"), ("two", "/", "VERSION: two"),
        ("orange", "/", "version: two", "color: orange"),
        ("two", "/", "version: two", "color: blue"),
        ("cold", "/", "color: blue"), ("cold", "/", "color: green"),
        (404, "/", "color: orange"), (404, "/", "color: Blue"),
        (404, "/", "some-other: one"), (404, "/", "version: one two"),
        (404, "/", "version: onetwo"), (404, "/"),
        ("case", "/", "x-mixed-case: Value"),
        (404, "/", "x-mixed-case: value"),
        # Lines of one name are one list.
        (404, "/", "color: blue", "color: green")])


def test_headers_by_regular_expression(mesh, frontend):
    frontend.route(
        rule("safari", {"headers": [
            header("user-agent", ".*Safari.*", REGEX)]}),
        rule("short", {"headers": [header("x-id", "[a-f0-9]{4}", REGEX),
                                   header("x-kind", "k")]}),
        rule("list", {"headers": [header("x-list", "a, ?b", REGEX)]}))
    check(mesh, frontend, [
        ("safari", "/", "User-Agent: Mozilla Safari/1"),
        (404, "/", "User-Agent: Mozilla safari/1"),
        ("short", "/", "x-id: 0afc", "x-kind: k"), (404, "/", "x-id: 0afc"),
        (404, "/", "x-id: 0afcd", "x-kind: k"),
        (404, "/", "x-id: x0afc", "x-kind: k"),
        ("list", "/", "x-list: a", "x-list: b")])


def test_of_a_header_named_twice_the_first_counts(mesh, frontend):
    frontend.route(rule("first", {"headers": [header("Color", "red"),
                                              header("color", "blue")]}))
    check(mesh, frontend, [("first", "/", "color: red"),
                           (404, "/", "color: blue")])


def test_query_parameters(mesh, frontend):
    def on(*pairs, **more):
        return {"queryParams": [header(*p) for p in pairs], **more}
    frontend.route(
        rule("whale", on(("animal", "whale"))),
        rule("dolphin", on(("animal", "dolphin"))),
        rule("both", on(("animal", "dolphin"), ("color", "blue")),
             on(("ANIMAL", "Whale"))),
        rule("path", on(("animal", "whale"), **prefix("/path1"))),
        rule("header", on(("animal", "whale"),
                          headers=[header("version", "one")])),
        rule("regex", on(("id", "[0-9]+", REGEX))),
        rule("space", on(("text", "a b&c"))))
    check(mesh, frontend, [
        ("whale", "/?animal=whale"), ("dolphin", "/?animal=dolphin"),
        ("both", "/?animal=dolphin&color=blue"),
        ("both", "/?color=blue&x&animal=dolphin"), ("both", "/?ANIMAL=Whale"),
        ("whale", "/?animal=whale&otherparam=irrelevant"),
        ("dolphin", "/?animal=dolphin&color=yellow"),
        (404, "/?color=blue"), (404, "/?animal=dog"), (404, "/"),
        (404, "/?animal=whaledolphin"), (404, "/?animal"), (404, "/?animal="),
        (404, "/?Animal=whale"), ("path", "/path1?animal=whale"),
        ("header", "/?animal=whale", "version: one"),
        ("path", "/path1?animal=whale", "version: one"),
        # Of a repeated parameter the first value counts.
        ("whale", "/?animal=whale&animal=dolphin"),
        ("dolphin", "/?animal=dolphin&animal=whale"),
        ("regex", "/?id=12"), (404, "/?id=12a"), (404, "/?id="),
        ("whale", "/?%61nimal=wh%61le"),
        ("space", "/?text=a%20b%26c"), ("space", "/?text=a+b%26c")])


def test_methods(mesh, frontend):
    frontend.route(
        rule("post", {"method": "POST"}), rule("get", {"method": "GET"}),
        rule("path", {"method": "GET", **prefix("/path1")}),
        rule("header", {"method": "PUT",
                        "headers": [header("version", "one")]}),
        rule("either", {"method": "PATCH", **prefix("/path3")},
             {"method": "DELETE", **prefix("/path4"),
              "headers": [header("version", "three")]}),
        rule("longer", prefix("/path5")), rule("patch", {"method": "PATCH"}),
        rule("four", {"headers": [header("version", "four")]}))
    check(mesh, frontend, [
        ("post", "POST /"), ("get", "GET /"), (404, "HEAD /"),
        (404, "OPTIONS /"), ("path", "GET /path1"), (404, "PUT /"),
        ("header", "PUT /", "version: one"), ("either", "PATCH /path3"),
        ("either", "DELETE /path4", "version: three"),
        (404, "DELETE /path4"), ("longer", "PATCH /path5"),
        # A method counts before headers.
        ("patch", "PATCH /", "version: four"),
        ("four", "DELETE /", "version: four"), (404, "get /")])


def test_the_more_specific_match_wins_wherever_it_stands(mesh, frontend):
    one = header("version", "one")
    frontend.route(
        rule("first", prefix("/")), rule("second", prefix("/")),
        rule("query", {"queryParams": [header("q", "1")]}),
        rule("two-queries", {"queryParams": [header("q", "1"),
                                             header("r", "1")]}),
        rule("header", {"headers": [one]}),
        rule("two-headers", {"headers": [one, header("color", "red")]}),
        rule("method", {"method": "PUT"}),
        rule("prefix", prefix("/long")),
        rule("longer", prefix("/long/er")),
        rule("regex", path(REGEX, "/long/er/r.*")),
        rule("exact", path("Exact", "/long/er/re")))
    check(mesh, frontend, [
        ("first", "/"), ("query", "/?q=1"), ("two-queries", "/?r=1&q=1"),
        ("header", "/?q=1&r=1", "version: one"),
        ("two-headers", "/?q=1&r=1", "version: one", "color: red"),
        ("method", "PUT /?q=1&r=1", "version: one", "color: red"),
        ("prefix", "PUT /long?q=1&r=1", "version: one"),
        ("prefix", "/long/e"), ("longer", "/long/er"),
        ("longer", "/long/er/x"), ("regex", "/long/er/rx"),
        ("exact", "/long/er/re")])


def test_the_order_of_paths_is_not_the_order_of_rules(mesh, frontend):
    frontend.route(
        rule(1, path("Exact", "/match")), rule(2, path("Exact", "/match/exact")),
        rule(3, path("Exact", "/match/exact/one")), rule(4, prefix("/match/")),
        rule(5, prefix("/match/prefix/")), rule(6, prefix("/match/prefix/one")))
    check(mesh, frontend, [
        ("3", "/match/exact/one"), ("2", "/match/exact"), ("1", "/match"),
        ("6", "/match/prefix/one/any"), ("5", "/match/prefix/any"),
        ("4", "/match/any"), ("4", "/match/"), ("4", "/match/exact/"),
        ("5", "/match/prefix"), ("5", "/match/prefix/onetwo")])


def test_of_equal_rules_the_older_routes_goes_first(mesh, frontend):
    n = frontend.name
    made = [m.http_route("app", f"{n}-{name}", n, [rule(name)], created=when)
            for name, when in (("a", "2026-03-01T00:00:00Z"),
                               ("b", "2026-01-01T00:00:00Z"),
                               ("c", "2026-02-01T00:00:00Z"))]
    made[0]["spec"]["rules"].append(rule("more", prefix("/more")))
    frontend.apply(*made)
    in_force(frontend, *[f"{n}-{x}" for x in "abc"])
    # What is more specific wins in the youngest route too.
    check(mesh, frontend, [("b", "/"), ("b", "/x"), ("more", "/more")])


def test_of_routes_of_one_age_the_name_decides(mesh, frontend):
    n = frontend.name
    frontend.apply(*[
        m.http_route("app", f"{n}{name}", n, [rule(name)],
                     created="2026-01-01T00:00:00Z")
        for name in ("-c", ".a", "-b", "0")])
    in_force(frontend, f"{n}-c", f"{n}.a", f"{n}-b", f"{n}0")
    check(mesh, frontend, [("-b", "/")])


def test_a_route_that_goes_away_leaves_the_others(mesh, frontend):
    n = frontend.name
    a = m.http_route("app", f"{n}-a", n, [rule("a", prefix("/a"))])
    b = m.http_route("app", f"{n}-b", n, [rule("b", prefix("/b"))])
    frontend.apply(a, b)
    in_force(frontend, f"{n}-a", f"{n}-b")
    check(mesh, frontend, [("a", "/a"), ("b", "/b"), (404, "/")])
    frontend.apply(b)
    in_force(frontend, f"{n}-b")
    check(mesh, frontend, [(404, "/a"), ("b", "/b")])
    frontend.apply()
    in_force(frontend)
    r = mesh.curl("app/client", frontend.url + "/a")
    assert r.status == 200 and r.header("x-rule") is None


def test_hostnames_say_nothing_in_a_mesh(mesh, frontend):
    frontend.route(rule("one"), hostnames=["elsewhere.example"])
    check(mesh, frontend, [("one", "/"), ("one", "/", "Host: echo-v1"),
                           ("one", "/", "Host: elsewhere.example")])
    # Nor does the request's Host bring a route along.
    r = mesh.curl("app/client", "http://echo-v1/", "-H",
                  f"Host: {frontend.name}")
    assert r.status == 200 and r.header("x-rule") is None
    assert r.json["host"] == frontend.name


def test_a_rule_without_matches_takes_everything(mesh, frontend):
    frontend.route(rule("all"), rule("never"))
    check(mesh, frontend, [("all", "/"), ("all", "/a/b?c"), ("all", "POST /"),
                           ("all", "DELETE /x")])


def test_no_match_is_404_and_says_where(mesh, frontend):
    frontend.route(rule("one", path("Exact", "/one")))
    r = mesh.curl("app/client", frontend.url + "/two")
    text = refused(r, "no-route", 404)
    assert f"Service app/{frontend.name}:80" in text, text
    r = mesh.curl("app/client", frontend.url + "/two", "-I")
    assert r.status == 404 and r.header("eastwest-refusal") == "no-route"
    r = mesh.curl("app/client", frontend.url + "/two", "-H",
                  "content-type: application/grpc")
    assert (r.status, r.header("grpc-status")) == (200, "12"), r
    assert f"app/{frontend.name}:80" in r.header("grpc-message")
    # A body is read, and the connection serves on.
    one, two = ask(mesh, [
        (frontend.url + "/two", "-d", "x" * 100000),
        (frontend.url + "/one",)])
    assert one.status == 404 and two.status == 200


@pytest.mark.parametrize("match", [
    path(REGEX, "/("), {"headers": [header("a", "[", REGEX)]},
    {"queryParams": [header("a", "*", REGEX)]}, {"method": "BREW"},
    path("Glob", "/x")])
def test_a_match_that_is_not_understood_drops_its_rule_alone(
        mesh, frontend, match):
    frontend.route(rule("bad", match), rule("good", prefix("/good")))
    check(mesh, frontend, [(404, "/"), ("good", "/good")])
    c = mesh.condition("HTTPRoute", "app", frontend.name, "PartiallyInvalid")
    assert c["status"] == "True", c


# ---- backends ----

def to(*backends, **more):
    """A rule with backends of (name, weight)."""
    return {"backendRefs": [
        {**(m.backend(b) if isinstance(b, str) else b), "weight": w}
        for b, w in backends], **more}


def test_weights_share_the_requests(mesh, frontend):
    frontend.route(to(("echo-v1", 70), ("echo-v2", 30), (FAR, 0)))
    counts = mesh.tally("app/client", frontend.url + "/", 400, by="version")
    # Six standard deviations.
    assert 225 <= counts["v1"] <= 335, counts
    assert counts["v1"] + counts["v2"] == 400, counts


def test_weights_are_relative_and_1_if_not_given(mesh, frontend):
    frontend.route({"backendRefs": [
        {**V1, "weight": 3}, V2, m.backend("far", namespace="other")]})
    counts = mesh.tally("app/client", frontend.url + "/", 400, by="version")
    assert 180 <= counts["v1"] <= 300, counts
    assert min(counts["v2"], counts["far"]) >= 32, counts


def test_a_million_to_one(mesh, frontend):
    frontend.route(to(("echo-v1", 1000000), ("echo-v2", 0)))
    assert mesh.tally("app/client", frontend.url + "/", 20,
                      by="version") == {"v1": 20}


def test_the_same_backend_may_stand_twice(mesh, frontend):
    frontend.route({"backendRefs": [
        {**V1, "filters": [modify("Request", set={"x-share": "a"})]},
        {**V1, "filters": [modify("Request", set={"x-share": "b"})]}]})
    seen = {r.json["headers"]["x-share"][0] for r in ask(
        mesh, [(frontend.url + "/",)] * 40)}
    assert seen == {"a", "b"}


def test_rules_without_backends_are_500(mesh, frontend):
    frontend.route({"matches": [path("Exact", "/omitted")]},
                   {"matches": [path("Exact", "/empty")], "backendRefs": []},
                   {"matches": [path("Exact", "/zero")], "name": "zero",
                    **to(("echo-v1", 0), ("echo-v2", 0))}, rule("all"))
    *none, some = ask(mesh, [(frontend.url + p,) for p in (
        "/omitted", "/empty", "/zero", "/forward")])
    assert (some.status, some.header("x-rule")) == (200, "all")
    texts = [refused(r, "no-backends", 500) for r in none]
    for text, name in zip(texts, ("rule 0", "rule 1", "rule zero")):
        assert f"Service app/{frontend.name}:80" in text, text
        assert f"HTTPRoute app/{frontend.name} {name}" in text, text


BAD_REFS = {
    "name": (m.backend("nobody"), "BackendNotFound", "Service app/nobody:80"),
    "port": (m.backend("echo-v1", port=81), "BackendNotFound",
             "Service app/echo-v1:81"),
    "kind": ({"group": "unknown.example", "kind": "NoKind", "name": "x",
              "port": 80}, "InvalidKind", "NoKind app/x:80"),
    "namespace": (m.backend("echo-v1", namespace="nowhere"),
                  "BackendNotFound", "Service nowhere/echo-v1:80"),
    "without-port": ({"name": "echo-v1"}, "BackendNotFound",
                     "Service app/echo-v1:0"),
}


@pytest.mark.parametrize("which", BAD_REFS)
def test_a_backend_that_is_not_there_is_500(mesh, frontend, which):
    ref, why, where = BAD_REFS[which]
    frontend.route({"backendRefs": [ref]})
    text = refused(mesh.curl("app/client", frontend.url + "/"),
                   "invalid-backend", 500)
    assert why in text and f"backend {where}" in text, text
    c = mesh.condition("HTTPRoute", "app", frontend.name, "ResolvedRefs")
    assert (c["status"], c["reason"]) == ("False", why), c


def test_a_backend_that_is_not_there_keeps_its_share(mesh, frontend):
    frontend.route(to(("echo-v1", 1), ("nobody", 1)))
    counts = mesh.tally("app/client", frontend.url + "/", 200, by="version")
    assert set(counts) == {"v1", 500}
    assert min(counts.values()) >= 60, counts


def test_a_backend_that_appears_is_used(mesh, frontend):
    late = f"{frontend.name[:40]}-late"
    frontend.route({"backendRefs": [m.backend(late)]})
    refused(mesh.curl("app/client", frontend.url + "/"),
            "invalid-backend", 500)
    frontend.apply(m.service("app", late, {"app": "echo", "version": "v2"}),
                   name="late")
    m.wait_for(lambda: mesh.curl("app/client", frontend.url + "/").json[
        "version"] == "v2")


def test_a_service_without_endpoints_is_503(mesh, frontend):
    none = f"{frontend.name[:40]}-none"
    frontend.apply(m.service("app", none, {"app": "nobody"}), name="none")
    frontend.route({"backendRefs": [m.backend(none)]})
    text = refused(mesh.curl("app/client", frontend.url + "/"),
                   "no-endpoints", 503)
    assert f"backend Service app/{none}:80" in text, text
    # Without a route it is the Service itself that has none. Its cluster
    # address may come to the controller later than its manifest.
    m.wait_for(lambda: mesh.exec(
        "app/client", "curl", "-s", "--max-time", "5", f"http://{none}.app/",
        check=False).returncode == 0, 10, f"Service {none} known")
    text = refused(mesh.curl("app/client", f"http://{none}.app/"),
                   "no-endpoints", 503)
    assert f"Service app/{none}:80" in text, text
    # And the share of other backends is not touched.
    frontend.route(to(("echo-v1", 1), (none, 1)), wait=False)
    m.wait_for(lambda: mesh.curl("app/client",
                                 frontend.url + "/").status == 200)
    counts = mesh.tally("app/client", frontend.url + "/", 200, by="version")
    assert set(counts) == {"v1", 503} and min(counts.values()) >= 60, counts


def test_a_service_that_is_its_own_backend(mesh, frontend):
    """A route's backend is endpoints, so there is no way around in it."""
    frontend.route(rule("own", to=m.backend(frontend.name)))
    check(mesh, frontend, [("own", "/")])


def test_rules_of_the_backend_service_are_not_followed(mesh, frontend):
    second = f"{frontend.name[:40]}-second"
    frontend.apply(m.service("app", second, {"app": "echo"}),
                   m.http_route("app", second, second, [{"filters": [
                       modify("Response", set={"x-second": "1"})],
                       "backendRefs": [V2]}]), name="second")
    frontend.route(rule("first", to=m.backend(second)))
    got = ask(mesh, [(frontend.url + "/",)] * 20)
    assert {r.header("x-second") for r in got} == {None}
    assert {r.json["version"] for r in got} == {"v1", "v2"}


def test_a_backend_in_another_namespace(mesh, frontend):
    frontend.route(rule("far", to=FAR))
    r = mesh.curl("app/client", frontend.url + "/")
    assert (r.status, r.json["namespace"]) == (200, "other")


# ---- parents ----

def two_ports(frontend):
    frontend.apply(m.service("app", frontend.name, {"app": "echo"}, ports=[
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "alt", "port": 8090, "targetPort": 8080}]), name="service")
    m.wait_for(lambda: rule_at(frontend, 8090) == 200)


def rule_at(frontend, port, path_="/"):
    r = frontend.mesh.curl("app/client", f"{frontend.url}:{port}{path_}")
    return r.header("x-rule") or r.status


def parent(frontend, **more):
    return [{"group": "", "kind": "Service", "name": frontend.name, **more}]


def test_a_route_without_port_is_for_every_port(mesh, frontend):
    two_ports(frontend)
    frontend.route(rule("all"))
    m.wait_for(lambda: rule_at(frontend, 80) == "all" and
               rule_at(frontend, 8090) == "all")


@pytest.mark.parametrize("how", [{"port": 8090}, {"sectionName": "alt"},
                                 {"port": 8090, "sectionName": "alt"}])
def test_a_route_for_one_port(mesh, frontend, how):
    two_ports(frontend)
    frontend.apply(m.http_route("app", frontend.name,
                                parent(frontend, **how), [rule("one")]))
    m.wait_for(lambda: rule_at(frontend, 8090) == "one")
    assert rule_at(frontend, 80) == 200


@pytest.mark.parametrize("how", [
    {"port": 81}, {"sectionName": "nobody"},
    {"port": 80, "sectionName": "alt"}])
def test_a_route_for_a_port_that_is_not_there(mesh, frontend, how):
    two_ports(frontend)
    frontend.apply(m.http_route("app", frontend.name,
                                parent(frontend, **how), [rule("one")]))
    c = m.wait_for(lambda: mesh.condition(
        "HTTPRoute", "app", frontend.name, "Accepted"), 10, "a status")
    assert (c["status"], c["reason"]) == ("False", "NoMatchingParent"), c
    assert rule_at(frontend, 80) == 200 and rule_at(frontend, 8090) == 200


def test_each_port_has_its_own_routes(mesh, frontend):
    two_ports(frontend)
    n = frontend.name
    frontend.apply(
        m.http_route("app", f"{n}-a", parent(frontend, port=80),
                     [rule("a", prefix("/a"))]),
        m.http_route("app", f"{n}-b", parent(frontend, port=8090),
                     [rule("b", prefix("/b"))]))
    m.wait_for(lambda: rule_at(frontend, 80, "/a") == "a" and
               rule_at(frontend, 8090, "/b") == "b")
    assert rule_at(frontend, 80, "/b") == 404
    assert rule_at(frontend, 8090, "/a") == 404


def test_one_route_of_several_services(mesh, frontend):
    other = f"{frontend.name[:40]}-other"
    frontend.apply(m.service("app", other, {"app": "echo"}), name="other")
    frontend.apply(m.http_route("app", frontend.name, [
        *parent(frontend), {**parent(frontend)[0], "name": other}],
        [rule("both")]))
    for name in (frontend.name, other):
        m.wait_for(lambda: mesh.curl("app/client", f"http://{name}.app/")
                   .header("x-rule") == "both")


def test_a_parent_that_is_no_service_is_not_ours(mesh, frontend):
    frontend.apply(
        m.http_route("app", frontend.name, [
            {"name": frontend.name},
            {"group": "example.com", "kind": "Service",
             "name": frontend.name}], [rule("no")]),
        m.http_route("app", f"{frontend.name}-seen", frontend.name,
                     [rule("yes", prefix("/yes"))]))
    in_force(frontend, f"{frontend.name}-seen")
    check(mesh, frontend, [(404, "/"), ("yes", "/yes")])
    assert mesh.route_status("HTTPRoute", "app", frontend.name) == []


def test_a_route_of_the_clients_namespace_is_for_that_client(mesh, frontend):
    frontend.route(rule("producer"))
    consumer = m.http_route("other", frontend.name, [
        {**parent(frontend)[0], "namespace": "app"}], [
            rule("consumer", prefix("/x"), to={**V2, "namespace": "app"})])
    frontend.apply(consumer, name="consumer")
    m.wait_for(lambda: mesh.curl("other/client", frontend.url + "/x").header(
        "x-rule") == "consumer")
    # Alone: the producer's rules are not behind it.
    check(mesh, frontend, [(404, "/")], pod="other/client")
    check(mesh, frontend, [("producer", "/"), ("producer", "/x")])


# ---- protocols of backends ----

@pytest.fixture(scope="module")
def speakers(mesh):
    """Backends that speak HTTP/2 with prior knowledge and WebSocket."""
    mesh.write("speakers.yaml", [
        m.deployment("app", "h2c", ["h2c_echo.py", "--port", "8080",
                                    "--version", "h2c"]),
        m.service("app", "h2c", {"app": "h2c"},
                  app_protocol="kubernetes.io/h2c"),
        m.deployment("app", "ws", ["ws_echo.py", "--port", "8080"]),
        m.service("app", "ws", {"app": "ws"},
                  app_protocol="kubernetes.io/ws"),
        m.service("app", "tls", {"app": "echo"},
                  app_protocol="kubernetes.io/wss")])
    for name in ("h2c", "ws"):
        m.wait_for(lambda: mesh.pod(f"app/deploy/{name}")["is_ready"], 30)
        mesh.sync()
        m.wait_for(lambda: mesh.curl(
            "app/client", f"http://{name}.app/").header(
                "eastwest-refusal") is None, 20, f"{name} to answer")
    yield
    mesh.remove("speakers.yaml")


@pytest.mark.parametrize("client", ["--http1.1", "--http2-prior-knowledge"])
def test_an_h2c_backend_gets_http2_whatever_the_client_speaks(
        mesh, frontend, speakers, client):
    frontend.route(rule("h2c", to=m.backend("h2c")))
    r = mesh.curl("app/client", frontend.url + "/x?y=1", client, "-d", "abc")
    assert (r.status, r.header("x-rule")) == (200, "h2c")
    assert (r.json["http"], r.json["path"], r.json["method"],
            r.json["body_bytes"]) == ("2", "/x?y=1", "POST", 3)
    assert r.version == ("2" if "2" in client else "1.1")


def test_one_rule_over_backends_of_both_versions(mesh, frontend, speakers):
    frontend.route({"backendRefs": [V1, m.backend("h2c")]})
    got = {(r.json["version"], r.json["http"])
           for r in ask(mesh, [(frontend.url + "/", "--http1.1")] * 40)}
    assert got == {("v1", "1.1"), ("h2c", "2")}


WS_CLIENT = r"""
import base64, json, os, socket, struct, sys
s = socket.create_connection((sys.argv[1], 80), 10)
key = base64.b64encode(os.urandom(16)).decode()
s.sendall((f"GET {sys.argv[2]} HTTP/1.1\r\nHost: {sys.argv[1]}\r\n"
           "Upgrade: websocket\r\nConnection: Upgrade\r\n"
           f"Sec-WebSocket-Key: {key}\r\n"
           "Sec-WebSocket-Version: 13\r\n\r\n").encode())
f = s.makefile("rb")
head = [f.readline().decode().strip()]
while line := f.readline().decode().strip():
    head.append(line.lower())
message = b"over the mesh"
mask = os.urandom(4)
s.sendall(bytes([0x81, 0x80 | len(message)]) + mask +
          bytes(c ^ mask[i % 4] for i, c in enumerate(message)))
first, length = f.read(2)
text = f.read(length & 127).decode()
s.shutdown(socket.SHUT_WR)
while s.recv(4096):
    pass
print(json.dumps([head, first, text]))
"""


def test_web_sockets_go_through_a_route(mesh, frontend, speakers):
    frontend.route(rule("ws", prefix("/chat"), to=m.backend("ws")))
    out = mesh.exec("app/client", m.PYTHON, "-c", WS_CLIENT, frontend.name,
                    "/chat").stdout
    head, first, text = json.loads(out)
    assert head[0].startswith("HTTP/1.1 101"), head
    assert "x-rule: ws" in head
    # The client saw the far side end after its own end, too.
    assert (first, text) == (0x81, "over the mesh")


def test_a_backend_that_ends_tls_itself_is_no_backend(mesh, frontend,
                                                      speakers):
    frontend.route({"backendRefs": [m.backend("tls")]})
    text = refused(mesh.curl("app/client", frontend.url + "/"),
                   "invalid-backend", 500)
    assert "UnsupportedProtocol" in text, text


# ---- metrics ----

def test_metrics_name_route_rule_and_backend(mesh, frontend):
    frontend.route(rule("named", prefix("/named"), name="by-name"),
                   rule("numbered", prefix("/numbered"), to=V2),
                   {"matches": [prefix("/none")]})
    ask(mesh, [(frontend.url + p,) for p in (
        "/named", "/named/x", "/numbered", "/none", "/nothing")])

    def count(**labels):
        return mesh.metric("app/client", "eastwest_requests_total",
                           direction="outbound", parent_namespace="app",
                           parent_name=frontend.name, **labels)
    route_ = {"route_kind": "HTTPRoute", "route_namespace": "app",
              "route_name": frontend.name}
    m.wait_for(lambda: count(rule="by-name", **route_) == 2)
    assert count(rule="by-name", backend_name="echo-v1", backend_port="80",
                 parent_port="80", status="200", **route_) == 2
    assert count(rule="1", backend_name="echo-v2", status="200",
                 **route_) == 1
    assert count(rule="2", backend_name="", status="500", **route_) == 1
    assert count(rule="", route_name="", status="404") >= 1


def test_names_of_rules_must_differ(mesh, frontend):
    frontend.route(rule("good"))
    frontend.apply(m.http_route("app", f"{frontend.name}-twice",
                                frontend.name,
                                [rule("a", prefix("/a"), name="same"),
                                 rule("b", prefix("/b"), name="same")]),
                   name="twice")
    c = m.wait_for(lambda: mesh.condition(
        "HTTPRoute", "app", f"{frontend.name}-twice", "Accepted"), 10,
        "a status")
    assert c["status"] == "False" and "same" in c["message"], c
    check(mesh, frontend, [("good", "/a"), ("good", "/b")])
