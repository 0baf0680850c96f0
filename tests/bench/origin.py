# SPDX-License-Identifier: Apache-2.0
"""The app behind all peers: nginx, which costs little per response, and
iperf3 for bare TCP.

Each kind of door but TCP exists twice: version 1 and version 2 of the app, so
that routes have something to choose from. (iperf3 opens several connections
for one test; they must come out at the same server.)
"""

import pathlib

from .processes import Process

# Ports of the app, by kind of door: version 1, version 2.
PORTS = {"http1": (8081, 8082), "http2": (8083, 8084), "grpc": (8085, 8086),
         "tcp": (5201,)}
BODIES = {"64k": 64 << 10, "1m": 1 << 20}
# A gRPC message: not compressed, 5 bytes of head, 64 bytes of message.
GRPC_MESSAGE = b"\0\0\0\0\x40" + b"m" * 64

CONFIG = """\
daemon off;
worker_processes 1;
pid {run}/nginx.pid;
error_log {run}/nginx-error.log error;
events {{ worker_connections 8000; }}
http {{
  access_log off;
  server_tokens off;
  default_type application/octet-stream;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=100;
  root {run}/www;
  client_body_temp_path {run}/t1;
  proxy_temp_path {run}/t2;
  fastcgi_temp_path {run}/t3;
  uwsgi_temp_path {run}/t4;
  scgi_temp_path {run}/t5;
{servers}
}}
"""
HTTP = """\
  server {{
    listen {port}{http2} backlog=16384;
    add_header app {version};
    location = / {{ return 200 "{body}"; }}
  }}"""
GRPC = """\
  server {{
    listen {port} http2 backlog=16384;
    default_type application/grpc;
    add_trailer grpc-status 0;
    # Only so does nginx answer a POST with a file.
    error_page 405 =200 $uri;
  }}"""


def config(run):
    servers = []
    for door, http2 in (("http1", ""), ("http2", " http2")):
        for version, port in enumerate(PORTS[door], 1):
            servers.append(HTTP.format(port=port, http2=http2, version=version,
                                       body="x" * 1024))
    servers += [GRPC.format(port=port) for port in PORTS["grpc"]]
    return CONFIG.format(run=run, servers="\n".join(servers))


class Origin:
    """The app in one network namespace."""

    def __init__(self, netns, folder):
        self.folder = pathlib.Path(folder)
        www = self.folder / "www"
        (www / "bench.Echo").mkdir(parents=True)
        for name, size in BODIES.items():
            (www / name).write_bytes(b"b" * size)
        (www / "bench.Echo" / "Unary").write_bytes(GRPC_MESSAGE)
        (self.folder / "nginx.conf").write_text(config(self.folder))
        self._parts = [Process(
            netns, ["nginx", "-p", self.folder, "-c",
                    self.folder / "nginx.conf",
                    "-e", self.folder / "nginx-error.log"],
            self.folder / "nginx.log"),
            Process(netns, ["iperf3", "--server", "--port", PORTS["tcp"][0]],
                    self.folder / "iperf3.log")]

    def check(self):
        for part in self._parts:
            part.check()

    def stop(self):
        for part in self._parts:
            part.stop()
