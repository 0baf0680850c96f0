# SPDX-License-Identifier: Apache-2.0
"""Archives of the images that tests run; loaded with containerd.load()."""

import os
import re

from . import build, certs, images, rootfs
from .state import CACHE, REPOSITORY, ClusterError

PYTHON = "/usr/bin/python3"
STDLIB = "/usr/lib/python3.11"
WORKLOADS = f"{REPOSITORY}/tests/workloads"
WORKLOADS_IMAGE = "localhost/workloads:1"
# Of the standard library: what no server needs, and is large.
LEAVE_OUT = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter",
             "turtledemo", "pydoc_data", "distutils", "unittest",
             "config-3.11-x86_64-linux-gnu", "config-3.11-aarch64-linux-gnu"}
PACKAGES = ("h2", "hpack", "hyperframe", "grpc", "websockets")
PROGRAMS = ("/usr/bin/openssl", "/usr/bin/curl")
DIST = "/usr/lib/python3/dist-packages"


def echo():
    """The conformance suite's echo server and client."""
    programs = build.echo_programs()
    path = f"{CACHE}/images/echo.tar"

    def make():
        certificate, key = certs.Authority("echo").issue(
            "echo", alternatives=("echo", "localhost"))
        images.oci_archive(path, build.ECHO_IMAGE, {
            "/usr/local/bin/server": (f"{programs}/server", 0o755),
            "/usr/local/bin/client": (f"{programs}/client", 0o755),
            "/cert.crt": certificate.encode(),
            "/cert.key": key.encode(),
        }, ["/usr/local/bin/server"], "1338:1338")

    return build.once(path, [f"{programs}.key", "echo 1"], make)


def workloads():
    """The servers of tests/workloads under Debian's Python, and curl. A pod's
    command is like ["python3", "/workloads/echo.py", "--port", "8080"]."""
    path = f"{CACHE}/images/workloads.tar"
    servers = [f"{WORKLOADS}/{name}" for name in sorted(os.listdir(WORKLOADS))
               if name.endswith(".py")]

    def make():
        files = images.tree(STDLIB, LEAVE_OUT)
        for package in PACKAGES:
            files.update(images.tree(f"{DIST}/{package}"))
        modules = [name for name in files if name.endswith(".so")]
        for program in (PYTHON, *PROGRAMS):
            files[program] = os.path.realpath(program)
        files.update(images.libraries(PYTHON, *PROGRAMS, *modules))
        for server in servers:
            files[f"/workloads/{os.path.basename(server)}"] = server
        images.oci_archive(path, WORKLOADS_IMAGE, files, [], "1000:1000",
                           env={"PYTHONPATH": "/workloads",
                                "PYTHONDONTWRITEBYTECODE": "1",
                                "PYTHONUNBUFFERED": "1"})

    return build.once(path, [*servers, PYTHON, "workloads 1"], make)


def version():
    """Of Eastwest, and the tag of its image."""
    with open(f"{REPOSITORY}/CMakeLists.txt", encoding="utf-8") as file:
        return re.search(r"^project\(eastwest VERSION (\S+)", file.read(),
                         re.MULTILINE).group(1)


def eastwest():
    """The image that the chart installs, from build/release."""
    path = f"{REPOSITORY}/build/images/eastwest.tar"
    binaries = f"{REPOSITORY}/build/release/bin"
    programs = [f"{binaries}/{name}" for name in rootfs.PROGRAMS]
    for program in programs:
        if not os.path.exists(program):
            raise ClusterError(f"{program} is not built (./dev build release)")

    def make():
        images.oci_archive(path, f"localhost/eastwest:{version()}",
                           rootfs.files(binaries), [], rootfs.USER)

    return build.once(path, [*programs, rootfs.__file__, version()], make)


ALL = {"echo": echo, "eastwest": eastwest, "workloads": workloads}
