# SPDX-License-Identifier: Apache-2.0
"""The keeper: process 1 of a process and a mount namespace of the cluster's.

Everything of the cluster, pods too, is a descendant of the keeper: its end is
the end of all of it, and takes every mount along. That is why nothing has to
be unmounted or found by name afterwards.
"""

import ctypes
import os
import signal
import subprocess
import traceback

from .state import NETNS, ClusterError

CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000

# The kubelet would set these for the whole host; it leaves alone what reads
# as it wants it.
TUNABLES = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0,
            "kernel/panic": 10, "kernel/panic_on_oops": 1,
            "kernel/keys/root_maxkeys": 1000000,
            "kernel/keys/root_maxbytes": 25000000}


def _call(name, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        err = ctypes.get_errno()
        raise OSError(err, f"{name}: {os.strerror(err)}")


def enter(path, kind):
    """Move this process (for pids: its children) to a namespace."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", fd, kind)
    finally:
        os.close(fd)


def start_keeper(state):
    """Starts process 1; returns when its mounts are in place."""
    read_end, write_end = os.pipe()
    if (helper := os.fork()) == 0:
        _exit_after(lambda: _make_keeper(state, write_end))
    os.close(write_end)
    os.waitpid(helper, 0)
    with os.fdopen(read_end) as pipe:
        answer = pipe.read()
    if answer != "ready\n":
        raise ClusterError(f"the keeper did not start: {answer.strip()}")


def _exit_after(work):
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: whatever it is, a fork must not return
        traceback.print_exc()
    finally:
        os._exit(code)


def _make_keeper(state, pipe):
    os.setsid()
    enter(state.netns, CLONE_NEWNET)
    _call("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID)
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go_read, 1)
        _exit_after(lambda: _keep(state, pipe))
    state.remember("keeper", pid)
    os.write(go_write, b"x")


def _keep(state, pipe):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    log = os.open(state.log("keeper"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.dup2(log, 2)
    try:
        _mounts(state)
        os.write(pipe, b"ready\n")
    except (OSError, subprocess.SubprocessError) as error:
        os.write(pipe, f"{error}\n".encode())
        raise
    os.closerange(3, 1024)
    # A process 1 has no default actions, and must collect what is left to it.
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigtimedwait({signal.SIGCHLD}, 1)


def _mounts(state):
    def mount(*args):
        subprocess.run(["mount", *args], check=True, stdout=2)

    # Nothing goes out to the host; shared inside: pods may ask for
    # propagation.
    mount("--make-rslave", "/")
    mount("--make-rshared", "/")
    # Copies of others' network namespaces would keep these alive.
    for name in os.listdir(NETNS):
        subprocess.run(["umount", "--lazy", f"{NETNS}/{name}"],
                       stdout=2, stderr=subprocess.DEVNULL)
    mount("-t", "proc", "proc", "/proc")
    # The places that components have no option for, or too many.
    mount("--bind", state.path("lib"), "/var/lib")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/log")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.makedirs("/run/tunables")
    for number, (name, value) in enumerate(TUNABLES.items()):
        target, source = f"/proc/sys/{name}", f"/run/tunables/{number}"
        with open(source, "w", encoding="utf-8") as file:
            file.write(f"{value}\n")
        if os.path.exists(target):
            mount("--bind", source, target)
    _call("sethostname", b"node", 4)


def spawn(state, component, argv, env=None):
    """Starts a component inside of all the namespaces; its output is logged."""
    keeper = state.pid("keeper")
    if keeper is None:
        raise ClusterError(f"no cluster '{state.name}' runs")
    if (helper := os.fork()) == 0:
        _exit_after(lambda: _spawn(state, keeper, component, argv, env))
    if os.waitpid(helper, 0)[1] != 0:
        raise ClusterError(f"{component} did not start")


def _spawn(state, keeper, component, argv, env):
    log = os.open(state.log(component),
                  os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    go_read, go_write = os.pipe()
    os.setsid()
    files = state.path("config")
    enter(f"/proc/{keeper}/ns/pid", CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        os.read(go_read, 1)
        for kind, flag in (("net", CLONE_NEWNET), ("uts", CLONE_NEWUTS),
                           ("mnt", CLONE_NEWNS)):
            enter(f"/proc/{keeper}/ns/{kind}", flag)
        os.chdir(files)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        os.execvpe(argv[0], argv, {**os.environ, **(env or {})})
    state.remember(component, pid)
    os.write(go_write, b"x")


def nsenter(state, mounts=False):
    """The words that put a command into the cluster's network; with mounts
    its files and processes are seen as the components see them."""
    if not os.path.exists(state.netns):
        raise ClusterError(f"no cluster '{state.name}' runs "
                           "(start it with: up)")
    if not mounts:
        return ["nsenter", f"--net={state.netns}"]
    keeper = state.pid("keeper")
    if keeper is None:
        raise ClusterError(f"the cluster '{state.name}' has ended: down, up")
    return ["nsenter", f"--target={keeper}", "--net", "--mount", "--pid",
            "--uts"]
