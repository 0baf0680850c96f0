# SPDX-License-Identifier: Apache-2.0
"""The life of pods of the mesh: Jobs, start-up, and their end."""
import time

import pytest

from kube import (PYTHON, Load, container, deployment, idle, pod, pod_spec,
                  poll, server, service)

# At once, and once: no patience with a network that is not there yet.
ASK = ("import urllib.request as u; "
       "print(u.urlopen('http://web/', timeout=10).read().decode())")
IDENTITY = "URI=spiffe://cluster.local/ns/{ns}/sa/default"


@pytest.fixture
def web(cluster, ns):
    cluster.apply(deployment(ns, "web", server()), service(ns, "web"))
    cluster.rolled_out(ns, "web")
    return ns


def asker(name="app"):
    return container([*PYTHON, "-c", ASK], name=name)


def test_a_job_completes(cluster, web):
    cluster.apply({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "job", "namespace": web},
        "spec": {"backoffLimit": 0, "template": {
            "spec": pod_spec(asker(), restartPolicy="Never")}}})
    cluster.kubectl("wait", "--namespace", web, "--for=condition=complete",
                    "job/job", "--timeout=90s")
    (made,) = cluster.items("pods", web, "--selector", "job-name=job")
    # The sidecar has ended too, and in order: its pod is done.
    assert made["status"]["phase"] == "Succeeded"
    assert all(s["state"]["terminated"]["exitCode"] == 0
               for s in made["status"]["initContainerStatuses"])
    log = cluster.kubectl("logs", "--namespace", web, "job/job", "-c", "app")
    assert IDENTITY.format(ns=web) in log


def test_an_app_that_connects_at_time_zero(cluster, web):
    names = [f"early-{i}" for i in range(3)]
    cluster.apply(*(pod(web, n, asker(), restartPolicy="Never")
                    for n in names))
    for name in names:
        assert cluster.ended(web, name) == "Succeeded", cluster.kubectl(
            "logs", "--namespace", web, name, "-c", "app")
        assert IDENTITY.format(ns=web) in cluster.kubectl(
            "logs", "--namespace", web, name, "-c", "app")


def test_an_init_container_that_needs_the_network(cluster, web):
    cluster.apply(pod(web, "p", idle(), restartPolicy="Never",
                      initContainers=[asker("first"), asker("second")]))
    cluster.pod_ready(web, "p")
    for name in ("first", "second"):
        assert IDENTITY.format(ns=web) in cluster.kubectl(
            "logs", "--namespace", web, "p", "-c", name)


@pytest.mark.parametrize("delay", ["0.02", "2"])
def test_pods_that_are_deleted_lose_no_request(cluster, ns, delay):
    """With a server that ends as good servers do: it answers what is open,
    and takes nothing more at once, while others still send to it."""
    cluster.apply(deployment(ns, "web", server(program="graceful.py"),
                             replicas=2), service(ns, "web"),
                  pod(ns, "client", idle()))
    cluster.rolled_out(ns, "web")
    cluster.pod_ready(ns, "client")
    load = Load(cluster, ns, "client", f"http://web/?delay={delay}", 25, 8)
    for _ in range(3):
        time.sleep(2)  # that many seconds of requests between
        victim = next(p["metadata"]["name"] for p in cluster.items(
            "pods", ns, "--selector", "app=web")
            if "deletionTimestamp" not in p["metadata"])
        cluster.delete("pod", victim, ns)
        cluster.rolled_out(ns, "web")
    result = load.result()
    assert not result["bad"], result["bad"][:5]
    assert sum(result["pods"].values()) >= 40 and len(result["pods"]) >= 2


def test_a_rollout_loses_no_request(cluster, ns):
    cluster.apply(deployment(ns, "web", server(program="graceful.py"),
                             replicas=2), service(ns, "web"),
                  pod(ns, "client", idle()))
    cluster.rolled_out(ns, "web")
    cluster.pod_ready(ns, "client")
    load = Load(cluster, ns, "client", "http://web/", 25)
    for _ in range(2):
        cluster.kubectl("rollout", "restart", "deployment/web",
                        "--namespace", ns)
        cluster.rolled_out(ns, "web")
    result = load.result()
    assert not result["bad"], result["bad"][:5]
    poll("old pods are gone", 60, lambda: len(cluster.items(
        "pods", ns, "--selector", "app=web")) == 2)
