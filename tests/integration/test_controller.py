# SPDX-License-Identifier: Apache-2.0
"""The controller alone: options, its ports, folders of manifests, status."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest

import controller_client as cc
import meshes as m
from kube_controller import route, service, slice_of
from local_controller import BINARY, Local

IP = "10.0.0.1"
ADDRESS = f"{IP}:80"


@pytest.fixture
def idle(tmp_path):
    """Not started yet."""
    made = Local(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def local(idle):
    return idle.start()


def run(*arguments, **env):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True,
                          timeout=20, check=False, env={**os.environ, **env})


# ---- options ----

FOLDERS = ["--manifests", "/m", "--ca-dir", "/c", "--token-file", "/t"]
DOMAIN = "expected at most 255 lowercase letters, digits, '-', '.' and '_'"
ADDR = "expected IP:PORT or [IPv6]:PORT"
SECONDS = "expected a number from 60 to 7776000"


@pytest.mark.parametrize("arguments, message", [
    ([], "--manifests (or --kubernetes) is required (see --help)"),
    (FOLDERS[:2], "--ca-dir is required (see --help)"),
    (FOLDERS[:4], "--token-file is required (see --help)"),
    (["frob"], '"frob": expected an option'),
    ([*FOLDERS, "--listen", "x"], f'--listen: "x": {ADDR}'),
    ([*FOLDERS, "--listen", "localhost:1"], f'--listen: "localhost:1": {ADDR}'),
    ([*FOLDERS, "--listen", "127.0.0.1"], f'--listen: "127.0.0.1": {ADDR}'),
    (["--metrics-listen", "127.0.0.1:65536"],
     f'--metrics-listen: "127.0.0.1:65536": {ADDR}'),
    (["--trust-domain", ""], f'--trust-domain: "": {DOMAIN}'),
    (["--trust-domain", "A"], f'--trust-domain: "A": {DOMAIN}'),
    (["--trust-domain", "a/b"], f'--trust-domain: "a/b": {DOMAIN}'),
    (["--certificate-lifetime", "59"],
     f'--certificate-lifetime: "59": {SECONDS}'),
    (["--certificate-lifetime", "7776001"],
     f'--certificate-lifetime: "7776001": {SECONDS}'),
    (["--certificate-lifetime", "1h"],
     f'--certificate-lifetime: "1h": {SECONDS}'),
    (["--log-level", "loud"],
     '--log-level: "loud": expected error, warn, info or debug'),
    (["--manifests", "x"] * 17, '--manifests: "x": expected at most 16 folders'),
    (["--kubernetes", "--manifests", "x"],
     "--kubernetes: expected none of --manifests, --ca-dir, --token-file, "
     "--status-dir"),
])
def test_bad_options_are_named(arguments, message):
    r = run(*arguments)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"eastwest-controller: {message}\n"


@pytest.mark.parametrize("option", ["--frob", "--listen", "-x"])
def test_options_that_there_are_not(option):
    r = run(option)
    assert r.returncode == 2 and option.strip("-") in r.stderr


def test_help_and_version():
    r = run("--help")
    assert r.returncode == 0 and r.stdout.startswith("Usage: ")
    for option in ("--manifests", "--status-dir", "--listen", "--log-level"):
        assert option in r.stdout
    r = run("--version")
    assert r.returncode == 0 and r.stdout.startswith("eastwest-controller ")


@pytest.mark.parametrize("which", ["port", "metrics_port"])
def test_address_in_use_is_named(idle, which):
    idle.launch()
    idle.process.kill()
    idle.process.wait()
    with socket.create_server(("127.0.0.1", 0)) as s:
        setattr(idle, which, s.getsockname()[1])
        r = run(*idle.arguments())
    idle.process = None
    assert r.returncode == 1
    line = json.loads(r.stderr.splitlines()[-1])
    assert line["msg"] == "can't listen"
    assert line["address"] == f"127.0.0.1:{getattr(idle, which)}"
    assert line["error"] == "Address already in use"


def test_faulty_ca_is_named(idle):
    idle.start()
    idle.stop()
    (idle.ca / "ca.key").unlink()
    r = run(*idle.arguments())
    assert r.returncode == 1
    assert f"--ca-dir: {idle.ca}/ca.key: No such file" in r.stderr


# ---- life ----

def test_ready_live_metrics(local):
    assert local.http("/ready") == (200, "ready\n")
    assert local.http("/live") == (200, "live\n")
    assert local.http("/frob")[0] == 404
    assert local.http("/ready", "POST")[0] == 405
    text = local.http("/metrics")[1]
    for name in ("eastwest_controller_objects", "eastwest_controller_streams",
                 "eastwest_controller_destinations",
                 "eastwest_controller_states_sent_total",
                 "eastwest_controller_certificates_total",
                 "eastwest_controller_object_faults_total"):
        assert f"# TYPE {name} " in text
    assert local.known("HTTPRoute") == 0


def test_objects_are_counted(local):
    local.write("a.yaml", [service("echo", IP), service("x", "10.0.0.2"),
                           route("r", "echo", "echo")])
    m.wait_for(lambda: local.known("Service") == 2)
    assert local.known("HTTPRoute") == 1
    local.remove("a.yaml")
    m.wait_for(lambda: local.known("Service") == 0)


def test_ready_means_that_all_is_read(idle):
    for i in range(50):
        idle.write(f"{i}.yaml", [service(f"s{i}", f"10.0.1.{i}")])
    idle.start()
    assert idle.known("Service") == 50


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_at_once(local, signum):
    with local.watch(ADDRESS) as w:
        w.until(lambda d: True)
        start = time.monotonic()
        local.stop(signum)
        assert time.monotonic() - start < 3
        m.wait_for(lambda: w.ended)


def test_restart_keeps_the_ca(idle):
    idle.start()
    roots, who = idle.roots(), idle.identity()
    idle.stop()
    idle.start()
    assert idle.roots() == roots
    with idle.watch(ADDRESS, who) as w:
        w.until(lambda d: d["kind"] == "unknown")


def test_private_files(local):
    assert (local.ca / "ca.key").stat().st_mode & 0o777 == 0o600
    assert local.ca.stat().st_mode & 0o777 == 0o700
    key = (local.ca / "ca.key").read_text().splitlines()[1]
    local.identity()
    assert key not in local.log.read_text()


# ---- manifests ----

def kind_is(kind):
    return lambda d: d["kind"] == kind


def ports_of(d):
    return [e["port"] for b in d["backends"] for e in b.get("endpoints", [])]


JSON_TEXT = json.dumps(service("echo", IP))
LIST_TEXT = json.dumps({"apiVersion": "v1", "kind": "List", "items": [
    service("x", "10.0.0.2"), service("echo", IP)]})
SERVICES_TEXT = json.dumps({
    "apiVersion": "v1", "kind": "ServiceList",
    "items": [{k: v for k, v in service("echo", IP).items()
               if k not in ("kind", "apiVersion")}]})


@pytest.mark.parametrize("name, text", [
    ("a.yaml", [service("echo", IP)]),
    ("a.yml", [service("x", "10.0.0.2"), service("echo", IP)]),
    ("a.yaml", f"# none\n---\n---\n{JSON_TEXT}\n...\n"),
    ("a.json", JSON_TEXT),
    ("a.json", LIST_TEXT),
    ("a.yaml", LIST_TEXT),
    ("a.json", SERVICES_TEXT),
    ("sub/a.yaml", [service("echo", IP)]),
])
def test_forms_of_manifests(local, name, text):
    with local.watch(ADDRESS) as w:
        w.until(kind_is("unknown"))
        local.write(name, text)
        assert w.until(kind_is("service"))["name"] == "echo"
        local.remove(name)
        w.until(kind_is("unknown"))
    assert local.faults() == 0


def test_what_is_no_manifest_is_left_alone(local):
    deep = local.manifests / "sub" / "deep"
    deep.mkdir(parents=True)
    for folder, name in ((local.manifests, ".a.yaml"),
                         (local.manifests, "a.yaml~"),
                         (local.manifests, "a.txt"), (deep, "a.yaml")):
        (folder / name).write_text(JSON_TEXT)
    local.write("b.yaml", [
        {"apiVersion": "example.com/v1", "kind": "Service",
         "metadata": {"name": "foreign"}}, service("other", "10.0.0.2")])
    m.wait_for(lambda: local.known("Service") == 1)
    assert local.faults() == 0


def test_change_arrives_within_a_second(local):
    local.write("a.yaml", [service("echo", IP), slice_of("echo", ["10.1.0.1"])])
    with local.watch(ADDRESS) as w:
        w.until(lambda d: d["kind"] == "service" and ports_of(d) == [8080])
        took = []
        for i in range(3):
            ips = ["10.1.0.1", f"10.1.1.{i}"]
            start = time.monotonic()
            local.write("a.yaml", [service("echo", IP), slice_of("echo", ips)])
            w.until(lambda d, want=ips: [
                e["address"] for e in d["backends"][0]["endpoints"]] == want)
            took.append(time.monotonic() - start)
        assert min(took) < 1


def test_file_with_another_name_changes_nothing(local):
    local.write("a.yaml", [service("echo", IP)])
    with local.watch(ADDRESS) as w:
        w.until(kind_is("service"))
        for i in range(5):
            (local.manifests / ("ab"[i % 2] + ".yaml")).rename(
                local.manifests / ("ba"[i % 2] + ".yaml"))
            assert w.quiet_for(0.3)


def test_object_that_moves_to_another_file_changes_nothing(local):
    local.write("a.yaml", [service("echo", IP), service("x", "10.0.0.2")])
    with local.watch(ADDRESS) as w:
        w.until(kind_is("service"))
        local.write("b.yaml", [service("echo", IP)])
        local.write("a.yaml", [service("x", "10.0.0.2")])
        assert w.quiet_for(0.6)


def test_editors_that_keep_a_backup(local):
    path = local.write("a.yaml", [service("echo", IP)])
    with local.watch(ADDRESS) as w:
        w.until(kind_is("service"))
        for i in range(5):
            port = {"name": f"p{i}", "port": 80}
            backup = path.with_name("a.yaml~")
            path.rename(backup)
            path.write_text(json.dumps(service("echo", IP, ports=[port])))
            backup.unlink()
            w.until(lambda d, want=f"p{i}": d.get("portName") == want)
    assert local.faults() == 0


def test_file_written_in_place_piece_by_piece(local):
    text = json.dumps(service("echo", IP), indent=1)
    with local.watch(ADDRESS) as w:
        with open(local.manifests / "a.json", "w", encoding="utf-8") as f:
            for at in range(0, len(text), 40):
                f.write(text[at:at + 40])
                f.flush()
                time.sleep(0.01)
        w.until(kind_is("service"))


def test_later_folder_replaces_objects_of_an_earlier_one(local):
    local.write("a.yaml", [service("echo", IP), service("x", "10.0.0.2")])
    with local.watch(ADDRESS) as w, local.watch("10.0.0.2:80") as x:
        w.until(kind_is("service"))
        x.until(kind_is("service"))
        local.write("z.yaml", [service("echo", IP, ports=[
            {"name": "over", "port": 80}])], local.overlay)
        w.until(lambda d: d["portName"] == "over")
        local.write("a.yaml", [service("x", "10.0.0.2")])
        assert w.quiet_for(0.5)
        local.write("a.yaml", [service("echo", IP), service("x", "10.0.0.2")])
        local.remove("z.yaml", local.overlay)
        w.until(lambda d: d["kind"] == "service" and d["portName"] == "http")
        assert x.quiet_for(0)
    assert local.faults() == 0


def test_second_one_in_a_folder_is_refused(local):
    first = local.write("a.yaml", [service("echo", IP)])
    m.wait_for(lambda: local.known("Service") == 1)
    second = local.write("b.yaml", "---\n" + json.dumps(
        service("echo", "10.0.0.9")))
    assert local.refused("already") == \
        f"{second}:2: Service/app/echo stands in {first}:1 already"
    with local.watch("10.0.0.9:80") as w:
        w.until(kind_is("unknown"))
        local.remove("a.yaml")
        w.until(kind_is("service"))
    assert local.faults() == 1


def test_folder_that_comes_later(idle):
    late = idle.folder / "late"
    idle.start(folders=[idle.manifests, late])
    assert idle.refused("late") == f"{late}: No such file or directory"
    late.mkdir()
    idle.write("a.yaml", [service("echo", IP)], late)
    m.wait_for(lambda: idle.known("Service") == 1)
    assert idle.faults() == 1


def test_folder_that_is_away_for_a_moment_changes_nothing(local):
    local.write("a.yaml", [service("echo", IP)])
    away = local.folder / "away"
    with local.watch(ADDRESS) as w:
        w.until(kind_is("service"))
        local.manifests.rename(away)
        local.refused("No such file or directory")
        assert w.quiet_for(0.5)
        away.rename(local.manifests)
        local.remove("a.yaml")
        w.until(kind_is("unknown"))


GOOD_ROUTE = json.dumps(route("r", "echo", "echo"))


def bad_route(**rule):
    bad = route("r", "echo", "echo")
    bad["spec"]["rules"][0].update(rule)
    return json.dumps(bad)


@pytest.mark.parametrize("text, message", [
    ("a: [1\n", ":2: "),
    ("{}\n---\n\tx: 1\n", ":3: "),
    ("a: b\na: c\n", ":2: "),
    ("- 1\n", ":1: is no object"),
    ("kind: Service\nmetadata: {name: x}\n", ":1: apiVersion is missing"),
    ("---\n---\napiVersion: v1\nmetadata: {name: x}\n",
     ":3: kind is missing"),
    ("apiVersion: v1\nkind: Service\nmetadata: {}\n",
     ":1: metadata.name is missing"),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: 7}\n",
     ":1: metadata.name must be a string"),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: a/b}\n",
     ":1: metadata.namespace must be 1 to 253 bytes without blanks and '/'"),
    (f"---\n{JSON_TEXT}\n---\n" + bad_route(
        matches=[{"path": {"value": "x"}}]),
     ':4: HTTPRoute app/r: spec.rules[0].matches[0].path.value: "x": must '
     "begin with '/'"),
    (bad_route(backendRefs=[{"name": "echo", "port": "http"}]),
     ':1: HTTPRoute app/r: spec.rules[0].backendRefs[0].port: "http": must be '
     "an integer from 1 to 65535"),
    (bad_route(timeouts={"request": "1.5s"}),
     ':1: HTTPRoute app/r: spec.rules[0].timeouts.request: "1.5s": must be a '
     'duration like "500ms" or "1m30s"'),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"
     "spec: {clusterIP: 10.0.0.300}\n",
     ':1: Service default/x: spec.clusterIP: "10.0.0.300": must be an IP '
     "address"),
])
def test_faults_are_named(local, text, message):
    path = local.write("bad.yaml", text)
    assert local.refused(str(path)).startswith(f"{path}{message}")
    assert local.faults() >= 1


def test_fault_is_told_once_and_again_when_the_file_changes(local):
    local.write("bad.yaml", "a: [1\n")
    m.wait_for(lambda: local.faults() == 1)
    local.write("good.yaml", JSON_TEXT)
    m.wait_for(lambda: local.known("Service") == 1)
    assert local.faults() == 1
    local.write("bad.yaml", "a: [1,\n")
    m.wait_for(lambda: local.faults() == 2)


@pytest.mark.parametrize("text", [
    bad_route(matches=[{"path": {"value": "x"}}]),
    GOOD_ROUTE[:-1],
    GOOD_ROUTE + "\n---\nfrob: [\n",
], ids=["object", "json", "yaml"])
def test_last_good_state_stays_in_force(local, text):
    local.write("echo.yaml", JSON_TEXT)
    local.write("r.yaml", GOOD_ROUTE)
    with local.watch(ADDRESS) as w:
        w.until(lambda d: "rules" in d)
        local.write("r.yaml", text)
        m.wait_for(lambda: local.faults() == 1)
        assert w.quiet_for(0.3)
        local.write("r.yaml", bad_route(name="named"))
        w.until(lambda d: d["rules"][0].get("name") == "named")
        local.write("r.yaml", text)
        m.wait_for(lambda: local.faults() == 2)
        local.remove("r.yaml")
        w.until(lambda d: "rules" not in d)


def test_good_objects_beside_a_faulty_one_are_in_force(local):
    local.write("a.yaml", "\n---\n".join([
        bad_route(retry={"codes": [1]}), JSON_TEXT,
        json.dumps(route("other", "echo", "echo"))]))
    with local.watch(ADDRESS) as w:
        w.until(lambda d: [r["route"]["name"] for r in d.get("rules", [])] ==
                ["other"])
    assert "last good state" not in local.refused("retry.codes[0]: 1")


# ---- status ----

def condition(doc, kind, parent=0):
    found = [c for c in doc["status"]["parents"][parent]["conditions"]
             if c["type"] == kind]
    return found[0] if found else None


def verdicts(doc, parent=0):
    """{type: (status, reason)}"""
    return {c["type"]: (c["status"], c["reason"])
            for c in doc["status"]["parents"][parent]["conditions"]}


ACCEPTED, RESOLVED = ("True", "Accepted"), ("True", "ResolvedRefs")
NO_PARENT = ("False", "NoMatchingParent")


def with_rules(*rules, **spec):
    made = route("r", "echo", "echo")
    made["spec"]["rules"] = list(rules)
    made["spec"].update(spec)
    return made


def to(**ref):
    return with_rules({"backendRefs": [{"port": 80, **ref}]})


def with_parent(**more):
    made = route("r", "echo", "echo")
    made["spec"]["parentRefs"][0].update(more)
    return made


WSS = {"name": "http", "port": 80, "appProtocol": "kubernetes.io/wss"}
FROB = {"filters": [{"type": "Frob"}]}
DROPPED = {"matches": [{"method": "FROB"}]}


@pytest.mark.parametrize("made, accepted, resolved, partial, message", [
    (route("r", "echo", "echo"), ACCEPTED, RESOLVED, None,
     "Route is accepted"),
    (with_parent(name="none"), NO_PARENT, RESOLVED, None,
     "Service app/none does not exist"),
    (with_parent(port=81), NO_PARENT, RESOLVED, None,
     "Service app/echo has no TCP port 81"),
    (with_parent(sectionName="x"), NO_PARENT, RESOLVED, None,
     'Service app/echo has no TCP port with the name "x"'),
    (with_parent(name="headless"), NO_PARENT, RESOLVED, None,
     "Service app/headless is headless: it has no address that a route could "
     "apply to"),
    (with_parent(name="external"), NO_PARENT, RESOLVED, None,
     "Service app/external is of type ExternalName, which can't be the parent "
     "of a route"),
    (with_rules({"name": "x"}, {"name": "x"}), ("False", "UnsupportedValue"),
     RESOLVED, None,
     'rules 0 and 1 have the same name "x": rule names must be unique'),
    (with_rules(DROPPED), ("False", "UnsupportedValue"), RESOLVED, None,
     'Rule 0: method "FROB" is not known'),
    (with_rules(DROPPED, {}), ACCEPTED, RESOLVED,
     ("True", "UnsupportedValue"), "Route is accepted"),
    (to(name="none"), ACCEPTED, ("False", "BackendNotFound"), None,
     "Route is accepted"),
    (to(name="echo", kind="Frob"), ACCEPTED, ("False", "InvalidKind"), None,
     "Route is accepted"),
    (to(name="wss"), ACCEPTED, ("False", "UnsupportedProtocol"), None,
     "Route is accepted"),
    (with_rules({**FROB}, {}), ACCEPTED, RESOLVED,
     ("True", "UnsupportedValue"), "Route is accepted"),
])
def test_status(local, made, accepted, resolved, partial, message):
    made["metadata"]["generation"] = 7
    local.write("a.yaml", [
        service("echo", IP), service("wss", "10.0.0.2", ports=[WSS]),
        service("headless", "None"), service("external", "", type="ExternalName",
                                             externalName="x.y"), made])
    doc = m.wait_for(lambda: local.status("r"))
    assert (doc["apiVersion"], doc["kind"]) == (made["apiVersion"], "HTTPRoute")
    assert doc["metadata"]["name"] == "r"
    assert doc["metadata"]["namespace"] == "app"
    (parent,) = doc["status"]["parents"]
    assert parent["controllerName"] == "eastwest.dev/controller"
    assert parent["parentRef"] == made["spec"]["parentRefs"][0]
    got = verdicts(doc)
    assert got["Accepted"] == accepted and got["ResolvedRefs"] == resolved
    assert got.get("PartiallyInvalid") == partial
    assert condition(doc, "Accepted")["message"] == message
    assert {c["observedGeneration"] for c in parent["conditions"]} == {7}


def test_status_of_a_route_that_loses(local):
    local.write("a.yaml", [
        service("echo", IP), route("r", "echo", "echo"),
        route("g", "echo", "echo", kind="GRPCRoute"),
        route("t", "echo", "echo", kind="TCPRoute", version="v1alpha2")])
    doc = m.wait_for(lambda: local.status("t", "TCPRoute"))
    for name, kind in (("r", "HTTPRoute"), ("t", "TCPRoute")):
        doc = m.wait_for(lambda n=name, k=kind: local.status(n, k))
        assert verdicts(doc)["Accepted"] == ("False", "Conflicted")
        assert condition(doc, "Accepted")["message"] == \
            "Not in effect: port 80 belongs to GRPCRoute app/g"
    assert verdicts(local.status("g", "GRPCRoute"))["Accepted"] == ACCEPTED
    local.write("a.yaml", [service("echo", IP), route("r", "echo", "echo")])
    m.wait_for(lambda: verdicts(local.status("r"))["Accepted"] == ACCEPTED)
    m.wait_for(lambda: sorted(os.listdir(local.status_dir)) ==
               ["HTTPRoute_app_r.json"])


def test_status_of_several_parents(local):
    made = route("r", "echo", "echo")
    made["spec"]["parentRefs"] += [
        {"name": "gateway"}, {"group": "", "kind": "Service", "name": "none"}]
    local.write("a.yaml", [service("echo", IP), made])
    doc = m.wait_for(lambda: local.status("r"))
    assert [p["parentRef"]["name"] for p in doc["status"]["parents"]] == \
        ["echo", "none"]
    assert verdicts(doc, 0)["Accepted"] == ACCEPTED
    assert verdicts(doc, 1)["Accepted"] == NO_PARENT


def test_no_status_of_routes_of_gateways(local):
    made = route("r", "echo", "echo")
    made["spec"]["parentRefs"] = [{"name": "gateway"}]
    local.write("a.yaml", [service("echo", IP), made,
                           route("mine", "echo", "echo")])
    m.wait_for(lambda: local.status("mine"))
    assert os.listdir(local.status_dir) == ["HTTPRoute_app_mine.json"]


def test_status_follows_what_is_referred_to(local):
    local.write("r.yaml", [route("r", "echo", "v1")])
    doc = m.wait_for(lambda: local.status("r"))
    assert verdicts(doc) == {"Accepted": NO_PARENT,
                             "ResolvedRefs": ("False", "BackendNotFound")}
    local.write("s.yaml", [service("echo", IP)])
    m.wait_for(lambda: verdicts(local.status("r"))["Accepted"] == ACCEPTED)
    local.write("v1.yaml", [service("v1", "10.0.0.2")])
    m.wait_for(lambda: verdicts(local.status("r"))["ResolvedRefs"] == RESOLVED)
    local.remove("s.yaml")
    m.wait_for(lambda: verdicts(local.status("r"))["Accepted"] == NO_PARENT)
    local.remove("r.yaml")
    m.wait_for(lambda: not os.listdir(local.status_dir))


def test_time_of_transition_outlives_a_restart(idle):
    idle.write("a.yaml", [service("echo", IP), route("r", "echo", "echo")])
    idle.start()
    m.wait_for(lambda: idle.status("r"))
    idle.stop()
    path = idle.status_dir / "HTTPRoute_app_r.json"
    doc, old = idle.status("r"), "2001-01-01T00:00:00Z"
    for c in doc["status"]["parents"][0]["conditions"]:
        c["lastTransitionTime"] = old
    path.write_text(json.dumps(doc))
    idle.write("a.yaml", [service("echo", IP), route("r", "echo", "none",
                                                     generation=2)])
    idle.start()
    doc = m.wait_for(lambda: verdicts(idle.status("r"))["ResolvedRefs"][1] ==
                     "BackendNotFound" and idle.status("r"))
    assert condition(doc, "Accepted")["lastTransitionTime"] == old
    assert condition(doc, "Accepted")["observedGeneration"] == 2
    assert condition(doc, "ResolvedRefs")["lastTransitionTime"] > old


def test_status_files_of_another_run_go_with_their_routes(idle):
    idle.write("a.yaml", [service("echo", IP), route("r", "echo", "echo")])
    idle.start()
    m.wait_for(lambda: idle.status("r"))
    idle.stop()
    idle.remove("a.yaml")
    (idle.status_dir / "notes.txt").write_text("mine")
    idle.start()
    m.wait_for(lambda: os.listdir(idle.status_dir) == ["notes.txt"])


def test_status_goes_on_without_its_folder(local):
    local.write("s.yaml", [service("echo", IP)])
    os.rmdir(local.status_dir)
    local.write("r.yaml", [route("r", "echo", "echo")])
    m.wait_for(lambda: local.logged(msg="route status not written"))
    with local.watch(ADDRESS) as w:
        w.until(lambda d: "rules" in d)
    local.status_dir.mkdir()
    local.write("s.yaml", [service("echo", IP), service("x", "10.0.0.2")])
    m.wait_for(lambda: local.status("r"))


def test_change_of_a_condition_is_logged(local):
    local.write("a.yaml", [service("echo", IP), route("r", "echo", "echo")])

    def told(kind, status):
        return local.logged(msg="route condition", kind="HTTPRoute",
                            namespace="app", name="r", parent="echo",
                            condition=kind, status=status)
    m.wait_for(lambda: told("ResolvedRefs", "True"))
    assert told("Accepted", "True")[0]["reason"] == "Accepted"
    local.write("a.yaml", [service("echo", IP), route("r", "echo", "none")])
    (line,) = m.wait_for(lambda: told("ResolvedRefs", "False"))
    assert line["reason"] == "BackendNotFound"
    assert line["detail"] == "Service app/none does not exist"
    assert len(told("Accepted", "True")) == 1


def test_roots_are_read_by_anybody(local):
    status, pem = cc.ask(local.port, "GET", "/v1/roots")
    assert status == 200
    assert pem.decode() == (local.ca / "ca.crt").read_text()
