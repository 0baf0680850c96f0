# SPDX-License-Identifier: Apache-2.0
"""Which pods join, as the API server and the webhook decide it together."""
import pytest

from cluster.state import ClusterError
from kube import (SYSTEM, deployment, idle, namespace, pod, poll, route,
                  server, service)

LABEL = "eastwest.dev/inject"


def containers(cluster, ns, name):
    spec = cluster.get("pod", name, ns)["spec"]
    return [c["name"] for c in spec.get("initContainers", [])]


MESH = ["eastwest-init", "eastwest-sidecar"]


@pytest.fixture(scope="module")
def plain(cluster):
    cluster.apply(namespace("plain", False))
    yield "plain"
    cluster.delete("namespace", "plain", wait=False)


def test_by_the_namespace(cluster, ns):
    said = cluster.apply(pod(ns, "p", idle()))
    assert "Warning" not in said, said
    assert containers(cluster, ns, "p") == MESH


def test_by_the_pod(cluster, plain):
    said = cluster.apply(pod(plain, "yes", idle(), labels={LABEL: "enabled"}),
                         pod(plain, "no", idle()))
    assert "Warning" not in said, said
    assert containers(cluster, plain, "yes") == MESH
    assert containers(cluster, plain, "no") == []
    cluster.pod_ready(plain, "yes")


def test_a_pod_beats_its_namespace(cluster, ns):
    cluster.apply(pod(ns, "p", idle(), labels={LABEL: "disabled"}))
    assert containers(cluster, ns, "p") == []


def test_a_label_with_a_mistake_is_refused(cluster, ns):
    with pytest.raises(ClusterError) as error:
        cluster.apply(pod(ns, "p", idle(), labels={LABEL: "true"}))
    assert "expected enabled or disabled" in str(error.value)


@pytest.mark.parametrize("where", ["kube-system", "kube-public",
                                   "kube-node-lease", SYSTEM])
def test_the_system_is_exempt(cluster, where):
    p = pod(where, "exempt", idle(), labels={LABEL: "enabled"})
    # That of the release enforces it.
    p["spec"]["securityContext"] = {
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    p["spec"]["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    cluster.apply(p)
    try:
        assert containers(cluster, where, "exempt") == []
    finally:
        cluster.delete("pod", "exempt", where, wait=False)


def test_the_network_of_the_node(cluster, ns):
    """Who asks for it by the pod's own label is told why not."""
    said = cluster.apply(pod(ns, "a", idle(), hostNetwork=True))
    assert "Warning" not in said and containers(cluster, ns, "a") == []
    said = cluster.apply(pod(ns, "b", idle(), hostNetwork=True,
                             labels={LABEL: "enabled"}))
    assert "hostNetwork" in said and containers(cluster, ns, "b") == []


def test_a_pod_that_only_says_so(cluster, ns):
    said = cluster.apply(pod(ns, "p", idle(), annotations={
        "eastwest.dev/injected": "1"}))
    assert "not injected" in said and containers(cluster, ns, "p") == []


def test_without_an_injector_others_are_not_harmed(cluster, ns, plain):
    cluster.kubectl("scale", "deployment/eastwest-injector", "--replicas=0",
                    "--namespace", SYSTEM)
    try:
        poll("no injector", 60, lambda: not [
            p for p in cluster.items("pods", SYSTEM, "--selector",
                                     "app.kubernetes.io/component=injector")])
        with pytest.raises(ClusterError) as error:
            cluster.apply(pod(ns, "p", idle()))
        assert "injector.eastwest.dev" in str(error.value)
        cluster.apply(pod(plain, "unharmed", idle()),
                      pod(ns, "unharmed", idle(), labels={LABEL: "disabled"}),
                      pod(ns, "node", idle(), hostNetwork=True))
    finally:
        cluster.kubectl("scale", "deployment/eastwest-injector",
                        "--replicas=2", "--namespace", SYSTEM)
        cluster.rolled_out(SYSTEM, "eastwest-injector")
    poll("pod admitted again", 30, lambda: cluster.apply(pod(ns, "p", idle())))
    assert containers(cluster, ns, "p") == MESH


def test_a_namespace_that_joins_while_its_pods_run(cluster, plain):
    """They are spoken to as before until they are made again."""
    name = "joins"
    cluster.apply(namespace(name, False),
                  deployment(name, "web", server()), service(name, "web"),
                  pod(plain, "client", idle(), labels={LABEL: "enabled"}))
    cluster.rolled_out(name, "web")
    cluster.pod_ready(plain, "client")

    def ask():
        return cluster.exec(plain, "client", "curl", "-sS", "-m", "5",
                            f"http://web.{name}/", container="app")

    assert "forwarded-client-cert" not in ask()
    cluster.kubectl("label", "namespace", name, f"{LABEL}=enabled")
    # The roots are written: the controller knows of the label.
    poll("roots", 20, lambda: cluster.get("configmap", "eastwest-roots", name))
    assert "forwarded-client-cert" not in ask()
    cluster.kubectl("rollout", "restart", "deployment/web", "--namespace", name)
    cluster.rolled_out(name, "web")
    poll("an identity", 20, lambda: "URI=spiffe://cluster.local/ns/plain/sa/"
         "default" in ask())
    cluster.delete("namespace", name, wait=False)


def test_every_request_goes_where_the_route_says(cluster, ns):
    cluster.apply(
        *(deployment(ns, v, server("--version", v)) for v in ("v1", "v2")),
        service(ns, "v1"), service(ns, "v2"),
        service(ns, "echo", {"app": "v1"}), pod(ns, "client", idle()),
        route(ns, "beta", "echo", {
            "matches": [{"headers": [{"name": "x-beta", "value": "yes"}]}],
            "backendRefs": [{"name": "v2", "port": 80}]},
            {"backendRefs": [{"name": "v1", "port": 80}]}))
    for v in ("v1", "v2"):
        cluster.rolled_out(ns, v)
    cluster.pod_ready(ns, "client")

    def versions(*options):
        out = cluster.exec(ns, "client", "curl", "-sS", *options,
                           "http://echo/[1-20]", container="app")
        return {v: out.count(f'"version": "{v}"') for v in ("v1", "v2")}

    poll("the route", 20, lambda: versions("-H", "x-beta: yes")["v2"] == 20)
    assert versions("-H", "x-beta: yes") == {"v1": 0, "v2": 20}
    assert versions() == {"v1": 20, "v2": 0}
    status = cluster.get("httproute", "beta", ns)["status"]["parents"]
    assert [p["controllerName"] for p in status] == ["eastwest.dev/controller"]
    assert {c["type"]: c["status"] for c in status[0]["conditions"]} == {
        "Accepted": "True", "ResolvedRefs": "True"}


def test_the_sidecar_tells_what_it_knows(cluster, ns):
    """There is no curl in the image."""
    cluster.apply(deployment(ns, "web", server()), service(ns, "web"),
                  pod(ns, "client", idle()))
    cluster.rolled_out(ns, "web")
    cluster.pod_ready(ns, "client")
    cluster.exec(ns, "client", "curl", "-sSf", "http://web/", container="app")

    def get(path, **more):
        return cluster.exec(ns, "client", "eastwest-sidecar", "--get",
                            f"http://localhost:15000{path}",
                            container="eastwest-sidecar", **more)

    address = cluster.get("service", "web", ns)["spec"]["clusterIP"]
    assert address in get("/destinations")
    # An error is an error: kubectl says so.
    assert get("/no-such-path", fail=False) == ""
