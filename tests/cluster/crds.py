# SPDX-License-Identifier: Apache-2.0
"""What is applied to a new cluster: the Gateway API, the Service of DNS."""

import json
import os
import subprocess

from . import build, network
from .namespaces import nsenter
from .state import ClusterError


def client(state, program, *args, stdin=None, fail=True):
    """The output of kubectl or helm; with fail a ClusterError where that
    fails."""
    done = subprocess.run(
        [*nsenter(state), f"{build.BIN}/{program}", *args], input=stdin,
        text=True, capture_output=True,
        env={**os.environ, "KUBECONFIG": state.kubeconfig})
    if done.returncode != 0 and fail:
        raise ClusterError(f"{program} {' '.join(args[:3])}: "
                           f"{done.stderr.strip()[-2000:]}")
    return done.stdout


def kubectl(state, *args, stdin=None, fail=True):
    return client(state, "kubectl", *args, stdin=stdin, fail=fail)


def _dns_service():
    meta = {"name": "kube-dns", "namespace": "kube-system",
            "labels": {"k8s-app": "kube-dns"}}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"},
             {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta,
         "spec": {"clusterIP": network.DNS_SERVICE, "ports": ports}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {**meta, "labels": {
             "kubernetes.io/service-name": "kube-dns"}},
         "addressType": "IPv4", "ports": ports,
         "endpoints": [{"addresses": [network.DNS],
                        "conditions": {"ready": True}}]},
    ]})


def apply(state):
    kubectl(state, "apply", "--server-side", "-f", "-", stdin=_dns_service())
    kubectl(state, "apply", "--server-side", "-f", build.gateway_crds())


def established(state):
    kubectl(state, "wait", "--for=condition=Established", "--timeout=60s",
            "crd", "--all")
