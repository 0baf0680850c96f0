# SPDX-License-Identifier: Apache-2.0
"""Envoy, with HTTP/1.1 or HTTP/2 between the two; SPIFFE ids verified."""

import json
import re
import subprocess

from .. import certs, install
from ..bed import HEADER, WEIGHTS
from ..origin import PORTS
from .peer import DOORS, Peer

TYPE = "type.googleapis.com/envoy.extensions."
NETWORK = TYPE + "filters.network."
TLS = TYPE + "transport_sockets.tls.v3."
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
MANY = 1000000


def _address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


class Envoy(Peer):
    between = None

    # TLS, both ways.

    def _tls(self, side, http2):
        mine, other = ("client", certs.SERVER) if side == "client" \
            else ("server", certs.CLIENT)
        folder = self.bed.certs
        common = {
            "tls_params": {f"tls_{end}_protocol_version": "TLSv1_3"
                           for end in ("minimum", "maximum")},
            "tls_certificates": [{
                "certificate_chain": {"filename": f"{folder}/{mine}.crt"},
                "private_key": {"filename": f"{folder}/{mine}.key"}}],
            "validation_context": {
                "trusted_ca": {"filename": f"{folder}/ca.pem"},
                "match_typed_subject_alt_names": [
                    {"san_type": "URI", "matcher": {"exact": other}}]},
            "alpn_protocols": ["h2" if http2 else "http/1.1"]}
        kind = "Upstream" if side == "client" else "Downstream"
        context = {"@type": f"{TLS}{kind}TlsContext",
                   "common_tls_context": common}
        if side == "client":
            context["sni"] = "server.bench"
            context["max_session_keys"] = 0
        else:
            context["require_client_certificate"] = True
            context["disable_stateless_session_resumption"] = True
        return {"name": "tls", "typed_config": context}

    # Clusters.

    @staticmethod
    def _cluster(name, host, port, http2=None, tls=None):
        found = {
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{
                "lb_endpoints": [{"endpoint": {
                    "address": _address(host, port)}}]}]},
            "circuit_breakers": {"thresholds": [{
                f"max_{what}": MANY for what in
                ("connections", "pending_requests", "requests")}]}}
        if tls:
            found["transport_socket"] = tls
        if http2 is not None:
            kind = "http2_protocol_options" if http2 \
                else "http_protocol_options"
            found["typed_extension_protocol_options"] = {OPTIONS: {
                "@type": "type.googleapis.com/" + OPTIONS,
                "explicit_http_config": {kind: {}}}}
        return found

    # Listeners.

    @staticmethod
    def _http(door, routes):
        return {"name": "hcm", "typed_config": {
            "@type": NETWORK + "http_connection_manager.v3."
                               "HttpConnectionManager",
            "stat_prefix": door, "codec_type": "AUTO",
            "stream_idle_timeout": "0s",
            "route_config": {"virtual_hosts": [
                {"name": door, "domains": ["*"], "routes": routes}]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": TYPE + "filters.http.router.v3.Router"}}]}}

    @staticmethod
    def _tcp(door, target):
        return {"name": "tcp", "typed_config": {
            "@type": NETWORK + "tcp_proxy.v3.TcpProxy", "stat_prefix": door,
            "idle_timeout": "0s", **target}}

    @staticmethod
    def _listener(name, host, port, network_filter, tls=None):
        chain = {"filters": [network_filter]}
        if tls:
            chain["transport_socket"] = tls
        return {"name": name, "address": _address(host, port),
                "filter_chains": [chain]}

    def _http2(self, door):
        return self.between == "http2" or door == "grpc"

    def _out(self, door):
        weights = {"clusters": [
            {"name": f"{door}-v{v}", "weight": w}
            for v, w in enumerate(WEIGHTS, 1)]}
        if door == "tcp":
            what = self._tcp(door, {"cluster": f"{door}-v1"})
        else:
            header = {"name": HEADER[0],
                      "string_match": {"exact": HEADER[1]}}
            plain = {"timeout": "0s"}
            what = self._http(door, [
                {"match": {"prefix": "/", "headers": [header]},
                 "route": {"cluster": f"{door}-v2", **plain}},
                {"match": {"prefix": "/"},
                 "route": {"weighted_clusters": weights, **plain}}])
        listener = self._listener(door, "127.0.0.1", self.door_port(door),
                                  what)
        http2 = None if door == "tcp" else self._http2(door)
        clusters = [self._cluster(
            f"{door}-v{v}", self.server_ip, self.inner_port(door, v), http2,
            self._tls("client", http2)) for v in
            range(1, len(PORTS[door]) + 1)]
        return [listener], clusters

    def _in(self, door):
        listeners, clusters = [], []
        for version, port in enumerate(PORTS[door], 1):
            name = f"{door}-v{version}"
            what = self._tcp(door, {"cluster": name}) if door == "tcp" else \
                self._http(door, [{"match": {"prefix": "/"}, "route": {
                    "cluster": name, "timeout": "0s"}}])
            listeners.append(self._listener(
                name, "0.0.0.0", self.inner_port(door, version), what,
                self._tls("server", self._http2(door))))
            http2 = None if door == "tcp" else door in ("http2", "grpc")
            clusters.append(self._cluster(name, self.server_ip, port, http2))
        return listeners, clusters

    def command(self, side):
        made = [(self._out if side == "client" else self._in)(door)
                for door in DOORS]
        path = self.folder / f"{side}.json"
        path.write_text(json.dumps({
            "static_resources": {
                "listeners": [x for one, _ in made for x in one],
                "clusters": [x for _, one in made for x in one]},
            # Its default limit would refuse a thousand connections.
            "overload_manager": {"resource_monitors": [{
                "name": "envoy.resource_monitors."
                        "global_downstream_max_connections",
                "typed_config": {
                    "@type": TYPE + "resource_monitors.downstream_connections"
                                    ".v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": MANY}}]}}))
        return [install.envoy(), "-c", path, "--concurrency", "1",
                "--disable-hot-restart", "--log-level", "error"]

    def version(self):
        out = subprocess.run([install.envoy(), "--version"], check=True,
                             capture_output=True, text=True).stdout
        return "envoy " + re.search(r"/(\d+\.\d+\.\d+)/", out)[1]


class EnvoyHttp1(Envoy):
    name = "envoy-h1"
    base = 23000
    between = "http1"
    # A gRPC status stands in trailers, which HTTP/1.1 doesn't carry here;
    # TCP is the same in both.
    doors = ("http1", "http2")


class EnvoyHttp2(Envoy):
    name = "envoy-h2"
    base = 24000
    between = "http2"
