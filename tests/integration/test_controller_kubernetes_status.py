# SPDX-License-Identifier: Apache-2.0
"""--kubernetes: the status of routes, written only as far as it must be."""
import time

import pytest

import kube_controller as k
import meshes as m

OURS = "eastwest.dev/controller"
PLURALS = {"HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes",
           "TCPRoute": "tcproutes", "TLSRoute": "tlsroutes"}


@pytest.fixture
def world(tmp_path):
    w = k.World(tmp_path)
    w.api.put(k.service("shop", "10.96.0.10"), k.service("v2", "10.96.0.11"))
    yield w
    w.close()


def parents(world, name="r", plural="httproutes"):
    return world.api.get(plural, "app", name)["status"]["parents"]


def current(world, name="r", plural="httproutes"):
    """Conditions of our only entry by type, about the newest spec."""
    def about_newest():
        generation = world.api.get(plural, "app", name)["metadata"][
            "generation"]
        (entry,) = [p for p in parents(world, name, plural)
                    if p["controllerName"] == OURS]
        return all(c["observedGeneration"] == generation for c in
                   entry["conditions"]) and entry
    return {c["type"]: c for c in m.wait_for(about_newest)["conditions"]}


def settled(c):
    """Until all that is known has been looked at by |c|."""
    c.api.put(k.service("marker", "10.96.9.9", note=str(time.monotonic())))
    n = c.api.count("GET", "/leases/")
    m.wait_for(lambda: c.api.count("GET", "/leases/") > n, 12)


@pytest.mark.parametrize("kind", PLURALS)
def test_status_of_routes(world, kind):
    world.api.put(k.route("r", "shop", "v2", kind))
    world.start().ready()
    got = current(world, plural=PLURALS[kind])
    assert {t: c["status"] for t, c in got.items()} == {
        "Accepted": "True", "ResolvedRefs": "True"}


def test_parent_ref_is_echoed_exactly(world):
    r = k.route("r", "shop", "v2")
    refs = [{"group": "", "kind": "Service", "name": "shop",
             "namespace": "app", "port": 80},
            {"group": "", "kind": "Service", "name": "v2"}]
    r["spec"]["parentRefs"] = refs
    world.api.put(r)
    world.start().ready()
    m.wait_for(lambda: len(parents(world)) == 2)
    assert [p["parentRef"] for p in parents(world)] == refs
    assert {p["controllerName"] for p in parents(world)} == {OURS}


def test_observed_generation_and_transition_follow_changes(world):
    world.api.put(k.route("r", "shop", "v2"))
    world.start().ready()
    first = current(world)
    world.api.put(k.route("r", "shop", "missing"))
    second = current(world)
    assert second["ResolvedRefs"]["status"] == "False"
    assert second["ResolvedRefs"]["reason"] == "BackendNotFound"
    assert second["Accepted"]["observedGeneration"] == 2
    assert second["Accepted"]["lastTransitionTime"] == \
        first["Accepted"]["lastTransitionTime"]
    world.api.put(k.service("missing", "10.96.0.12"))
    m.wait_for(lambda: current(world)["ResolvedRefs"]["status"] == "True")


def test_entries_of_others_are_untouched(world):
    theirs = {"controllerName": "example.com/gateway",
              "parentRef": {"name": "gw", "kind": "Gateway"},
              "conditions": [{"type": "Accepted", "status": "True",
                              "reason": "Odd", "message": "x",
                              "observedGeneration": 7,
                              "lastTransitionTime": "2020-01-01T00:00:00Z"}]}
    stale = {"controllerName": OURS, "parentRef": {"name": "gone"},
             "conditions": []}
    foreign = k.route("foreign", "gw", "v2")
    foreign["spec"]["parentRefs"] = [{"name": "gw"}]
    foreign["status"] = {"parents": [theirs]}
    r = k.route("r", "shop", "v2")
    r["status"] = {"parents": [theirs, stale]}
    world.api.put(r, foreign)
    world.start().ready()
    m.wait_for(lambda: stale not in parents(world))
    assert theirs in parents(world) and len(parents(world)) == 2
    assert current(world)["Accepted"]["status"] == "True"
    assert parents(world, "foreign") == [theirs]
    assert not world.api.written("/httproutes/foreign")


def test_our_entry_goes_with_the_parent(world):
    world.api.put(k.route("r", "shop", "v2"))
    world.start().ready()
    current(world)
    r = k.route("r", "shop", "v2")
    r["spec"]["parentRefs"] = [{"name": "gw"}]
    r["status"] = world.api.get("httproutes", "app", "r")["status"]
    world.api.put(r)
    m.wait_for(lambda: parents(world) == [])


def test_written_only_when_it_differs(world):
    world.api.put(k.route("r", "shop", "v2"))
    c = world.start().ready()
    current(world)
    settled(c)
    assert len(world.api.written("/httproutes/")) == 1
    assert world.api.count("PATCH", "/httproutes/") == 1
    c.stop()
    c = world.start("a").ready()
    m.wait_for(c.holds_lease)
    settled(c)
    assert world.api.count("PATCH", "/httproutes/") == 1
    version = world.api.get("httproutes", "app", "r")["metadata"]
    assert version["generation"] == 1


def test_status_changed_by_somebody_is_put_right(world):
    world.api.put(k.route("r", "shop", "v2"))
    world.start().ready()
    right = current(world)
    r = dict(world.api.get("httproutes", "app", "r"), status={"parents": []})
    world.api.put(r)
    got = current(world)
    assert {t: c["reason"] for t, c in got.items()} == {
        t: c["reason"] for t, c in right.items()}


@pytest.mark.parametrize("times", [1, 3])
def test_conflict_is_tried_again_with_the_newer_object(world, times):
    theirs = {"controllerName": "example.com/gateway",
              "parentRef": {"name": "gw"}, "conditions": []}
    left = [times]

    def change_before(method, path):
        if method == "PATCH" and "/httproutes/" in path and left[0] > 0:
            left[0] -= 1
            old = world.api.get("httproutes", "app", "r")
            status = {"parents": [dict(theirs, n=left[0])] + [
                p for p in old.get("status", {}).get("parents", [])
                if p["controllerName"] == OURS]}
            world.api.put(dict(old, status=status))
    world.api.before_write = change_before
    world.api.put(k.route("r", "shop", "v2"))
    world.start().ready()
    current(world)
    assert world.api.count("PATCH", "/httproutes/", 409) == times
    assert dict(theirs, n=0) in parents(world)


def test_conflict_whose_change_came_before_its_answer(world):
    """The watch is faster than the answer to the write."""
    def change_before(method, path):
        if method == "PATCH" and "/httproutes/" in path:
            world.api.before_write = None
            old = world.api.get("httproutes", "app", "r")
            world.api.put(dict(old, spec=k.route("r", "shop", "gone")["spec"]))
            time.sleep(0.5)  # the length of the write, not a wait for a state
    world.api.before_write = change_before
    world.api.put(k.route("r", "shop", "v2"))
    world.start().ready()
    assert current(world)["ResolvedRefs"]["status"] == "False"


@pytest.mark.parametrize("status", [403, 429, 500])
def test_refused_write_is_tried_again(world, status):
    world.api.fail(1, status, retry_after=1, method="PATCH",
                   part="/httproutes/")
    world.api.put(k.route("r", "shop", "v2"))
    world.start().ready()
    current(world)


def test_route_deleted_meanwhile_is_no_fault(world):
    def gone_before(method, path):
        if method == "PATCH" and "/httproutes/" in path:
            world.api.before_write = None
            world.api.remove("httproutes", "app", "r")
    world.api.before_write = gone_before
    world.api.put(k.route("r", "shop", "v2"))
    c = world.start().ready()
    m.wait_for(lambda: world.api.count("PATCH", "/httproutes/", 404))
    world.api.put(k.route("r2", "shop", "v2"))
    current(world, "r2")
    assert "status not written" not in c.log.read_text()


def test_many_routes_are_all_written_once(world):
    for i in range(120):
        world.api.put(k.route(f"r{i}", "shop", "v2"))
    world.start().ready()
    m.wait_for(lambda: len(world.api.written("/httproutes/")) == 120)
    for i in range(120):
        current(world, f"r{i}")
    assert len(world.api.written("/httproutes/")) == 120


def test_no_status_before_all_kinds_are_known(world):
    world.api.put(k.route("r", "shop", "v2"))
    world.api.fail(10 ** 6, 500, method="GET", part="/services?")
    c = world.start()
    m.wait_for(c.holds_lease)
    m.wait_for(lambda: world.api.count("GET", "/services", 500) >= 3)
    assert not world.api.written("/httproutes/")
    world.api.failing.clear()
    assert current(world)["Accepted"]["status"] == "True"
    assert len(world.api.written("/httproutes/")) == 1
