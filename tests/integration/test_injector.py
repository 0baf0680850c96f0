# SPDX-License-Identifier: Apache-2.0
"""eastwest-injector from outside: the API server's part is played by curl."""
import copy
import os
import subprocess

import pytest

from injectors import (INJECTOR, PREFIX, a_pod, env_of, injector,  # noqa: F401
                       options, ours, start)
from meshes import BIN


# --- what is injected ---

def test_the_whole_patch(injector):
    before = a_pod(initContainers=[{"name": "migrate", "image": "m:1"}])
    after = injector.inject(before)
    version = subprocess.run([INJECTOR, "--version"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.split()[1]
    security = {"privileged": False, "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "seccompProfile": {"type": "RuntimeDefault"}}
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}}

    def field(path):
        return {"fieldRef": {"fieldPath": path}}

    def probe(period, failures):
        return {"httpGet": {"path": "/ready", "port": 15020},
                "periodSeconds": period, "timeoutSeconds": 2,
                "failureThreshold": failures}
    expected = copy.deepcopy(before)
    expected["metadata"]["annotations"] = {PREFIX + "injected": version}
    expected["spec"]["volumes"] += [
        {"name": "eastwest-token", "projected": {"sources": [
            {"serviceAccountToken": {"audience": "eastwest",
                                     "expirationSeconds": 3600,
                                     "path": "token"}}]}},
        {"name": "eastwest-roots", "configMap": {
            "name": "eastwest-roots",
            "items": [{"key": "roots.pem", "path": "roots.pem"}]}},
        {"name": "eastwest-run", "emptyDir": {"medium": "Memory",
                                              "sizeLimit": "1Mi"}}]
    expected["spec"]["initContainers"] = [
        {"name": "eastwest-init", "image": "mesh.test/eastwest:1",
         "command": ["eastwest-init"], "args": [], "resources": resources,
         "terminationMessagePolicy": "FallbackToLogsOnError",
         "securityContext": {
             **security, "runAsUser": 0, "runAsGroup": 0,
             "runAsNonRoot": False, "capabilities": {
                 "drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}},
         "volumeMounts": [{"name": "eastwest-run", "mountPath": "/run"}]},
        {"name": "eastwest-sidecar", "image": "mesh.test/eastwest:1",
         "restartPolicy": "Always", "command": ["eastwest-sidecar"],
         "args": ["--controller", "10.96.0.9:15010",
                  "--trust-domain", "cluster.local",
                  "--token-file", "/var/run/secrets/eastwest/token",
                  "--roots-file", "/var/run/eastwest/roots/roots.pem",
                  "--access-log", "off", "--log-level", "info",
                  "--drain-seconds", "28",
                  "--destination-idle-seconds", "300"],
         "env": [
             {"name": "EASTWEST_NAMESPACE",
              "valueFrom": field("metadata.namespace")},
             {"name": "EASTWEST_POD", "valueFrom": field("metadata.name")},
             {"name": "EASTWEST_SERVICE_ACCOUNT",
              "valueFrom": field("spec.serviceAccountName")},
             {"name": "EASTWEST_POD_IPS", "valueFrom": field("status.podIPs")},
             {"name": "EASTWEST_ZONE", "valueFrom": field(
                 "metadata.labels['topology.kubernetes.io/zone']")},
             {"name": "EASTWEST_PROBES", "value": "8080/healthz"}],
         "resources": resources,
         "terminationMessagePolicy": "FallbackToLogsOnError",
         "securityContext": {
             **security, "runAsUser": 2140, "runAsGroup": 2140,
             "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
         "volumeMounts": [
             {"name": "eastwest-token", "readOnly": True,
              "mountPath": "/var/run/secrets/eastwest"},
             {"name": "eastwest-roots", "readOnly": True,
              "mountPath": "/var/run/eastwest/roots"}],
         "startupProbe": probe(1, 600), "readinessProbe": probe(5, 3)},
        {"name": "migrate", "image": "m:1"}]
    assert after == expected


def test_reviewing_the_result_changes_nothing(injector):
    once = injector.inject(a_pod())
    injector.unchanged(once)
    # One without the other is somebody's doing.
    lost = copy.deepcopy(once)
    del lost["metadata"]["annotations"]
    assert "already, but no annotation" in injector.left(lost)
    del once["spec"]["initContainers"]
    assert "no container eastwest-sidecar" in injector.left(once)


def test_the_pods_own_containers_are_not_touched(injector):
    before = a_pod()
    after = injector.inject(before)
    assert after["spec"]["containers"] == before["spec"]["containers"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


@pytest.mark.parametrize("absent", [None, [], "missing"])
def test_lists_that_are_not_there_are_made(injector, absent):
    pod = a_pod()
    for name in ("volumes", "initContainers"):
        pod["spec"][name] = absent
        if absent == "missing":
            del pod["spec"][name]
    after = injector.inject(pod)
    assert [c["name"] for c in after["spec"]["initContainers"]] == [
        "eastwest-init", "eastwest-sidecar"]
    assert len(after["spec"]["volumes"]) == 3


def test_other_annotations_stay(injector):
    after = injector.inject(a_pod({"a/b": "c", "~1": "/"}))
    assert after["metadata"]["annotations"]["a/b"] == "c"
    assert after["metadata"]["annotations"]["~1"] == "/"
    assert PREFIX + "injected" in after["metadata"]["annotations"]


def test_pods_of_jobs_are_injected(injector):
    pod = a_pod(restartPolicy="Never")
    _, sidecar = ours(injector.inject(pod))
    # A native sidecar ends with the pod's containers.
    assert sidecar["restartPolicy"] == "Always"


def test_all_options_reach_the_containers(injector):
    init, sidecar = ours(injector.inject(a_pod(options(
        skip_inbound_ports="22, 6000-6100", skip_outbound_ports="25",
        skip_inbound_cidrs="10.0.0.0/8,fd00::/8",
        skip_outbound_cidrs="192.0.2.1", opaque_ports="3306", strict="true",
        access_log="errors", log_level="debug", drain_seconds="5",
        cpu_request="20m", memory_request="32Mi", cpu_limit="1",
        memory_limit="64Mi", image="other.test/e@sha256:00"))))
    assert init["args"] == [
        "--skip-inbound-ports", "22,6000-6100", "--skip-outbound-ports", "25",
        "--skip-inbound-cidrs", "10.0.0.0/8,fd00::/8",
        "--skip-outbound-cidrs", "192.0.2.1"]
    args = sidecar["args"]
    for name, value in (("opaque-ports", "3306"), ("access-log", "errors"),
                        ("log-level", "debug"), ("drain-seconds", "5")):
        assert args[args.index("--" + name) + 1] == value
    assert "--strict" in args
    for c in (init, sidecar):
        assert c["image"] == "other.test/e@sha256:00"
        assert c["resources"] == {"requests": {"cpu": "20m", "memory": "32Mi"},
                                  "limits": {"cpu": "1", "memory": "64Mi"}}


LIMITS = [
    {}, {"opaque_ports": ",".join(["1-65535"] * 64)},
    {"skip_inbound_ports": ",".join(["1-65535"] * 128),
     "skip_outbound_ports": ",".join(["7"] * 128)},
    {"skip_inbound_cidrs": ",".join(
        ["ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"] * 128)},
    {"skip_outbound_cidrs": "0.0.0.0/0,::/0, ,10.1.2.3/8,"},
    {"drain_seconds": "86400", "strict": "true", "access_log": "all"},
    {"skip_inbound_ports": " , ", "opaque_ports": ""},
]


@pytest.mark.parametrize("given", LIMITS, ids=range(len(LIMITS)))
def test_what_is_accepted_our_programs_take(injector, given):
    """The last option ends them, after all others were read."""
    paths = ["/" + "x" * 1000 + str(i) for i in range(40)] + ["/$(HOME)?a=b"]
    containers = [{"name": f"c{i}", "livenessProbe": {"httpGet": {
        "port": 65535 - i, "path": path}}} for i, path in
        enumerate(reversed(paths))]
    init, sidecar = ours(injector.inject(a_pod(options(**given),
                                               containers=containers)))
    for container in (init, sidecar):
        program = os.path.join(BIN, container["command"][0])
        env = {k: (v or "").replace("$$", "$")
               for k, v in env_of(container).items()
               } if "env" in container else {}
        env.update({k: v for k, v in {
            "EASTWEST_NAMESPACE": "shop", "EASTWEST_POD": "web-1",
            "EASTWEST_SERVICE_ACCOUNT": "default",
            "EASTWEST_POD_IPS": "10.0.0.1,fd00::1"}.items() if k in env})
        done = subprocess.run(
            [program, *[a.replace("$$", "$") for a in container["args"]],
             "--version"], env=env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(container["command"][0])


def moved(container, kind, port):
    """With a tcpSocket probe as the sidecar answers it."""
    return {**container, kind: {"httpGet": {
        "path": f"/probe/{port}", "port": 15020, "scheme": "HTTP"}}}


def test_probes_are_named_and_only_those_of_sockets_move(injector):
    containers = [
        {"name": "a", "ports": [{"name": "web", "containerPort": 80},
                                {"name": "adm", "containerPort": 81}],
         "startupProbe": {"httpGet": {"path": "/s?x=1", "port": "web"}},
         "readinessProbe": {"tcpSocket": {"port": "adm"}},
         "livenessProbe": {"exec": {"command": ["true"]}},
         "lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 80}}}},
        {"name": "b", "ports": [{"name": "web", "containerPort": 90}],
         "livenessProbe": {"httpGet": {"port": "web"}},
         "readinessProbe": {"httpGet": {"port": 80, "host": "192.0.2.1"}}}]
    sidecar = {"name": "c", "restartPolicy": "Always",
               "startupProbe": {"tcpSocket": {"port": 7000}}}
    after = injector.inject(a_pod(containers=containers,
                                  initContainers=[sidecar]))
    assert after["spec"]["containers"] == [
        moved(containers[0], "readinessProbe", 81), containers[1]]
    assert after["spec"]["initContainers"][2] == moved(
        sidecar, "startupProbe", 7000)
    assert env_of(ours(after)[1])["EASTWEST_PROBES"] == \
        "7000,80/s?x=1,81,80/bye,90/"


def test_probes_that_strict_mode_refuses_are_told(injector):
    containers = [{"name": "a", "livenessProbe": {"grpc": {"port": 9000}},
                   "readinessProbe": {"httpGet": {"port": 8443,
                                                  "scheme": "HTTPS"}}}]
    assert "warnings" not in injector.review(a_pod(containers=containers))
    strict = options(strict="true")
    r = injector.review(a_pod(strict, containers=containers))
    assert len(r["warnings"]) == 2
    assert any("gRPC" in w and "9000" in w for w in r["warnings"])
    assert any("HTTPS" in w and "8443" in w for w in r["warnings"])
    strict.update(options(skip_inbound_ports="8443,9000"))
    assert "warnings" not in injector.review(
        a_pod(strict, containers=containers))


def test_the_zone_is_given_where_it_is_known(injector):
    zone = "topology.kubernetes.io/zone"
    _, sidecar = ours(injector.inject(a_pod()))
    assert env_of(sidecar)["EASTWEST_ZONE"] is None  # from a label, later
    _, sidecar = ours(injector.inject(a_pod(nodeSelector={zone: "eu-1a"})))
    assert env_of(sidecar)["EASTWEST_ZONE"] == "eu-1a"
    _, sidecar = ours(injector.inject(a_pod(labels={zone: "eu-1b"})))
    assert env_of(sidecar)["EASTWEST_ZONE"] == "eu-1b"


# --- what is not ---

SIDECAR = {"name": "eastwest-sidecar", "restartPolicy": "Always",
           "securityContext": {"runAsUser": 2140}}


@pytest.mark.parametrize("pod, why", [
    (a_pod(hostNetwork=True), "hostNetwork"),
    (a_pod(labels={PREFIX + "inject": "disabled"}), "disabled"),
    (a_pod(options(strict="nonsense"), {PREFIX + "inject": "disabled"}),
     "disabled"),
    (a_pod({PREFIX + "injected": "0.0.1"}), "0.0.1"),
    (a_pod(initContainers=[SIDECAR]), "already"),
    (a_pod({"kubernetes.io/config.mirror": "x"}), "file of its node"),
    (a_pod(os={"name": "windows"}), "Linux"),
    (a_pod(nodeSelector={"kubernetes.io/os": "windows"}), "Linux"),
    (a_pod({PREFIX + "inject": "disabled"}), "annotation"),
])
def test_left_as_it_is_with_a_warning(injector, pod, why):
    warning = injector.left(pod)
    assert warning.startswith("eastwest: not injected") and why in warning


@pytest.mark.parametrize("more", [
    {"operation": "UPDATE"}, {"operation": "DELETE", "object": None},
    {"subResource": "ephemeralcontainers"},
    {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}])
def test_only_pods_that_are_made(injector, more):
    assert "webhook's rules" in injector.left(a_pod(), **more)


@pytest.mark.parametrize("pod, words", [
    (a_pod(securityContext={"runAsUser": 2140}),
     ["spec.securityContext.runAsUser: 2140"]),
    (a_pod(containers=[{"name": "x", "securityContext": {"runAsUser": 2140}}]),
     ["container x", "2140"]),
    (a_pod(initContainers=[{"name": "y",
                            "securityContext": {"runAsUser": 2140}}]),
     ["container y", "2140"]),
    (a_pod(containers=[SIDECAR]), ["eastwest-sidecar", "name is taken"]),
    (a_pod(initContainers=[{"name": "eastwest-sidecar"}]), ["name is taken"]),
    (a_pod(initContainers=[{"name": "eastwest-init"}]), ["name is taken"]),
    (a_pod(volumes=[{"name": "eastwest-token"}]),
     ["volume eastwest-token", "name is taken"]),
    (a_pod(volumes=[{"name": "eastwest-roots"}]), ["volume eastwest-roots"]),
    (a_pod(containers=[{"name": "x", "ports": [{"containerPort": 15006}]}]),
     ["container x", "15006", "listens there"]),
    (a_pod({PREFIX + "inject": "true"}),
     ["annotation", '"true"', "enabled or disabled"]),
    (a_pod(labels={PREFIX + "inject": "yes"}),
     [PREFIX + "inject", '"yes"', "enabled or disabled"]),
])
def test_denied_with_the_reason(injector, pod, words):
    message = injector.denied(pod)
    for word in words:
        assert word in message


BAD = {
    "skip-inbound-ports": ["0", "65536", "80-79", "http", "80;81", "1 2"],
    "skip-outbound-ports": ["-1", "80,x", ",".join(["1"] * 129)],
    "skip-inbound-cidrs": ["10.0.0.0/33", "fd00::/129", "example.test"],
    "skip-outbound-cidrs": ["10.0.0", "/8", ",".join(["::"] * 129)],
    "opaque-ports": ["1-", "-", ",".join(["1"] * 65)],
    "strict": ["", "yes", "TRUE", "1"],
    "access-log": ["on", "ALL"],
    "log-level": ["trace", ""],
    "drain-seconds": ["-1", "86401", "5s", "1.5"],
    "cpu-request": ["0", "ten", "1001", "none"],
    "memory-request": ["1", "16MB", "none", "2Ti"],
    "cpu-limit": ["0", "5m"],
    "memory-limit": ["4Mi", "64mi"],
    "image-pull-policy": ["", "always"],
    "image-pull-secrets": ["A", "a/b", ",".join(["a"] * 17)],
    "image": ["", "a b", "$(X)", "-x", "x\nFROM y", "a" * 513],
}


@pytest.mark.parametrize("name, value", [
    (n, v) for n in BAD for v in BAD[n]],
    ids=lambda s: s[:20].encode("unicode_escape").decode())
def test_bad_annotations_are_denied_by_name(injector, name, value):
    message = injector.denied(a_pod({PREFIX + name: value}))
    assert PREFIX + name in message and "expected " in message
    shown = value[:60].replace("\n", "?")
    assert f'"{shown}' in message
    assert len(message) < 500


def test_how_images_are_pulled(start):
    injector = start("--default", "image-pull-policy=IfNotPresent",
                     "--default", "image-pull-secrets=mesh")
    after = injector.inject(a_pod())
    assert after["spec"]["imagePullSecrets"] == [{"name": "mesh"}]
    assert [c["imagePullPolicy"] for c in ours(after)] == ["IfNotPresent"] * 2
    after = injector.inject(a_pod(
        options(image_pull_secrets="own, mesh", image_pull_policy="Never"),
        imagePullSecrets=[{"name": "apps"}, {"name": "own"}]))
    assert after["spec"]["imagePullSecrets"] == [
        {"name": "apps"}, {"name": "own"}, {"name": "mesh"}]
    assert [c["imagePullPolicy"] for c in ours(after)] == ["Never"] * 2


@pytest.mark.parametrize("ns", ["kube-system", "kube-public",
                                "kube-node-lease", "eastwest-system"])
def test_namespaces_that_are_never_in_the_mesh(injector, ns):
    assert "never in the mesh" in injector.left(a_pod(), namespace=ns)


def test_unknown_annotations_are_told(injector):
    r = injector.review(a_pod(options(opaque_port="3306")))
    assert r["allowed"] and "patch" in r
    assert r["warnings"] == [
        f"eastwest: annotation {PREFIX}opaque-port: no such option"]


def test_opt_in_by_the_pods_label(start):
    injector = start("--opt-in", "pod")
    assert "no label" in injector.left(a_pod())
    assert "disabled" in injector.left(
        a_pod(labels={PREFIX + "inject": "disabled"}))
    assert ours(injector.inject(a_pod(labels={PREFIX + "inject": "enabled"})))


def test_defaults_of_the_mesh(start):
    injector = start("--trust-domain", "mesh.test", "--token-audience", "aud",
                     "--controller-id", "spiffe://mesh.test/ns/m/sa/c",
                     "--default", "strict=true", "--default",
                     "memory-limit=128Mi", "--default", "cpu-request=50m",
                     "--default", "access-log=errors", "--default",
                     "skip-outbound-cidrs=169.254.169.254, fd00::1")
    after = injector.inject(a_pod())
    init, sidecar = ours(after)
    args = sidecar["args"]
    assert "--strict" in args
    for name, value in (("trust-domain", "mesh.test"),
                        ("controller-id", "spiffe://mesh.test/ns/m/sa/c"),
                        ("access-log", "errors")):
        assert args[args.index("--" + name) + 1] == value
    assert init["args"] == ["--skip-outbound-cidrs", "169.254.169.254,fd00::1"]
    assert sidecar["resources"] == {
        "requests": {"cpu": "50m", "memory": "16Mi"},
        "limits": {"memory": "128Mi"}}
    token = after["spec"]["volumes"][1]["projected"]["sources"][0]
    assert token["serviceAccountToken"]["audience"] == "aud"
    # The pod has the last word.
    _, sidecar = ours(injector.inject(a_pod(options(
        strict="false", memory_limit="none", access_log="off"))))
    assert "--strict" not in sidecar["args"]
    assert "limits" not in sidecar["resources"]


def test_the_controllers_name_is_looked_up(start):
    injector = start("--controller", "localhost:15010")
    _, sidecar = ours(injector.inject(a_pod()))
    address = sidecar["args"][sidecar["args"].index("--controller") + 1]
    assert address in ("127.0.0.1:15010", "[::1]:15010")
