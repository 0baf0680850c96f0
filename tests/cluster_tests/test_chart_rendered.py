# SPDX-License-Identifier: Apache-2.0
"""What the chart renders, without a cluster."""
import json
import pathlib
import re

import pytest
import yaml

from cluster import archives, build
from kube import CHART, RELEASE, SYSTEM, helm_alone, rendered

pytestmark = pytest.mark.usefixtures("helm")
HERE = pathlib.Path(__file__).parent
VALUES = yaml.safe_load(pathlib.Path(CHART, "values.yaml").read_text())
CERT_MANAGER = ("--set", "injector.certManager.enabled=true")
# What goes into an object of Kubernetes as it is.
FREE = {"requests", "limits", "nodeSelector", "affinity", "podAnnotations",
        "global"}


def named(objects, kind, name):
    (found,) = [o for o in objects if o["kind"] == kind
                and o["metadata"]["name"] == name
                and "helm.sh/hook" not in o["metadata"].get("annotations", {})]
    return found


def webhooks(objects):
    return named(objects, "MutatingWebhookConfiguration",
                 "eastwest-injector")["webhooks"]


def arguments(objects, component):
    (container,) = named(objects, "Deployment", f"eastwest-{component}")[
        "spec"]["template"]["spec"]["containers"]
    return container["args"]


def refused(*options):
    code, _, err = helm_alone("template", RELEASE, CHART, *options)
    assert code != 0
    return err


def test_lint():
    code, out, err = helm_alone("lint", "--strict", CHART)
    assert code == 0, out + err


@pytest.mark.parametrize("mode", ["default", "cert-manager"])
def test_rules_are_those_that_were_agreed_on(mode):
    """A change of rbac.yaml is what a reviewer looks at."""
    objects = rendered(*(CERT_MANAGER if mode == "cert-manager" else ()))
    rules = {f'{o["kind"]} {o["metadata"]["name"]}': o["rules"]
             for o in objects if o["kind"] in ("Role", "ClusterRole")}
    assert rules == yaml.safe_load((HERE / "rbac.yaml").read_text())[mode]
    for o in objects:
        if o["kind"].endswith("RoleBinding"):
            name = o["metadata"]["name"]
            assert o["roleRef"]["name"] == name
            assert o["subjects"] == [{"kind": "ServiceAccount", "name": name,
                                      "namespace": SYSTEM}]


def levels(values, path=()):
    """The paths of our own objects."""
    yield path
    for key, value in values.items():
        if isinstance(value, dict) and key not in FREE:
            yield from levels(value, (*path, key))


@pytest.mark.parametrize("path", levels(VALUES), ids=".".join)
def test_unknown_keys_are_refused(path):
    err = refused("--set", ".".join((*path, "tpyo")) + "=1")
    assert "tpyo" in err and "not allowed" in err


@pytest.mark.parametrize("value", [
    "controller.replicas=0", "controller.logLevel=loud",
    "controller.certificateLifetimeSeconds=10", "injector.failurePolicy=Maybe",
    "injector.timeoutSeconds=31", "injector.exemptNamespaces={Bad_Name}",
    "image.pullPolicy=Sometimes", "image.digest=sha256:12", "image.repository=",
    "trustDomain=UPPER", "sidecar.accessLog=some", "sidecar.strict=perhaps",
    "sidecar.opaquePorts=http", "sidecar.skipOutboundCidrs=ten",
    "sidecar.drainSeconds=soon", "test.namespace=-", "priorityClass.name="])
def test_faulty_values_are_refused_by_name(value):
    assert value.partition("=")[0].rpartition(".")[2] in refused("--set", value)


def test_kubernetes_without_native_sidecars_is_refused():
    assert "1.29" in refused("--kube-version", "1.28.9")


def test_versions_are_those_of_the_programs():
    chart = yaml.safe_load(pathlib.Path(CHART, "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == archives.version()


def test_all_values_are_documented_and_nothing_else():
    text = pathlib.Path(CHART, "../../docs/install.md").read_text()
    documented = set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE))

    def leaves(values, path=()):
        for key, value in values.items():
            if isinstance(value, dict) and value and key != "resources":
                yield from leaves(value, (*path, key))
            else:
                yield ".".join((*path, key))

    assert documented == set(leaves(VALUES))


def test_no_certificate_is_rendered():
    for mode in ((), CERT_MANAGER):
        objects = rendered(*mode)
        assert "caBundle" not in json.dumps(objects)
        assert not [o for o in objects if o["kind"] == "Secret"]


def test_the_system_is_never_sent_to_the_webhook():
    for webhook in webhooks(rendered("--set",
                                     "injector.exemptNamespaces={storage}")):
        (names,) = [e for e in webhook["namespaceSelector"]["matchExpressions"]
                    if e["key"] == "kubernetes.io/metadata.name"]
        assert names["operator"] == "NotIn" and set(names["values"]) == {
            "kube-system", "kube-public", "kube-node-lease", SYSTEM, "storage"}
        assert webhook["failurePolicy"] == "Fail"


def test_values_of_the_sidecar_are_defaults_of_the_injector():
    args = arguments(rendered(
        "--set", "sidecar.accessLog=errors,sidecar.drainSeconds=60",
        "--set", "sidecar.strict=true,sidecar.cpuLimit=2",
        "--set-string", r"sidecar.skipOutboundPorts=25\,6000-6100"), "injector")
    defaults = [a for a in args if a.startswith("--default=")]
    assert sorted(defaults) == [
        "--default=access-log=errors", "--default=cpu-limit=2",
        "--default=cpu-request=10m", "--default=drain-seconds=60",
        "--default=image-pull-policy=IfNotPresent",
        "--default=memory-request=16Mi",
        "--default=skip-outbound-ports=25,6000-6100", "--default=strict=true"]


def test_image_by_tag_and_by_digest():
    args = arguments(rendered("--set", "image.repository=r.example/e"),
                     "injector")
    assert f"--image=r.example/e:{archives.version()}" in args
    digest = "sha256:" + "1" * 64
    args = arguments(rendered("--set", f"image.digest={digest}"), "injector")
    assert f"--image=localhost/eastwest@{digest}" in args


def test_one_replica_has_no_budget():
    kinds = [o["kind"] for o in rendered("--set", "controller.replicas=1")]
    assert kinds.count("PodDisruptionBudget") == 1


def test_cert_manager_mode():
    objects = rendered(*CERT_MANAGER)
    config = named(objects, "MutatingWebhookConfiguration",
                   "eastwest-injector")
    assert config["metadata"]["annotations"] == {
        "cert-manager.io/inject-ca-from": f"{SYSTEM}/eastwest-injector"}
    certificate = named(objects, "Certificate", "eastwest-injector")["spec"]
    assert certificate["secretName"] == "eastwest-injector-tls"
    assert certificate["dnsNames"] == [f"eastwest-injector.{SYSTEM}.svc"]
    assert named(objects, "Issuer", "eastwest-injector")
    objects = rendered(*CERT_MANAGER, "--set", "injector.certManager.issuerRef."
                       "name=corp,injector.certManager.issuerRef.kind="
                       "ClusterIssuer")
    assert named(objects, "Certificate", "eastwest-injector")["spec"][
        "issuerRef"] == {"name": "corp", "kind": "ClusterIssuer"}
    assert not [o for o in objects if o["kind"] == "Issuer"]


def test_sleep_before_the_end_only_where_kubernetes_has_it():
    def lifecycle(version):
        objects = rendered("--kube-version", version)
        return [named(objects, "Deployment", f"eastwest-{component}")["spec"][
            "template"]["spec"]["containers"][0].get("lifecycle")
                for component in ("controller", "injector")]

    assert lifecycle("1.29.0") == [None, None]
    assert lifecycle(build.KUBERNETES) == [{"preStop": {"sleep": {
        "seconds": 5}}}] * 2
