# SPDX-License-Identifier: Apache-2.0
"""One cluster for all tests, with the chart as it is here installed.

$EASTWEST_CLUSTER names one that runs already and is left running; without it
a cluster is started, and ended."""
import os
import re
import types

import pytest

from cluster import __main__ as command
from cluster import archives, build, mesh
from kube import SYSTEM, Cluster, load_image, namespace


@pytest.fixture(scope="session")
def helm():
    """The program exists."""
    build.programs()


@pytest.fixture(scope="session")
def image():
    return mesh.image()


@pytest.fixture(scope="session")
def bare_cluster(helm, image):
    c = Cluster(os.environ.get("EASTWEST_CLUSTER") or f"tests-{os.getpid()}")
    mine = c.state.pid("keeper") is None
    if mine:
        command.up(c.state, types.SimpleNamespace(no_mesh=True))
    try:
        load_image(c, archives.workloads())
        load_image(c, image)
        yield c
    finally:
        if mine:
            command.down(c.state, None)


@pytest.fixture(scope="session")
def cluster(bare_cluster, image):
    """Its own namespace takes only what the strictest standard allows."""
    c = bare_cluster
    c.uninstall()
    c.apply(namespace(SYSTEM, False, **{
        "pod-security.kubernetes.io/enforce": "restricted"}))
    mesh.install(c.state, image)
    return c


@pytest.fixture
def ns(cluster, request):
    """A namespace of the test's own in the mesh."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    cluster.delete("namespace", name)  # of an earlier run
    cluster.apply(namespace(name))
    yield name
    cluster.delete("namespace", name, wait=False)
