# SPDX-License-Identifier: Apache-2.0
"""Install, test, upgrade and uninstall, in a cluster."""
import contextlib
import json

import pytest

from cluster import cert_manager, crds, mesh
from kube import (CHART, RELEASE, SYSTEM, Load, Refusals, deployment, idle,
                  namespace, pod, poll, rendered, server, service)

WEBHOOK = "eastwest-injector"
CA, INJECTOR_TLS = "eastwest-ca", "eastwest-injector-tls"


def bundles(cluster):
    config = cluster.get("mutatingwebhookconfiguration", WEBHOOK)
    return [w["clientConfig"].get("caBundle") for w in config["webhooks"]]


def upgrade(cluster, *options):
    cluster.helm("upgrade", RELEASE, CHART, "--namespace", SYSTEM, "--wait",
                 "--timeout=3m", *options)


def sidecar(pod_):
    return next((c for c in pod_["spec"].get("initContainers", [])
                 if c["name"] == "eastwest-sidecar"), None)


def make_pod(cluster, ns, name, *containers, **more):
    """The pod as it was admitted."""
    cluster.apply(pod(ns, name, *(containers or [idle()]), **more))
    return cluster.get("pod", name, ns)


def test_all_objects_pass_the_api_server(cluster):
    """Under other names, so that they don't meet those that are there."""
    text = json.dumps([o for o in rendered(
        "--set", "controller.clusterIP=198.19.0.200",
        "--set", "sidecar.accessLog=all")
        if o["metadata"].get("namespace") != "eastwest-test"])
    objects = json.loads(text.replace('"name": "eastwest-',
                                      '"name": "dry-run-'))
    assert len(objects) > 15
    said = cluster.apply(*objects, dry_run=True)
    assert "Warning" not in said, said


def test_the_release_is_ready_within_the_strictest_standard(cluster):
    for name in ("eastwest-controller", "eastwest-injector"):
        d = cluster.get("deployment", name, SYSTEM)
        assert d["status"]["readyReplicas"] == d["spec"]["replicas"] == 2
    assert cluster.get("xmesh", "eastwest")["status"]["conditions"]


def test_helm_test(cluster):
    for _ in range(2):
        out = cluster.helm("test", RELEASE, "--namespace", SYSTEM)
        assert out.count("Succeeded") == 5 and "Failed" not in out
    assert not cluster.get("namespace", "eastwest-test")


def test_no_right_is_missing(cluster):
    """What the API server refused would be in the log."""
    for name in ("eastwest-controller", "eastwest-injector"):
        log = cluster.kubectl("logs", "--namespace", SYSTEM, "--tail=-1",
                              "--selector", "app.kubernetes.io/component="
                              + name.partition("-")[2])
        assert "403" not in log and "forbidden" not in log, log


def test_a_value_that_changes(cluster, ns):
    before = bundles(cluster)
    assert all(before)
    cluster.apply(deployment(ns, "web", server(), replicas=2),
                  service(ns, "web"), pod(ns, "client", idle()))
    cluster.rolled_out(ns, "web")
    old = cluster.pod_ready(ns, "client")
    load = Load(cluster, ns, "client", "http://web/", 30)
    with Refusals(cluster, ns) as refusals:
        upgrade(cluster, "--set", "controller.logLevel=debug",
                "--set", "injector.logLevel=debug",
                "--set", "sidecar.accessLog=all")
    assert refusals.asked > 100 and not refusals.refused, refusals.refused[:3]
    assert bundles(cluster) == before
    # Those that end answer what still comes to them.
    poll("end of the old injectors", 60, lambda: len(cluster.items(
        "pods", SYSTEM, "--selector",
        "app.kubernetes.io/component=injector")) == 2)
    new = make_pod(cluster, ns, "new")
    assert "all" in sidecar(new)["args"]
    assert "all" not in sidecar(old)["args"]
    cluster.pod_ready(ns, "new")
    cluster.exec(ns, "new", "curl", "-sSf", "http://web/")
    result = load.result()
    assert not result["bad"], result["bad"][:5]
    upgrade(cluster, "--reset-values")


def test_kinds_of_the_experimental_channel_may_be_missing(cluster, ns):
    names = ["xmeshes.gateway.networking.x-k8s.io",
             "tcproutes.gateway.networking.k8s.io",
             "tlsroutes.gateway.networking.k8s.io"]
    cluster.kubectl("delete", "crd", *names)
    try:
        cluster.kubectl("rollout", "restart", "deployment/eastwest-controller",
                        "--namespace", SYSTEM)
        cluster.rolled_out(SYSTEM, "eastwest-controller")
        cluster.apply(pod(ns, "client", idle()))
        cluster.pod_ready(ns, "client")
    finally:
        crds.apply(cluster.state)
    # Found without a restart.
    poll("XMesh", 90, lambda: cluster.get("xmesh", "eastwest"))


@contextlib.contextmanager
def reinstalled(cluster, image):
    """Whatever happens within, the release is there again afterwards."""
    try:
        yield
    finally:
        if RELEASE not in cluster.helm("list", "--namespace", SYSTEM, "-q"):
            mesh.install(cluster.state, image)


def test_uninstall_leaves_no_webhook(cluster, image, ns):
    root = cluster.get("secret", CA, SYSTEM)["data"]
    cluster.apply(deployment(ns, "web", server(), replicas=2),
                  service(ns, "web"))
    assert sidecar(make_pod(cluster, ns, "old"))
    cluster.rolled_out(ns, "web")
    cluster.pod_ready(ns, "old")
    with reinstalled(cluster, image):
        load = Load(cluster, ns, "old", "http://web/", 15)
        with Refusals(cluster, ns) as refusals:
            cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait")
        assert refusals.asked > 20
        assert not refusals.refused, refusals.refused[:3]
        assert WEBHOOK not in cluster.webhooks()
        assert not sidecar(make_pod(cluster, ns, "new"))
        cluster.pod_ready(ns, "new")
        # Who runs goes on.
        assert not load.result()["bad"]
        left = rendered()
        kinds = {o["kind"] for o in left} - {"Pod", "Namespace", "HTTPRoute"}
        for kind in kinds:
            names = {o["metadata"]["name"] for o in cluster.items(kind)}
            assert not [n for n in names if n.startswith("eastwest-")], kind
        assert cluster.get("secret", CA, SYSTEM)["data"] == root
    # Another installation: the same root.
    assert cluster.get("secret", CA, SYSTEM)["data"] == root
    assert sidecar(make_pod(cluster, ns, "again"))
    cluster.pod_ready(ns, "again")


@pytest.fixture
def with_cert_manager(cluster, image):
    with reinstalled(cluster, image):
        cluster.uninstall()
        cluster.delete("secret", INJECTOR_TLS, SYSTEM)
        authority = cert_manager.prepare(cluster.state)
        mesh.install(cluster.state, image,
                     "--set", "injector.certManager.enabled=true")
        yield authority
        cluster.uninstall()
        cert_manager.remove(cluster.state)


def test_certificates_of_cert_manager(cluster, with_cert_manager, ns):
    said = cluster.get("mutatingwebhookconfiguration", WEBHOOK)
    assert said["metadata"]["annotations"][
        "cert-manager.io/inject-ca-from"] == f"{SYSTEM}/eastwest-injector"
    cert_manager.inject_ca(cluster.state, with_cert_manager)
    assert sidecar(poll("pod", 20, lambda: make_pod(cluster, ns, "client")))
    cluster.pod_ready(ns, "client")


def test_another_namespace(cluster, image):
    """The release need not be in eastwest-system."""
    with reinstalled(cluster, image):
        cluster.uninstall()
        cluster.apply(namespace("elsewhere", False))
        try:
            cluster.helm("install", RELEASE, CHART, "--namespace", "elsewhere",
                         "--wait", "--timeout=2m")
            cluster.helm("test", RELEASE, "--namespace", "elsewhere")
        finally:
            cluster.helm("uninstall", RELEASE, "--namespace", "elsewhere",
                         "--wait", "--ignore-not-found")
            cluster.delete("namespace", "elsewhere")
