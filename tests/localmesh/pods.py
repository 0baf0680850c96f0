# SPDX-License-Identifier: Apache-2.0
"""A pod from its first namespace to its last process."""

import asyncio
import os
import secrets
import signal
import time

from . import containers, network, probes, sidecar, volumes
from .state import MeshError, processes_in, write_atomic
from .supervise import Backoff, Process, run
from .workloads import injected

START_GRACE = 30


class Container:
    """One container: its process, its probe, its restarts."""

    def __init__(self, pod, spec, role):
        self.pod, self.spec, self.role = pod, spec, role
        self.name = spec["name"]
        self.ready = self.started = False
        self.restarts, self.last_exit = 0, None
        self.process = self.task = None
        self.became_ready = asyncio.Event()
        mesh = pod.mesh
        self.log = mesh.state.path(
            "logs", f"{pod.namespace}_{pod.name}_{self.name}.log")

    async def once(self):
        """Start it and wait until it ends: its exit code."""
        self.process = Process(self.pod.netns, self.spec["_script"], self.log)
        await self.process.start()
        self.started = True
        probe = self.spec.get("readinessProbe")
        if probe and self.pod.injected:
            probe = sidecar.moved_probe(self.pod, self.spec, probe)
        follow = None
        if probe and self.role != "init":
            probe = probes.Probe(probe, self.spec, self.pod.ips[0])
            follow = asyncio.create_task(
                probes.follow(probe, self.process.pid, self._report))
        else:
            self._report(True)
        try:
            self.last_exit = await self.process.wait()
        finally:
            if follow:
                follow.cancel()
        self._report(False)
        return self.last_exit

    def _report(self, ready):
        self.ready = ready
        if ready:
            self.became_ready.set()
        self.pod.update()

    async def keep(self, policy):
        """Run it as often as `policy` asks: the last exit code."""
        backoff = Backoff()
        while True:
            backoff.started()
            code = await self.once()
            if self.pod.terminating or policy == "Never" or \
                    (policy == "OnFailure" and code == 0):
                return code
            self.restarts += 1
            self.pod.update()
            await asyncio.sleep(backoff.delay())

    def begin(self, policy):
        self.task = asyncio.create_task(self.keep(policy))

    async def stop(self, grace):
        if self.process and self.process.running:
            await self._pre_stop()
            await self.process.stop(grace)
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _pre_stop(self):
        hook = (self.spec.get("lifecycle") or {}).get("preStop") or {}
        pid = self.process.pid()
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"].get("seconds", 0))
        elif "exec" in hook and pid:
            await run("nsenter", "-t", str(pid), "-m", "-p", "-n", "-u", "--",
                      *hook["exec"]["command"])

    def tail(self, lines=10):
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        return text.splitlines()[-lines:]


class Pod:
    def __init__(self, mesh, plan, name, number):
        self.mesh, self.number = mesh, number
        self.object = plan.pod(name)
        self.injected = injected(mesh.manifests, self.object)
        self.owner, self.hash = plan.key, plan.hash
        self.folder = os.path.dirname(plan.obj["_file"])
        self.name, self.namespace = name, self.object["metadata"]["namespace"]
        self.uid = self.object["metadata"]["uid"]
        self.dir = mesh.state.path("pods", self.uid)
        self.token = secrets.token_urlsafe(32)
        self.token_file = mesh.state.path("tokens", self.uid)
        self.netns, self.ips = None, list(network.addresses(number))
        self.phase, self.error = "Pending", None
        self.ready = self.terminating = False
        self.created = time.time()
        self.containers = []
        self._life = asyncio.create_task(self._live())
        self._end = None

    def update(self):
        ready = self.phase == "Running" and not self.terminating and \
            all(c.ready for c in self.containers if c.role != "init")
        self.ready = ready
        self.mesh.changed()

    async def _live(self):
        try:
            self._files()
            self.netns, _ = await network.create_pod(self.mesh.state,
                                                     self.number)
            self._containers()
            for container in self.containers:
                if container.role == "init":
                    await container.keep("OnFailure")
                elif container.role == "sidecar":
                    if container.name == sidecar.NAME:
                        await self.mesh.wait_controller()
                    container.begin("Always")
                    await container.became_ready.wait()
            self.phase = "Running"
            policy = self.object["spec"]["restartPolicy"]
            apps = [c for c in self.containers if c.role == "app"]
            for container in apps:
                container.begin(policy)
            self.update()
            codes = await asyncio.gather(*(c.task for c in apps))
            self.phase = "Failed" if any(codes) else "Succeeded"
            for container in self.containers:
                if container.role == "sidecar":
                    await container.stop(START_GRACE)
        except (MeshError, OSError, KeyError, TypeError, ValueError) as err:
            self.error = str(err) if isinstance(err, MeshError) \
                else f"{type(err).__name__}: {err}"
        self.update()

    def _files(self):
        meta = self.object["metadata"]
        os.makedirs(f"{self.dir}/volumes")
        os.mkdir(f"{self.dir}/stage")
        cluster = "svc.cluster.local"
        write_atomic(f"{self.dir}/resolv.conf",
                     f"nameserver {network.DNS4}\n"
                     f"search {self.namespace}.{cluster} {cluster} "
                     "cluster.local\noptions ndots:5\n")
        names = self.object["spec"].get("hostname") or meta["name"]
        subdomain = self.object["spec"].get("subdomain")
        if subdomain:
            names = f"{names}.{subdomain}.{self.namespace}.{cluster} {names}"
        write_atomic(f"{self.dir}/hosts",
                     "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
                     + "".join(f"{ip} {names}\n" for ip in self.ips))
        # Only files and DNS: a resolver daemon of the host knows nothing
        # of the mesh.
        write_atomic(f"{self.dir}/nsswitch.conf",
                     "passwd: files\ngroup: files\nshadow: files\n"
                     "hosts: files dns\nprotocols: files\nservices: files\n")

    def _containers(self):
        """Write the script of every container before the first one runs."""
        spec = self.object["spec"]
        made = volumes.prepare(self.object, f"{self.dir}/volumes",
                               self.mesh.manifests.get)
        wanted = []
        if self.injected:
            write_atomic(self.token_file, self.token, 0o400, sidecar.UID)
            self.mesh.write_tokens()
            wanted += sidecar.containers(self)
        for container in spec.get("initContainers") or []:
            always = container.get("restartPolicy") == "Always"
            wanted.append((container, "sidecar" if always else "init"))
        wanted += [(c, "app") for c in spec["containers"]]
        for container, role in wanted:
            if self.injected and "_run" not in container and \
                    container["name"] in (sidecar.INIT, sidecar.NAME):
                raise MeshError(f"container {container['name']}: the name "
                                "is taken by the mesh in an injected pod")
            self._script(container, made)
            self.containers.append(Container(self, container, role))

    def _script(self, container, made):
        binds = [(f"{self.dir}/{name}", f"/etc/{name}")
                 for name in ("resolv.conf", "hosts", "nsswitch.conf")
                 if os.path.exists(f"/etc/{name}")]
        if "_run" not in container:
            container["_run"] = self._runner(container)
            binds += volumes.binds(self.mesh.state, container, made)
        how = container["_run"]
        lines = containers.reveal(
            [self.folder, self.mesh.repository, self.mesh.bin],
            f"{self.dir}/stage")
        text = containers.script(
            lines, self.name, binds, how["cwd"],
            containers.user_prefix(how["uid"], how["gid"],
                                   how["capabilities"], *how["prefix"]),
            how["env"], how["argv"])
        container["_script"] = f"{self.dir}/{container['name']}.sh"
        write_atomic(container["_script"], text, 0o700)

    def _runner(self, container):
        try:
            env = containers.environment(container, self.object, self.ips,
                                         self.mesh.manifests.get)
            argv = containers.command(container, self.mesh.images, env)
        except MeshError as err:
            raise MeshError(f"container {container['name']}: {err}"
                            if "container " not in str(err)
                            else str(err)) from None
        uid, gid = containers.user_of(container, self.object)
        cwd = os.path.join(self.folder, container.get("workingDir") or "")
        if not os.path.isdir(cwd):
            raise MeshError(
                f"container {container['name']}: workingDir is {cwd!r}: "
                "expected a folder that exists")
        return {"uid": uid, "gid": gid, "cwd": cwd, "env": env, "argv": argv,
                "prefix": [],
                "capabilities": containers.capabilities_of(container, uid)}

    def refresh_volumes(self):
        if self.netns and not self.error:
            try:
                volumes.prepare(self.object, f"{self.dir}/volumes",
                                self.mesh.manifests.get)
            except MeshError:
                pass  # what is mounted stays as it was

    def end(self, grace=None, sidecar_grace=START_GRACE):
        """Begin to terminate; the returned task ends with the pod."""
        if self._end is None:
            if grace is None:
                grace = self.object["spec"].get(
                    "terminationGracePeriodSeconds", 30)
            self.terminating = True
            self.update()
            self._end = asyncio.create_task(self._stop(grace, sidecar_grace))
        return self._end

    async def _stop(self, grace, sidecar_grace):
        if self.phase == "Pending":
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        for role in ("app", "init"):
            await asyncio.gather(*(c.stop(grace) for c in self.containers
                                   if c.role == role))
        # The sidecar goes last: until then the apps' last words need it.
        for container in reversed(self.containers):
            if container.role == "sidecar":
                await container.stop(sidecar_grace)
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        for pid in processes_in([f"{self.mesh.state.hub}-{self.number}"]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        await network.remove_pod(self.mesh.state, self.number)
        self.mesh.pod_gone(self)

    def problems(self):
        """Why the pod isn't ready, for a person to read."""
        title = f"pod {self.namespace}/{self.name}"
        if self.error:
            return [f"{title}: {self.error}"]
        if self.ready or self.terminating or self.phase == "Succeeded":
            return []
        for container in self.containers:
            if container.role == "init" and container.last_exit == 0:
                continue
            if container.role == "init" and container.started or \
                    not container.ready:
                return [f"{title}: container {container.name}: "
                        f"{self._state(container)}; last lines of its log:",
                        *("    " + line for line in container.tail())]
        return [f"{title}: {self.phase}"]

    @staticmethod
    def _state(container):
        if not container.started:
            return "not started yet"
        if container.process.running:
            return "running" if container.role == "init" \
                else "running, its readiness probe fails"
        return (f"ended with exit code {container.last_exit}, "
                f"restarted {container.restarts} times")

    def status(self):
        if self.error:
            return "Error"
        if self.terminating:
            return "Terminating"
        if self.phase != "Running":
            for container in self.containers:
                if container.started and container.last_exit not in (0, None) \
                        and not container.process.running:
                    return "Init:Error"
            return "Init" if self.phase == "Pending" else self.phase
        if any(not c.process.running for c in self.containers
               if c.role == "app" and c.process):
            return "CrashLoopBackOff"
        return "Running"
