# SPDX-License-Identifier: Apache-2.0
"""What the injector tells by Events, and what it does not."""
import json

import pytest

from injectors import PREFIX, a_pod, a_review, options, ours, start  # noqa: F401
from kube_api import KubeApi
from kube_controller import namespace
from meshes import wait_for


@pytest.fixture
def api():
    made = KubeApi()
    made.bearers = {"api-token"}
    made.allow(("create", "events", "*", None))
    made.put(namespace("shop"))
    yield made
    made.stop()


@pytest.fixture
def one(api, start):  # noqa: F811
    return start(api=api, certificate="files").ready()


def events(api):
    with api.lock:
        return list(api.objects["events"].values())


def result(one, name):
    return one.metric(f'eastwest_injector_events_total{{result="{name}"}}')


def only_event(api):
    return wait_for(lambda: events(api), 20, "an Event")[0]


def named(name, **more):
    pod = a_pod(**more)
    del pod["metadata"]["ownerReferences"]
    del pod["metadata"]["generateName"]
    pod["metadata"]["name"] = name
    return pod


def owned(pod):
    pod["metadata"]["ownerReferences"][0]["controller"] = True
    return pod


def settled(one, api):
    """Answers and Events of all reviews so far are out."""
    before = result(one, "written")
    one.review(named("marker", hostNetwork=True))
    wait_for(lambda: result(one, "written") > before, 20, "the marker")
    return [e for e in events(api)
            if e["involvedObject"]["name"] != "marker"]


def test_a_pod_left_alone_is_told_at_its_owner(one, api):
    warning = one.left(owned(a_pod(hostNetwork=True)))
    event = only_event(api)
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f",
        "namespace": "shop", "uid": "u"}
    assert event["metadata"]["namespace"] == "shop"
    assert event["type"] == "Warning" and event["reason"] == "NotInjected"
    assert event["message"] == \
        "pod web-5d4f-: " + warning.removeprefix("eastwest: ")
    assert event["source"] == {"component": "eastwest-injector"}
    assert event["firstTimestamp"] == event["lastTimestamp"]
    assert event["count"] == 1


def test_a_pod_without_owner_is_told_by_its_name(one, api):
    one.left(named("alone", hostNetwork=True))
    about = only_event(api)["involvedObject"]
    assert about == {"apiVersion": "v1", "kind": "Pod", "name": "alone",
                     "namespace": "shop"}


def test_a_pod_without_any_is_told_at_its_namespace(one, api):
    pod = a_pod(hostNetwork=True)  # its owner is not its controller
    one.left(pod)
    about = only_event(api)["involvedObject"]
    assert (about["kind"], about["name"]) == ("Namespace", "shop")


@pytest.mark.parametrize("pod, words", [
    (a_pod(options(strict="x")), PREFIX + "strict"),
    (a_pod(securityContext={"runAsUser": 2140}), "2140"),
    (a_pod(containers=[{"name": "eastwest-sidecar"}]), "taken by the mesh"),
    (a_pod(labels={PREFIX + "inject": "yes"}), "enabled or disabled")])
def test_a_refusal_is_told(one, api, pod, words):
    message = one.denied(owned(pod))
    event = only_event(api)
    assert event["reason"] == "InjectionRefused"
    assert event["involvedObject"]["kind"] == "ReplicaSet"
    assert message in event["message"] and words in message


def test_half_injected_is_told(one, api):
    once = one.inject(named("again"))
    one.unchanged(once)  # as when the API server asks again
    del once["spec"]["initContainers"]
    one.left(once)
    event = only_event(api)
    assert event["reason"] == "NotInjected"
    assert "remove the annotation" in event["message"]
    assert len(settled(one, api)) == 1


def test_warnings_about_an_injected_pod_are_told(one, api):
    assert ours(one.inject(named("web", annotations=options(opaque_port="1"))))
    event = only_event(api)
    assert event["reason"] == "InjectionWarning"
    assert "opaque-port: no such option" in event["message"]


def test_what_is_as_it_should_be_is_not_told(one, api):
    one.inject(a_pod())
    one.left(a_pod(labels={PREFIX + "inject": "disabled"}))
    one.left(a_pod({PREFIX + "inject": "disabled"}))
    one.left(a_pod({"kubernetes.io/config.mirror": "x"}))
    one.left(a_pod(hostNetwork=True), namespace="kube-system")
    one.left(a_pod(hostNetwork=True), operation="UPDATE")
    assert settled(one, api) == []


def test_a_dry_run_writes_nothing(one, api):
    one.left(a_pod(hostNetwork=True), dryRun=True)
    assert not one.review(a_pod(options(strict="x")), dryRun=True)["allowed"]
    one.review(a_pod(options(nonsense="x")), dryRun=True)
    assert settled(one, api) == []


def test_the_same_is_told_once(one, api):
    for _ in range(20):
        one.left(owned(a_pod(hostNetwork=True)))
    assert len(settled(one, api)) == 1
    assert result(one, "repeated") == 19


def test_not_more_than_some_per_second(one, api):
    for i in range(100):
        one.left(named(f"pod-{i}", hostNetwork=True))
    wait_for(lambda: result(one, "limited") > 0 and
             result(one, "written") >= 30, 20, "the limit")
    assert result(one, "written") + result(one, "limited") + \
        result(one, "failed") <= 100
    assert len(events(api)) < 100


@pytest.mark.parametrize("ns", ["../../kube-system", "a/b", "", "A", "x" * 64,
                                "shop?x=1", "shop#", "%2e%2e"])
def test_a_hostile_namespace_reaches_no_other_path(one, api, ns):
    one.left(a_pod(hostNetwork=True), namespace=ns)
    assert settled(one, api) == []
    with api.lock:
        assert {p for m, p, q, s in api.requests if m == "POST"} == {
            "/api/v1/namespaces/shop/events"}


def test_hostile_owners_and_names(one, api):
    for owner in ({"kind": "../x", "name": "a", "uid": "b", "apiVersion": "v1",
                   "controller": True}, {"controller": True}, "x", None, [],
                  {"kind": 1, "name": [], "uid": {}, "controller": True}):
        pod = a_pod(hostNetwork=True)
        pod["metadata"]["ownerReferences"] = [owner]
        pod["metadata"]["generateName"] = "a\x1b[2J\u2028"
        one.left(pod)
    pod["metadata"]["ownerReferences"] = "x" * 100000
    one.left(pod)
    found = settled(one, api)
    assert len(found) == 1  # all the same, and at the namespace
    assert found[0]["involvedObject"]["kind"] == "Namespace"
    assert "\x1b" not in found[0]["message"]


def test_events_that_can_not_be_written_change_nothing(one, api):
    api.fail(2, 403, method="POST", part="events")
    one.left(named("a", hostNetwork=True))
    one.left(named("b", hostNetwork=True))
    wait_for(lambda: result(one, "failed") == 2, 20, "the failures")
    assert ours(one.inject(a_pod()))
    api.stop()
    one.left(named("c", hostNetwork=True))
    wait_for(lambda: result(one, "failed") == 3, 20, "the failure")
    assert ours(one.inject(a_pod())) and one.is_ready()
    api.start()


def test_malformed_reviews_write_nothing(one, api):
    for spoil in ({"dryRun": "x"}, {"object": []}, {"namespace": 7}):
        status, _ = one.curl("/inject", body=json.dumps(a_review(
            a_pod(hostNetwork=True), **spoil)).encode())
        assert status == 400
    assert settled(one, api) == []
