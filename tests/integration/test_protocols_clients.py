# SPDX-License-Identifier: Apache-2.0
"""HTTP clients as they are: Python's, curl, Go's. No configuration."""
import json
import os
import shutil
import subprocess

import pytest

import meshes as m
import wire

NS = "proto-clients"
SOURCE = m.ROOT / "tests" / "clients" / "go"


@pytest.fixture(scope="module")
def net(mesh):
    with wire.servers(mesh, NS, [
            m.pod(NS, "client"),
            m.deployment(NS, "h2c", ["h2c_echo.py", "--port", "8080"]),
            m.service(NS, "h2c", {"app": "h2c"}),
            m.deployment(NS, "echo", ["echo.py", "--port", "8080"]),
            m.service(NS, "echo", {"app": "echo"})]) as made:
        yield made


@pytest.fixture(scope="module")
def go_client():
    """Below build/, which every pod sees."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    assert go, "needs Go: ./dev setup"
    target = m.ROOT / "build" / "clients" / "go-client"
    done = subprocess.run(
        [go, "build", "-o", target, "."], cwd=SOURCE, check=False,
        capture_output=True, text=True, timeout=600,
        env=dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local",
                 GOFLAGS="-mod=mod", GOPROXY="off"))
    assert done.returncode == 0, done.stderr
    return str(target)


def python(net, code, *args):
    done = net.mesh.exec(f"{NS}/client", m.PYTHON, "-c", code, *args)
    return json.loads(done.stdout)


@pytest.mark.parametrize("family", [4, 6])
def test_python_http_client_keeps_its_connection(net, family):
    conn = net.http(f"echo.{NS}", 80, family)
    first = conn.sock
    for i in range(10):
        conn.request("POST", f"/{i}", body=b"x" * i, headers={"a": "b"})
        response = conn.getresponse()
        said = json.loads(response.read())
        assert (response.status, said["body_bytes"]) == (200, i)
        assert said["headers"]["a"] == ["b"]
    assert conn.sock is first
    conn.close()


def test_python_http_client_sends_chunks(net):
    conn = net.http(f"echo.{NS}")
    conn.request("PUT", "/echo", body=iter([b"a" * 70000, b"b", b"c" * 9]),
                 encode_chunked=True,
                 headers={"transfer-encoding": "chunked"})
    assert conn.getresponse().read() == b"a" * 70000 + b"b" + b"c" * 9
    conn.close()


def test_python_urllib(net):
    found = python(net, """
import json, sys, urllib.error, urllib.request
url = sys.argv[1]
with urllib.request.urlopen(url + "/?a=b", timeout=10) as r:
    said = json.load(r)
with urllib.request.urlopen(url + "/", data=b"form=1", timeout=10) as r:
    posted = json.load(r)
try:
    urllib.request.urlopen(url + "/status/404", timeout=10)
    status = None
except urllib.error.HTTPError as e:
    status = e.code
print(json.dumps([said, posted, status]))
""", f"http://echo.{NS}")
    said, posted, status = found
    assert said["path"] == "/?a=b" and status == 404
    assert said["host"] == f"echo.{NS}"
    assert posted["method"] == "POST" and posted["body_bytes"] == 6


@pytest.mark.parametrize("family", ["-4", "-6"])
@pytest.mark.parametrize("name,option,version", [
    ("echo", "--http1.1", "1.1"), ("echo", "--http1.0", "1.1"),
    ("h2c", "--http2-prior-knowledge", "2")])
def test_curl(net, family, name, option, version):
    r = net.mesh.curl(f"{NS}/client", f"http://{name}.{NS}/x", family, option)
    assert (r.status, r.json["http"]) == (200, version)


def test_curl_that_offers_an_upgrade_to_h2c_is_answered(net):
    """Nobody has to take the offer (RFC 9113 has dropped it)."""
    r = net.mesh.curl(f"{NS}/client", f"http://echo.{NS}/x", "--http2")
    assert (r.status, r.json["http"]) == (200, "1.1")
    assert "upgrade" not in r.headers


@pytest.mark.parametrize("name,option", [
    ("echo", "--http1.1"), ("h2c", "--http2-prior-knowledge")])
def test_curl_uploads_and_downloads(net, name, option):
    url = f"http://{name}.{NS}"
    script = (f"head -c 20000000 /dev/zero | curl -sS {option} --max-time 30 "
              f"-T - {url}/echo | sha256sum; "
              "head -c 20000000 /dev/zero | sha256sum")
    sums = net.mesh.exec(f"{NS}/client", "sh", "-c", script).stdout.split()
    assert sums[0] == sums[2], sums


def test_curl_expects_100(net):
    r = net.mesh.exec(f"{NS}/client", "curl", "-sSv", "--max-time", "20",
                      "-H", "expect: 100-continue", "-d", "a=b",
                      "--expect100-timeout", "10", f"http://echo.{NS}/")
    assert "HTTP/1.1 100 Continue" in r.stderr
    assert json.loads(r.stdout)["body_bytes"] == 3


def test_curl_on_one_connection(net):
    counts = net.mesh.tally(f"{NS}/client", f"http://echo.{NS}/", 50)
    assert list(counts.values()) == [50]


@pytest.mark.parametrize("kind,name,proto", [
    ("h1", "echo", "HTTP/1.1"), ("h2c", "h2c", "HTTP/2.0")])
def test_go_net_http(net, go_client, kind, name, proto):
    done = net.mesh.exec(f"{NS}/client", go_client, kind,
                         f"http://{name}.{NS}")
    said = json.loads(done.stdout)
    if not said["supported"]:
        # The library of a Go before 1.24 has no HTTP/2 without TLS.
        assert kind == "h2c"
        return
    assert said == {
        "supported": True, "proto": proto, "reused": 9,
        "app_http": "2" if kind == "h2c" else "1.1",
        "upload_exact": True, "upload_trailer": True,
        "download_exact": True, "download_trailer": True, "parallel": 50,
        "expect": True, "cancelled": True, "after_cancel": 200}
