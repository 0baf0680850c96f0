# SPDX-License-Identifier: Apache-2.0
"""Makes many Services without selector, and their endpoints, through the API
server. Run in the cluster's network: HOST PORT CERTIFICATES NAMESPACE SERVICES
ENDPOINTS-OF-EACH."""

import http.client
import json
import ssl
import sys


def objects(ns, number, endpoints):
    name = f"crowd-{number}"
    yield f"/api/v1/namespaces/{ns}/services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": 80}]}}
    first = number * endpoints
    yield (f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name,
                     "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 80}],
        # Addresses that are nobody's (RFC 2544).
        "endpoints": [{"addresses": [f"198.18.{128 + i // 250}.{1 + i % 250}"],
                       "conditions": {"ready": True}}
                      for i in range(first, first + endpoints)]})


def main():
    host, port, certificates, ns, services, endpoints = sys.argv[1:]
    context = ssl.create_default_context(cafile=f"{certificates}/ca.crt")
    context.load_cert_chain(f"{certificates}/admin.crt",
                            f"{certificates}/admin.key")
    conn = http.client.HTTPSConnection(host, int(port), context=context)
    for number in range(int(services)):
        for path, thing in objects(ns, number, int(endpoints)):
            conn.request("POST", path, json.dumps(thing),
                         {"content-type": "application/json"})
            answer = conn.getresponse()
            text = answer.read().decode()
            if answer.status != 201:
                sys.exit(f"{path}: {answer.status} {text}")


if __name__ == "__main__":
    main()
