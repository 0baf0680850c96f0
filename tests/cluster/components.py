# SPDX-License-Identifier: Apache-2.0
"""What a control plane and a node consist of: each one's words and files."""

import ssl
import urllib.error
import urllib.request

import yaml

from . import build, certs, containerd, network
from .namespaces import spawn
from .state import ClusterError, say, wait_for

NODE = "node"
SERVER = f"https://{network.NODE}:6443"
ETCD = "http://127.0.0.1:2379"
VOLUME_PLUGINS = "/var/lib/kubelet/volume-plugins"
API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc",
             f"kubernetes.default.svc.{network.DOMAIN}", "localhost",
             "127.0.0.1", network.API_SERVICE, network.NODE)

# Any name outside of the zone does not exist, said at once: of a server that
# refuses, resolvers ask again.
COREFILE = """\
{domain} in-addr.arpa ip6.arpa {{
  bind {dns}
  errors
  ready {dns}:8181
  kubernetes {domain} in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 5
  }}
}}
. {{
  bind {dns}
  errors
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"""


def _get(url, state):
    """The body of a 200 answer; None for anything else, or no answer."""
    context = None
    if url.startswith("https"):
        context = ssl.create_default_context(
            cafile=state.path("certs", "ca.crt"))
        context.load_cert_chain(state.path("certs", "admin.crt"),
                                state.path("certs", "admin.key"))
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as got:
            return got.read()
    except (urllib.error.URLError, OSError):
        return None


def _start(state, component, argv, ready, seconds=60, env=None):
    """Starts a component and waits for it; says why when it ends instead."""
    spawn(state, component, argv, env)

    def check():
        must_live(state, component)
        return ready()

    try:
        wait_for(component, seconds, check)
    except ClusterError as error:
        if "ended:" in str(error):
            raise
        raise ClusterError(
            f"{error}\n{last_lines(state, component)}") from None


def must_live(state, *components):
    for component in components or state.components():
        if state.pid(component) is None:
            raise ClusterError(f"{component} ended:\n"
                               f"{last_lines(state, component)}")


def last_lines(state, component, count=15):
    try:
        with open(state.log(component), encoding="utf-8",
                  errors="replace") as file:
            return "".join(file.readlines()[-count:]).rstrip()
    except FileNotFoundError:
        return ""


def prepare(state):
    """Certificates and configuration files."""
    certs.create(state, NODE, SERVER, API_NAMES, (NODE, network.NODE))
    state.write("config", "Corefile", text=COREFILE.format(
        dns=network.DNS, domain=network.DOMAIN,
        kubeconfig=state.path("certs", "dns.kubeconfig")))
    state.write("config", "resolv.conf", text=f"nameserver {network.DNS}\n")
    state.write("config", "kubelet.yaml", text=yaml.safe_dump(
        _kubelet(state)))
    state.write("config", "proxy.yaml", text=yaml.safe_dump(_proxy(state)))
    containerd.prepare(state)


def etcd(state):
    _start(state, "etcd", [
        "etcd", "--data-dir=/var/lib/etcd", f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # The data is worth nothing after a crash: no waiting for disks.
        "--unsafe-no-fsync", "--logger=zap", "--log-level=warn",
    ], lambda: _get(f"{ETCD}/health", state))


def apiserver(state):
    path = state.path
    _start(state, "kube-apiserver", [
        f"{build.BIN}/kube-apiserver", f"--etcd-servers={ETCD}",
        f"--bind-address={network.NODE}",
        f"--advertise-address={network.NODE}", "--secure-port=6443",
        f"--service-cluster-ip-range={network.SERVICES}",
        f"--tls-cert-file={path('certs', 'apiserver.crt')}",
        f"--tls-private-key-file={path('certs', 'apiserver.key')}",
        f"--client-ca-file={path('certs', 'ca.crt')}",
        f"--kubelet-certificate-authority={path('certs', 'ca.crt')}",
        "--kubelet-client-certificate="
        f"{path('certs', 'kubelet-client.crt')}",
        f"--kubelet-client-key={path('certs', 'kubelet-client.key')}",
        # By name it would need a DNS that knows the node.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer="
        f"https://kubernetes.default.svc.{network.DOMAIN}",
        f"--service-account-key-file={path('certs', 'sa.pub')}",
        f"--service-account-signing-key-file={path('certs', 'sa.key')}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
    ], lambda: _get(f"{SERVER}/readyz", state), 120)


def controller_manager(state):
    path = state.path
    spawn(state, "kube-controller-manager", [
        f"{build.BIN}/kube-controller-manager", "--leader-elect=false",
        f"--kubeconfig={path('certs', 'controller-manager.kubeconfig')}",
        f"--root-ca-file={path('certs', 'ca.crt')}",
        f"--service-account-private-key-file={path('certs', 'sa.key')}",
        f"--cluster-signing-cert-file={path('certs', 'ca.crt')}",
        f"--cluster-signing-key-file={path('certs', 'ca.key')}",
        "--use-service-account-credentials=true",
        f"--flex-volume-plugin-dir={VOLUME_PLUGINS}",
        "--bind-address=127.0.0.1",
    ])


def scheduler(state):
    spawn(state, "kube-scheduler", [
        f"{build.BIN}/kube-scheduler", "--leader-elect=false",
        f"--kubeconfig={state.path('certs', 'scheduler.kubeconfig')}",
        "--bind-address=127.0.0.1",
    ])


def _kubelet(state):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False}, "webhook": {"enabled": True},
            "x509": {"clientCAFile": state.path("certs", "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "address": network.NODE,
        "tlsCertFile": state.path("certs", "kubelet-server.crt"),
        "tlsPrivateKeyFile": state.path("certs", "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{containerd.SOCKET}",
        "clusterDomain": network.DOMAIN,
        "clusterDNS": [network.DNS_SERVICE],
        "resolvConf": state.path("config", "resolv.conf"),
        "volumePluginDir": VOLUME_PLUGINS,
        # cgroups of version 1 and a machine that is shared: no trees of
        # quality of service, one folder for all that pods get.
        "failCgroupV1": False, "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False, "enforceNodeAllocatable": [],
        "cgroupRoot": f"/{state.scope}", "failSwapOn": False,
        "oomScoreAdj": 0,
        # A full disk of the machine is not this node's to clean.
        "imageGCHighThresholdPercent": 100, "imageMinimumGCAge": "24h",
        "evictionHard": {"memory.available": "1Mi",
                         "nodefs.available": "0%", "imagefs.available": "0%",
                         "nodefs.inodesFree": "0%"},
        "registryPullQPS": 0, "eventRecordQPS": 0,
        "serializeImagePulls": False,
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "healthzBindAddress": "127.0.0.1",
    }


def kubelet(state):
    _start(state, "kubelet", [
        f"{build.BIN}/kubelet", f"--config={state.path('config')}/kubelet.yaml",
        f"--kubeconfig={state.path('certs', 'kubelet.kubeconfig')}",
        f"--hostname-override={NODE}", f"--node-ip={network.NODE}",
    ], lambda: _get("http://127.0.0.1:10248/healthz", state))


def _proxy(state):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {
            "kubeconfig": state.path("certs", "proxy.kubeconfig")},
        "hostnameOverride": NODE, "mode": "iptables",
        "clusterCIDR": network.PODS, "detectLocalMode": "ClusterCIDR",
        "bindAddress": "0.0.0.0",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # 0: these are left as they are, they are not the namespace's own.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s",
                      "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "100ms"}, "oomScoreAdj": 0,
    }


def proxy(state):
    spawn(state, "kube-proxy", [
        f"{build.BIN}/kube-proxy", f"--config={state.path('config')}/proxy.yaml"
    ])


def dns(state):
    spawn(state, "coredns", [
        f"{build.BIN}/dns", "-conf", state.path("config", "Corefile")])


def start(state):
    """The order in which each finds what it needs."""
    etcd(state)
    apiserver(state)
    for step in (controller_manager, scheduler, dns, proxy):
        step(state)
    containerd.start(state, _start)
    kubelet(state)
    say("control plane and node started")
