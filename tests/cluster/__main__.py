# SPDX-License-Identifier: Apache-2.0
"""Command line of the cluster for tests."""

import argparse
import os
import signal
import sys
import time

from . import (archives, build, components, containerd, crds, mesh,
               network)
from .namespaces import nsenter, start_keeper
from .state import ClusterError, State, say, wait_for


def _exec(argv, environ=None):
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], argv, environ or os.environ)
    except FileNotFoundError:
        raise ClusterError(f"{argv[0]}: no such program") from None


def _stop(state, keep_logs=False):
    # With process 1 of their namespace all others end, and all mounts.
    state.kill("keeper", seconds=60)
    network.remove(state)
    state.remove_cgroups()
    state.remove_files(keep_logs)


def _interrupt(number, frame):
    raise KeyboardInterrupt


def up(state, args):
    # Whatever ends this early must not leave half a cluster.
    signal.signal(signal.SIGTERM, _interrupt)
    if state.pid("keeper"):
        raise ClusterError(f"a cluster '{state.name}' runs already "
                           "(end it with: down, or choose a --name)")
    image = None if args.no_mesh else mesh.image()
    build.programs()
    build.gateway_crds()
    containerd.pause_archive()
    started = time.monotonic()
    _stop(state)
    state.create()
    try:
        state.create_cgroups()
        network.create(state)
        start_keeper(state)
        components.prepare(state)
        components.start(state)
        crds.apply(state)
        _ready(state)
    except BaseException as error:
        _stop(state, keep_logs=True)
        if isinstance(error, Exception):
            say(f"logs are in {state.path('logs')}")
        raise
    say(f"'{state.name}' is ready after {time.monotonic() - started:.0f} s")
    if image:
        mesh.install(state, image)
        print(mesh.NEXT)


def _ready(state):
    def wait(what, seconds, check):
        def live_and_check():
            components.must_live(state)
            return check()
        wait_for(what, seconds, live_and_check, 0.2)

    def node():
        return "True" in crds.kubectl(
            state, "get", "node", components.NODE, "-o",
            "jsonpath={.status.conditions[?(@.type=='Ready')].status}",
            fail=False)

    wait("node Ready", 120, node)
    name = f"kubernetes.default.svc.{network.DOMAIN}"
    wait("answer of CoreDNS", 60,
         lambda: network.resolves(network.DNS_SERVICE, name))
    wait("service account default of namespace default", 60,
         lambda: "default" in crds.kubectl(
             state, "get", "serviceaccount", "default", "-o", "name",
             fail=False))
    crds.established(state)


def down(state, args):
    _stop(state)


def load(state, args):
    containerd.load(state, *args.file)


def archive(state, args):
    print(archives.ALL[args.image]())


def _client(program):
    def run(state, args):
        _exec([*nsenter(state), f"{build.BIN}/{program}", *args.words],
              {**os.environ, "KUBECONFIG": state.kubeconfig})
    return run


def kubeconfig(state, args):
    if not os.path.exists(state.kubeconfig):
        raise ClusterError(f"no cluster '{state.name}' runs "
                           "(start it with: up)")
    print(state.kubeconfig)


def exec_(state, args):
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise ClusterError("exec: expected a command")
    _exec([*nsenter(state), *words],
          {**os.environ, "KUBECONFIG": state.kubeconfig})


def status(state, args):
    found = {name: state.pid(name) for name in state.components()}
    for name, pid in found.items():
        print(f"{name:25} {'ended' if pid is None else f'process {pid}'}")
    if not found:
        print(f"no cluster '{state.name}' runs")
    return 0 if found and all(found.values()) else 1


WORDS = ("kubectl", "helm", "exec")


def _parse(argv):
    """What follows a program's name is the program's, options too."""
    for i, word in enumerate(argv):
        if word in WORDS and (i == 0 or argv[i - 1] != "--name"):
            args = _parser().parse_args(argv[:i + 1])
            args.words = argv[i + 1:]
            return args
    return _parser().parse_args(argv)


def _parser():
    parser = argparse.ArgumentParser(
        prog="cluster", description="A real single-node Kubernetes in a "
        "network namespace of its own.")
    parser.add_argument("--name", default=None, help="tells clusters apart")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name, work, text):
        sub = commands.add_parser(name, help=text)
        sub.set_defaults(work=work)
        if name not in WORDS:
            sub.add_argument("--name", dest="own_name", default=None,
                             help=argparse.SUPPRESS)
        return sub

    add("up", up, "start it and install the chart; builds what is missing "
        "first").add_argument("--no-mesh", action="store_true",
                              help="without the chart")
    add("down", down, "end it; nothing is left")
    add("load", load, "import OCI archives").add_argument(
        "file", nargs="+")
    add("archive", archive, "build a test image; prints the file's path"
        ).add_argument("image", choices=sorted(archives.ALL))
    add("kubectl", _client("kubectl"), "kubectl as its admin")
    add("helm", _client("helm"), "Helm as its admin")
    add("kubeconfig", kubeconfig, "print the path of the admin's kubeconfig")
    add("exec", exec_, "run a command in its network namespace")
    add("status", status, "its processes; fails unless all live")
    return parser


def main():
    args = _parse(sys.argv[1:])
    name = (getattr(args, "own_name", None) or args.name
            or os.environ.get("EASTWEST_CLUSTER") or "default")
    try:
        if os.getuid() != 0 and args.command != "archive":
            raise ClusterError("this needs root: it makes namespaces")
        return args.work(State(name), args) or 0
    except ClusterError as error:
        say(error)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
