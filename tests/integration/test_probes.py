# SPDX-License-Identifier: Apache-2.0
"""tcpSocket probes, which the sidecar answers for the app."""
import os

import pytest

import meshes as m

NS = "app"
LATE = """import os, socket, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
s = socket.create_server(("", 9000))
while True:
    s.accept()[0].close()
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    made = m.Mesh(f"pb{os.getpid()}", tmp_path_factory.mktemp("probes") /
                  "manifests")
    made.write("client.yaml", [m.namespace(NS),
                               m.pod(NS, "client", account="client"),
                               m.pod(NS, "scraper")])
    with made:
        yield made


def probed(mesh, pod, port):
    """Status of what a kubelet asks."""
    return int(mesh.exec(
        f"{NS}/client", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
        f"http://{mesh.pod(f'{NS}/{pod}')['ips'][0]}:15020/probe/{port}"
    ).stdout)


def test_a_pod_is_not_ready_before_its_app_listens(own, tmp_path):
    # The sidecar accepts connections to the port all the time.
    gate = own.folder / "late.gate"
    late = m.pod(NS, "late", [m.PYTHON, "-c", LATE, str(gate)])
    late["spec"]["containers"][0].update(
        ports=[{"name": "late", "containerPort": 9000}],
        readinessProbe={"tcpSocket": {"port": "late"}, "periodSeconds": 1})
    own.write("late.yaml", late)
    m.wait_for(lambda: own.pod(f"{NS}/late")["sidecar"] == "ready", 30,
               "the sidecar")
    m.wait_for(lambda: probed(own, "late", 9000) == 503, 10, "a refusal")
    assert not own.pod(f"{NS}/late")["is_ready"]
    gate.touch()
    m.wait_for(lambda: own.pod(f"{NS}/late")["is_ready"], 10, "readiness")
    assert probed(own, "late", 9000) == 200
    own.remove("late.yaml")


def test_no_other_port_can_be_tried(own):
    for port in (15000, 15001, 9000, 0, 65536, "x", ""):
        assert probed(own, "client", port) == 404, port


def test_the_mesh_can_read_a_sidecars_metrics(own):
    # No mesh TLS there: who scrapes may have a sidecar, too.
    to = own.pod(f"{NS}/client")["ips"][0]
    r = own.curl(f"{NS}/scraper", f"http://{to}:15020/metrics")
    assert r.status == 200 and "eastwest_" in r.text
