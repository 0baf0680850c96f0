# SPDX-License-Identifier: Apache-2.0
"""Identities for the peers: one CA, P-256 keys as Eastwest's own.

The SPIFFE id stands as URI SAN, which Envoy verifies. HAProxy 2.6 and nghttpx
can't read that field; for them the common name repeats it and DNS names
stand beside.
"""

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .origin import PORTS

CLIENT = "spiffe://cluster.local/ns/bench/sa/client"
SERVER = "spiffe://cluster.local/ns/bench/sa/server"
DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, key):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(_name(subject))
            .issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY).not_valid_after(now + 30 * DAY))


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM,
                             serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


class Authority:
    """A CA: new, or one whose certificate and key are given as PEM."""

    def __init__(self, certificate=None, key=None):
        if certificate:
            self.certificate = x509.load_pem_x509_certificate(certificate)
            self.key = serialization.load_pem_private_key(key, None)
            return
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _builder("bench CA", _name("bench CA"), self.key) \
            .add_extension(x509.BasicConstraints(True, 0), True) \
            .sign(self.key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, spiffe, names):
        """(certificate, key) as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(spiffe),
             *(x509.DNSName(name) for name in names)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH,
                                       ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = _builder(spiffe, self.certificate.subject, key) \
            .add_extension(names, False).add_extension(usage, False) \
            .add_extension(x509.BasicConstraints(False, None), True) \
            .sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def write(folder):
    """ca.pem, client.pem and server.pem (certificate and key in one file),
    and the same apart: client.crt, client.key, ..."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    authority = Authority()
    (folder / "ca.pem").write_bytes(authority.pem)
    for name, spiffe in (("client", CLIENT), ("server", SERVER)):
        certificate, key = authority.issue(spiffe, [f"{name}.bench", *(
            f"{door}-v{version}.bench" for door in PORTS
            for version in (1, 2))])
        (folder / f"{name}.crt").write_bytes(certificate)
        (folder / f"{name}.key").write_bytes(key)
        (folder / f"{name}.pem").write_bytes(certificate + key)
    return folder
