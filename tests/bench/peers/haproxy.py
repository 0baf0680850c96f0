# SPDX-License-Identifier: Apache-2.0
"""HAProxy of Debian: HTTP/1.1 between the two, HTTP/2 for HTTP/2 clients.

It can't read a URI SAN: the CA, the DNS name of the server and the common
name of the client are verified.
"""

import subprocess

from .. import certs
from ..bed import HEADER, WEIGHTS
from ..origin import PORTS
from .peer import DOORS, Peer

COMMON = """\
global
  nbthread 1
  maxconn 8000
  ssl-server-verify required
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-server-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout http-request 10s
  timeout http-keep-alive 1h
  http-reuse always
"""
OUT = """\
frontend {door}
  mode {mode}
  bind 127.0.0.1:{port} {bind}
{choice}  default_backend {door}
backend {door}
  mode {mode}
  balance roundrobin
{servers}
"""
BY_HEADER = """\
backend {door}-v2
  mode http
{server}
"""
IN = """\
frontend {door}-v{version}
  mode {mode}
  bind *:{port} ssl crt {certs}/server.pem ca-file {certs}/ca.pem \
verify required {alpn}
  tcp-request session reject unless {{ ssl_c_s_dn(CN) -m str {client} }}
  default_backend {door}-v{version}
backend {door}-v{version}
  mode {mode}
  server app {ip}:{app} {proto}
"""
SERVER = """\
  server v{version} {ip}:{port} weight {weight} ssl crt {certs}/client.pem \
ca-file {certs}/ca.pem verify required verifyhost server.bench {alpn}"""


def _mode(door):
    return "tcp" if door == "tcp" else "http"


def _http2(door):
    return door in ("http2", "grpc")


class HAProxy(Peer):
    name = "haproxy"
    base = 21000

    def _server(self, door, version):
        return SERVER.format(
            version=version, ip=self.server_ip, weight=WEIGHTS[version - 1],
            port=self.inner_port(door, version), certs=self.bed.certs,
            alpn="alpn h2" if _http2(door) else "")

    def _out(self, door):
        servers = [self._server(door, v + 1) for v in range(len(PORTS[door]))]
        by_header, choice = "", ""
        if len(servers) > 1:
            by_header = BY_HEADER.format(door=door, server=servers[1])
            choice = f"  use_backend {door}-v2 if {{ req.hdr({HEADER[0]}) " \
                     f"-m str {HEADER[1]} }}\n"
        return by_header + OUT.format(
            door=door, mode=_mode(door), port=self.door_port(door),
            bind="proto h2" if _http2(door) else "", choice=choice,
            servers="\n".join(servers))

    def _in(self, door):
        return "".join(IN.format(
            door=door, version=version, mode=_mode(door), certs=self.bed.certs,
            port=self.inner_port(door, version), client=certs.CLIENT,
            ip=self.server_ip, app=port,
            alpn="alpn h2" if _http2(door) else "",
            proto="proto h2" if _http2(door) else "")
            for version, port in enumerate(PORTS[door], 1))

    def command(self, side):
        make = self._out if side == "client" else self._in
        path = self.folder / f"{side}.cfg"
        path.write_text(COMMON + "".join(make(door) for door in DOORS))
        return ["haproxy", "-db", "-f", path]

    def version(self):
        out = subprocess.run(["haproxy", "-v"], capture_output=True,
                             text=True, check=True).stdout
        return out.split(" 20")[0].splitlines()[0].strip()
