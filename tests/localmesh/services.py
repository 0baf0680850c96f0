# SPDX-License-Identifier: Apache-2.0
"""Services: cluster addresses, EndpointSlices, the objects folder.

Does what Kubernetes' own controllers would do: complete the objects of the
manifests, and derive EndpointSlices from selectors and readiness.
"""

import datetime
import ipaddress
import json

from . import network

SERVICE_LABEL = "kubernetes.io/service-name"
RESERVED = 10
FAMILIES = ("IPv4", "IPv6")


def family(ip):
    return FAMILIES[ipaddress.ip_address(ip).version == 6]


def _stamp(seconds):
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class ClusterAddresses:
    """Gives Services addresses; one keeps its own as long as it exists."""

    def __init__(self):
        self._given = {}
        self._next = RESERVED

    def keep_only(self, keys):
        for key in set(self._given) - set(keys):
            del self._given[key]

    def addresses(self, key, wanted, taken):
        if key not in self._given:
            used = set(self._given.values())
            while self._next in used or any(
                    str(n[self._next]) in taken
                    for n in (network.SERVICES4, network.SERVICES6)):
                self._advance()
            self._given[key] = self._next
            self._advance()
        number = self._given[key]
        nets = {"IPv4": network.SERVICES4, "IPv6": network.SERVICES6}
        return [str(nets[f][number]) for f in wanted]

    def _advance(self):
        # The last 256 addresses are the hub's own.
        self._next += 1
        if self._next >= 0x7e00:
            self._next = RESERVED


def _families(spec):
    """Both families, unless the Service asks for one."""
    given = [f for f in spec.get("ipFamilies") or [] if f in FAMILIES]
    policy = spec.get("ipFamilyPolicy")
    if policy == "SingleStack" or (given and not policy):
        return given[:1] if policy else given or ["IPv4"]
    return given + [f for f in FAMILIES if f not in given]


def complete(obj, key, pool, taken):
    """The Service as the API server would show it."""
    obj = strip(obj)
    spec = obj["spec"]
    spec.setdefault("type", "ClusterIP")
    if spec["type"] == "ExternalName":
        return obj
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
    given = [ip for ip in spec.get("clusterIPs") or [] if ip] or \
        [ip for ip in [spec.get("clusterIP")] if ip]
    if given and given[0] == "None":
        spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
        spec["ipFamilies"] = _families(spec) or list(FAMILIES)
    else:
        ips = given or pool.addresses(key, _families(spec) or ["IPv4"], taken)
        spec["clusterIP"], spec["clusterIPs"] = ips[0], ips
        spec["ipFamilies"] = [family(ip) for ip in ips]
    spec.setdefault("ipFamilyPolicy", "PreferDualStack"
                    if len(spec["ipFamilies"]) > 1 else "SingleStack")
    return obj


def strip(obj):
    obj = json.loads(json.dumps(obj))
    obj.pop("_file", None)
    return obj


def pod_object(pod):
    """The Pod as the API server would show it."""
    obj = json.loads(json.dumps(pod.object))
    for kind in ("initContainers", "containers"):
        for container in obj["spec"].get(kind) or []:
            container.pop("_run", None)
            container.pop("_script", None)
    meta = obj["metadata"]
    meta["creationTimestamp"] = _stamp(pod.created)
    if pod.terminating:
        meta["deletionTimestamp"] = _stamp(pod.created)
    conditions = [{"type": kind, "status": "True" if pod.ready else "False"}
                  for kind in ("Ready", "ContainersReady")]
    obj["status"] = {
        "phase": pod.phase, "conditions": conditions,
        "startTime": _stamp(pod.created), "hostIP": network.HUB4,
        "podIP": pod.ips[0], "podIPs": [{"ip": ip} for ip in pod.ips],
    }
    return obj


def _target(port, pod):
    """The number behind a Service port on this pod; None if unnamed there."""
    if isinstance(port["targetPort"], int):
        return port["targetPort"]
    for container in pod.object["spec"]["containers"]:
        for own in container.get("ports") or []:
            if own.get("name") == port["targetPort"] and \
                    own.get("protocol", "TCP") == port["protocol"]:
                return own["containerPort"]
    return None


def _selected(service, pods):
    selector = service["spec"].get("selector") or {}
    for pod in pods:
        meta = pod.object["metadata"]
        if selector and pod.phase in ("Running", "Pending") and \
                not pod.error and pod.netns and \
                meta["namespace"] == service["metadata"]["namespace"] and \
                selector.items() <= meta["labels"].items():
            yield pod


def _endpoint(pod, ip, publish):
    serving = pod.phase == "Running" and all(
        c.ready for c in pod.containers if c.role != "init")
    meta = pod.object["metadata"]
    endpoint = {
        "addresses": [ip],
        "conditions": {"ready": pod.ready or bool(publish),
                       "serving": serving, "terminating": pod.terminating},
        "nodeName": "local",
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"],
                      "name": meta["name"], "uid": meta["uid"]},
    }
    hostname = pod.object["spec"].get("hostname")
    if hostname:
        endpoint["hostname"] = hostname
    return endpoint


def slices(service, pods):
    """The EndpointSlices of a Service with a selector."""
    spec, meta = service["spec"], service["metadata"]
    if spec["type"] == "ExternalName" or not spec.get("selector"):
        return []
    groups = {}
    for pod in sorted(_selected(service, pods), key=lambda p: p.number):
        numbers = tuple(_target(p, pod) for p in spec.get("ports") or [])
        groups.setdefault(numbers, []).append(pod)
    if not groups:
        groups = {tuple(p["targetPort"] if isinstance(p["targetPort"], int)
                        else None for p in spec.get("ports") or []): []}
    made = []
    publish = spec.get("publishNotReadyAddresses")
    for i, (numbers, members) in enumerate(groups.items()):
        ports = []
        for port, number in zip(spec.get("ports") or [], numbers):
            if number is not None:
                entry = {"name": port.get("name", ""), "port": number,
                         "protocol": port["protocol"]}
                if "appProtocol" in port:
                    entry["appProtocol"] = port["appProtocol"]
                ports.append(entry)
        for kind in spec["ipFamilies"]:
            endpoints = [_endpoint(p, ip, publish) for p in members
                         for ip in p.ips if family(ip) == kind]
            suffix = f"-{i}" if i else ""
            made.append({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{meta['name']}-{kind.lower()}{suffix}",
                    "namespace": meta["namespace"],
                    "labels": {SERVICE_LABEL: meta["name"],
                               "endpointslice.kubernetes.io/managed-by":
                               "endpointslice-controller.k8s.io"}},
                "addressType": kind, "endpoints": endpoints, "ports": ports,
            })
    return made


def derive(manifests, pods, pool):
    """(all objects, Services, EndpointSlices), complete and in order."""
    services, slice_list = [], []
    by_key = {k: o for k, o in manifests.objects.items() if k[0] == "Service"}
    pool.keep_only(by_key)
    taken = {ip for o in by_key.values()
             for ip in [o["spec"].get("clusterIP"),
                        *(o["spec"].get("clusterIPs") or [])]}
    for key in sorted(by_key):
        services.append(complete(by_key[key], key, pool, taken))
    for service in services:
        slice_list += slices(service, pods)
    own = [strip(o) for o in manifests.of_kind("EndpointSlice")]
    objects = [pod_object(p) for p in pods] + services + slice_list
    objects += _implied(manifests, objects + own)
    return objects, services, slice_list + own


def _implied(manifests, objects):
    """Namespaces and ServiceAccounts that are used but not written down."""
    made = []
    spaces = {"default"} | {k[1] for k in manifests.objects if k[1]}
    accounts = {(n, "default") for n in spaces}
    for obj in objects:
        if obj["kind"] == "Pod":
            accounts.add((obj["metadata"]["namespace"],
                          obj["spec"]["serviceAccountName"]))
    for name in sorted(spaces):
        if not manifests.get("Namespace", "", name):
            made.append({"apiVersion": "v1", "kind": "Namespace",
                         "metadata": {"name": name, "labels": {
                             "kubernetes.io/metadata.name": name}}})
    for namespace, name in sorted(accounts):
        if not manifests.get("ServiceAccount", namespace, name):
            made.append({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": name,
                                      "namespace": namespace}})
    return made


def ready_endpoints(service, slice_list, kind, port):
    """[(address, port)] that may be called; terminating ones as a last
    resort, as kube-proxy does. With port None: addresses only."""
    ready, last = [], []
    meta = service["metadata"]
    for item in slice_list:
        labels = item["metadata"].get("labels") or {}
        if item["addressType"] != kind or \
                labels.get(SERVICE_LABEL) != meta["name"] or \
                item["metadata"]["namespace"] != meta["namespace"]:
            continue
        numbers = [None]
        if port is not None:
            numbers = [p["port"] for p in item.get("ports") or []
                       if (p.get("name") or "") == port.get("name", "") and
                       p.get("port")]
        for endpoint in item.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            for number in numbers:
                entry = (endpoint["addresses"][0], number)
                if conditions.get("ready") is not False:
                    ready.append(entry)
                elif conditions.get("serving") and \
                        conditions.get("terminating"):
                    last.append(entry)
    return ready or last
