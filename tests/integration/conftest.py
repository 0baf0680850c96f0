# SPDX-License-Identifier: Apache-2.0
"""One mesh for all tests that only add routes to it; others make their own."""
import os

import pytest

import meshes as m

V1, V2 = {"app": "echo", "version": "v1"}, {"app": "echo", "version": "v2"}


@pytest.fixture(scope="session", autouse=True)
def root():
    assert os.geteuid() == 0, "needs root; a skip would be a failure"
    binary = os.path.join(m.BIN, "eastwest-sidecar")
    assert os.access(binary, os.X_OK), f"build it first: {binary}"


def base():
    """Namespaces app and other are in the mesh, plain is not."""
    return [
        m.namespace("app"), m.namespace("other"), m.namespace("plain", False),
        m.deployment("app", "echo-v1", ["echo.py", "--port", "8080",
                                        "--version", "v1"], 2, V1),
        m.deployment("app", "echo-v2", ["echo.py", "--port", "8080",
                                        "--version", "v2"], 1, V2),
        m.service("app", "echo-v1", V1), m.service("app", "echo-v2", V2),
        m.pod("app", "client", account="client"),
        m.pod("other", "client"), m.pod("plain", "client"),
        m.deployment("other", "far", ["echo.py", "--port", "8080",
                                      "--version", "far"]),
        m.service("other", "far", {"app": "far"}),
        m.deployment("plain", "outside", ["echo.py", "--port", "8080",
                                          "--version", "outside"]),
        m.service("plain", "outside", {"app": "outside"}),
    ]


@pytest.fixture(scope="session")
def mesh(tmp_path_factory):
    """Shared: add to it by |frontend|, do not change what is there."""
    made = m.Mesh(f"it{os.getpid()}", tmp_path_factory.mktemp("mesh") / "manifests")
    made.write("base.yaml", base())
    with made:
        yield made


class Frontend:
    """A Service of its own for one test, to hang routes on."""

    def __init__(self, mesh_, name):
        self.mesh, self.name, self.files = mesh_, name, []

    @property
    def url(self):
        return f"http://{self.name}.app"

    def apply(self, *objects, name="routes"):
        """Writes manifests; when this returns, the controller knows Services
        and their endpoints."""
        file = f"{self.name}-{name}.yaml"
        self.mesh.write(file, list(objects))
        if file not in self.files:
            self.files.append(file)
        if any(o["kind"] in ("Service", "EndpointSlice") for o in objects):
            self.mesh.sync()

    def known(self, pod="app/client"):
        """Whether the sidecar of |pod| knows all endpoints of the Service.
        Until the controller has read the manifest its address is unknown, and
        connections pass through untouched."""
        self.mesh.exec(pod, "curl", "-s", "-o", "/dev/null", "--max-time", "2",
                       f"{self.url}/", check=False)
        ready = sum(p["is_ready"] and not p["terminating"] and
                    p["owner"][2] in ("echo-v1", "echo-v2")
                    for p in self.mesh.pods())
        return any(d and d.get("name") == self.name and
                   len(d["backends"][0].get("endpoints", [])) == ready
                   for d in self.mesh.destinations(pod).values())

    def route(self, *rules, wait=True, kind="HTTPRoute", **more):
        """One route in the Service's namespace, in force when this returns."""
        self.apply(m.route(kind, "app", self.name, self.name, list(rules),
                           **more))
        if wait:
            self.in_force(kind)

    def in_force(self, kind="HTTPRoute", pod="app/client"):
        """Until the sidecar of |pod| follows a state with that route."""
        def known():
            self.mesh.exec(pod, "curl", "-s", "-o", "/dev/null", "--max-time",
                           "2", f"{self.url}/", check=False)
            for d in self.mesh.destinations(pod).values():
                if d and d.get("name") == self.name and any(
                        r["route"]["kind"] == kind for r in
                        d.get("rules", []) + d.get("l4Rules", [])):
                    return True
            return False
        m.wait_for(known, 10, f"{kind} {self.name} in force")


@pytest.fixture
def frontend(mesh, request):
    """A Service app/<name of the test> for both versions of echo."""
    name = request.node.name.lower().replace("_", "-")
    name = "".join(c if c.isalnum() or c == "-" else "-" for c in name)
    name = name.removeprefix("test-")[:55].strip("-")
    made = Frontend(mesh, name)
    made.apply(m.service("app", name, {"app": "echo"}), name="service")
    m.wait_for(lambda: mesh.exec("app/client", "getent", "hosts",
                                 f"{name}.app", check=False).returncode == 0,
               10, f"Service {name}")
    m.wait_for(made.known, 10, f"Service {name} known to the client")
    yield made
    for file in made.files:
        mesh.remove(file)
