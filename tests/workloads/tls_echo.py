# SPDX-License-Identifier: Apache-2.0
"""HTTPS echo with TLS of its own; answers as echo.py, plus "sni" and "alpn".

HTTP/2 is answered as by h2c_echo.py. The certificate is self-signed and new
at each start.
"""

import asyncio
import ipaddress
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile

from echo import App, arguments, serve_forever, serve_http1, sockets_of
from h2c_echo import serve_http2


def alternative(name):
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def make_certificate(folder, names):
    """A key and a certificate as (certificate's path, key's path)."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec",
         "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={names[0][:64]}",
         "-addext", "subjectAltName=" + ",".join(map(alternative, names)),
         "-keyout", key, "-out", certificate],
        check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"openssl: {done.stderr}")
    return certificate, key


def remember_sni(tls, name, _context):
    tls.sni = name


def make_context(args):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="tls-echo-") as folder:
        certificate, key = make_certificate(pathlib.Path(folder), args.name)
        context.load_cert_chain(certificate, key)
        if args.certificate_out:
            shutil.copy(certificate, args.certificate_out)
    context.sni_callback = remember_sni
    context.set_alpn_protocols([p for p in args.alpn.split(",") if p])
    return context


async def serve(app, reader, writer):
    tls = writer.get_extra_info("ssl_object")
    alpn = tls.selected_alpn_protocol()
    extra = {"sni": getattr(tls, "sni", None), "alpn": alpn,
             "tls": tls.version()}
    serve_http = serve_http2 if alpn == "h2" else serve_http1
    await serve_http(app, reader, writer, extra)


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--version", default="",
                        help='reported as "version"')
    parser.add_argument("--name", action="append",
                        help="name or address in the certificate, may be "
                        "repeated (localhost)")
    parser.add_argument("--alpn", default="h2,http/1.1",
                        help="protocols, separated by commas (%(default)s)")
    parser.add_argument("--certificate-out", metavar="FILE",
                        help="write the certificate there, to be trusted")
    args = parser.parse_args()
    args.name = args.name or ["localhost"]
    app = App(args.version)
    context = make_context(args)
    asyncio.run(serve_forever(
        sockets_of(args), lambda r, w: serve(app, r, w), context))


if __name__ == "__main__":
    main()
