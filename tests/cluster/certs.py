# SPDX-License-Identifier: Apache-2.0
"""The certificates and kubeconfig files of a cluster."""

import base64
import datetime
import ipaddress

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 30
# Common name and group, as the API server's own roles name them.
CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kubelet": ("system:node:{node}", "system:nodes"),
    "proxy": ("system:kube-proxy", None),
    "kubelet-client": ("kube-apiserver", "system:masters"),
    "dns": ("system:coredns", "system:masters"),
}


def _name(common, group=None):
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject, issuer, key):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=DAYS)))


def pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM,
                             serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def pem_certificate(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """A root that signs the cluster's own certificates."""

    def __init__(self, common="kubernetes"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(common)
        usage = x509.KeyUsage(True, False, False, False, False, True, True,
                              False, False)
        self.certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(usage, True)
            .sign(self._key, hashes.SHA256()))
        self.pem = pem_certificate(self.certificate)
        self.key_pem = pem_key(self._key)

    def issue(self, common, group=None, alternatives=()):
        """A certificate and its key as PEM; for servers with alternatives."""
        key = ec.generate_private_key(ec.SECP256R1())
        use = (ExtendedKeyUsageOID.SERVER_AUTH if alternatives
               else ExtendedKeyUsageOID.CLIENT_AUTH)
        builder = (_builder(_name(common, group), self._name, key)
                   .add_extension(x509.BasicConstraints(False, None), True)
                   .add_extension(x509.ExtendedKeyUsage([use]), False))
        if alternatives:
            names = [_alternative(name) for name in alternatives]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), False)
        signed = builder.sign(self._key, hashes.SHA256())
        return pem_certificate(signed), pem_key(key)


def create(state, node, server, api_names, node_names):
    """Writes all of it to the cluster's folder certs.

    server is the API server's URL; api_names and node_names are what its and
    the kubelet's server certificate are valid for.
    """
    authority = Authority()
    state.write("certs", "ca.crt", text=authority.pem)
    state.write("certs", "ca.key", text=authority.key_pem)
    for name, alternatives in (("apiserver", api_names),
                               ("kubelet-server", node_names)):
        certificate, key = authority.issue(name, alternatives=alternatives)
        state.write("certs", f"{name}.crt", text=certificate)
        state.write("certs", f"{name}.key", text=key)
    for name, (common, group) in CLIENTS.items():
        certificate, key = authority.issue(common.format(node=node), group)
        state.write("certs", f"{name}.crt", text=certificate)
        state.write("certs", f"{name}.key", text=key)
        state.write("certs", f"{name}.kubeconfig", text=_kubeconfig(
            name, server, authority.pem, certificate, key))
    # RSA as in ordinary clusters: who reads a token's header meets RS256.
    key = rsa.generate_private_key(65537, 2048)
    state.write("certs", "sa.key", text=pem_key(key))
    state.write("certs", "sa.pub", text=key.public_key().public_bytes(
        serialization.Encoding.PEM,
        serialization.PublicFormat.SubjectPublicKeyInfo).decode())


def _kubeconfig(user, server, authority, certificate, key):
    def data(text):
        return base64.b64encode(text.encode()).decode()

    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "cluster",
        "clusters": [{"name": "cluster", "cluster": {
            "server": server, "certificate-authority-data": data(authority)}}],
        "users": [{"name": user, "user": {
            "client-certificate-data": data(certificate),
            "client-key-data": data(key)}}],
        "contexts": [{"name": "cluster", "context": {
            "cluster": "cluster", "user": user}}],
    })
