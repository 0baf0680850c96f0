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
        made = _builder("bench CA", _name("bench CA"), self.key)
        self.certificate = self._sign(made, self.key, True)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(self, builder, key, is_ca):
        """With all that strict verification asks for (RFC 5280)."""
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "encipher_only", "decipher_only"), False)
        usage = x509.KeyUsage(digital_signature=not is_ca,
                              key_cert_sign=is_ca, crl_sign=is_ca, **usage)
        found = builder \
            .add_extension(x509.BasicConstraints(is_ca, None), True) \
            .add_extension(usage, True).add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                False)
        if not is_ca:
            found = found.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self.key.public_key()), False)
        return found.sign(self.key, hashes.SHA256())

    def issue(self, spiffe, names=()):
        """(certificate, key) as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(spiffe),
             *(x509.DNSName(name) for name in names)])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH,
                                      ExtendedKeyUsageOID.CLIENT_AUTH])
        made = _builder(spiffe, self.certificate.subject, key) \
            .add_extension(names, False).add_extension(both, False)
        certificate = self._sign(made, key, False)
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
