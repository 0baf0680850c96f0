# SPDX-License-Identifier: Apache-2.0
"""Opens connections, makes one request on each, and holds them idle.

Run as a program with one argument, a JSON object. Prints "open" when all
are, and ends when its standard input does; or fails with "refused".
"""

import json
import socket
import ssl
import sys

REQUEST = b"GET / HTTP/1.1\r\nHost: http1\r\n\r\n"


def context(tls):
    # Who the server is does not matter here: it is the bench's own proxy.
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    if tls["file"]:
        found.load_cert_chain(tls["file"])
    if tls["alpn"]:
        found.set_alpn_protocols(tls["alpn"])
    return found


def answer(sock):
    """Reads one response with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0].split()[1] == "200", lines[0]
    length = next(int(line.split(":")[1]) for line in lines
                  if line.lower().startswith("content-length:"))
    while len(body) < length:
        body += _more(sock)


def _more(sock):
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("the connection ended")
    return data


def main():
    said = json.loads(sys.argv[1])
    tls = said.get("tls")
    how = context(tls) if tls else None
    held = []
    for _ in range(said["count"]):
        sock = socket.create_connection((said["host"], said["port"]), 10)
        if how:
            sock = how.wrap_socket(sock, server_hostname=tls["name"] or None)
        sock.sendall(REQUEST)
        answer(sock)
        held.append(sock)
    print("open", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    try:
        main()
    except (ssl.SSLError, ConnectionError) as error:
        sys.exit(f"refused: {error}")
