# SPDX-License-Identifier: Apache-2.0
"""--kubernetes: readiness, CA, tokens, the Lease, XMesh, roots."""
import base64
import ssl
import time

import pytest

import kube_controller as k
import meshes as m

SECRETS = f"/api/v1/namespaces/{k.SYSTEM}/secrets"
KINDS = ["namespaces", "pods", "services", "endpointslices", "httproutes",
         "grpcroutes", "tcproutes", "tlsroutes"]


@pytest.fixture
def world(tmp_path):
    w = k.World(tmp_path)
    yield w
    w.close()


def text_of(secret, name):
    return base64.b64decode(secret["data"][name]).decode()


def count_of(pem):
    return pem.count("BEGIN CERTIFICATE")


# ---- readiness ----

@pytest.mark.parametrize("kind", KINDS)
def test_not_ready_before_all_kinds_are_listed(world, kind):
    world.api.fail(10 ** 6, 500, method="GET", part=f"/{kind}?")
    c = world.start()
    m.wait_for(lambda: c.http("/live")[0] == 200 and
               world.api.get("secrets", k.SYSTEM, "eastwest-ca"))
    m.wait_for(lambda: world.api.count("GET", f"/{kind}", 500) >= 2)
    assert c.http("/ready")[0] == 503
    with pytest.raises(OSError):
        c.roots()
    world.api.failing.clear()
    c.ready()


def test_not_ready_without_a_ca(world):
    world.api.fail(10 ** 6, 403, method="POST", part=SECRETS)
    c = world.start()
    m.wait_for(lambda: world.api.count("GET", "/httproutes?watch") and
               world.api.count("POST", SECRETS, 403))
    assert c.http("/ready")[0] == 503
    world.api.failing.clear()
    c.ready()


def test_kinds_that_are_not_installed_do_not_keep_it_from_being_ready(world):
    for kind in ("httproutes", "grpcroutes", "tcproutes", "tlsroutes",
                 "xmeshes"):
        world.api.served[kind] = []
    world.start().ready()


def test_bearer_is_read_again_for_each_request(world):
    c = world.start().ready()
    world.api.bearers = {"rotated"}
    world.api.drop()
    m.wait_for(lambda: world.api.count("GET", "watch", 401))
    c.token_file.write_text("rotated\n")
    world.api.put(k.service("shop", "10.96.0.10"))
    with c.watch("10.96.0.10:80") as w:
        w.until(lambda d: d["kind"] == "service")


@pytest.mark.parametrize("state", ["ready", "api-down", "starting"])
def test_sigterm_ends_it_at_once(world, state):
    if state == "starting":
        world.api.fail(10 ** 6, 500, method="GET")
    c = world.start()
    m.wait_for(lambda: c.http("/live")[0] == 200)
    if state != "starting":
        c.ready()
        w = c.watch("10.96.0.10:80")
        w.until(lambda d: True)
    if state == "api-down":
        world.api.stop()
    start = time.monotonic()
    c.stop()
    assert time.monotonic() - start < 3
    if state == "api-down":
        world.api.start()


# ---- CA ----

def test_ca_is_made_once_by_replicas_that_start_together(world):
    replicas = [world.start(pod) for pod in "abc"]
    roots = {c.ready().roots() for c in replicas}
    assert len(roots) == 1 and count_of(roots.copy().pop()) == 1
    secret = world.api.get("secrets", k.SYSTEM, "eastwest-ca")
    assert secret["type"] == "kubernetes.io/tls"
    assert text_of(secret, "tls.crt") == text_of(secret, "ca.crt")
    assert roots == {text_of(secret, "tls.crt")}
    assert len(world.api.written(SECRETS)) == 1


def test_secret_that_is_there_is_used(world):
    crt, key = k.make_root()
    other, _ = k.make_root("another root that is trusted")
    world.api.put(k.secret("my-ca", **{"tls.crt": crt, "tls.key": key,
                                       "ca.crt": other}))
    c = world.start("a", "--ca-secret", "my-ca").ready()
    assert c.roots() == crt + other
    assert c.identity().status == 200
    with k.cc.Connection(c.port, roots=crt).sock:
        pass
    with pytest.raises(ssl.SSLError):
        k.cc.Connection(c.port, roots=other)
    assert not world.api.written(SECRETS)


@pytest.mark.parametrize("broken", ["no-key", "no-base64", "mismatch"])
def test_faulty_secret_is_refused_and_left_alone(world, broken):
    crt, key = k.make_root()
    faulty = k.secret("eastwest-ca", **{"tls.crt": crt, "tls.key": key})
    if broken == "no-key":
        del faulty["data"]["tls.key"]
    elif broken == "no-base64":
        faulty["data"]["tls.key"] = "%%%%"
    else:
        faulty = k.secret("eastwest-ca", **{"tls.crt": crt,
                                            "tls.key": k.make_root()[1]})
    world.api.put(faulty)
    c = world.start()
    m.wait_for(lambda: "Secret of the CA refused" in c.log.read_text())
    assert c.http("/ready")[0] == 503 and not world.api.written(SECRETS)
    assert key.split("\n")[1] not in c.log.read_text()
    world.api.put(k.secret("eastwest-ca", **{"tls.crt": crt, "tls.key": key}))
    c.ready()
    assert c.roots() == crt
    world.api.put(faulty)
    m.wait_for(lambda: c.log.read_text().count("Secret of the CA refused") > 1)
    assert c.roots() == crt and c.identity().status == 200


def test_changed_secret_is_taken_and_both_roots_are_trusted(world):
    c = world.start().ready()
    first, before = c.roots(), c.identity()
    crt, key = k.make_root()
    world.api.put(k.secret("eastwest-ca", **{"tls.crt": crt, "tls.key": key}))
    m.wait_for(lambda: c.roots() == crt + first)
    after = c.identity()
    assert after.roots == crt + first
    k.cc.Connection(c.port, roots=crt).close()
    before.roots = after.roots  # as a sidecar learns them
    for identity in (before, after):
        with c.watch("10.96.0.10:80", identity) as w:
            w.until(lambda d: d["kind"] == "unknown")


def test_deleted_secret_stays_in_force_and_is_not_made_again(world):
    c = world.start().ready()
    roots = c.roots()
    world.api.remove("secrets", k.SYSTEM, "eastwest-ca")
    m.wait_for(lambda: "Secret of the CA is gone" in c.log.read_text())
    assert c.roots() == roots and c.identity().status == 200
    world.api.forget()
    m.wait_for(lambda: world.api.count("GET", f"{SECRETS}?limit") == 2)
    assert len(world.api.written(SECRETS)) == 1


# ---- tokens ----

def test_good_token_buys_a_certificate_of_its_account(world):
    c = world.start().ready()
    i = c.identity()
    assert i.status == 200
    leaf = k.x509_of(i.chain)
    assert k.uris_of(leaf) == ["spiffe://cluster.local/ns/app/sa/client"]
    i = k.cc.Identity(c.port, k.GOOD, roots=c.roots())
    assert i.status == 200


@pytest.mark.parametrize("token", ["unknown", "other-audience", "a-user", ""])
def test_other_tokens_are_refused(world, token):
    c = world.start().ready()
    i = c.identity(token)
    assert i.status == 401 and i.chain is None and i.error


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_token_that_could_not_be_checked_may_try_again(world, status):
    c = world.start().ready()
    world.api.fail(1, status, method="POST", part="tokenreviews")
    assert c.identity().status == 503
    assert c.identity().status == 200


def test_token_without_api_server_may_try_again(world):
    c = world.start().ready()
    world.api.stop()
    assert c.identity().status == 503
    world.api.start()
    m.wait_for(lambda: c.identity().status == 200)


# ---- Lease ----

def lease(world):
    return world.api.get("leases", k.SYSTEM, "eastwest-controller")["spec"]


def test_one_replica_holds_the_lease_and_another_follows(world):
    a = world.start("a").ready()
    m.wait_for(a.holds_lease)
    b = world.start("b").ready()
    first = lease(world)
    assert first["holderIdentity"] == "a" and first["leaseTransitions"] == 0
    assert first["leaseDurationSeconds"] == 15
    m.wait_for(lambda: lease(world)["renewTime"] != first["renewTime"])
    assert lease(world)["acquireTime"] == first["acquireTime"]
    world.api.put(k.service("shop", "10.96.0.10"),
                  k.route("r1", "shop", "shop"))
    m.wait_for(lambda: "status" in world.api.get("httproutes", "app", "r1"))
    assert not b.holds_lease()
    killed = time.monotonic()
    a.kill()
    m.wait_for(b.holds_lease, 25, "take-over")
    assert time.monotonic() - killed > 8, "it was still held"
    after = lease(world)
    assert after["holderIdentity"] == "b" and after["leaseTransitions"] == 1
    assert after["acquireTime"] != first["acquireTime"]
    world.api.put(k.route("r2", "shop", "shop"))
    m.wait_for(lambda: "status" in world.api.get("httproutes", "app", "r2"))


def test_replicas_that_start_together_have_one_writer(world):
    replicas = [world.start(pod).ready() for pod in "abc"]
    m.wait_for(lambda: any(c.holds_lease() for c in replicas))
    assert sum(c.holds_lease() for c in replicas) == 1


def test_writer_that_can_not_renew_stops_writing(world):
    a = world.start("a").ready()
    m.wait_for(a.holds_lease)
    world.api.fail(10 ** 6, 500, part="/leases")
    m.wait_for(lambda: not a.holds_lease(), 20)
    m.wait_for(lambda: "lease lost" in a.log.read_text(), 3)
    world.api.put(k.service("shop", "10.96.0.10"),
                  k.route("r1", "shop", "shop"))
    with a.watch("10.96.0.10:80") as w:
        w.until(lambda d: d.get("rules"))
    assert not world.api.count("PATCH", "/httproutes/")
    world.api.failing.clear()
    m.wait_for(lambda: "status" in world.api.get("httproutes", "app", "r1"))


def test_writer_whose_lease_was_taken_stops_writing(world):
    a = world.start("a").ready()
    m.wait_for(a.holds_lease)
    spec = dict(lease(world), holderIdentity="z", renewTime="new")
    world.api.put({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                   "metadata": {"name": "eastwest-controller",
                                "namespace": k.SYSTEM}, "spec": spec})
    m.wait_for(lambda: not a.holds_lease())
    assert lease(world) == spec


# ---- XMesh ----

def xmesh(name="eastwest", controller="eastwest.dev/controller", **spec):
    return {"apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
            "kind": "XMesh", "metadata": {"name": name},
            "spec": {"controllerName": controller, **spec}}


def xmesh_status(world, name="eastwest"):
    got = world.api.get("xmeshes", "", name)
    return got and got.get("status")


def accepted(world, name="eastwest"):
    """The condition, once it is about the newest spec."""
    def current():
        got = world.api.get("xmeshes", "", name) or {}
        (c,) = got["status"]["conditions"]
        return c["observedGeneration"] == got["metadata"]["generation"] and c
    return m.wait_for(current)


def test_xmesh_is_made_and_accepted(world):
    world.start()
    c = accepted(world)
    assert (c["type"], c["status"], c["reason"]) == ("Accepted", "True",
                                                     "Accepted")
    features = [f["name"] for f in xmesh_status(world)["supportedFeatures"]]
    assert features == sorted(features) and len(set(features)) == len(features)
    assert {"Mesh", "HTTPRoute", "GRPCRoute"} <= set(features)
    assert world.api.get("xmeshes", "", "eastwest")["spec"] == {
        "controllerName": "eastwest.dev/controller"}
    assert len(world.api.written("/xmeshes")) == 2


def test_xmesh_of_ours_with_another_name_is_used(world):
    world.api.put(xmesh("mine"), xmesh("theirs", "example.com/mesh"))
    c = world.start().ready()
    accepted(world, "mine")
    assert xmesh_status(world, "theirs") is None
    assert xmesh_status(world) is None
    c.stop()
    assert len(world.api.written("/xmeshes")) == 1


def test_xmesh_of_our_name_but_not_ours_is_left_alone(world):
    world.api.put(xmesh(controller="example.com/mesh"))
    c = world.start().ready()
    m.wait_for(lambda: world.api.count("POST", "/xmeshes", 409))
    assert "belongs to another controller" in c.log.read_text()
    assert not world.api.written("/xmeshes")


def test_xmesh_with_parameters_is_not_accepted(world):
    ref = {"group": "", "kind": "ConfigMap", "name": "x", "namespace": "y"}
    world.api.put(xmesh(parametersRef=ref))
    world.start().ready()
    c = accepted(world)
    assert (c["status"], c["reason"]) == ("False", "InvalidParameters")
    world.api.put(xmesh())
    m.wait_for(lambda: accepted(world)["status"] == "True")


def test_xmesh_is_made_again_when_deleted(world):
    world.start().ready()
    uid = m.wait_for(lambda: accepted(world) and world.api.get(
        "xmeshes", "", "eastwest"))["metadata"]["uid"]
    world.api.remove("xmeshes", "", "eastwest")
    m.wait_for(lambda: accepted(world) and world.api.get(
        "xmeshes", "", "eastwest")["metadata"]["uid"] != uid)


def test_xmesh_is_accepted_when_it_is_installed_later(world):
    world.api.fail(2, 503, part="/xmeshes?")
    world.start().ready()
    accepted(world)


# ---- roots ----

def roots_in(world, ns):
    got = world.api.get("configmaps", ns, "eastwest-roots")
    return got and got["data"].get("roots.pem")


def test_roots_are_in_namespaces_of_the_mesh_only(world):
    world.api.put(k.namespace("plain", mesh=False), k.namespace("more"))
    c = world.start().ready()
    m.wait_for(lambda: roots_in(world, "app") and roots_in(world, "more"))
    assert roots_in(world, "app") == roots_in(world, "more") == c.roots()
    world.api.put(k.namespace("later"))
    m.wait_for(lambda: roots_in(world, "later") == c.roots())
    world.api.put(k.namespace("plain"))
    m.wait_for(lambda: roots_in(world, "plain") == c.roots())
    assert roots_in(world, k.SYSTEM) is None
    assert len(world.api.written("/configmaps")) == 4


def test_roots_are_where_a_pod_opts_in_by_itself(world):
    world.api.put(k.namespace("plain", mesh=False))
    c = world.start().ready()
    m.wait_for(lambda: roots_in(world, "app"))
    world.api.put({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "p", "namespace": "plain"}, "spec": {"initContainers": [
            {"name": "eastwest-sidecar", "restartPolicy": "Always"}]}})
    m.wait_for(lambda: roots_in(world, "plain") == c.roots())


def test_roots_are_repaired(world):
    c = world.start().ready()
    m.wait_for(lambda: roots_in(world, "app"))
    world.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "eastwest-roots", "namespace": "app"},
        "data": {"roots.pem": "evil", "more": "kept"}})
    m.wait_for(lambda: roots_in(world, "app") == c.roots())
    assert world.api.get("configmaps", "app", "eastwest-roots")["data"][
        "more"] == "kept"
    world.api.remove("configmaps", "app", "eastwest-roots")
    m.wait_for(lambda: roots_in(world, "app") == c.roots())


def test_roots_follow_the_secret(world):
    c = world.start().ready()
    m.wait_for(lambda: roots_in(world, "app"))
    crt, key = k.make_root()
    world.api.put(k.secret("eastwest-ca", **{"tls.crt": crt, "tls.key": key}))
    m.wait_for(lambda: roots_in(world, "app").startswith(crt))
    assert count_of(roots_in(world, "app")) == 2
    assert roots_in(world, "app") == c.roots()


def test_namespace_that_refuses_roots_does_not_keep_others_waiting(world):
    world.api.put(k.namespace("aaa"), k.namespace("zzz"))
    world.api.fail(10 ** 6, 403, method="POST", part="/namespaces/aaa/")
    world.api.fail(1, 500, method="POST", part="/namespaces/app/")
    world.start().ready()
    m.wait_for(lambda: roots_in(world, "zzz"), 3)
    m.wait_for(lambda: roots_in(world, "app"))
    assert roots_in(world, "aaa") is None
    world.api.failing.clear()
    m.wait_for(lambda: roots_in(world, "aaa"))


def test_roots_that_another_made_meanwhile_are_repaired(world):
    stale = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "eastwest-roots", "namespace": "app"},
        "data": {"roots.pem": "stale"}}

    def first(method, path):
        if method == "POST" and "configmaps" in path:
            world.api.before_write = None
            world.api.put(stale)
    world.api.before_write = first
    c = world.start().ready()
    m.wait_for(lambda: roots_in(world, "app") == c.roots())
