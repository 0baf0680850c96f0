# SPDX-License-Identifier: Apache-2.0
"""Runs the Gateway API's conformance suite, and our own tests in its manner.

Against the cluster that KUBECONFIG names; without it against the cluster for
tests, which is started if it does not run."""

import argparse
import os
import re
import subprocess
import sys
import time

import yaml

from . import archives, build, containerd, mesh
from .namespaces import nsenter
from .state import CACHE, REPOSITORY, ClusterError, State

TESTS = f"{REPOSITORY}/tests/conformance"
LOG = f"{REPOSITORY}/build/conformance.log"
# The suite has no extended tests for GRPCRoutes in a mesh.
PROFILES = {"MESH-HTTP": ("core", "extended"), "MESH-GRPC": ("core",)}
# All that the two profiles know, and what the suite's other mesh tests need.
FEATURES = (
    "Mesh", "HTTPRoute", "GRPCRoute",
    "MeshClusterIPMatching", "MeshConsumerRoute", "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect", "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteQueryParamMatching", "MeshHTTPRouteNamedRouteRule",
    "HTTPRouteResponseHeaderModification", "HTTPRouteParentRefPort",
    "HTTPRoute303RedirectStatusCode", "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
)
SECTION_LINES = 60


def say(text):
    print(f"conformance: {text}", file=sys.stderr, flush=True)


def _version():
    with open(f"{REPOSITORY}/CMakeLists.txt", encoding="utf-8") as file:
        found = re.search(r"^project\(.* VERSION (\S+)", file.read(), re.M)
    return f"v{found[1]}"


def program():
    """The test program; built where its sources changed."""
    sources = [f"{path}/{name}"
               for path, _, names in os.walk(TESTS) for name in sorted(names)]
    return build.go_test(f"{CACHE}/conformance.test", TESTS, sorted(sources))


def _own_cluster(state):
    """True where the tests are to run in our cluster for tests."""
    chosen = os.environ.get("KUBECONFIG")
    for path in filter(None, (chosen or "").split(":")):
        if not os.path.exists(path):
            raise ClusterError(f"KUBECONFIG: {path}: no such file")
    return not chosen or (os.path.realpath(chosen)
                          == os.path.realpath(state.kubeconfig))


def _start_cluster(state):
    if state.pid("keeper"):
        mesh.refresh(state)
        return
    done = subprocess.run([sys.executable, "-m", "cluster", "--name",
                           state.name, "up"])
    if done.returncode != 0:
        raise ClusterError("the cluster for tests did not start")


def _words(args, more):
    words = [
        "--conformance-profiles=" + ",".join(PROFILES),
        "--supported-features=" + ",".join(FEATURES),
        # Gateways are not for a mesh to have: no name, nothing to look for.
        "--gateway-class=", f"--mesh-name={args.mesh_name}",
        "--namespace-labels=eastwest.dev/inject=enabled",
        f"--organization={args.organization}", "--project=eastwest",
        f"--url={args.url}", f"--contact={args.contact}",
        f"--version={_version()}",
        "-test.v", "-test.timeout=2h",
    ]
    if args.run:
        words.append("-test.run=^(TestConformance|TestEastwest)$/" + args.run)
    if args.report:
        words.append(f"--report-output={os.path.abspath(args.report)}")
    return words + more


class Progress:
    """Reads the program's output; shows a line for each test, and of one that
    failed its last lines."""

    RESULT = re.compile(r"=== TOLD (PASS|FAIL|SKIP) (Test\w+)/(\S+)$")

    def __init__(self, log):
        self._log, self._section = log, []
        self._since = time.monotonic()
        self.counts = {}

    def line(self, line):
        self._log.write(line)
        found = self.RESULT.match(line)
        if found:
            self._result(*found.groups())
        elif re.match(r"=== RUN +Test\w+/[^/]+$", line):
            self._section, self._since = [], time.monotonic()
        self._section.append(line)

    def _result(self, result, suite, test):
        key = (suite, result)
        self.counts[key] = self.counts.get(key, 0) + 1
        # The suite's tests of gateways: of no use here.
        if result == "SKIP":
            return
        seconds = time.monotonic() - self._since
        print(f"{result} {suite[4:].lower():12} {test} {seconds:.1f} s",
              flush=True)
        if result == "FAIL":
            self.show()

    def show(self):
        """What was read last."""
        print("".join(self._section[-SECTION_LINES:]), end="", flush=True)

    def count(self, suite, result):
        return self.counts.get((suite, result), 0)


def _report_faults(path):
    """Why a report would not do, as texts."""
    try:
        with open(path, encoding="utf-8") as file:
            report = yaml.safe_load(file)
    except FileNotFoundError:
        yield f"{path} was not written"
        return
    profiles = {p["name"]: p for p in report.get("profiles") or ()}
    for name, parts in PROFILES.items():
        profile = profiles.get(name, {})
        for part in parts:
            told = profile.get(part) or {}
            if told.get("result") != "success":
                yield (f"{path}: {name}: {part} is {told.get('result')}: "
                       "expected success")
            if told.get("unsupportedFeatures"):
                yield (f"{path}: {name}: unsupported: "
                       + ", ".join(told["unsupportedFeatures"]))


def _run(state, args, more):
    words = [program(), *_words(args, more)]
    environ = dict(os.environ)
    if _own_cluster(state):
        _start_cluster(state)
        containerd.load(state, archives.echo())
        words = [*nsenter(state), *words]
        environ["KUBECONFIG"] = state.kubeconfig
    if args.report and os.path.exists(args.report):
        os.remove(args.report)
    with open(LOG, "w", encoding="utf-8") as log:
        progress = Progress(log)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, env=environ, cwd=TESTS,
                              errors="replace") as running:
            for line in running.stdout:
                progress.line(line)
    faults = list(_report_faults(args.report)) if args.report else []
    for fault in faults:
        say(fault)
    passed = {suite: progress.count(suite, "PASS")
              for suite in ("TestConformance", "TestEastwest")}
    failed = sum(n for (_, result), n in progress.counts.items()
                 if result == "FAIL")
    say(f"{passed['TestConformance']} tests of the suite and "
        f"{passed['TestEastwest']} of our own passed, {failed} failed; "
        f"log: {os.path.relpath(LOG)}")
    good = running.returncode == 0 and not faults and not failed
    if running.returncode != 0 and not failed:
        progress.show()
        say("the test program ended with a failure that is of no one test")
    if good and not sum(passed.values()):
        say(f"--run: \"{args.run}\": expected the name of a test")
        good = False
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(
        prog="./dev conformance", description=__doc__,
        epilog="What follows -- goes to the test program as it is, "
        "such as --debug or --cleanup-base-resources=false.")
    parser.add_argument("--report", metavar="FILE",
                        help="write the suite's report, as it is submitted")
    parser.add_argument("--run", metavar="REGEX",
                        help="only tests whose names match")
    parser.add_argument("--name", default=None,
                        help="of the cluster for tests")
    parser.add_argument("--mesh-name", default="eastwest",
                        help="of the XMesh (eastwest)")
    parser.add_argument("--organization", default="eastwest")
    parser.add_argument("--url", default="https://eastwest.dev")
    parser.add_argument("--contact", default="https://eastwest.dev",
                        help="of the report; comma-separated")
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:at])
    if args.report and args.run:
        parser.error("--report with --run: a report is of all tests")
    name = args.name or os.environ.get("EASTWEST_CLUSTER") or "default"
    try:
        return _run(State(name), args, words[at + 1:])
    except ClusterError as error:
        say(error)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
