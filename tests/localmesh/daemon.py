# SPDX-License-Identifier: Apache-2.0
"""The process that owns a mesh: follows the folder, keeps pods, answers."""

import asyncio
import json
import os
import signal
import time

from . import network, services, sidecar
from .dns import Dns
from .manifests import Manifests
from .nat import Translation
from .pods import Pod
from .state import (MAX_MESSAGE, MeshError, remove_files, start_time, sweep,
                    write_atomic)
from .supervise import Service
from .workloads import Workloads

POLL = 0.2
DOWN_GRACE = 2


class Mesh:
    def __init__(self, state, options):
        self.state, self.images = state, options["images"]
        self.repository, self.bin = options["repository"], options["bin"]
        self.sanitizer = options["sanitizer"] or state.path("sanitizer")
        self.certificate_lifetime = options["certificate_lifetime"]
        self.manifests = Manifests(options["folder"])
        self.workloads = Workloads(self.manifests, self)
        self.errors = []
        self._pods = {}
        self._next = network.FIRST_POD
        self._pool = services.ClusterAddresses()
        self._translation, self._dns = Translation(), Dns(state)
        self._controller = None
        self._dirty, self._settled = asyncio.Event(), asyncio.Event()
        self._written = {}
        self._stopping = False

    # What Workloads and Pod ask of the mesh.

    def live_pods(self):
        return [p for p in self._pods.values() if not p.terminating]

    def find(self, namespace, name):
        return self._pods.get((namespace, name))

    def start_pod(self, plan, name):
        taken = {p.number for p in self._pods.values()}
        if len(taken) >= network.LAST_POD - network.FIRST_POD:
            return None
        while self._next in taken:
            self._advance()
        pod = Pod(self, plan, name, self._next)
        self._advance()
        self._pods[pod.namespace, name] = pod
        if pod.injected and self._controller is None:
            self._start_controller()
        self.changed()
        return pod

    def _advance(self):
        # An address is used again as late as possible.
        self._next += 1
        if self._next > network.LAST_POD:
            self._next = network.FIRST_POD

    def end_pod(self, pod):
        pod.end()

    def pod_gone(self, pod):
        self._pods.pop((pod.namespace, pod.name), None)
        try:
            os.unlink(pod.token_file)
        except FileNotFoundError:
            pass
        self.changed()

    def changed(self):
        self._settled.clear()
        self._dirty.set()

    def write_tokens(self):
        tokens = [{"token": p.token, "namespace": p.namespace,
                   "serviceAccount": p.object["spec"]["serviceAccountName"],
                   "pod": p.name, "podIPs": p.ips}
                  for p in self._pods.values() if p.injected and p.netns]
        self._write(self.state.path("tokens.json"), {"tokens": tokens}, 0o600)

    # The loops.

    async def run(self, gate):
        """Own the mesh until `gate` is set."""
        write_atomic(self.state.path("mesh.json"), json.dumps({
            "daemon": {"pid": os.getpid(), "started":
                       start_time(os.getpid())},
            "folder": self.manifests.folder}))
        await network.create_hub(self.state)
        server = await asyncio.start_unix_server(
            lambda r, w: self._serve(r, w, gate),
            self.state.path("control.sock"), limit=MAX_MESSAGE)
        os.chmod(self.state.path("control.sock"), 0o600)
        self.manifests.poll()
        loops = [asyncio.create_task(self._follow()),
                 asyncio.create_task(self._work())]
        self.changed()
        waiter = asyncio.create_task(gate.wait())
        done, _ = await asyncio.wait([*loops, waiter],
                                     return_when=asyncio.FIRST_COMPLETED)
        self._stopping = True
        for task in [*loops, waiter]:
            task.cancel()
        await asyncio.gather(*loops, waiter, return_exceptions=True)
        server.close()
        await self._end()
        for task in done:
            if task is not waiter:
                task.result()

    async def _follow(self):
        while True:
            await asyncio.sleep(POLL)
            self._look()

    def _look(self):
        if self.manifests.poll():
            for pod in self.live_pods():
                pod.refresh_volumes()
            self.changed()

    async def _work(self):
        """Bring everything in line, once for any number of changes."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(0.01)
            self._dirty.clear()
            self.workloads.reconcile()
            try:
                await self._publish()
                self.errors = list(self.manifests.errors)
            except (MeshError, OSError) as err:
                self.errors = [*self.manifests.errors, str(err)]
                print(err, flush=True)
            if not self._dirty.is_set():
                self._settled.set()

    async def _publish(self):
        pods = list(self._pods.values())
        objects, service_list, slice_list = services.derive(
            self.manifests, pods, self._pool)
        self.write_tokens()
        self._write_objects(objects)
        self._dns.publish(service_list, slice_list, pods)
        await self._translation.apply(service_list, slice_list, pods)

    def _write(self, path, value, mode=0o644):
        text = json.dumps(value, indent=1)
        if self._written.get(path) != text:
            write_atomic(path, text + "\n", mode)
            self._written[path] = text

    def _write_objects(self, objects):
        wanted = set()
        for obj in objects:
            meta = obj["metadata"]
            name = f"{obj['kind']}_{meta.get('namespace', '')}_{meta['name']}"
            path = self.state.path("objects", name + ".json")
            wanted.add(path)
            self._write(path, obj)
        folder = self.state.path("objects") + "/"
        for path in [p for p in self._written
                     if p.startswith(folder) and p not in wanted]:
            os.unlink(path)
            del self._written[path]

    def _start_controller(self):
        try:
            argv = sidecar.controller_argv(self)
        except MeshError:
            return  # the pod reports the same of its own programs
        env = {**os.environ, **sidecar.sanitizer_env(self)}
        self._controller = Service("eastwest-controller", argv,
                                   self.state.path("logs", "controller.log"),
                                   env)
        self.write_tokens()
        self._controller.start()

    async def wait_controller(self):
        """Until the CA's certificate is there: sidecars need it to start."""
        path = self.state.path("ca", "ca.crt")
        while not os.path.exists(path):
            await asyncio.sleep(0.02)

    async def _end(self):
        ends = [p.end(DOWN_GRACE, 5) for p in self._pods.values()]
        await asyncio.gather(*ends, return_exceptions=True)
        if self._controller:
            await self._controller.stop()
        await self._dns.stop()

    # The control socket.

    async def _serve(self, reader, writer, gate):
        try:
            message = json.loads(await reader.readline())
            answer = await self._answer(message, gate)
        except asyncio.TimeoutError:
            answer = {"error": "not in time"}
        except (MeshError, ValueError, KeyError) as err:
            answer = {"error": str(err)}
        try:
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, message, gate):
        what = message["request"]
        if what == "wait":
            return await self._wait(message["timeout"])
        if what == "status":
            return {"pods": [self._row(p) for p in sorted(
                self._pods.values(),
                key=lambda p: (p.namespace, p.name))],
                "errors": self.errors, "settled": self.settled(),
                "folder": self.manifests.folder,
                "controller": self._controller and self._controller.pid}
        if what == "delete":
            pod = self._pods.get(tuple(message["pod"]))
            if pod is None:
                raise MeshError("there is no such pod")
            await pod.end(message.get("grace"))
            return {}
        if what == "restart":
            key = tuple(message["workload"])
            if key not in self.workloads.plans:
                raise MeshError(f"there is no {key[0]} {key[1]}/{key[2]}")
            self.workloads.restart(key)
            self.changed()
            return await self._wait(message["timeout"])
        if what == "controller":
            if self._controller is None:
                raise MeshError("there is no controller: no pod is injected")
            await self._controller.stop()
            if message["do"] == "start":
                self._controller.start()
            return {}
        if what == "sync":
            self._look()
            await asyncio.wait_for(self._settled.wait(), message["timeout"])
            return {}
        if what == "stop":
            gate.set()
            return {}
        raise MeshError(f"unknown request {what!r}")

    def settled(self):
        return self._settled.is_set() and not self.workloads.unsettled() \
            and not any(p.terminating for p in self._pods.values())

    async def _wait(self, timeout):
        deadline = time.monotonic() + timeout
        while not self.settled() and time.monotonic() < deadline:
            if any(p.error for p in self._pods.values()) and \
                    all(p.error or p.ready for p in self.live_pods()):
                break
            await asyncio.sleep(0.02)
        problems = [] if self.settled() else [
            line for p in self._pods.values() for line in p.problems()]
        if not self.settled() and not problems:
            problems = [f"{plan.kind} {plan.key[1]}/{plan.key[2]} isn't "
                        "complete" for plan in self.workloads.unsettled()] \
                or ["pods are still terminating"]
        if problems and self._controller and not self._controller.running:
            problems.append("the controller does not run; its log: "
                            + self._controller.log)
        live = self.live_pods()
        return {"problems": problems, "errors": self.errors,
                "pods": len(live), "injected": sum(p.injected for p in live)}

    @staticmethod
    def _row(pod):
        parts = [c for c in pod.containers if c.role != "init"]
        total = len(parts) or len(pod.object["spec"]["containers"])
        side = [c for c in parts if c.name == sidecar.NAME]
        state = "-"
        if pod.injected:
            state = "ready" if side and side[0].ready else "not ready"
        return {
            "namespace": pod.namespace, "name": pod.name, "uid": pod.uid,
            "ready": f"{sum(c.ready for c in parts)}/{total}",
            "is_ready": pod.ready, "terminating": pod.terminating,
            "status": pod.status(), "ips": pod.ips, "sidecar": state,
            "restarts": sum(c.restarts for c in pod.containers),
            "age": time.time() - pod.created, "owner": list(pod.owner),
            "error": pod.error, "netns": pod.netns,
            "containers": [{
                "name": c.name, "role": c.role, "ready": c.ready,
                "restarts": c.restarts, "log": c.log,
                "pid": c.process.pid() if c.process else None,
                "run": {k: c.spec["_run"][k] for k in
                        ("uid", "gid", "capabilities", "prefix", "cwd",
                         "env")},
            } for c in pod.containers],
        }


async def _main(state, options, parent):
    gate = asyncio.Event()
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.get_child_watcher().attach_loop(asyncio.get_running_loop())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gate.set)
    if parent is not None:
        # In the foreground the mesh lives as long as the command does.
        loop.add_reader(parent, gate.set)
    await Mesh(state, options).run(gate)


def main(state, options, parent=None):
    """The daemon's whole life; called in a process of its own."""
    try:
        asyncio.run(_main(state, options, parent))
    finally:
        sweep(state)
        remove_files(state)
