# SPDX-License-Identifier: Apache-2.0
"""The Gateway API's rules for meshes, second half: what becomes of a request,
and what the author of a route is told."""
import time

import pytest

import meshes as m
from gamma import (accepted_is, conditions_are, in_force, path, rule,
                   two_ports, version)

VALID = {"Accepted": ("True", "Accepted"),
         "ResolvedRefs": ("True", "ResolvedRefs")}

INVALID_REFS = {
    "no such Service": ({"name": "no-such"}, "BackendNotFound"),
    "no such port": ({"name": "echo-v1", "port": 99}, "BackendNotFound"),
    "no such namespace": ({"name": "echo-v1", "namespace": "no-such"},
                          "BackendNotFound"),
    "kind": ({"name": "echo-v1", "kind": "Bucket"}, "InvalidKind"),
    "group": ({"name": "echo-v1", "group": "example.com"}, "InvalidKind"),
}


@pytest.mark.parametrize("case", INVALID_REFS)
def test_rule_19_an_invalid_backend_answers_500(mesh, frontend, case):
    ref, reason = INVALID_REFS[case]
    frontend.route({"backendRefs": [{"port": 80, **ref}]})
    assert version(mesh, frontend.url + "/") == (500, "invalid-backend")
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"), "ResolvedRefs": ("False", reason)})


def test_rule_19_its_share_of_the_requests_gets_500(mesh, frontend):
    frontend.route({"backendRefs": [m.backend("no-such", weight=1),
                                    m.backend("echo-v2", weight=1)]})
    tally = mesh.tally("app/client", frontend.url + "/", 200, by="version")
    # Eight standard deviations.
    assert set(tally) == {"v2", 500} and 43 < tally[500] < 157, tally


def test_rule_19_without_a_weight_it_does_no_harm(mesh, frontend):
    frontend.route({"backendRefs": [m.backend("no-such", weight=0),
                                    m.backend("echo-v2")]})
    assert mesh.tally("app/client", frontend.url + "/", 30, by="version") == {
        "v2": 30}
    conditions_are(mesh, frontend.name,
                   {"ResolvedRefs": ("False", "BackendNotFound")})


def test_rule_19_no_ready_endpoints_is_503(mesh, frontend):
    empty = f"{frontend.name}-e"
    frontend.apply(m.service("app", empty, {"app": "nobody"}), name="empty")
    frontend.route({"backendRefs": [m.backend(empty)]})
    assert version(mesh, frontend.url + "/") == (503, "no-endpoints")
    conditions_are(mesh, frontend.name, VALID)


def test_rule_19_no_ready_endpoints_costs_no_others_share(mesh, frontend):
    empty = f"{frontend.name}-e"
    frontend.apply(m.service("app", empty, {"app": "nobody"}), name="empty")
    frontend.route({"backendRefs": [m.backend(empty), m.backend("echo-v2")]})
    tally = mesh.tally("app/client", frontend.url + "/", 200, by="version")
    assert set(tally) == {"v2", 503} and 43 < tally[503] < 157, tally


def test_rule_19_a_backend_that_comes_later_is_used(mesh, frontend):
    late = f"{frontend.name}-l"
    frontend.route({"backendRefs": [m.backend(late)]})
    assert version(mesh, frontend.url + "/") == (500, "invalid-backend")
    frontend.apply(m.service("app", late, {"app": "echo", "version": "v2"}),
                   name="late")
    m.wait_for(lambda: version(mesh, frontend.url + "/") == "v2")
    conditions_are(mesh, frontend.name, VALID)


def headers(name, value):
    return {"type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": name,
                                               "value": value}]}}


BAD_FILTERS = {
    "extension": {"type": "ExtensionRef", "extensionRef": {
        "group": "example.com", "kind": "Teapot", "name": "one"}},
    "authentication": {"type": "ExternalAuth", "externalAuth": {
        "protocol": "HTTP", "backendRef": {"name": "echo-v1", "port": 80}}},
    "unknown": {"type": "Teapot", "teapot": {}},
    "framing": headers("Transfer-Encoding", "chunked"),
    "line end": headers("x", "a\r\nb: c"),
    "path": {"type": "URLRewrite", "urlRewrite": {
        "path": {"type": "ReplaceSome", "replaceSome": "/"}}},
    "status": {"type": "RequestRedirect",
               "requestRedirect": {"statusCode": 418}},
}


@pytest.mark.parametrize("place", ["rule", "backend"])
@pytest.mark.parametrize("case", BAD_FILTERS)
def test_rule_20_a_filter_is_never_skipped(mesh, frontend, case, place):
    """Requests fail instead, and those of other rules do not."""
    bad = rule("v1", path("/bad"))
    (bad if place == "rule" else bad["backendRefs"][0])["filters"] = [
        headers("x-good", "1"), BAD_FILTERS[case]]
    if BAD_FILTERS[case]["type"] == "RequestHeaderModifier":
        del (bad if place == "rule" else bad["backendRefs"][0])["filters"][0]
    frontend.route(bad, rule("v2"))
    assert version(mesh, frontend.url + "/bad") == (500, "invalid-filter")
    assert version(mesh, frontend.url + "/") == "v2"
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "PartiallyInvalid": ("True", "UnsupportedValue")})


def test_rule_20_a_mirror_to_nowhere_is_told_and_left_out(mesh, frontend):
    """The request itself does not depend on it."""
    frontend.route(rule("v2", filters=[{
        "type": "RequestMirror", "requestMirror": {
            "backendRef": {"name": "no-such", "port": 80}}}]))
    assert version(mesh, frontend.url + "/") == "v2"
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("False", "BackendNotFound")})


def test_rule_21_only_the_first_of_equal_header_names_counts(mesh, frontend):
    frontend.route(rule("v1", {"headers": [{"name": "X-Name", "value": "1"},
                                           {"name": "x-name", "value": "2"}]}))
    url = frontend.url + "/"
    assert version(mesh, url, "-H", "x-name: 1") == "v1"
    assert version(mesh, url, "-H", "x-name: 2") == (404, "no-route")


def test_rule_21_only_the_first_of_equal_query_names_counts(mesh, frontend):
    """Their case tells them apart."""
    frontend.route(rule("v1", {"queryParams": [
        {"name": "q", "value": "1"}, {"name": "q", "value": "2"},
        {"name": "Q", "value": "3"}]}))
    assert version(mesh, frontend.url + "/?q=1&Q=3") == "v1"
    for wrong in ("q=2&Q=3", "q=1", "q=1&Q=1"):
        assert version(mesh, f"{frontend.url}/?{wrong}") == (404, "no-route")


def times(mesh, frontend):
    """How often the app saw the path of this test."""
    counts = mesh.curl("app/client", "http://echo-v2.app/counts").json
    return counts.get(f"/{frontend.name}", 0)


def timed(call):
    started = time.monotonic()
    return call(), time.monotonic() - started


def test_rule_22_zero_is_no_timeout(mesh, frontend):
    frontend.route(rule("v2", timeouts={"request": "0s",
                                        "backendRequest": "0s"}))
    assert version(mesh, frontend.url + "/?delay=1") == "v2"


def test_rule_22_a_request_in_time_is_not_touched(mesh, frontend):
    frontend.route(rule("v2", timeouts={"request": "1m", "backendRequest":
                                        "30s"}))
    assert version(mesh, frontend.url + "/?delay=0.3") == "v2"


def test_rule_22_the_request_timeout_covers_all_tries(mesh, frontend):
    frontend.route(rule("v2", timeouts={"request": "1s", "backendRequest":
                                        "400ms"},
                        retry={"attempts": 100, "codes": [504],
                               "backoff": "10ms"}))
    got, took = timed(lambda: version(
        mesh, f"{frontend.url}/{frontend.name}?delay=9"))
    assert got == (504, "request-timeout") and 1 <= took < 6
    assert 2 <= times(mesh, frontend) <= 3


def test_rule_22_the_backend_timeout_is_for_one_try(mesh, frontend):
    frontend.route(rule("v2", timeouts={"request": "9s", "backendRequest":
                                        "200ms"},
                        retry={"attempts": 2, "codes": [504],
                               "backoff": "10ms"}))
    got, took = timed(lambda: version(
        mesh, f"{frontend.url}/{frontend.name}?delay=9"))
    assert got == (504, "backend-timeout") and 0.6 <= took < 6
    assert times(mesh, frontend) == 3


def test_rule_22_no_retry_before_the_backoff(mesh, frontend):
    frontend.route(rule("v2", retry={"attempts": 2, "codes": [503],
                                     "backoff": "400ms"}))
    got, took = timed(lambda: mesh.curl(
        "app/client", f"{frontend.url}/fail-first/2/{frontend.name}").status)
    assert got == 200 and took >= 0.8


def test_rule_22_spent_attempts_are_an_error(mesh, frontend):
    frontend.route(rule("v2", retry={"attempts": 2, "codes": [503]}))
    r = mesh.curl("app/client",
                  f"{frontend.url}/{frontend.name}?status=503")
    assert r.status == 503 and times(mesh, frontend) == 3


@pytest.mark.parametrize("attempts,tries", [(None, 2), (0, 1), (4, 5)])
def test_rule_23_attempts_are_retries_and_by_default_one(
        mesh, frontend, attempts, tries):
    retry = {"codes": [500], "backoff": "1ms"}
    if attempts is not None:
        retry["attempts"] = attempts
    frontend.route(rule("v2", retry=retry))
    r = mesh.curl("app/client", f"{frontend.url}/{frontend.name}?status=500")
    assert r.status == 500 and times(mesh, frontend) == tries


def test_rule_23_the_named_codes_are_retried_and_no_others(mesh, frontend):
    codes = [500, 502, 503, 504]
    frontend.route(rule("v2", retry={"codes": codes, "attempts": 1,
                                     "backoff": "1ms"}))
    seen = 0
    for code in (*codes, 501, 429, 404):
        mesh.curl("app/client",
                  f"{frontend.url}/{frontend.name}?status={code}")
        before, seen = seen, times(mesh, frontend)
        assert seen - before == (2 if code in codes else 1), code


def slices(name, **addresses):
    """Ready endpoints on port 8080 for a Service without a selector."""
    return [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {"namespace": "app", "name": f"{name}-{i}",
                          "labels": {"kubernetes.io/service-name": name}},
             "addressType": "IPv4", "endpoints": [
                 {"addresses": [ip], "conditions": {"ready": True}}],
             "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}
            for i, ip in addresses.items()]


@pytest.mark.parametrize("retry", [
    None, {"attempts": 2, "codes": [], "backoff": "1ms"}])
def test_rule_23_a_failed_connection_is_tried_elsewhere(mesh, frontend, retry):
    """Nothing listens at one of the two endpoints."""
    name = f"{frontend.name}-b"
    ips = {x: next(ip for ip in mesh.pod(p)["ips"] if ":" not in ip)
           for x, p in (("good", "plain/deploy/outside"),
                        ("bad", "plain/client"))}
    frontend.apply(m.service("app", name, None), *slices(name, **ips),
                   name="backend")
    frontend.route({"backendRefs": [m.backend(name)],
                    **({"retry": retry} if retry else {})})
    m.wait_for(lambda: version(mesh, frontend.url + "/", "-4") == "outside")
    for _ in range(10):
        assert version(mesh, frontend.url + "/", "-4") == "outside"


REDIRECTS = {
    "by scheme": ({"scheme": "https"}, 81, "https://HOST/x"),
    "by scheme down": ({"scheme": "http"}, 81, "http://HOST/x"),
    "of the listener": ({"hostname": "far.example"}, 81,
                        "http://far.example:81/x"),
    "of the listener, 80": ({"statusCode": 301}, 80, "http://HOST/x"),
    "given": ({"port": 8443, "scheme": "https"}, 80, "https://HOST:8443/x"),
    "given, 443": ({"port": 443, "scheme": "https"}, 80, "https://HOST/x"),
    "given, 80": ({"port": 80, "scheme": "http"}, 81, "http://HOST/x"),
    "given alone": ({"port": 8080}, 80, "http://HOST:8080/x"),
    "of the other scheme": ({"port": 443}, 80, "http://HOST:443/x"),
}


@pytest.mark.parametrize("case", REDIRECTS)
def test_rule_24_the_port_of_a_redirect(mesh, frontend, case):
    spec, port, location = REDIRECTS[case]
    two_ports(frontend)
    frontend.apply(m.http_route("app", frontend.name, frontend.name, [
        {"filters": [{"type": "RequestRedirect", "requestRedirect": spec}]}]))
    in_force(mesh, frontend.name, frontend.name, port=port)
    r = mesh.curl("app/client", f"{frontend.url}:{port}/x")
    assert r.status == spec.get("statusCode", 302)
    assert r.header("location") == location.replace(
        "HOST", f"{frontend.name}.app")


def served(mesh, url, *options):
    """A response of the app: endpoints of a new Service come a moment later."""
    def ask():
        r = mesh.curl("app/client", url, *options)
        return r if r.status == 200 else None
    return m.wait_for(ask, 10, f"200 from {url}")


@pytest.mark.parametrize("protocol,spoken", [
    ("kubernetes.io/ws", "--http1.1"), ("kubernetes.io/ws",
                                        "--http2-prior-knowledge")])
def test_rule_25_a_websocket_app_is_spoken_to_in_http1(
        mesh, frontend, protocol, spoken):
    name = f"{frontend.name}-b"
    frontend.apply(m.service("app", name, {"app": "echo", "version": "v2"},
                             app_protocol=protocol), name="backend")
    frontend.route({"backendRefs": [m.backend(name)]})
    assert served(mesh, frontend.url + "/", spoken).json["http"] == "1.1"


@pytest.fixture
def h2c(mesh):
    if not (mesh.folder / "rule25.yaml").exists():
        mesh.write("rule25.yaml", [
            m.deployment("app", "rule25", ["h2c_echo.py", "--port", "8080"]),
            m.service("app", "rule25", {"app": "rule25"},
                      app_protocol="kubernetes.io/h2c")])
    m.wait_for(lambda: mesh.pod("app/deploy/rule25")["is_ready"], 30, "rule25")
    mesh.sync()


@pytest.mark.parametrize("spoken", ["--http1.1", "--http2-prior-knowledge"])
def test_rule_25_an_h2c_app_is_spoken_to_in_http2(
        mesh, frontend, h2c, spoken):
    frontend.route({"backendRefs": [m.backend("rule25")]})
    assert served(mesh, frontend.url + "/", spoken).json["http"] == "2"


def test_rule_25_the_protocol_counts_without_a_route_too(mesh, h2c):
    assert served(mesh, "http://rule25.app/", "--http1.1").json[
        "http"] == "2"


def test_rule_25_tls_of_the_app_is_no_backend_for_requests(mesh, frontend):
    name = f"{frontend.name}-b"
    frontend.apply(m.service("app", name, {"app": "echo"},
                             app_protocol="kubernetes.io/wss"), name="backend")
    frontend.route({"backendRefs": [m.backend(name)]})
    assert version(mesh, frontend.url + "/") == (500, "invalid-backend")
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("False", "UnsupportedProtocol")})


UNKNOWN = {
    "path": path("/a", "Glob"),
    "header": {"headers": [{"type": "Fuzzy", "name": "x", "value": "1"}]},
    "query": {"queryParams": [{"type": "Fuzzy", "name": "x", "value": "1"}]},
    "method": {"method": "BREW"},
    "regular expression": path("/(", "RegularExpression"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_rule_26_an_unknown_match_drops_its_rule(mesh, frontend, case):
    frontend.route(rule("v1", UNKNOWN[case]), rule("v2", path("/b")))
    assert version(mesh, frontend.url + "/b") == "v2"
    assert version(mesh, frontend.url + "/a", "-H", "x: 1") == (
        404, "no-route")
    conditions_are(mesh, frontend.name, {
        **VALID, "PartiallyInvalid": ("True", "UnsupportedValue")})
    c = mesh.condition("HTTPRoute", "app", frontend.name, "PartiallyInvalid")
    assert c["message"].startswith("Dropped Rule"), c


@pytest.mark.parametrize("case", UNKNOWN)
def test_rule_26_nothing_valid_is_not_accepted(mesh, frontend, case):
    """Then it is as if the route were not there."""
    frontend.apply(m.http_route("app", frontend.name, frontend.name,
                                [rule("v1", UNKNOWN[case])]))
    accepted_is(mesh, frontend.name, "False", "UnsupportedValue")
    in_force(mesh, frontend.name)
    assert version(mesh, frontend.url + "/b") in ("v1", "v2")


def test_rule_26_filters_that_exclude_each_other(mesh, frontend):
    frontend.route(
        rule("v1", path("/a"), filters=[
            {"type": "RequestRedirect", "requestRedirect": {}},
            {"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}}]),
        rule("v2"))
    assert version(mesh, frontend.url + "/a") == (500, "invalid-filter")
    assert version(mesh, frontend.url + "/") == "v2"
    conditions_are(mesh, frontend.name, {"Accepted": ("True", "Accepted")})
    frontend.apply(m.http_route("app", frontend.name, frontend.name, [
        rule("v1", filters=[
            {"type": "RequestRedirect", "requestRedirect": {}},
            {"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}}])
    ]))
    accepted_is(mesh, frontend.name, "False", "IncompatibleFilters")


def test_rule_26_names_of_rules_are_unique(mesh, frontend):
    frontend.apply(m.http_route("app", frontend.name, frontend.name, [
        rule("v1", path("/a"), name="same"),
        rule("v2", path("/b"), name="same")]))
    accepted_is(mesh, frontend.name, "False", "UnsupportedValue")


def test_rule_26_a_parent_that_comes_later_is_found(mesh, frontend):
    name = f"{frontend.name}-l"
    frontend.apply(m.http_route("app", name, name, [rule("v2")]))
    accepted_is(mesh, name, "False", "NoMatchingParent")
    frontend.apply(m.service("app", name, {"app": "echo"}), name="late")
    accepted_is(mesh, name, "True", "Accepted")
    in_force(mesh, name, name)
    assert version(mesh, f"http://{name}.app/") == "v2"


def test_rule_26_what_others_said_about_the_route_stays(mesh, frontend):
    """Each controller owns its own entries in a status."""
    theirs = {"parentRef": {"name": "gate"}, "controllerName": "a.example/b",
              "conditions": [{"type": "Accepted", "status": "True",
                              "reason": "Accepted", "message": "",
                              "observedGeneration": 3, "lastTransitionTime":
                              "2024-01-01T00:00:00Z"}]}
    route = m.http_route("app", frontend.name, frontend.name, [rule("v2")])
    route["status"] = {"parents": [theirs]}
    frontend.apply(route)
    in_force(mesh, frontend.name, frontend.name)
    assert mesh.route_status("HTTPRoute", "app", frontend.name)[0] == theirs
    accepted_is(mesh, frontend.name, "True", "Accepted", parent=1)


def generations(mesh, frontend, kind):
    found = {c["observedGeneration"] for p in
             mesh.route_status(kind, "app", frontend.name)
             for c in p["conditions"]}
    return found


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute", "TCPRoute",
                                  "TLSRoute"])
def test_rule_27_every_condition_tells_the_generation(mesh, frontend, kind):
    """Also if nothing else in it changes."""
    route = m.route(kind, "app", frontend.name, frontend.name, [
        {"backendRefs": [m.backend("no-such")]}])
    if kind == "TLSRoute":
        route["spec"]["hostnames"] = ["tls.example"]
    for generation in (7, 8):
        route["metadata"]["generation"] = generation
        frontend.apply(route)
        m.wait_for(lambda g=generation: generations(mesh, frontend, kind) ==
                   {g}, 10, f"observedGeneration {generation}")
    conditions_are(mesh, frontend.name, {
        "ResolvedRefs": ("False", "BackendNotFound")}, kind=kind)


def test_rule_27_a_transition_is_when_the_status_changed(mesh, frontend):
    route = m.http_route("app", frontend.name, frontend.name, [rule("v2")])
    before = {}
    for generation in (1, 2):
        route["metadata"]["generation"] = generation
        frontend.apply(route)
        m.wait_for(lambda g=generation: generations(
            mesh, frontend, "HTTPRoute") == {g})
        c = mesh.condition("HTTPRoute", "app", frontend.name, "Accepted")
        assert before in ({}, c["lastTransitionTime"])
        before = c["lastTransitionTime"]


STRANGERS = {
    "XMesh": {"apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
              "kind": "XMesh", "metadata": {"name": "another"},
              "spec": {"controllerName": "example.com/other"}},
    "XBackendTrafficPolicy": {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XBackendTrafficPolicy",
        "metadata": {"namespace": "app", "name": "budget"},
        "spec": {"targetRefs": [{"group": "", "kind": "Service",
                                 "name": "echo-v2"}]}},
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_rule_28_objects_that_are_not_ours_do_no_harm(mesh, frontend, kind):
    """In the same file as the route: the whole of it is read."""
    frontend.apply(STRANGERS[kind],
                   m.http_route("app", frontend.name, frontend.name,
                                [rule("v2")]))
    in_force(mesh, frontend.name, frontend.name)
    assert version(mesh, frontend.url + "/") == "v2"
    conditions_are(mesh, frontend.name, VALID)
    assert not [line for line in mesh.controller_log()
                if frontend.name in line.get("error", "")]


def test_rule_29_what_we_do_not_offer_does_no_harm(mesh, frontend):
    """Session persistence is not among our features: the rest of the rule and
    of the route holds, and no session is pretended."""
    frontend.route(
        rule("v2", path("/s"), sessionPersistence={
            "sessionName": "s", "type": "Cookie",
            "cookieConfig": {"lifetimeType": "Session"}}),
        rule("v1"))
    r = mesh.curl("app/client", frontend.url + "/s")
    assert r.json["version"] == "v2" and r.header("set-cookie") is None
    assert version(mesh, frontend.url + "/") == "v1"
    conditions_are(mesh, frontend.name, {"Accepted": ("True", "Accepted")})
