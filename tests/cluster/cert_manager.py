# SPDX-License-Identifier: Apache-2.0
"""Plays cert-manager for the chart's other mode of certificates: its kinds
exist, and what it would do for the webhook is done once, by hand."""

import base64
import json

from . import certs, crds, mesh

GROUP = "cert-manager.io"
SECRET = WEBHOOK = "eastwest-injector"


def _definition(kind, plural):
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": "v1", "served": True, "storage": True,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True}}}]}}


def prepare(state):
    """Before the chart: the kinds, and the Secret of the certificate."""
    crds.kubectl(state, "apply", "--server-side", "-f", "-",
                 stdin=json.dumps({
                     "apiVersion": "v1", "kind": "List", "items": [
                         _definition("Certificate", "certificates"),
                         _definition("Issuer", "issuers")]}))
    crds.established(state)
    authority = certs.Authority("webhook")
    name = f"eastwest-injector.{mesh.NAMESPACE}.svc"
    certificate, key = authority.issue(name, alternatives=(name,))
    crds.kubectl(state, "apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": mesh.NAMESPACE}},
            {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
             "metadata": {"name": f"{SECRET}-tls",
                          "namespace": mesh.NAMESPACE},
             "stringData": {"tls.crt": certificate, "tls.key": key}}]}))
    return authority.pem


def inject_ca(state, pem):
    """After it: the caBundle of both webhooks."""
    bundle = base64.b64encode(pem.encode()).decode()
    crds.kubectl(state, "patch", "mutatingwebhookconfiguration", WEBHOOK,
                 "--type=json", "--patch", json.dumps([
                     {"op": "add", "value": bundle,
                      "path": f"/webhooks/{i}/clientConfig/caBundle"}
                     for i in (0, 1)]))


def remove(state):
    crds.kubectl(state, "delete", "crd", f"certificates.{GROUP}",
                 f"issuers.{GROUP}", "--ignore-not-found")
    crds.kubectl(state, "delete", "secret", f"{SECRET}-tls", "--namespace",
                 mesh.NAMESPACE, "--ignore-not-found")
