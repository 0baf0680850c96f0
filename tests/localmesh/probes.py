# SPDX-License-Identifier: Apache-2.0
"""Readiness probes, sent from the hub as a kubelet sends them."""

import asyncio
import ssl

from .containers import user_prefix
from .supervise import run


class Probe:
    """One container's probe with the defaults of this mesh."""

    def __init__(self, spec, container, ip):
        self.spec, self.container, self.ip = spec, container, ip
        self.period = max(spec.get("periodSeconds", 1), 0.1)
        self.timeout = spec.get("timeoutSeconds", 1) or 1
        self.delay = spec.get("initialDelaySeconds", 0)
        self.failures = spec.get("failureThreshold", 3) or 1
        self.successes = spec.get("successThreshold", 1) or 1

    def port(self, value):
        if isinstance(value, int):
            return value
        for port in self.container.get("ports") or []:
            if port.get("name") == value:
                return port["containerPort"]
        return 0

    async def ask(self, pid):
        """True if the container answers as it should, in time."""
        try:
            return await asyncio.wait_for(self._ask(pid), self.timeout)
        except (OSError, ValueError, asyncio.TimeoutError):
            return False

    async def _ask(self, pid):
        if "httpGet" in self.spec:
            return await self._http(self.spec["httpGet"])
        if "exec" in self.spec:
            return await self._exec(self.spec["exec"]["command"], pid)
        # gRPC health is taken as "the port accepts connections".
        target = self.spec.get("tcpSocket") or self.spec["grpc"]
        _, writer = await asyncio.open_connection(
            target.get("host") or self.ip, self.port(target["port"]))
        writer.close()
        return True

    async def _http(self, target):
        host = target.get("host") or self.ip
        port = self.port(target["port"])
        headers = [(h["name"], h["value"])
                   for h in target.get("httpHeaders") or []]
        tls = None
        if target.get("scheme", "HTTP").upper() == "HTTPS":
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        status = await http_status(host, port, target.get("path", "/"),
                                   headers, tls)
        return 200 <= status < 400

    async def _exec(self, command, pid):
        if pid is None:
            return False
        runner = self.container["_run"]
        prefix = user_prefix(runner["uid"], runner["gid"],
                             runner["capabilities"])
        env = [f"{k}={v}" for k, v in runner["env"].items()]
        code, _ = await run(
            "nsenter", "-t", str(pid), "-m", "-p", "-n", "-u",
            f"--wdns={runner['cwd']}", "--", *prefix, "env", "-i", *env,
            *command)
        return code == 0


async def http_status(host, port, path, headers=(), tls=None):
    """The status of one GET; 0 if the answer isn't HTTP."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        shown = f"[{host}]" if ":" in host else host
        lines = [f"GET {path} HTTP/1.1", "User-Agent: kube-probe/local",
                 "Accept: */*", "Connection: close"]
        if not any(name.lower() == "host" for name, _ in headers):
            lines.append(f"Host: {shown}:{port}")
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        parts = (await reader.readline()).split()
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1."):
            return 0
        return int(parts[1])
    finally:
        writer.close()


async def follow(probe, pid, report):
    """Ask for ever; `report` gets True or False when that changes."""
    await asyncio.sleep(probe.delay)
    ready, streak = False, 0
    report(False)
    while True:
        good = await probe.ask(pid())
        streak = streak + 1 if good != ready else 0
        if streak >= (probe.failures if ready else probe.successes):
            ready, streak = good, 0
            report(ready)
        # Until it is ready for the first time, a short period costs little
        # and saves most of a second of each start.
        await asyncio.sleep(probe.period if ready else
                            min(probe.period, 0.1))
