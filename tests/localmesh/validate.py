# SPDX-License-Identifier: Apache-2.0
"""What must hold for an object before the mesh acts on it.

An error names the field by its path, shows its value and says what was
expected. Fields that the local mesh does not use are left alone.
"""

import ipaddress
import json
import re

MESH_UID = 2140
MAX_REPLICAS = 500
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")


class FieldError(Exception):
    def __init__(self, field, value, expected):
        shown = json.dumps(value, default=str)
        if len(shown) > 100:
            shown = shown[:97] + "..."
        if value is None:
            shown = "missing"
        super().__init__(f"{field} is {shown}: expected {expected}")


def need(ok, field, value, expected):
    if not ok:
        raise FieldError(field, value, expected)


def a_map(value, field):
    need(isinstance(value, dict), field, value, "a mapping")
    return value


def a_list(value, field):
    need(isinstance(value, list), field, value, "a list")
    return value


def maps_in(parent, name, field):
    """The items of an optional list of mappings, each with its path."""
    path = f"{field}.{name}"
    for i, item in enumerate(a_list(parent.get(name) or [], path)):
        yield f"{path}[{i}]", a_map(item, f"{path}[{i}]")


def texts(parent, name, field):
    path = f"{field}.{name}"
    for key, value in a_map(parent.get(name) or {}, path).items():
        need(isinstance(key, str), path, key, "text as a key")
        need(isinstance(value, str), f"{path}.{key}", value,
             "text (in quotes, if it looks like a number)")


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def a_port(value, field):
    need(is_int(value) and 1 <= value <= 65535, field, value,
         "a port, 1 to 65535")


def a_label(value, field):
    need(isinstance(value, str) and LABEL.fullmatch(value), field, value,
         "a DNS label: a-z, 0-9 and '-', at most 63 characters")


def one_of(parent, name, field, choices):
    value = parent.get(name, choices[0])
    need(value in choices, f"{field}.{name}", value, " or ".join(choices))


def validate(obj):
    a_map(obj, "document")
    for name in ("apiVersion", "kind"):
        need(isinstance(obj.get(name), str), name, obj.get(name), "text")
    meta = a_map(obj.get("metadata"), "metadata")
    name = meta.get("name")
    need(isinstance(name, str) and SUBDOMAIN.fullmatch(name),
         "metadata.name", name, "a DNS name of lower-case labels")
    if "namespace" in meta:
        a_label(meta["namespace"], "metadata.namespace")
    texts(meta, "labels", "metadata")
    texts(meta, "annotations", "metadata")
    kind = obj["kind"]
    if kind in WORKLOADS:
        _workload(obj)
    elif kind == "Pod":
        a_label(name, "metadata.name")
        pod_spec(a_map(obj.get("spec"), "spec"), "spec")
    elif kind == "Service":
        a_label(name, "metadata.name")
        _service(a_map(obj.get("spec"), "spec"))
    elif kind == "EndpointSlice":
        _slice(obj)
    elif kind in ("ConfigMap", "Secret"):
        texts(obj, "data", kind)
        texts(obj, "stringData", kind)


def _workload(obj):
    spec = a_map(obj.get("spec"), "spec")
    replicas = spec.get("replicas", 1)
    need(is_int(replicas) and 0 <= replicas <= MAX_REPLICAS,
         "spec.replicas", replicas, f"a number, 0 to {MAX_REPLICAS}")
    template = a_map(spec.get("template"), "spec.template")
    meta = a_map(template.get("metadata") or {}, "spec.template.metadata")
    texts(meta, "labels", "spec.template.metadata")
    texts(meta, "annotations", "spec.template.metadata")
    if obj["kind"] != "Job":
        selector = a_map(spec.get("selector"), "spec.selector")
        texts(selector, "matchLabels", "spec.selector")
        labels = meta.get("labels") or {}
        for key, value in (selector.get("matchLabels") or {}).items():
            need(labels.get(key) == value,
                 f"spec.template.metadata.labels.{key}", labels.get(key),
                 f"{value!r}, as spec.selector.matchLabels says")
    pod_spec(a_map(template.get("spec"), "spec.template.spec"),
             "spec.template.spec")


def pod_spec(spec, field):
    one_of(spec, "restartPolicy", field, ("Always", "OnFailure", "Never"))
    _user(spec, field)
    volumes = set()
    for path, volume in maps_in(spec, "volumes", field):
        a_label(volume.get("name"), f"{path}.name")
        volumes.add(volume["name"])
    need(spec.get("containers"), f"{field}.containers",
         spec.get("containers"), "at least one container")
    names = set()
    for kind in ("initContainers", "containers"):
        for path, container in maps_in(spec, kind, field):
            a_label(container.get("name"), f"{path}.name")
            need(container["name"] not in names, f"{path}.name",
                 container["name"], "a name that no other container has")
            names.add(container["name"])
            _container(container, path, volumes)


def _user(parent, field):
    context = a_map(parent.get("securityContext") or {},
                    f"{field}.securityContext")
    for name in ("runAsUser", "runAsGroup"):
        value = context.get(name)
        if value is not None:
            path = f"{field}.securityContext.{name}"
            need(is_int(value) and 0 <= value < 2 ** 31, path, value,
                 "a numeric id")
            need(value != MESH_UID, path, value,
                 f"another id than {MESH_UID}, which is the sidecar's: its "
                 "traffic is not redirected")


def _container(container, field, volumes):
    image = container.get("image", "")
    need(isinstance(image, str), f"{field}.image", image, "text")
    _user(container, field)
    for name in ("command", "args"):
        path = f"{field}.{name}"
        for i, word in enumerate(a_list(container.get(name) or [], path)):
            need(isinstance(word, str), f"{path}[{i}]", word,
                 "text (in quotes, if it looks like a number)")
    for path, env in maps_in(container, "env", field):
        name = env.get("name")
        need(isinstance(name, str) and name and "=" not in name,
             f"{path}.name", name, "the name of a variable")
        if "valueFrom" in env:
            a_map(env["valueFrom"], f"{path}.valueFrom")
        value = env.get("value") or ""
        need(isinstance(value, str), f"{path}.value", value,
             "text (in quotes, if it looks like a number)")
    for path, port in maps_in(container, "ports", field):
        a_port(port.get("containerPort"), f"{path}.containerPort")
        one_of(port, "protocol", path, ("TCP", "UDP", "SCTP"))
    for path, mount in maps_in(container, "volumeMounts", field):
        need(mount.get("name") in volumes, f"{path}.name",
             mount.get("name"), "the name of a volume of the pod")
        where = mount.get("mountPath")
        need(isinstance(where, str) and where.startswith("/") and
             where.strip("/"), f"{path}.mountPath", where, "an absolute path")
    if container.get("readinessProbe") is not None:
        _probe(a_map(container["readinessProbe"], f"{field}.readinessProbe"),
               f"{field}.readinessProbe",
               {p.get("name") for p in container.get("ports") or []})


def _probe(probe, field, port_names):
    kinds = [k for k in ("httpGet", "tcpSocket", "exec", "grpc")
             if k in probe]
    need(len(kinds) == 1, field, kinds,
         "exactly one of httpGet, tcpSocket, exec, grpc")
    target = a_map(probe[kinds[0]], f"{field}.{kinds[0]}")
    if kinds[0] == "exec":
        need(target.get("command"), f"{field}.exec.command",
             target.get("command"), "a command")
    elif isinstance(target.get("port"), str):
        need(target["port"] in port_names, f"{field}.{kinds[0]}.port",
             target["port"], "the name of a port of the container")
    else:
        a_port(target.get("port"), f"{field}.{kinds[0]}.port")
    for name in ("periodSeconds", "timeoutSeconds", "initialDelaySeconds",
                 "failureThreshold", "successThreshold"):
        value = probe.get(name, 1)
        need(is_int(value) and value >= 0, f"{field}.{name}", value,
             "a number")


def _service(spec):
    one_of(spec, "type", "spec",
           ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"))
    if spec.get("type") == "ExternalName":
        need(isinstance(spec.get("externalName"), str), "spec.externalName",
             spec.get("externalName"), "a DNS name")
        return
    texts(spec, "selector", "spec")
    names = set()
    ports = list(maps_in(spec, "ports", "spec"))
    need(ports or spec.get("clusterIP") == "None", "spec.ports",
         spec.get("ports"), "at least one port")
    for path, port in ports:
        a_port(port.get("port"), f"{path}.port")
        one_of(port, "protocol", path, ("TCP", "UDP", "SCTP"))
        target = port.get("targetPort", port["port"])
        if not isinstance(target, str):
            a_port(target, f"{path}.targetPort")
        name = port.get("name", "")
        need(len(ports) == 1 or (isinstance(name, str) and name),
             f"{path}.name", port.get("name"),
             "a name, since the Service has several ports")
        need(name not in names, f"{path}.name", name,
             "a name that no other port has")
        names.add(name)
    ips = [spec["clusterIP"]] if spec.get("clusterIP") else []
    for ip in ips + a_list(spec.get("clusterIPs") or [], "spec.clusterIPs"):
        if ip != "None":
            an_address(ip, "spec.clusterIP")


def an_address(value, field):
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise FieldError(field, value, "an IP address") from None


def _slice(obj):
    one_of(obj, "addressType", "EndpointSlice", ("IPv4", "IPv6", "FQDN"))
    for path, endpoint in maps_in(obj, "endpoints", "EndpointSlice"):
        for address in a_list(endpoint.get("addresses"), f"{path}.addresses"):
            if obj.get("addressType") != "FQDN":
                an_address(address, f"{path}.addresses")
    for path, port in maps_in(obj, "ports", "EndpointSlice"):
        if port.get("port") is not None:
            a_port(port["port"], f"{path}.port")
