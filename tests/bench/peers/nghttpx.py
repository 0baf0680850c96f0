# SPDX-License-Identifier: Apache-2.0
"""nghttpx of Debian: HTTP/2 between the two.

It can choose by weight, not by header, and can't read a URI SAN: the CA both
ways and the DNS name of the server are verified. It has no TCP mode.
"""

import subprocess

from ..bed import WEIGHTS
from ..origin import PORTS
from .peer import Peer

COMMON = ["--conf=/dev/null", "--workers=1", "--no-ocsp",
          "--accesslog-file=/dev/null", "--tls-min-proto-version=TLSv1.3",
          "--tls-max-proto-version=TLSv1.3", "--tls-no-postpone-early-data",
          "--frontend-read-timeout=1h", "--frontend-write-timeout=1h",
          "--frontend-http2-read-timeout=1h",
          "--frontend-keep-alive-timeout=1h", "--backend-read-timeout=1h",
          "--backend-keep-alive-timeout=1h"]


class Nghttpx(Peer):
    """One process can't tell its listeners apart when it chooses a backend.
    So the doors are told apart by the Host that the client asks for, and at
    the server's side the apps by the name in SNI."""

    name = "nghttpx"
    base = 22000
    doors = ("http1", "http2", "grpc")
    by_header = None

    def _out(self):
        certs = self.bed.certs
        argv = [f"--cacert={certs}/ca.pem",
                f"--client-cert-file={certs}/client.crt",
                f"--client-private-key-file={certs}/client.key"]
        for door in self.doors:
            argv.append(f"--frontend=127.0.0.1,{self.door_port(door)};no-tls")
            pattern = "" if door == "http1" else f"{door}/"
            for version, weight in enumerate(WEIGHTS, 1):
                argv.append(
                    f"--backend={self.server_ip},{self.inner_port('http1', 1)}"
                    f";{pattern};proto=h2;tls;sni={door}-v{version}.bench"
                    f";group=v{version};group-weight={weight}")
        return argv

    def _in(self):
        certs = self.bed.certs
        argv = ["--verify-client", f"--verify-client-cacert={certs}/ca.pem",
                f"--frontend=*,{self.inner_port('http1', 1)};sni-fwd"]
        for door in self.doors:
            proto = "http/1.1" if door == "http1" else "h2"
            for version, port in enumerate(PORTS[door], 1):
                argv.append(f"--backend={self.server_ip},{port};"
                            f"{door}-v{version}.bench/;proto={proto}")
        # nghttpx wants one backend for all the rest.
        argv.append(f"--backend={self.server_ip},{PORTS['http1'][0]}")
        return [*argv, f"{certs}/server.key", f"{certs}/server.crt"]

    def tls_target(self):
        return (self.server_ip, self.inner_port("http1", 1),
                "http1-v1.bench", [])

    def command(self, side):
        return ["nghttpx", *COMMON,
                *(self._out() if side == "client" else self._in())]

    def version(self):
        return subprocess.run(["nghttpx", "--version"], capture_output=True,
                              text=True, check=True).stdout.strip()
