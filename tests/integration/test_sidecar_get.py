# SPDX-License-Identifier: Apache-2.0
"""eastwest-sidecar --get: the HTTP client for images without any."""
import contextlib
import os
import socket
import subprocess
import threading
import time

import pytest

import meshes as m

SIDECAR = os.path.join(m.BIN, "eastwest-sidecar")
OK = b"HTTP/1.1 200 OK\r\n"


def get(*args, **environ):
    done = subprocess.run([SIDECAR, *args], capture_output=True, text=True,
                          timeout=30, env={**os.environ, **environ})
    assert "Sanitizer" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def answering(*answers, family=socket.AF_INET):
    """One connection for each answer; yields (port, what was asked)."""
    asked = []
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.create_server((host, 0), family=family) as server:
        def work():
            for answer in answers:
                with contextlib.suppress(OSError):
                    conn, _ = server.accept()
                    with conn:
                        asked.append(conn.recv(65536))
                        for piece in answer if isinstance(answer, list) \
                                else [answer]:
                            conn.sendall(piece)
                            time.sleep(0.02)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(10)


def test_the_body_of_a_success_is_printed():
    with answering(OK + b"x: 1\r\n\r\n{}\n") as (port, asked):
        assert get("--get", f"http://localhost:{port}/a?b=c") == (0, "{}\n", "")
    assert asked == [b"GET /a?b=c HTTP/1.0\r\n"
                     b"Host: localhost:%d\r\n\r\n" % port]


def test_an_answer_in_pieces():
    pieces = [b"HTTP/1.1 2", b"04 No\r\n", b"\r", b"\nab", b"c"]
    with answering(pieces) as (port, _):
        assert get("--get", f"http://127.0.0.1:{port}")[:2] == (0, "abc")


def test_ipv6():
    with answering(OK + b"\r\nsix", family=socket.AF_INET6) as (port, asked):
        assert get("--get", f"http://[::1]:{port}/")[:2] == (0, "six")
    assert b"Host: [::1]:" in asked[0]


@pytest.mark.parametrize("answer,said", [
    (b"HTTP/1.1 503 Busy\r\n\r\nno\n", "status 503: no\n"),
    (b"HTTP/1.1 302 Found\r\n\r\n", "status 302"),
    (b"", "no answer of HTTP"), (b"SSH-2.0\r\n\r\n", "no answer of HTTP"),
    (b"HTTP/1.1 200\r\nx: " + b"y" * 70000 + b"\r\n\r\n", "no answer of HTTP"),
    (OK + b"Content-Length: 4\r\n\r\nabc", "the answer broke off")])
def test_all_else_is_an_error(answer, said):
    with answering(answer) as (port, _):
        code, _, err = get("--get", f"http://127.0.0.1:{port}/")
    assert code == 1 and said in err


def test_waits_for_a_success():
    with answering(b"", b"HTTP/1.1 503 Busy\r\n\r\n", OK + b"\r\nat last") as (
            port, asked):
        code, out, err = get("--wait", "20", "--get",
                             f"http://127.0.0.1:{port}/")
    assert (code, out) == (0, "at last") and len(asked) == 3
    assert "503" in err


def test_waiting_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    begin = time.monotonic()
    code, _, err = get("--wait", "1", "--get", f"http://127.0.0.1:{port}/")
    assert code == 1 and "Connection refused" in err
    assert 0 < time.monotonic() - begin < 10


@pytest.mark.parametrize("url", [
    "", "http://", "localhost:80", "https://127.0.0.1/", "http://name/",
    "http://$(X_HOST)/", "http://127.0.0.1:0/", "http://127.0.0.1:99999/",
    "http://127.0.0.1:x/", "http://[::1/", "http://[::1]x/",
    "http://127.0.0.1/a b", "http://127.0.0.1/\r\nx: y",
    "http://127.0.0.1/" + "a" * 5000, "http://" + "1" * 300 + "/"])
def test_a_faulty_url_is_named(url):
    code, _, err = get("--get", url)
    assert code == 2 and "--get" in err and "expected http://IP" in err


def test_in_the_environment_of_a_sidecar():
    """As by kubectl exec."""
    with answering(OK + b"\r\n.") as (port, _):
        assert get("--get", f"http://127.0.0.1:{port}/", EASTWEST_NAMESPACE="a",
                   EASTWEST_POD_IPS="10.0.0.1")[0] == 0
