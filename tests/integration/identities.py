# SPDX-License-Identifier: Apache-2.0
"""Certificates good and bad, TLS with them, and what a capture shows."""
import contextlib
import datetime
import ipaddress
import pathlib
import socket
import ssl
import struct
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

import meshes as m
import wire

DOMAIN = "spiffe://cluster.local"
CLIENT_HELLO, SERVER_HELLO = 1, 2
CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
HTTP2 = "eastwest/http2"
MARK = b"the capture ends here"


def spiffe(namespace, account="default"):
    return f"{DOMAIN}/ns/{namespace}/sa/{account}"


def _key_usage(**wanted):
    names = ("digital_signature", "content_commitment", "key_encipherment",
             "data_encipherment", "key_agreement", "key_cert_sign",
             "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{n: wanted.get(n, False) for n in names})


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM,
                             serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


class Authority:
    """A CA: the mesh's own, or one that merely looks like it."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @classmethod
    def of(cls, mesh):
        folder = mesh.state / "ca"
        return cls(
            x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()),
            serialization.load_pem_private_key(
                (folder / "ca.key").read_bytes(), None))

    @classmethod
    def new(cls, like):
        """Another key under the same name."""
        key = ec.generate_private_key(ec.SECP256R1())
        name, now = like.certificate.subject, datetime.datetime.utcnow()
        made = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(),
            now - datetime.timedelta(days=1), now + datetime.timedelta(days=9))
        made = made.add_extension(x509.BasicConstraints(True, 1), True)
        made = made.add_extension(
            _key_usage(key_cert_sign=True, crl_sign=True), True)
        made = made.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        return cls(made.sign(key, hashes.SHA256()), key)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        return _pem(self.key)

    def issue(self, file, *uris, dns=(), subject=(), starts=-3600, ends=3600,
              is_ca=False, usages=(Usage.SERVER_AUTH, Usage.CLIENT_AUTH), key=None):
        """A certificate and its key in |file|; times in seconds from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        made = x509.CertificateBuilder(
            self.certificate.subject, x509.Name(subject), key.public_key(),
            x509.random_serial_number(),
            now + datetime.timedelta(seconds=starts),
            now + datetime.timedelta(seconds=ends))
        made = made.add_extension(x509.BasicConstraints(is_ca, None), True)
        made = made.add_extension(_key_usage(
            digital_signature=True, key_cert_sign=is_ca), True)
        made = made.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        made = made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.key.public_key()), False)
        if usages:
            made = made.add_extension(x509.ExtendedKeyUsage(usages), False)
        names = [x509.UniformResourceIdentifier(u) for u in uris]
        names += [x509.DNSName(d) for d in dns]
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), True)
        made = made.sign(self.key, hashes.SHA256())
        file = pathlib.Path(file)
        file.write_bytes(_pem(key) +
                         made.public_bytes(serialization.Encoding.PEM))
        return file


# What a certificate can have wrong, and the reason that is then counted.
# Each gets the mesh's CA and the id that would be right.
FAULTS = {
    "another CA": ("unknown-ca", lambda ca, file, good:
                   Authority.new(ca).issue(file, good)),
    "expired": ("expired", lambda ca, file, good:
                ca.issue(file, good, starts=-7200, ends=-60)),
    "not yet valid": ("not-yet-valid", lambda ca, file, good:
                      ca.issue(file, good, starts=600, ends=7200)),
    "two URI SANs": ("san-count", lambda ca, file, good:
                     ca.issue(file, good, spiffe("app", "second"))),
    "no URI SAN": ("san-count", lambda ca, file, good:
                   ca.issue(file, dns=["echo.app.svc.cluster.local"])),
    "no SAN": ("san-count", lambda ca, file, good:
               ca.issue(file, subject=ca.certificate.subject)),
    "another trust domain": (
        "wrong-trust-domain", lambda ca, file, good:
        ca.issue(file, good.replace("cluster.local", "cluster.example"))),
    "longer trust domain": (
        "wrong-trust-domain", lambda ca, file, good:
        ca.issue(file, good.replace("cluster.local", "cluster.local.evil"))),
    "no SPIFFE id": ("san-syntax", lambda ca, file, good:
                     ca.issue(file, good.replace("spiffe:", "https:"))),
    "a NUL in the id": ("san-syntax", lambda ca, file, good:
                        ca.issue(file, good + "\0/x")),
    "no extended key usage": ("bad-usage", lambda ca, file, good:
                              ca.issue(file, good, usages=())),
    "a CA as leaf": ("bad-usage", lambda ca, file, good:
                     ca.issue(file, good, is_ca=True,
                                     subject=ca.certificate.subject)),
}


def client_context(roots, certificate=None, alpn=HTTP2):
    """As the sidecar of a client would dial."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(cadata=roots.decode())
    if certificate:
        made.load_cert_chain(certificate)
    if alpn:
        made.set_alpn_protocols([alpn])
    return made


def server_context(roots, certificate):
    """As the sidecar of a server would answer."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_verify_locations(cadata=roots.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(certificate)
    made.set_alpn_protocols([HTTP2, "eastwest/http1", "eastwest/tcp"])
    return made


# Captures.

class Segment:
    """One TCP segment of a captured packet (Linux cooked, version 2)."""

    def __init__(self, packet):
        ip = packet[20:]
        if ip[0] >> 4 == 4:
            size, at, end = 4, 12, struct.unpack("!H", ip[2:4])[0]
            tcp = ip[(ip[0] & 15) * 4:end]
        else:
            size, at, end = 16, 8, 40 + struct.unpack("!H", ip[4:6])[0]
            tcp = ip[40:end]
        source = ipaddress.ip_address(ip[at:at + size])
        target = ipaddress.ip_address(ip[at + size:at + 2 * size])
        ports = struct.unpack("!HH", tcp[:4])
        self.flow = (str(source), ports[0], str(target), ports[1])
        self.number = struct.unpack("!I", tcp[4:8])[0]
        self.syn = bool(tcp[13] & 2)
        self.data = tcp[(tcp[12] >> 4) * 4:]


def _stream(segments):
    """The bytes of one direction, in order, without what came twice."""
    first = [s.number for s in segments if s.syn]
    assert first, "the capture began in the middle of a connection"
    pieces = {}
    for s in segments:
        at = (s.number + s.syn - first[0] - 1) % 2 ** 32
        if len(s.data) > len(pieces.get(at, b"")):
            pieces[at] = s.data
    found = b""
    for at in sorted(pieces):
        assert at <= len(found), "the capture lost a segment"
        found += pieces[at][len(found) - at:]
    return found


def flows(file):
    """{(ip, port, ip, port): bytes} of a capture."""
    raw = pathlib.Path(file).read_bytes()
    assert struct.unpack("<I", raw[20:24])[0] == 276, "not cooked, version 2"
    at, found = 24, {}
    while at < len(raw):
        captured, size = struct.unpack("<II", raw[at + 8:at + 16])
        assert captured == size, "a packet was cut"
        if MARK not in raw[at + 16:at + 16 + size]:
            segment = Segment(raw[at + 16:at + 16 + size])
            found.setdefault(segment.flow, []).append(segment)
        at += 16 + size
    return {flow: _stream(segments) for flow, segments in found.items()}


def records(stream):
    """The TLS records of a stream as (type, payload), all of it."""
    found = []
    while stream:
        kind, version, size = struct.unpack("!BHH", stream[:5])
        assert kind in (CHANGE, ALERT, HANDSHAKE, DATA), stream[:80]
        assert version in (0x0301, 0x0303) and size <= 16640, stream[:80]
        # The end of the capture may cut the last record.
        found.append((kind, stream[5:5 + size]))
        stream = stream[5 + size:]
    return found


def selected_version(hello):
    """The version that a ServerHello selects."""
    assert hello[0] == SERVER_HELLO
    at = 4 + 2 + 32
    at += 1 + hello[at] + 3
    end = at + 2 + struct.unpack("!H", hello[at:at + 2])[0]
    at += 2
    while at < end:
        kind, size = struct.unpack("!HH", hello[at:at + 4])
        if kind == 43:
            return struct.unpack("!H", hello[at + 4:at + 6])[0]
        at += 4 + size
    return struct.unpack("!H", hello[4:6])[0]


@contextlib.contextmanager
def capture(mesh, file, what):
    """|what| passes the hub, in |file| when the block has ended."""
    file = pathlib.Path(file)
    with subprocess.Popen(
            ["nsenter", f"--net=/run/netns/ew-{mesh.name}", "tcpdump", "-i",
             "any", "-n", "-s", "0", "-B", "32768", "-U", "-Z", "root",
             "--immediate-mode", "-w", file, f"({what}) or udp port 9"],
            stderr=subprocess.PIPE, text=True) as dump:
        for line in dump.stderr:
            if "listening" in line:
                break
        try:
            yield
            with wire.visit(f"ew-{mesh.name}", lambda: socket.socket(
                    socket.AF_INET, socket.SOCK_DGRAM)) as mark:
                mark.sendto(MARK, ("127.0.0.1", 9))
            m.wait_for(lambda: MARK in file.read_bytes(), 10, "the mark")
        finally:
            dump.terminate()
            said = dump.communicate(timeout=10)[1]
    assert "0 packets dropped by kernel" in said, said
