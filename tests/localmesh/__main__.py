# SPDX-License-Identifier: Apache-2.0
"""Command line of the local mesh: up, down, pods, exec, logs, ..."""

import argparse
import json
import os
import shlex
import signal
import sys
import time

from . import daemon, enter
from .sidecar import NAME as SIDECAR
from .state import (MeshError, State, daemon_pid, listening, remove_files,
                    request, start_time, sweep)

REPOSITORY = os.path.realpath(f"{os.path.dirname(__file__)}/../..")


def say(text):
    print(text, file=sys.stderr, flush=True)


def images(entries):
    found = {}
    for entry in entries:
        image, sep, words = entry.partition("=")
        if not sep or not image or not words.strip():
            raise MeshError(f"--image is {entry!r}: expected IMAGE=COMMAND")
        found[image] = shlex.split(words)
    return found


def up(args):
    state = State(args.name)
    if not os.path.isdir(args.dir):
        raise MeshError(f"{args.dir!r}: expected a folder of manifests")
    if daemon_pid(state):
        raise MeshError(f"a mesh '{state.name}' runs already "
                        "(end it with: ./dev down, or choose a --name)")
    options = {
        "folder": args.dir, "repository": REPOSITORY,
        "images": images(args.image),
        "bin": os.path.realpath(os.environ.get("EASTWEST_BIN")
                                or f"{REPOSITORY}/build/debug/bin"),
        "sanitizer": os.environ.get("EASTWEST_SANITIZER_DIR"),
        "certificate_lifetime": args.certificate_lifetime,
    }
    sweep(state)
    remove_files(state)
    state.create()
    # Held open: the daemon removes its files even where it fails.
    log = os.open(state.path("logs", "daemon.log"),
                  os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    read_end, write_end = os.pipe()
    # From here on Ctrl-C must find a daemon to stop.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        os.close(write_end)
        _become_daemon(state, options, log,
                       read_end if args.foreground else None)
    os.close(read_end)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK,
                           {signal.SIGINT, signal.SIGTERM})
    try:
        code = _wait_up(state, pid, log, args.timeout)
        if args.foreground:
            os.waitpid(pid, 0)
            return code
        return code
    except KeyboardInterrupt:
        say("stopping")
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        return 130


def _interrupt(number, frame):
    raise KeyboardInterrupt


def _become_daemon(state, options, log, parent):
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, parent or 3)
    if parent:
        os.closerange(parent + 1, 256)
    else:
        os.closerange(3, 256)
    signal.pthread_sigmask(signal.SIG_UNBLOCK,
                           {signal.SIGINT, signal.SIGTERM})
    code = 1
    try:
        daemon.main(state, options, parent)
        code = 0
    except BaseException:  # pylint: disable=broad-except
        import traceback
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait_up(state, pid, log, timeout):
    while not listening(state):
        done, _ = os.waitpid(pid, os.WNOHANG)
        if done:
            raise MeshError("the mesh could not start:\n" + _last(log))
        time.sleep(0.01)
    answer = request(state, {"request": "wait", "timeout": timeout},
                     timeout + 30)
    for error in answer["errors"]:
        say(f"error: {error}")
    if answer["problems"]:
        say(f"mesh '{state.name}' is not ready:")
        for line in answer["problems"]:
            say(f"  {line}")
        say("it stays up; end it with: ./dev down"
            + ("" if state.name == "local" else f" --name {state.name}"))
        return 1
    say(f"mesh '{state.name}' is up: {answer['pods']} pods, "
        f"{answer['injected']} of them with a sidecar")
    return 0


def _last(log):
    size = os.fstat(log).st_size
    return os.pread(log, 2000, max(0, size - 2000)).decode(errors="replace")


def down(args):
    state = State(args.name)
    pid = daemon_pid(state)
    if pid is None:
        if not os.path.isdir(state.dir) and not state.namespaces():
            raise MeshError(f"no mesh '{state.name}' runs here")
        sweep(state)
        remove_files(state)
        return 0
    started = start_time(pid)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while start_time(pid) == started and time.monotonic() < deadline:
        if _is_zombie(pid):
            break
        time.sleep(0.02)
    else:
        if start_time(pid) == started:
            os.kill(pid, signal.SIGKILL)
    sweep(state)
    remove_files(state)
    return 0


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _age(seconds):
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def pods(args):
    answer = request(State(args.name), {"request": "status"})
    rows = [("NAMESPACE", "NAME", "READY", "STATUS", "IP", "SIDECAR",
             "RESTARTS", "AGE")]
    for pod in answer["pods"]:
        rows.append((pod["namespace"], pod["name"], pod["ready"],
                     pod["status"], pod["ips"][0], pod["sidecar"],
                     str(pod["restarts"]), _age(pod["age"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip())
    for error in answer["errors"]:
        say(f"error: {error}")
    for pod in answer["pods"]:
        if pod["error"]:
            say(f"error: pod {pod['namespace']}/{pod['name']}: "
                f"{pod['error']}")
    return 0


def status(args):
    """What `pods` shows and more, as JSON, for programs."""
    print(json.dumps(request(State(args.name), {"request": "status"})))
    return 0


def find(state, text):
    """The pod that name, ns/name, deploy/name or ns/deploy/name means."""
    parts = text.split("/")
    deployment = len(parts) > 1 and parts[-2] in ("deploy", "deployment")
    name = parts.pop()
    if deployment:
        parts.pop()
    if len(parts) > 1 or not name:
        raise MeshError(f"POD is {text!r}: expected name, ns/name, "
                        "deploy/name or ns/deploy/name")
    found = []
    for pod in request(state, {"request": "status"})["pods"]:
        mine = pod["owner"][0] == "Deployment" and pod["owner"][2] == name \
            if deployment else pod["name"] == name
        if mine and (not parts or pod["namespace"] == parts[0]):
            found.append(pod)
    spaces = {p["namespace"] for p in found}
    if not parts and len(spaces) > 1 and "default" in spaces:
        found = [p for p in found if p["namespace"] == "default"]
        spaces = {"default"}
    if not found:
        raise MeshError(f"there is no pod {text!r} (see: ./dev pods)")
    if len(spaces) > 1:
        raise MeshError(f"{text!r} is in several namespaces: "
                        f"{', '.join(sorted(spaces))}; say ns/...")
    return max(found, key=lambda p: (not p["terminating"], p["is_ready"]))


def container_of(pod, name):
    if name is None:
        # The first app container, as the manifest's author wrote them.
        for container in pod["containers"]:
            if container["role"] == "app":
                return container
    for container in pod["containers"]:
        if container["name"] == name:
            return container
    raise MeshError(f"pod {pod['namespace']}/{pod['name']} has no container "
                    f"{name!r}: it has " + (", ".join(
                        c["name"] for c in pod["containers"]) or "none yet"))


def exec_(args):
    if not args.command:
        raise MeshError("exec: there is no command (exec POD -- CMD)")
    pod = find(State(args.name), args.pod)
    enter.run(container_of(pod, args.container), args.command)


def logs(args):
    pod = find(State(args.name), args.pod)
    path = container_of(pod, args.container)["log"]
    if os.path.exists(path):
        with open(path, "rb") as file:
            sys.stdout.buffer.write(file.read())
    return 0


def delete(args):
    state = State(args.name)
    pod = find(state, args.pod)
    message = {"request": "delete", "pod": [pod["namespace"], pod["name"]]}
    if args.grace_period is not None:
        message["grace"] = args.grace_period
    request(state, message)
    return 0


def restart(args):
    state = State(args.name)
    parts = args.workload.split("/")
    if len(parts) == 2:
        parts.insert(0, "default")
    kinds = {"deploy": "Deployment", "deployment": "Deployment",
             "sts": "StatefulSet", "statefulset": "StatefulSet",
             "pod": "Pod"}
    if len(parts) != 3 or parts[1] not in kinds:
        raise MeshError(f"restart: {args.workload!r}: expected deploy/NAME "
                        "or NS/deploy/NAME")
    answer = request(state, {
        "request": "restart", "timeout": args.timeout,
        "workload": [kinds[parts[1]], parts[0], parts[2]]})
    for line in answer["problems"]:
        say(line)
    return 1 if answer["problems"] else 0


def controller(args):
    request(State(args.name), {"request": "controller", "do": args.do})
    return 0


def parser():
    top = argparse.ArgumentParser(prog="dev", description=__doc__)
    commands = top.add_subparsers(dest="what", required=True)

    def add(name, function, text):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("--name", default="local", help="of the mesh")
        sub.set_defaults(function=function)
        return sub

    sub = add("up", up, "start a mesh from a folder of manifests")
    sub.add_argument("dir")
    sub.add_argument("--foreground", action="store_true",
                     help="stay until Ctrl-C, then end the mesh")
    sub.add_argument("--image", action="append", default=[],
                     metavar="IMAGE=COMMAND",
                     help="what containers of this image run")
    sub.add_argument("--certificate-lifetime", type=int, metavar="SECONDS",
                     help="of the pods' certificates (default: a day)")
    sub.add_argument("--timeout", type=float, default=60)
    add("down", down, "end a mesh")
    add("pods", pods, "list pods")
    add("status", status, "the pods as JSON")
    for name, function, text in (
            ("exec", exec_, "run a command in a pod"),
            ("logs", logs, "print a container's log")):
        sub = add(name, function, text)
        sub.add_argument("pod")
        sub.add_argument("-c", "--container", metavar="CONTAINER",
                         help=f"default: the first; {SIDECAR} is one too")
        if name == "exec":
            sub.add_argument("command", nargs="*", metavar="-- CMD")
    sub = add("delete", delete, "delete a pod, as gracefully as it allows")
    sub.add_argument("pod")
    sub.add_argument("--grace-period", type=float, metavar="SECONDS")
    sub = add("restart", restart, "replace a workload's pods one by one")
    sub.add_argument("workload")
    sub.add_argument("--timeout", type=float, default=60)
    sub = add("controller", controller, "stop or start the controller")
    sub.add_argument("do", choices=("stop", "start"))
    return top


def parse(argv):
    # What stands behind "--" is the command's, options too.
    own, command = argv, []
    if argv[:1] == ["exec"] and "--" in argv:
        cut = argv.index("--")
        own, command = argv[:cut], argv[cut + 1:]
    args = parser().parse_args(own)
    if command:
        args.command = command
    return args


def main():
    args = parse(sys.argv[1:])
    if os.geteuid() != 0:
        raise MeshError("this needs root: it makes network namespaces")
    return args.function(args)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MeshError as problem:
        say(f"error: {problem}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os._exit(1)
