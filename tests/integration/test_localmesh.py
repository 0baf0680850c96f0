# SPDX-License-Identifier: Apache-2.0
"""What a user of ./dev up gets: pods, names, commands, clean-up."""
import os
import subprocess
import time

import pytest

import meshes as m


def test_service_balances_over_its_pods(mesh, frontend):
    counts = mesh.tally("app/client", frontend.url + "/", 60)
    assert sum(counts.values()) == 60
    assert len(counts) == 3 and all(n >= 3 for n in counts.values()), counts


@pytest.mark.parametrize("name", ["echo-v1", "echo-v1.app",
                                  "echo-v1.app.svc.cluster.local"])
@pytest.mark.parametrize("family", ["-4", "-6"])
def test_names_resolve_in_both_families(mesh, name, family):
    r = mesh.curl("app/client", f"http://{name}/", family)
    assert r.status == 200 and r.json["version"] == "v1"


def test_identity_of_the_caller_is_seen(mesh, frontend):
    r = mesh.curl("app/client", frontend.url + "/", "-H",
                  "x-forwarded-client-cert: URI=spiffe://forged")
    assert r.json["headers"]["x-forwarded-client-cert"] == [
        "URI=spiffe://cluster.local/ns/app/sa/client"]


def test_plain_pods_reach_the_mesh_and_are_reached(mesh):
    r = mesh.curl("plain/client", "http://echo-v2.app/", "-H",
                  "x-forwarded-client-cert: URI=spiffe://forged")
    assert r.status == 200
    assert "x-forwarded-client-cert" not in r.json["headers"]
    r = mesh.curl("app/client", "http://outside.plain/")
    assert r.status == 200 and r.json["version"] == "outside"


def dev_exec(mesh, *words, **kwargs):
    return mesh.cli("exec", "--name", mesh.name, *words, check=False, **kwargs)


def test_exec_passes_streams_and_exit_code(mesh):
    done = dev_exec(mesh, "app/client", "--", "sh", "-c",
                    "cat; echo err >&2; exit 7", input="in")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in", "err\n")
    done = dev_exec(mesh, "app/deploy/echo-v1", "--", "id", "-u")
    assert done.stdout == "1000\n"
    done = dev_exec(mesh, "deploy/echo-v1", "--", "hostname")
    assert done.stdout.startswith("echo-v1-")
    done = dev_exec(mesh, "app/client", "-c", "eastwest-sidecar", "--", "id",
                    "-u")
    assert done.stdout == "2140\n"


def test_exec_names_what_is_not_there(mesh):
    done = dev_exec(mesh, "app/nobody", "--", "true")
    assert done.returncode == 2 and "nobody" in done.stderr
    done = dev_exec(mesh, "app/client", "-c", "nothing", "--", "true")
    assert done.returncode == 2 and "nothing" in done.stderr


def test_pod_calls_itself(mesh):
    """By its own address and by its Service's."""
    row = mesh.pod("app/deploy/echo-v2")
    name = f"app/{row['name']}"
    for ip in row["ips"]:
        host = f"[{ip}]" if ":" in ip else ip
        r = mesh.curl(name, f"http://{host}:8080/")
        assert r.status == 200 and r.json["pod"] == row["name"]
    assert mesh.curl(name, "http://echo-v2/").json["pod"] == row["name"]


def test_unready_pod_gets_no_requests_and_comes_back(mesh, frontend):
    row = mesh.pod("app/deploy/echo-v2")
    names = {p["name"] for p in mesh.pods()
             if p["owner"][2] in ("echo-v1", "echo-v2")}
    before = mesh.tally("app/client", frontend.url + "/", 40)
    assert set(before) == names
    assert row["name"] in before


def test_deleted_pod_is_replaced_without_a_lost_request(mesh, frontend):
    victim = mesh.pod("app/deploy/echo-v1")["name"]
    load = mesh.popen("app/client", "sh", "-c",
                      "for i in $(seq 60); do curl -s -o /dev/null -w "
                      f"'%{{http_code}}\\n' {frontend.url}/; done",
                      stdout=subprocess.PIPE, text=True)
    mesh.cli("delete", "--name", mesh.name, f"app/{victim}")
    codes = load.communicate(timeout=60)[0].split()
    assert codes == ["200"] * 60
    m.wait_for(lambda: sum(p["owner"][2] == "echo-v1" and p["is_ready"]
                           for p in mesh.pods()) == 2, 30, "a new pod")


def test_a_faulty_manifest_changes_nothing_and_is_named(mesh, frontend):
    frontend.route({"backendRefs": [m.backend("echo-v2")]})
    assert mesh.tally("app/client", frontend.url + "/", 10, by="version") == {
        "v2": 10}
    file = f"{frontend.name}-routes.yaml"
    good = (mesh.folder / file).read_text()
    mesh.write(file, good.replace('"port": 80', '"port": "eighty"'))

    def told():
        return [line for line in mesh.controller_log()
                if file in line.get("error", "")]
    line = m.wait_for(told, 10, "a message about the manifest")[-1]
    for part in ("HTTPRoute", frontend.name, "backendRefs[0].port", "eighty"):
        assert part in line["error"], line
    assert mesh.tally("app/client", frontend.url + "/", 10, by="version") == {
        "v2": 10}
    mesh.write(file, good.replace("echo-v2", "echo-v1"))
    m.wait_for(lambda: mesh.tally("app/client", frontend.url + "/", 5,
                                  by="version") == {"v1": 5})


def test_a_route_edited_on_disk_is_in_force_within_a_second(mesh, frontend):
    frontend.route({"backendRefs": [m.backend("echo-v1")]})
    started = time.monotonic()
    frontend.route({"backendRefs": [m.backend("echo-v2")]}, wait=False)
    m.wait_for(lambda: mesh.curl("app/client", frontend.url + "/").json[
        "version"] == "v2")
    # A sanitized build and curl's start are part of it.
    assert time.monotonic() - started < 3


def test_up_and_down_leave_nothing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brief") / "manifests"
    mesh = m.Mesh(f"brief{os.getpid()}", folder)
    mesh.write("all.yaml", [m.namespace("a"), m.pod("a", "one")])

    def mine():
        return [n for n in os.listdir("/run/netns") if mesh.name in n]

    with mesh:
        assert mesh.pod("a/one")["sidecar"] == "ready"
        assert len(mine()) == 2
    assert not mine()
    assert not os.path.exists(f"/run/eastwest/{mesh.name}")
