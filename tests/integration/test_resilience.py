# SPDX-License-Identifier: Apache-2.0
"""Parts of the mesh, pods and apps that stop, crash, hang and come back."""
import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

import meshes as m
import wire
from traffic import Traffic

NS = "app"
HEALTHZ = {"httpGet": {"path": "/healthz", "port": 8080}}
# As apps do that don't finish requests by themselves when they must end.
GRACE = {"preStop": {"sleep": {"seconds": 2}}}


def echo(name, replicas=1, **more):
    return [m.deployment(NS, name, ["echo.py", "--port", "8080"], replicas,
                         probe=None, readinessProbe=HEALTHZ, **more),
            m.service(NS, name, {"app": name})]


def service_only(name, to):
    return m.service(NS, name, {"app": to})


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    made = m.Mesh(f"rs{os.getpid()}",
                  tmp_path_factory.mktemp("resilience") / "manifests")
    made.write("all.yaml", [
        m.namespace(NS), m.namespace("plain", False),
        m.pod("plain", "closed", labels={"app": "closed"}),
        m.pod(NS, "client", account="client"),
        *echo("echo", 3, lifecycle=GRACE), *echo("single", lifecycle=GRACE),
        *echo("crash", 2), *echo("hang", 2), *echo("stuck"),
        *echo("idle", 2), *echo("other"),
        service_only("unseen", "other"), service_only("unseen2", "other"),
        m.deployment(NS, "grpc", ["grpc_echo.py", "--port", "8080"], 2,
                     lifecycle=GRACE),
        m.service(NS, "grpc", {"app": "grpc"}),
        m.deployment(NS, "chat", ["grpc_echo.py", "--port", "8080"]),
        m.service(NS, "chat", {"app": "chat"})])
    with made:
        yield made


@pytest.fixture(scope="module")
def net(own):
    return wire.Net(own, f"{NS}/client")


def traffic(mesh, kind, to):
    return Traffic(mesh, f"{NS}/client", kind, to)


def status(mesh):
    return json.loads(mesh.cli("status", "--name", mesh.name).stdout)


def controller(mesh, what):
    mesh.cli("controller", "--name", mesh.name, what)


def container(mesh, pod, name="main"):
    return next(c for c in mesh.pod(pod)["containers"] if c["name"] == name)


def ready(mesh, name, count):
    """Until the Deployment has that many ready pods and no others."""
    def settled():
        rows = [p for p in mesh.pods() if p["owner"][2] == name and
                p["namespace"] == NS]
        return len(rows) == count and all(p["is_ready"] for p in rows)
    m.wait_for(settled, 60, f"{count} pods of {name}")


def ask(net, name, line="GET / HTTP/1.1", port=80):
    """Status, header fields and body on a connection of its own."""
    with net.wire(name, port) as w:
        w.request(line)
        return w.response()


def routed(mesh, net, name, value):
    """A route of |name| that marks answers; until it is in force."""
    mesh.write(f"mark-{name}.yaml", mark(name, value))
    m.wait_for(lambda: ask(net, f"{name}.{NS}")[1].get("x-mark") == [value],
               20, f"mark {value}")


def mark(name, value):
    return m.http_route(NS, f"mark-{name}", name, [{
        "filters": [{"type": "ResponseHeaderModifier",
                     "responseHeaderModifier": {"set": [
                         {"name": "x-mark", "value": str(value)}]}}],
        "backendRefs": [m.backend(name)]}])


# The controller.

def test_a_killed_controller_is_not_missed(own, net):
    with traffic(own, "http", f"http://echo.{NS}") as web, \
            traffic(own, "stream", f"chat.{NS}:80") as stream:
        before = status(own)["controller"]
        os.kill(before, signal.SIGKILL)
        m.wait_for(lambda: status(own)["controller"] not in (None, before), 10,
                   "a new controller")
        routed(own, net, "echo", "after-a-kill")
        web.flawless()
        stream.flawless()


def known(mesh, net, name):
    """Until the client's sidecar has what the controller says of it."""
    def has():
        ask(net, f"{name}.{NS}")
        return any(d and d.get("name") == name and d.get("backends")
                   for d in mesh.destinations(f"{NS}/client").values())
    m.wait_for(has, 10, name)


def test_the_mesh_works_on_without_a_controller(own, net):
    """For 20 s; a pod ends meanwhile, and what is new waits."""
    for name in ("echo", "grpc", "chat"):
        known(own, net, name)
    unseen = net.resolve(f"unseen.{NS}")
    with traffic(own, "http", f"http://echo.{NS}") as web, \
            traffic(own, "grpc", f"grpc.{NS}:80") as rpc, \
            traffic(own, "stream", f"chat.{NS}:80") as stream:
        controller(own, "stop")
        began = time.monotonic()
        assert status(own)["controller"] is None
        own.write("mark-other.yaml", mark("other", "written-meanwhile"))
        # Unknown: passed through after a short wait, once.
        answer, took = wire.timed(ask, net, unseen)
        assert answer[0] == 200 and 0.9 < took < 3
        answer, took = wire.timed(ask, net, unseen)
        assert answer[0] == 200 and took < 0.5
        # Nobody tells the client that this one is gone.
        victim = own.pod(f"{NS}/deploy/echo")["name"]
        own.cli("delete", "--name", own.name, f"{NS}/{victim}")
        assert own.pod(f"{NS}/client")["is_ready"]
        while time.monotonic() < began + 20:
            assert ask(net, f"echo.{NS}")[0] == 200
            time.sleep(0.2)
        controller(own, "start")
        ready(own, "echo", 3)
        m.wait_for(lambda: ask(net, f"other.{NS}")[1].get("x-mark") ==
                   ["written-meanwhile"], 20, "the change")
        pods = {p["name"] for p in own.pods() if p["owner"][2] == "echo"}
        m.wait_for(lambda: set(own.tally(
            f"{NS}/client", f"http://echo.{NS}/", 30)) == pods, 20,
            "the new endpoints")
        assert web.flawless(200)["slowest"] < 5
        rpc.flawless(200)
        stream.flawless(200)
    # What was unknown is known now, and has an identity.
    m.wait_for(lambda: json.loads(ask(net, unseen)[2])["headers"].get(
        "x-forwarded-client-cert"), 20, "an identity")


def test_what_is_idle_is_forgotten_but_not_while_the_controller_is_away(own):
    own.write("forgetful.yaml", m.pod(NS, "forgetful", annotations={
        "eastwest.dev/destination-idle-seconds": "1"}))
    m.wait_for(lambda: own.pod(f"{NS}/forgetful")["is_ready"], 30, "the pod")

    def known_there():
        return any(d and d.get("name") == "echo" and d.get("backends")
                   for d in own.destinations(f"{NS}/forgetful").values())

    def asked():
        return own.curl(f"{NS}/forgetful", f"http://echo.{NS}/").status == 200 \
            and known_there()
    m.wait_for(asked, 10, "echo")
    m.wait_for(lambda: not known_there(), 10, "an end of idleness")
    m.wait_for(asked, 10, "echo again")
    controller(own, "stop")
    try:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert known_there()
            time.sleep(0.2)
    finally:
        controller(own, "start")
    own.remove("forgetful.yaml")


def test_a_controller_that_hangs_is_not_missed(own, net):
    pid = status(own)["controller"]
    unseen = net.resolve(f"unseen2.{NS}")
    with traffic(own, "http", f"http://echo.{NS}") as web:
        os.kill(pid, signal.SIGSTOP)
        try:
            answer, took = wire.timed(ask, net, unseen)
            assert answer[0] == 200 and took < 3
        finally:
            os.kill(pid, signal.SIGCONT)
        routed(own, net, "echo", "after-a-pause")
        web.flawless()


def test_the_last_of_many_edits_is_in_force(own, net):
    routed(own, net, "single", "0")
    for i in range(1, 201):
        own.write("mark-single.yaml", mark("single", i))
    m.wait_for(lambda: ask(net, f"single.{NS}")[1]["x-mark"] == ["200"], 20,
               "the last edit")
    for _ in range(20):
        assert ask(net, f"single.{NS}")[1]["x-mark"] == ["200"]
    own.remove("mark-single.yaml")
    m.wait_for(lambda: "x-mark" not in ask(net, f"single.{NS}")[1], 20,
               "no route")


# Pods that come and go.

def asked(mesh, row, path):
    """How often the app of that pod was asked for |path|."""
    said = mesh.in_hub("curl", "-sS", "--max-time", "5",
                       f"http://{row['ips'][0]}:8080/counts").stdout
    return json.loads(said).get(path, 0)


def test_a_rolling_restart_loses_no_request(own):
    before = {p["uid"] for p in own.pods() if p["owner"][2] == "echo"}
    with traffic(own, "http", f"http://echo.{NS}") as web, \
            traffic(own, "stream", f"chat.{NS}:80") as stream, \
            own.popen(f"{NS}/client", "curl", "-sS", "--max-time", "30",
                      f"http://echo.{NS}/delay/1.5", stdout=subprocess.PIPE,
                      text=True) as slow:
        own.cli("restart", "--name", own.name, f"{NS}/deploy/echo")
        after = {p["uid"]: p["name"] for p in own.pods()
                 if p["owner"][2] == "echo"}
        said = web.flawless(100)
        stream.flawless(100)
        assert json.loads(slow.communicate(timeout=30)[0])["path"]
    assert len(after) == 3 and not before & set(after)
    # Old and new ones answered.
    assert len([k for k in said["answers"] if k not in ("GET", "POST")]) > 3


def test_a_rolling_restart_loses_no_grpc_call(own):
    with traffic(own, "grpc", f"grpc.{NS}:80") as rpc:
        own.cli("restart", "--name", own.name, f"{NS}/deploy/grpc")
        rpc.flawless(100)


@pytest.mark.parametrize("how", ["service", "pod-ip"])
def test_a_pod_that_ends_finishes_its_requests(own, net, how):
    ready(own, "single", 1)
    row = own.pod(f"{NS}/deploy/single")
    to = (f"single.{NS}", 80) if how == "service" else (row["ips"][0], 8080)
    slow = wire.in_thread(ask, net, to[0], "GET /delay/1.5 HTTP/1.1", to[1])
    m.wait_for(lambda: asked(own, row, "/delay/1.5"), 10, "the request")
    own.cli("delete", "--name", own.name, f"{NS}/{row['name']}")
    code, _, body = slow()
    assert code == 200 and json.loads(body)["pod"] == row["name"]
    ready(own, "single", 1)


# Crashes.

@pytest.mark.parametrize("pod", [f"{NS}/deploy/single", f"{NS}/client"])
def test_a_killed_sidecar_comes_back(own, net, pod):
    ready(own, "single", 1)
    side = container(own, pod, "eastwest-sidecar")
    restarts = container(own, pod)["restarts"]
    os.kill(side["pid"], signal.SIGKILL)

    def is_back():
        now = container(own, pod, "eastwest-sidecar")
        return now["restarts"] > side["restarts"] and own.pod(pod)["is_ready"]
    m.wait_for(is_back, 20, "a new sidecar")
    m.wait_for(lambda: ask(net, f"single.{NS}")[0] == 200, 10, "an answer")
    body = json.loads(ask(net, f"single.{NS}")[2])
    assert body["headers"]["x-forwarded-client-cert"]
    # The app did not notice.
    assert container(own, pod)["restarts"] == restarts


def test_a_killed_app_comes_back_and_no_request_waits_for_it(own, net):
    ready(own, "crash", 2)
    pod = f"{NS}/{own.pod(f'{NS}/deploy/crash')['name']}"
    before = container(own, pod)
    side = container(own, pod, "eastwest-sidecar")
    assert len(own.tally(f"{NS}/client", f"http://crash.{NS}/", 30)) == 2
    os.kill(before["pid"], signal.SIGKILL)
    for i in range(30):
        code, _, body = ask(net, f"crash.{NS}", (
            "GET / HTTP/1.1", "POST / HTTP/1.1")[i % 2])
        assert code == 200, body
    m.wait_for(lambda: container(own, pod)["restarts"] >
               before["restarts"], 20, "a new app")
    ready(own, "crash", 2)
    m.wait_for(lambda: len(own.tally(
        f"{NS}/client", f"http://crash.{NS}/", 30)) == 2, 20, "both again")
    assert container(own, pod, "eastwest-sidecar")["pid"] == side["pid"]


# Apps that hang, Services without endpoints, endpoints that refuse.

def every(mesh, name):
    return [f"{NS}/{p['name']}" for p in mesh.pods()
            if p["owner"][2] == name and not p["terminating"]]


def processes(pid):
    """A process and all that it started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [pid, *(p for c in file.read().split()
                       for p in processes(int(c)))]


@contextlib.contextmanager
def hanging(mesh, pod):
    """The app of that pod neither answers nor ends."""
    pids = processes(container(mesh, pod)["pid"])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def limits(mesh, net, name, **rule):
    """A route of that Service with limits, in force."""
    value = f"limits-{time.monotonic_ns()}"
    header = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {
        "set": [{"name": "x-mark", "value": value}]}}
    mesh.write(f"limits-{name}.yaml", m.http_route(
        NS, f"limits-{name}", name, [{
            "filters": [header], "backendRefs": [m.backend(name)], **rule}]))
    m.wait_for(lambda: ask(net, f"{name}.{NS}")[1].get("x-mark") == [value],
               20, "the route")
    yield
    mesh.remove(f"limits-{name}.yaml")


def test_requests_to_an_app_that_hangs_are_tried_elsewhere(own, net):
    stuck, good = every(own, "hang")
    with limits(own, net, "hang", timeouts={"backendRequest": "250ms"},
                retry={"attempts": 2, "codes": [504], "backoff": "10ms"}):
        with hanging(own, stuck):
            times = []
            for _ in range(40):
                answer, took = wire.timed(ask, net, f"hang.{NS}")
                assert answer[0] == 200 and took < 3
                assert json.loads(answer[2])["pod"] == good.split("/")[1]
                times.append(took)
    # It was asked, and then preferred the less.
    assert max(times) >= 0.25 and sorted(times)[20] < 0.25, times


@pytest.mark.parametrize("which,refusal", [
    ("request", "request-timeout"), ("backendRequest", "backend-timeout")])
def test_requests_to_an_app_that_hangs_end_in_time(own, net, which, refusal):
    pod, = every(own, "stuck")
    with limits(own, net, "stuck", timeouts={which: "300ms"}):
        with hanging(own, pod):
            for line in ("GET / HTTP/1.1", "POST / HTTP/1.1"):
                (code, fields, _), took = wire.timed(
                    ask, net, f"stuck.{NS}", line)
                assert (code, fields["eastwest-refusal"]) == (504, [refusal])
                assert 0.3 <= took < 3
        m.wait_for(lambda: ask(net, f"stuck.{NS}")[0] == 200, 20, "an answer")
    ready(own, "stuck", 1)


def test_an_app_that_hangs_gets_no_requests_once_it_is_not_ready(own, net):
    """Without any route: readiness is what counts."""
    ready(own, "idle", 2)
    stuck, good = every(own, "idle")
    with hanging(own, stuck):
        m.wait_for(lambda: not own.pod(stuck)["is_ready"], 20, "not ready")
        # A first question may hang, too, while the controller has not heard.
        own.sync()
        known(own, net, "idle")
        m.wait_for(lambda: {e["pod"] for d in own.destinations(
            f"{NS}/client").values() if d and d.get("name") == "idle"
            for e in d["backends"][0]["endpoints"]} ==
            {good.split("/")[1]}, 10, "one endpoint")
        for _ in range(20):
            assert ask(net, f"idle.{NS}")[0] == 200
    ready(own, "idle", 2)
    m.wait_for(lambda: len(own.tally(
        f"{NS}/client", f"http://idle.{NS}/", 30)) == 2, 20, "both again")


def test_a_service_without_endpoints_says_so_and_recovers(own, net):
    own.write("late.yaml", service_only("late", "late"))
    m.wait_for(lambda: net.resolve(f"late.{NS}"), 10, "the name")

    def refused():
        code, fields, _ = ask(net, f"late.{NS}")
        return (code, fields.get("eastwest-refusal")) == (
            503, ["no-endpoints"])
    m.wait_for(refused, 10, "a refusal")
    with net.wire(f"late.{NS}") as kept:
        kept.request("GET / HTTP/1.1")
        assert kept.response()[0] == 503
        own.write("late.yaml", echo("late"))
        ready(own, "late", 1)
        # Also on the connection that was there before.

        def answered():
            kept.request("GET / HTTP/1.1")
            return kept.response()[0] == 200
        m.wait_for(answered, 20, "an answer")
        own.write("late.yaml", service_only("late", "late"))
        m.wait_for(refused, 20, "a refusal again")
    own.remove("late.yaml")


def resets(mesh, pod):
    """How many connections the pod has refused so far."""
    lines = [line.split() for line in mesh.exec(
        pod, "cat", "/proc/net/snmp").stdout.splitlines()
        if line.startswith("Tcp:")]
    return int(dict(zip(*lines))["OutRsts"])


def test_an_endpoint_that_refuses_connections_gets_no_traffic(own, net):
    """It is found out by the first requests, and none of them fails."""
    good = [own.pod(p)["ips"][0] for p in every(own, "echo")]
    closed = own.pod("plain/closed")["ips"][0]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": NS, "name": "partly-1", "labels": {
            "kubernetes.io/service-name": "partly"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}}
                      for ip in [*good, closed]],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}
    own.write("partly.yaml", [m.service(NS, "partly", None), slice_])
    m.wait_for(lambda: net.resolve(f"partly.{NS}"), 10, "the name")
    m.wait_for(lambda: any(
        ask(net, f"partly.{NS}") and d and d.get("name") == "partly" and
        len(d["backends"][0].get("endpoints", [])) == len(good) + 1
        for d in own.destinations(f"{NS}/client").values()), 20, "endpoints")
    before = resets(own, "plain/closed")
    for i in range(300):
        line = ("GET / HTTP/1.1", "POST / HTTP/1.1")[i % 2]
        assert ask(net, f"partly.{NS}", line)[0] == 200
    # Five until it is left out, and one for each time it gets a chance.
    assert resets(own, "plain/closed") - before <= 15
    own.remove("partly.yaml")


# Memory.

def fresh_sidecar(mesh):
    """The resident memory of a new sidecar of the client that made a call."""
    pod = f"{NS}/client"
    side = container(mesh, pod, "eastwest-sidecar")
    os.kill(side["pid"], signal.SIGKILL)
    m.wait_for(lambda: container(mesh, pod, "eastwest-sidecar")["restarts"] >
               side["restarts"] and mesh.pod(pod)["is_ready"], 20,
               "a new sidecar")
    net = wire.Net(mesh, pod)
    for _ in range(10):
        assert ask(net, f"single.{NS}")[0] == 200
    return net.sidecar_rss()


def test_memory_does_not_grow_with_the_number_of_services(own):
    ready(own, "single", 1)
    running = wire.Net(own, f"{NS}/deploy/echo")
    few, before = fresh_sidecar(own), running.sidecar_rss()
    own.write("many.yaml", [service_only(f"many-{i}", "other")
                            for i in range(300)])
    try:
        m.wait_for(lambda: own.curl(
            f"{NS}/client", f"http://many-299.{NS}/").status == 200, 30,
            "the last Service")
        many, after = fresh_sidecar(own), running.sidecar_rss()
    finally:
        own.remove("many.yaml")
    assert many - few < 1 << 20
    assert after - before < 1 << 20
