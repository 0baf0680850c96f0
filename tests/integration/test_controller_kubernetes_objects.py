# SPDX-License-Identifier: Apache-2.0
"""--kubernetes: objects by LIST and WATCH, with all that goes wrong there."""
import pathlib
import re
import time

import pytest

import kube_controller as k
import meshes as m

SHOP = "10.96.0.10:80"


@pytest.fixture
def world(tmp_path):
    w = k.World(tmp_path)
    w.api.put(k.service("shop", "10.96.0.10"),
              k.slice_of("shop", ["10.1.0.1"]))
    yield w
    w.close()


def lists(world, plural):
    return world.api.count("GET", f"/{plural}?limit")


def watches(world, plural):
    return world.api.count("GET", f"/{plural}?watch", 200)


def addresses(d):
    return sorted(e["address"] for b in d.get("backends", [])
                  for e in b["endpoints"])


def endpoints(*ips):
    return lambda d: addresses(d) == sorted(ips)


def service(name="shop"):
    return lambda d: d["kind"] == "service" and d["name"] == name


def unknown(d):
    return d["kind"] == "unknown"


def test_watch_events_reach_discovery(world):
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(service())
        world.api.put(k.slice_of("shop", ["10.1.0.1", "10.1.0.2"]))
        w.until(endpoints("10.1.0.1", "10.1.0.2"))
        world.api.put(k.slice_of("shop", ["10.1.0.3"], n=1))
        w.until(endpoints("10.1.0.1", "10.1.0.2", "10.1.0.3"))
        world.api.remove("endpointslices", "app", "shop-0")
        w.until(endpoints("10.1.0.3"))
        world.api.put(k.route("r", "shop", "v2"))
        w.until(lambda d: d["rules"][0]["route"]["name"] == "r")
        world.api.remove("httproutes", "app", "r")
        w.until(lambda d: not d.get("rules"))
        world.api.remove("services", "app", "shop")
        w.until(unknown)
    assert lists(world, "services") == 1


def pod(sidecar, **meta):
    """Of Service shop."""
    init = [{"name": "eastwest-sidecar", "restartPolicy": "Always"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "shop-1", "namespace": "app", **meta}, "spec": {
            "serviceAccountName": "seller", "containers": [{"name": "x"}],
            **({"initContainers": init} if sidecar else {})},
        "status": {"phase": "Running", "podIP": "10.1.0.1",
                   "podIPs": [{"ip": "10.1.0.1"}]}}


def identity(d):
    return d["backends"][0]["endpoints"][0].get("identity")


def test_pods_have_identities(world):
    world.api.put(pod(sidecar=True))
    c = world.start().ready()
    with c.watch(SHOP) as w:
        d = w.until(identity)
        assert identity(d) == "spiffe://cluster.local/ns/app/sa/seller"


def test_pods_without_a_sidecar_have_none(world):
    """They ran before their namespace joined, or were left alone: the sidecar
    that is there counts, and not what labels ask for."""
    world.api.put(pod(sidecar=False, labels={
        "eastwest.dev/inject": "enabled"}))
    c = world.start().ready()
    with c.watch(SHOP) as w:
        d = w.until(lambda d: d["backends"][0]["endpoints"])
        assert identity(d) is None
        world.api.remove("pods", "app", "shop-1")  # restarted
        world.api.put(pod(sidecar=True))
        w.until(identity)


def test_changes_of_nothing_send_no_state(world):
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(service())
        world.api.put(k.service("other", "10.96.0.77"))
        assert w.quiet_for(0.5)


def test_watches_end_before_their_silence_is_a_fault(world):
    """A real API server sends no bookmarks of a kind that nothing happened to
    since it started; after 150 s of silence the connection counts as dead."""
    c = world.start().ready()
    m.wait_for(lambda: watches(world, "tcproutes"))
    with world.api.lock:
        ends = [int(re.search(r"timeoutSeconds=(\d+)", query).group(1))
                for _, _, query, _ in world.api.requests if "watch=1" in query]
    assert len(ends) > 5 and all(60 <= s < 150 for s in ends)
    assert c.metric("eastwest_controller_api_faults") == 0


def test_more_objects_than_one_page_has(world):
    for i in range(1203):
        world.api.put(k.service(f"s{i:04}", f"10.97.{i // 250}.{i % 250}"))
    c = world.start().ready()
    assert c.metric('eastwest_controller_objects{kind="Service"}') == 1204
    assert lists(world, "services") == 3
    assert lists(world, "pods") == 1
    for i in (0, 499, 500, 999, 1000, 1202):
        with c.watch(f"10.97.{i // 250}.{i % 250}:80") as w:
            w.until(service(f"s{i:04}"))


def test_pages_end_with_the_version_that_the_watch_goes_on_from(world):
    """A change while pages are read is in one of the two."""
    for i in range(600):
        world.api.put(k.service(f"s{i:04}", f"10.97.{i // 250}.{i % 250}"))
    world.api.fail(1, 500, method="GET", part="/services?limit=500&continue")
    c = world.start()
    m.wait_for(lambda: world.api.count("GET", "&continue", 500))
    world.api.put(k.service("a-before", "10.98.0.1"))
    world.api.put(k.service("z-after", "10.98.0.2"))
    world.api.remove("services", "app", "s0000")
    c.ready()
    for ip, name in (("10.98.0.1", "a-before"), ("10.98.0.2", "z-after")):
        with c.watch(f"{ip}:80") as w:
            w.until(service(name))
    with c.watch("10.97.0.0:80") as w:
        w.until(unknown)


def test_continuation_that_expired_begins_the_list_again(world):
    for i in range(600):
        world.api.put(k.service(f"s{i:04}", f"10.97.{i // 250}.{i % 250}"))
    world.api.fail(1, 410, method="GET", part="/services?limit=500&continue")
    c = world.start().ready()
    assert lists(world, "services") == 4
    assert c.metric('eastwest_controller_objects{kind="Service"}') == 601


@pytest.mark.parametrize("as_status", [True, False])
def test_forgotten_version_is_listed_again(world, as_status):
    world.api.gone_as_status = as_status
    world.api.put(k.service("old", "10.96.0.20"))
    c = world.start().ready()
    with c.watch(SHOP) as w, c.watch("10.96.0.20:80") as old:
        w.until(service())
        old.until(service("old"))
        with world.api.lock:
            world.api.remove("services", "app", "old")
            world.api.put(k.slice_of("shop", ["10.1.0.9"]))
            world.api.forget()
        old.until(unknown)
        w.until(endpoints("10.1.0.9"))
        # And the new watch works.
        m.wait_for(lambda: lists(world, "services") == 2)
        world.api.remove("services", "app", "shop")
        w.until(unknown)


def test_error_event_of_a_running_watch_lists_again(world):
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(service())
        world.api.announce_error("services")
        m.wait_for(lambda: lists(world, "services") == 2)
        world.api.remove("services", "app", "shop")
        w.until(unknown)
    assert lists(world, "pods") == 1


def test_deletions_between_two_lists_are_seen(world):
    for i in range(20):
        world.api.put(k.route(f"r{i}", "shop", "shop"))
    c = world.start().ready()
    world.api.stop()
    with world.api.lock:
        for i in range(19):
            world.api.remove("httproutes", "app", f"r{i}")
        world.api.forget()
    world.api.start()
    kind = 'eastwest_controller_objects{kind="HTTPRoute"}'
    m.wait_for(lambda: c.metric(kind) == 1, 20)
    with c.watch(SHOP) as w:
        d = w.until(lambda d: d.get("rules"))
        assert {r["route"]["name"] for r in d["rules"]} == {"r19"}


def test_bookmarks_move_the_version_on(world):
    world.api.bookmark_s = 0.2
    c = world.start().ready()
    for i in range(30):
        world.api.put(k.slice_of("other", [f"10.2.0.{i}"]))
    newest = world.api.version
    n = watches(world, "services")
    m.wait_for(lambda: world.api.bookmarks.get("services", 0) >= newest)
    world.api.drop()
    m.wait_for(lambda: watches(world, "services") > n)
    version = [int(q.split("resourceVersion=")[1].split("&")[0])
               for _, path, q, _ in world.api.requests
               if path.endswith("/services") and "watch" in q][-1]
    assert version >= newest
    assert lists(world, "services") == 1 and c.is_ready()


def test_watches_that_end_are_opened_again_without_a_list(world):
    world.api.watch_s = 1.2
    c = world.start().ready()
    with c.watch(SHOP) as w:
        m.wait_for(lambda: watches(world, "services") >= 4)
        world.api.put(k.slice_of("shop", ["10.1.0.7"]))
        w.until(endpoints("10.1.0.7"))
    assert lists(world, "services") == lists(world, "pods") == 1


def test_watches_that_end_at_once_are_not_opened_in_a_hurry(world):
    world.api.watch_s = 0
    world.api.bookmark_s = 0
    world.start().ready()
    n, start = watches(world, "services"), time.monotonic()
    m.wait_for(lambda: watches(world, "services") >= n + 3)
    assert time.monotonic() - start > 0.5


@pytest.mark.parametrize("verb", ["limit", "watch"])
def test_retry_after_is_kept(world, verb):
    world.api.fail(1, 429, retry_after=3, method="GET",
                   part=f"/services?{verb}")
    start = time.monotonic()
    c = world.start()
    m.wait_for(lambda: world.api.count("GET", f"/services?{verb}", 429))
    m.wait_for(lambda: world.api.count("GET", f"/services?{verb}", 200))
    assert time.monotonic() - start >= 2.9
    c.ready()


def test_waits_grow_while_the_api_server_fails(world):
    world.api.fail(10 ** 6, 500, method="GET", part="/services?")
    c = world.start()
    m.wait_for(lambda: world.api.count("GET", "/services?", 500) >= 2)
    assert c.metric("eastwest_controller_api_faults") >= 1
    end = time.monotonic() + 4
    m.wait_for(lambda: time.monotonic() > end)
    assert 3 <= world.api.count("GET", "/services?", 500) <= 9


def test_discovery_goes_on_while_the_api_server_is_away(world):
    c = world.start().ready()
    identity = c.identity()
    with c.watch(SHOP, identity) as w:
        w.until(service())
        world.api.stop()
        faults = c.metric("eastwest_controller_api_faults")
        m.wait_for(lambda: c.metric("eastwest_controller_api_faults") >
                   faults + 10)
        with c.watch(SHOP, identity) as late:
            late.until(endpoints("10.1.0.1"))
        assert c.is_ready() and len(w.states) == 1 and not w.ended
        with world.api.lock:
            world.api.put(k.slice_of("shop", ["10.1.0.2"]))
        world.api.start()
        w.until(endpoints("10.1.0.2"), 20)
        assert len(w.states) == 2


def test_broken_connections_lose_no_change(world):
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(service())
        for i in range(1, 6):
            world.api.put(k.slice_of("shop", [f"10.1.1.{i}"]))
            world.api.drop()
        w.until(endpoints("10.1.1.5"))
    assert lists(world, "endpointslices") == 1


def test_tcproute_of_v1alpha2_only(world):
    world.api.served["tcproutes"] = ["v1alpha2"]
    world.api.put(k.route("r", "shop", "shop", "TCPRoute"))
    c = world.start().ready()
    m.wait_for(lambda: "status" in world.api.get("tcproutes", "app", "r"))
    ((_, path, _),) = world.api.written("/tcproutes/")
    assert "/v1alpha2/" in path
    with c.watch(SHOP) as w:
        w.until(lambda d: d["l4Rules"][0]["route"]["name"] == "r")
        world.api.put(k.route("a", "shop", "shop", "TCPRoute"))
        m.wait_for(lambda: "status" in world.api.get("tcproutes", "app", "a"))
        world.api.remove("tcproutes", "app", "r")
        world.api.remove("tcproutes", "app", "a")
        w.until(lambda d: not d.get("l4Rules"))
    assert lists(world, "tcproutes") == 2


def test_tcproute_whose_older_version_is_removed(world):
    world.api.served["tcproutes"] = ["v1alpha2"]
    world.api.put(k.route("r", "shop", "shop", "TCPRoute"))
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(lambda d: d["l4Rules"][0]["route"]["name"] == "r")
        world.api.served["tcproutes"] = ["v1"]
        world.api.drop()
        m.wait_for(lambda: world.api.count("GET", "v1/tcproutes?watch", 200))
        world.api.remove("tcproutes", "app", "r")
        w.until(lambda d: not d.get("l4Rules"))
        assert len(w.states) <= 4


def test_definition_that_is_removed_takes_its_objects_along(world):
    world.api.put(k.route("r", "shop", "shop", "GRPCRoute"))
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(lambda d: d.get("rules"))
        world.api.served["grpcroutes"] = []
        world.api.drop()
        w.until(lambda d: not d.get("rules"))
        assert c.is_ready()


def test_faulty_object_is_refused_alone(world):
    bad = k.service("bad", "10.96.0.66")
    bad["spec"]["ports"] = "none"
    world.api.put(bad)
    c = world.start().ready()
    faults = "eastwest_controller_object_faults_total"
    assert c.metric(faults) >= 1
    with c.watch(SHOP) as w:
        w.until(service())
        bad = k.service("shop", "10.96.0.10")
        bad["spec"]["ports"] = 7
        world.api.put(bad)
        m.wait_for(lambda: c.metric(faults) >= 2)
        assert w.quiet_for(0.3)
        world.api.put(k.service("shop", "10.96.0.11"))
        w.until(unknown)


@pytest.mark.parametrize("when", ["before", "after"])
def test_nul_in_one_object_does_not_hide_the_others(world, when):
    bad = k.service("bad", "10.96.0.66")
    bad["metadata"]["annotations"] = {"x": "a\0b", "eastwest.dev/x": "\0"}
    worse = k.service("worse", "10.96.0.67")
    worse["spec"]["ports"][0]["name"] = "http\0x"
    if when == "before":
        world.api.put(bad, worse)
    c = world.start().ready()
    if when == "after":
        world.api.put(bad, worse)
    for ip, name in (("10.96.0.10", "shop"), ("10.96.0.66", "bad")):
        with c.watch(f"{ip}:80") as w:
            w.until(service(name))
    m.wait_for(lambda: "must have no NUL" in c.log.read_text())
    with c.watch("10.96.0.67:80") as w:
        w.until(unknown)
    assert lists(world, "services") == 1


def test_large_events_and_events_in_parts(world):
    c = world.start().ready()
    with c.watch(SHOP) as w:
        w.until(service())
        big = k.slice_of("shop", [f"10.3.{i // 250}.{i % 250}"
                                  for i in range(1000)])
        big["metadata"]["annotations"] = {"pad": "x" * 1_000_000}
        world.api.put(big)
        w.until(lambda d: len(addresses(d)) == 1000)
        world.api.put(k.slice_of("shop", ["10.1.0.1"]))
        w.until(endpoints("10.1.0.1"))
    assert lists(world, "endpointslices") == 1


def without_sanitizers():
    """A folder of programs whose memory says something, or None."""
    for folder in (m.BIN, m.ROOT / "build" / "release" / "bin"):
        try:
            program = pathlib.Path(folder, "eastwest-controller").read_bytes()
        except OSError:
            continue
        if b"__asan" not in program and b"kube-server" in program:
            return folder
    return None


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def test_memory_of_a_thousand_services_with_five_thousand_endpoints(world):
    for i in range(1000):
        world.api.put(
            k.service(f"s{i:04}", f"10.97.{i // 250}.{i % 250}"),
            k.slice_of(f"s{i:04}", [f"10.{4 + n}.{i // 250}.{i % 250}"
                                    for n in range(5)]))
    release = without_sanitizers()
    c = world.start(binaries=release or m.BIN).ready(60)
    assert c.metric('eastwest_controller_objects{kind="Service"}') == 1001
    with c.watch("10.97.3.249:80") as w:
        d = w.until(service("s0999"))
        assert len(addresses(d)) == 5
        world.api.put(k.slice_of("s0999", ["10.1.9.9"]))
        w.until(endpoints("10.1.9.9"))
        used = rss_mib(c.process.pid)
        print(f"VmHWM {used:.1f} MiB")
        assert used < 100 or not release
