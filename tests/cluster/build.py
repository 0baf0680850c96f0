# SPDX-License-Identifier: Apache-2.0
"""Builds what Debian does not have, once, into build/cluster/."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time

from .state import CACHE, REPOSITORY, ClusterError, say

TOOLS = f"{os.path.dirname(os.path.realpath(__file__))}/tools"
BIN = f"{CACHE}/bin"
GO_AT_LEAST = (1, 26)
KUBERNETES = "v1.35.4"
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
ECHO_IMAGE = "registry.k8s.io/gateway-api/echo-advanced:v1.5.1"
# Without these Helm would see a server of version v0.0.0.
_VERSION = "k8s.io/component-base/version"
LDFLAGS = " ".join(
    ["-s", "-w", f"-X {_VERSION}.gitVersion={KUBERNETES}",
     f"-X {_VERSION}.gitMajor={KUBERNETES[1:].split('.')[0]}",
     f"-X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}"])


@contextlib.contextmanager
def _locked():
    """Two who start at once must not build the same twice."""
    os.makedirs(CACHE, exist_ok=True)
    with open(f"{CACHE}/lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fresh(target, key):
    try:
        with open(f"{target}.key", encoding="utf-8") as file:
            return file.read() == key and os.path.exists(target)
    except FileNotFoundError:
        return False


def _made(target, key):
    with open(f"{target}.key", "w", encoding="utf-8") as file:
        file.write(key)


def once(target, sources, make):
    """Calls make() unless target was made from the same sources (files, or
    text) before; returns target."""
    digest = hashlib.sha256()
    for source in sources:
        if os.path.isfile(source):
            with open(source, "rb") as file:
                digest.update(file.read())
            # Two checkouts that share the cache build the same.
            source = os.path.relpath(source, REPOSITORY)
        digest.update(source.encode() + b"\0")
    key = digest.hexdigest()
    with _locked():
        if not _fresh(target, key):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            make()
            _made(target, key)
    return target


def _go():
    for go in (shutil.which("go"), "/usr/local/go/bin/go"):
        if not go or not os.path.exists(go):
            continue
        out = subprocess.run([go, "env", "GOVERSION"], text=True, cwd="/",
                             capture_output=True).stdout
        found = re.match(r"go(\d+)\.(\d+)", out)
        if found and tuple(map(int, found.groups())) >= GO_AT_LEAST:
            return go
    wanted = ".".join(map(str, GO_AT_LEAST))
    raise ClusterError(f"go: none of version {wanted} or later on PATH")


def _run_go(folder, *args):
    """Builds in the background of everything else on the machine."""
    environ = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off",
               "GOFLAGS": "-buildvcs=false -mod=readonly -trimpath"}
    done = subprocess.run(["nice", "-n", "19", _go(), *args], cwd=folder,
                          env=environ, text=True, capture_output=True)
    if done.returncode != 0:
        raise ClusterError(f"go {' '.join(args[:2])} in {folder}:\n"
                           f"{done.stderr[-4000:].strip()}")
    return done.stdout.strip()


def _go_tools(target, folder, packages, ldflags):
    def make():
        started = time.monotonic()
        say(f"building {' '.join(packages)} in {folder} (minutes, once)")
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        _run_go(folder, "build", "-ldflags", ldflags, "-o", f"{target}/",
                *packages)
        say(f"built in {time.monotonic() - started:.0f} s")

    sources = [f"{folder}/go.mod", f"{folder}/go.sum", ldflags, *packages]
    if os.path.exists(f"{folder}/dns/main.go"):
        sources.append(f"{folder}/dns/main.go")
    return once(target, sources, make)


def go_test(target, folder, sources):
    """The program that runs the tests of a Go package."""
    def make():
        say(f"building the tests of {folder} (minutes, once)")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _run_go(folder, "test", "-c", "-o", target, ".")

    return once(target, [*sources, "test 1"], make)


def programs():
    """The folder with kube-apiserver, kubelet, kubectl, helm, dns, ..."""
    return _go_tools(BIN, TOOLS, ["tool", "./dns"], LDFLAGS)


def gateway_crds():
    """One file with the experimental channel's CRDs."""
    target = f"{CACHE}/gateway-crds.yaml"

    def make():
        folder = _run_go(TOOLS, "list", "-m", "-f", "{{.Dir}}",
                         "sigs.k8s.io/gateway-api")
        if not folder:
            _run_go(TOOLS, "mod", "download", "sigs.k8s.io/gateway-api")
            folder = _run_go(TOOLS, "list", "-m", "-f", "{{.Dir}}",
                             "sigs.k8s.io/gateway-api")
        folder += "/config/crd/experimental"
        # Whoever reads it now gets all of the old one or of the new one.
        with open(f"{target}.new", "w", encoding="utf-8") as out:
            for name in sorted(os.listdir(folder)):
                if name.endswith(".yaml") and name != "kustomization.yaml":
                    with open(f"{folder}/{name}", encoding="utf-8") as file:
                        out.write(f"---\n{file.read()}\n")
        os.rename(f"{target}.new", target)

    return once(target, [f"{TOOLS}/go.mod", "crds 1"], make)


PAUSE = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int number) { (void)number; _exit(0); }
static void reap(int number) {
  (void)number;
  while (waitpid(-1, 0, WNOHANG) > 0) {}
}
int main(void) {
  signal(SIGTERM, end);
  signal(SIGINT, end);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
"""


def pause_program():
    target = f"{CACHE}/pause"

    def make():
        subprocess.run(["gcc", "-Os", "-static", "-s", "-x", "c", "-", "-o",
                        target], input=PAUSE, text=True, check=True)

    return once(target, [PAUSE], make)


def echo_programs():
    """The folder with server and client of the conformance suite's echo."""
    return _go_tools(f"{CACHE}/echo", f"{TOOLS}/echo", ["tool"], "-s -w")
