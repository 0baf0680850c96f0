# SPDX-License-Identifier: Apache-2.0
"""GRPCRoutes, with a gRPC client and gRPC servers."""
import pytest

import grpc_calls
import meshes as m
from gamma import accepted_is, conditions_are, in_force, rule, version
from grpc_calls import CONFORMANCE, ECHO

ANSWER = ("OK", "v1")


@pytest.fixture
def grpc(mesh, frontend):
    """Calls through the frontend: ("OK", version), or (status, None)."""
    grpc_calls.deploy(mesh)

    def call(*methods, metadata=(), pod="app/client"):
        specs = [{"method": x, "body": "hello", "metadata": metadata}
                 for x in methods or (f"{ECHO}/Echo",)]
        got = [(c["code"], c["version"]) for c in grpc_calls.calls(
            mesh, f"{frontend.name}.app:80", *specs, pod=pod)]
        return got if methods else got[0]
    return call


def to(number, *matches, **more):
    made = {"backendRefs": [m.backend(f"grpc-v{number}")], **more}
    return {**made, "matches": list(matches)} if matches else made


def method(service=None, name=None, kind=None):
    pair = {"service": service, "method": name, "type": kind}
    return {"method": {k: v for k, v in pair.items() if v}}


def apply(frontend, *rules, **more):
    frontend.route(*rules, kind="GRPCRoute", **more)


def one(mesh, frontend, **spec):
    return grpc_calls.call(mesh, f"{frontend.name}.app:80", **spec)


def test_without_a_route_calls_are_detected_and_balanced(mesh, frontend, grpc):
    """Call by call, though they share a connection."""
    frontend.apply(m.service("app", frontend.name, {"app": "grpc"}),
                   name="service")
    m.wait_for(lambda: grpc()[0] == "OK")
    got = grpc(*[f"{ECHO}/Echo"] * 60)
    assert set(got) == {("OK", "v1"), ("OK", "v2")}


def test_a_route_without_matches_takes_every_call(mesh, frontend, grpc):
    apply(frontend, to(1))
    assert grpc(f"{ECHO}/Echo", f"{CONFORMANCE}/EchoTwo") == [ANSWER] * 2
    accepted_is(mesh, frontend.name, "True", "Accepted", kind="GRPCRoute")


def test_body_status_and_metadata_come_through(mesh, frontend, grpc):
    apply(frontend, to(1))
    got = one(mesh, frontend, body="some text",
              metadata=[["x-mine", "1"], ["x-mine", "2"]])
    assert (got["code"], got["body"]) == ("OK", "some text")
    assert got["seen"]["x-mine"] == ["1", "2"]
    got = one(mesh, frontend, method=f"{ECHO}/Fail", body="10")
    assert (got["code"], got["details"]) == ("ABORTED", "asked for")
    assert got["trailing"]["x-why"] == ["asked for ABORTED"]


def test_streams_in_both_directions(mesh, frontend, grpc):
    apply(frontend, to(1, method(ECHO, "Chat")))
    messages = [str(i) * 1000 for i in range(50)]
    got = one(mesh, frontend, method=f"{ECHO}/Chat", body=messages)
    assert got["code"] == "OK" and got["body"] == messages


def test_exact_service_and_method(frontend, grpc):
    apply(frontend, to(1, method(CONFORMANCE, "EchoTwo")))
    assert grpc(f"{CONFORMANCE}/EchoTwo", f"{CONFORMANCE}/Echo",
                f"{CONFORMANCE}/EchoTwoo", f"{ECHO}/EchoTwo",
                f"x{CONFORMANCE}/EchoTwo", f"{CONFORMANCE}/echotwo") == [
        ANSWER] + [("UNIMPLEMENTED", None)] * 5


def test_service_alone(frontend, grpc):
    apply(frontend, to(1, method(CONFORMANCE, kind="Exact")))
    assert grpc(f"{CONFORMANCE}/Echo", f"{CONFORMANCE}/EchoThree",
                f"{ECHO}/Echo") == [
        ANSWER, ANSWER, ("UNIMPLEMENTED", None)]


def test_method_alone(frontend, grpc):
    apply(frontend, to(1, method(None, "Echo")))
    assert grpc(f"{CONFORMANCE}/Echo", f"{ECHO}/Echo",
                f"{CONFORMANCE}/EchoTwo") == [
        ANSWER, ANSWER, ("UNIMPLEMENTED", None)]


def test_regular_expressions_match_all_of_a_name(frontend, grpc):
    apply(frontend, to(1, method(r"gateway_api.*\.GrpcEcho", "Echo(Two)?",
                                 "RegularExpression")))
    assert grpc(f"{CONFORMANCE}/Echo", f"{CONFORMANCE}/EchoTwo",
                f"{CONFORMANCE}/EchoThree", f"{ECHO}/Echo") == [
        ANSWER, ANSWER, ("UNIMPLEMENTED", None), ("UNIMPLEMENTED", None)]


@pytest.mark.parametrize("match,good,bad", [
    ({"name": "Color", "value": "red"}, "red", "redder"),
    ({"name": "color", "value": "re[de]+", "type": "RegularExpression"},
     "reed", "xred")])
def test_metadata_match(frontend, grpc, match, good, bad):
    apply(frontend, to(1, {"headers": [match]}))
    assert grpc(metadata=[["color", good]]) == ANSWER
    assert grpc(metadata=[["color", bad]]) == ("UNIMPLEMENTED", None)
    assert grpc() == ("UNIMPLEMENTED", None)


def test_all_parts_of_a_match_and_one_of_several(frontend, grpc):
    header = [{"name": "color", "value": "red"}]
    apply(frontend, to(1, {**method(ECHO, "Echo"), "headers": header},
                       method(CONFORMANCE)))
    red = [["color", "red"]]
    assert grpc(f"{ECHO}/Echo", f"{ECHO}/Fail", metadata=red) == [
        ANSWER, ("UNIMPLEMENTED", None)]
    assert grpc(f"{ECHO}/Echo", f"{CONFORMANCE}/Echo") == [
        ("UNIMPLEMENTED", None), ANSWER]


def test_no_match_names_the_reason(mesh, frontend, grpc):
    apply(frontend, to(1, method("no.Such", "Call")))
    got = one(mesh, frontend)
    assert got["code"] == "UNIMPLEMENTED" and "no-route" in got["details"]
    fields = {**got["initial"], **got["trailing"]}
    assert fields["eastwest-refusal"] == ["no-route"]


def modifier(which, **actions):
    return {"type": f"{which}HeaderModifier",
            f"{which.lower()}HeaderModifier": actions}


def pairs(**fields):
    return [{"name": k.replace("_", "-"), "value": v}
            for k, v in fields.items()]


@pytest.mark.parametrize("place", ["rule", "backend"])
def test_request_header_filters(mesh, frontend, grpc, place):
    made = to(1)
    (made if place == "rule" else made["backendRefs"][0])["filters"] = [
        modifier("Request", set=pairs(x_set="new"), add=pairs(x_add="2"),
                 remove=["x-gone"])]
    apply(frontend, made)
    got = one(mesh, frontend, metadata=[["x-set", "old"], ["x-add", "1"],
                                        ["x-gone", "1"], ["x-stays", "1"]])
    assert got["code"] == "OK"
    seen = got["seen"]
    assert seen["x-set"] == ["new"] and seen["x-stays"] == ["1"]
    assert ", ".join(seen["x-add"]).replace(", ", ",") == "1,2"
    assert "x-gone" not in seen


def test_response_header_filters(mesh, frontend, grpc):
    """They act on the initial metadata."""
    apply(frontend, to(1, filters=[
        modifier("Response", set=pairs(x_new="1"), remove=["x-pod"])]))
    got = one(mesh, frontend)
    assert got["code"] == "OK" and got["initial"]["x-new"] == ["1"]
    assert "x-pod" not in got["initial"]


def test_filters_of_a_backend_are_for_its_calls_alone(mesh, frontend, grpc):
    backends = [m.backend(f"grpc-v{i}", filters=[
        modifier("Request", set=pairs(x_chosen=f"v{i}"))]) for i in (1, 2)]
    apply(frontend, {"backendRefs": backends})
    got = grpc_calls.calls(mesh, f"{frontend.name}.app:80",
                           *[{"method": f"{ECHO}/Echo"}] * 60)
    assert {c["version"] for c in got} == {"v1", "v2"}
    assert all(c["seen"]["x-chosen"] == [c["version"]] for c in got)


def test_a_mirror_gets_a_copy_and_the_client_one_answer(mesh, frontend, grpc):
    """The mirror takes part in the mesh: its sidecar counts the call."""
    apply(frontend, to(1, filters=[{
        "type": "RequestMirror", "requestMirror": {
            "backendRef": {"name": "grpc-v2", "port": 80}}}]))

    def served():
        return mesh.metric("app/deploy/grpc-v2", "eastwest_requests_total",
                           direction="inbound")
    before = served()
    got = grpc(*[f"{ECHO}/Echo"] * 5)
    assert got == [ANSWER] * 5
    m.wait_for(lambda: served() == before + 5, 10, "five copies")


@pytest.mark.parametrize("filter_", [
    {"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}},
    {"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}},
    {"type": "ExtensionRef", "extensionRef": {
        "group": "example.com", "kind": "Teapot", "name": "one"}}])
def test_a_filter_that_is_none_for_calls_fails_them(
        mesh, frontend, grpc, filter_):
    apply(frontend, to(1, method(ECHO), filters=[filter_]),
          to(2, method(CONFORMANCE)))
    assert grpc(f"{ECHO}/Echo", f"{CONFORMANCE}/Echo") == [
        ("UNAVAILABLE", None), ("OK", "v2")]
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "PartiallyInvalid": ("True", "UnsupportedValue")}, kind="GRPCRoute")


def test_weights(frontend, grpc):
    """And a Service that does not exist does no harm with weight 0."""
    apply(frontend, {"backendRefs": [
        m.backend("grpc-v1", weight=70), m.backend("grpc-v2", weight=30),
        m.backend("no-such", weight=0)]})
    got = grpc(*[f"{ECHO}/Echo"] * 400)
    first = got.count(("OK", "v1"))
    assert first + got.count(("OK", "v2")) == 400
    # 280 is expected; the standard deviation is 9.2.
    assert 220 < first < 340


@pytest.mark.parametrize("backends", [
    None, [m.backend("no-such")], [m.backend("grpc-v1", 99)],
    [m.backend("grpc-v1", weight=0)],
    [m.backend("grpc-v1", kind="Bucket")]])
def test_without_a_valid_backend_calls_are_unavailable(
        mesh, frontend, grpc, backends):
    apply(frontend, {} if backends is None else {"backendRefs": backends})
    got = one(mesh, frontend)
    assert got["code"] == "UNAVAILABLE"
    assert {**got["initial"], **got["trailing"]}["eastwest-refusal"][0] in (
        "no-backends", "invalid-backend")


def test_the_share_of_an_invalid_backend_is_unavailable(frontend, grpc):
    apply(frontend, {"backendRefs": [m.backend("grpc-v1"),
                                     m.backend("no-such")]})
    got = grpc(*[f"{ECHO}/Echo"] * 200)
    assert set(got) == {ANSWER, ("UNAVAILABLE", None)}
    # Eight standard deviations.
    assert 43 < got.count(ANSWER) < 157


def test_no_ready_endpoint_is_unavailable(mesh, frontend, grpc):
    empty = f"{frontend.name}-e"
    frontend.apply(m.service("app", empty, {"app": "nobody"}), name="empty")
    apply(frontend, {"backendRefs": [m.backend(empty)]})
    got = one(mesh, frontend)
    assert got["code"] == "UNAVAILABLE" and "no-endpoints" in got["details"]


HEADERS = [{"name": "x", "value": "1"}, {"name": "z", "value": "1"}]

# The first of each pair wins over the second; calls have both headers.
ORDER = {
    "longer service": (method("eastwest.test.Ec.*", kind="RegularExpression"),
                       method("eastwest.*", kind="RegularExpression")),
    "service before method": (method(ECHO), method(None, "Echo")),
    "longer method": (method(ECHO, "Echo"), method(ECHO)),
    "method before headers": (method(ECHO, "Echo"),
                              {**method(ECHO), "headers": HEADERS}),
    "more headers": ({"headers": HEADERS}, {"headers": HEADERS[:1]}),
}


@pytest.mark.parametrize("routes", [1, 2])
@pytest.mark.parametrize("case", ORDER)
def test_precedence(mesh, frontend, grpc, case, routes):
    """In one route, and against an older one."""
    first, second = ORDER[case]
    name, rules = frontend.name, [to(2, second), to(1, first)]
    if routes == 1:
        apply(frontend, *rules)
    else:
        frontend.apply(*[
            m.route("GRPCRoute", "app", f"{name}-{i}", name, [r],
                    created=f"202{i}-01-01T00:00:00Z")
            for i, r in enumerate(rules)])
        in_force(mesh, name, f"{name}-0", f"{name}-1")
    assert grpc(metadata=[["x", "1"], ["z", "1"]]) == ANSWER


def test_then_the_older_route_and_then_the_first_name(mesh, frontend, grpc):
    name = frontend.name
    for old, new in (("2021", "2022"), ("2021", "2021")):
        frontend.apply(*[
            m.route("GRPCRoute", "app", f"{name}-{x}", name, [to(number)],
                    created=f"{year}-01-01T00:00:00Z")
            for x, number, year in (
                [("b", 1, old), ("a", 2, new)] if old != new else
                [("b", 2, old), ("a", 1, new)])])
        in_force(mesh, name, f"{name}-a", f"{name}-b")
        m.wait_for(lambda: grpc() == ANSWER)


def test_an_http_route_routes_calls_too(mesh, frontend, grpc):
    frontend.route({"matches": [{"path": {"value": f"/{ECHO}/Echo",
                                          "type": "Exact"}}],
                    "backendRefs": [m.backend("grpc-v1")]})
    assert grpc(f"{ECHO}/Echo", f"{ECHO}/Fail") == [
        ANSWER, ("UNIMPLEMENTED", None)]


def test_an_http_route_beside_it_is_not_merged(mesh, frontend, grpc):
    name = frontend.name
    frontend.apply(
        m.http_route("app", name, name, [rule("v2")]),
        m.route("GRPCRoute", "app", f"{name}-g", name,
                [to(1, method(ECHO))]))
    in_force(mesh, name, f"{name}-g")
    assert version(mesh, frontend.url + "/") == (404, "no-route")
    assert grpc() == ANSWER
    accepted_is(mesh, name, "False", "Conflicted")


def test_a_consumer_route_for_calls(mesh, frontend, grpc):
    name = frontend.name
    frontend.apply(
        m.route("GRPCRoute", "app", name, name, [to(1)]),
        m.route("GRPCRoute", "other", f"{name}-c", name,
                [{"backendRefs": [m.backend("grpc-v2", namespace="app")]}],
                parent_ns="app"))
    in_force(mesh, name, name)
    in_force(mesh, name, f"{name}-c", pod="other/client")
    assert grpc() == ("OK", "v1")
    assert grpc(pod="other/client") == ("OK", "v2")


def test_a_dropped_rule_leaves_the_others(mesh, frontend, grpc):
    apply(frontend, to(2, method("(", kind="RegularExpression")),
          to(1, method(ECHO)))
    assert grpc(f"{ECHO}/Echo", f"{CONFORMANCE}/Echo") == [
        ANSWER, ("UNIMPLEMENTED", None)]
    conditions_are(mesh, frontend.name, {
        "Accepted": ("True", "Accepted"),
        "PartiallyInvalid": ("True", "UnsupportedValue")}, kind="GRPCRoute")
