# SPDX-License-Identifier: Apache-2.0
"""The injector's HTTPS side: hostile reviews, protocols, its certificate."""
import concurrent.futures
import json
import random
import socket
import ssl
import subprocess

import pytest

from injectors import (INJECTOR, NAME, PREFIX, UID, a_pod, a_review,
                       injector, options, ours, start)  # noqa: F401
from meshes import wait_for


def text_of(pod, **more):
    return json.dumps(a_review(pod, **more)).encode()


def spec(**fields):
    return text_of(a_pod(**fields))


def meta(**fields):
    pod = a_pod()
    pod["metadata"].update(fields)
    return text_of(pod)


def without(*path):
    review = a_review(a_pod())
    at = review
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return json.dumps(review).encode()


HOSTILE = {
    "nothing": (b"", "byte"),
    "no JSON": (b"apiVersion: v1\n", "byte"),
    "null": (b"null", "byte"),
    "a list": (b"[]", "expected an object"),
    "a number": (b"1", "byte"),
    "an empty object": (b"{}", "apiVersion"),
    "half": (text_of(a_pod())[:700], "byte"),
    "two": (text_of(a_pod()) * 2, "end of file"),
    "NUL": (b"\0" * 100, "byte"),
    "NUL behind": (text_of(a_pod()) + b"\0", "byte"),
    "NUL in a string": (meta(name="a\0b"), "u0000"),
    "no UTF-8": (text_of(a_pod()).replace(b"web", b"\xff\xfe"), "0xff"),
    "half a surrogate": (text_of(a_pod()).replace(b"web", rb"\ud800"),
                         "Unicode"),
    "deep": (b'{"a":' * 100 + b"1" + b"}" * 100, "64 levels"),
    "very deep": (b"[" * 1000000, "64 levels"),
    "deep inside": (meta(x=json.loads("[" * 70 + "]" * 70)), "64 levels"),
    "named twice": (b'{"kind":"AdmissionReview","kind":"Pod"}', "duplicate"),
    "a large number": (spec(x=10 ** 30), "too big"),
    "a larger number": (text_of(a_pod()).replace(b"8080", b"1e999"),
                        "overflow"),
    "another version": (text_of(a_pod()).replace(b"k8s.io/v1", b"k8s.io/v2"),
                        "apiVersion"),
    "another kind": (text_of(a_pod()).replace(b"AdmissionReview", b"Review"),
                     "kind"),
    "no request": (without("request"), "request: absent"),
    "no uid": (without("request", "uid"), "request.uid: absent"),
    "no object": (without("request", "object"), "request.object: absent"),
    "no kind": (without("request", "kind"), "request.kind.kind: absent"),
    "no operation": (without("request", "operation"), "request.operation"),
    "no metadata": (without("request", "object", "metadata"),
                    "object.metadata: absent"),
    "no spec": (without("request", "object", "spec"), "object.spec: absent"),
    "uid a list": (text_of(a_pod(), uid=[]), "request.uid: a list"),
    "uid long": (text_of(a_pod(), uid="u" * 300), "at most 256"),
    "object a string": (text_of("pod"), 'request.object: "pod"'),
    "object a list": (text_of([a_pod()]), "request.object: a list of 1"),
    "labels a list": (meta(labels=["a"]), "metadata.labels: a list of 1"),
    "a label a number": (meta(labels={PREFIX + "inject": 1}),
                         "labels.eastwest.dev/inject: 1"),
    "annotations a string": (meta(annotations="x"), "metadata.annotations"),
    "an annotation true": (meta(annotations=options(strict=True)),
                           "annotations.eastwest.dev/strict: true"),
    "containers an object": (spec(containers={}), "spec.containers"),
    "a container null": (spec(containers=[None]), "spec.containers[0]"),
    "a container nested": (spec(containers=[[{}]]), "spec.containers[0]"),
    "initContainers 1": (spec(initContainers=1), "spec.initContainers: 1"),
    "volumes a string": (spec(volumes="x"), "spec.volumes"),
    "a volume a string": (spec(volumes=["x"]), "spec.volumes[0]"),
    "too many containers": (spec(containers=[{}] * 1001), "at most 1000"),
    "a user too low": (spec(securityContext={"runAsUser": -1}), "runAsUser"),
    "a user as text": (spec(securityContext={"runAsUser": "2140"}),
                       "runAsUser"),
    "a user with a fraction": (spec(securityContext={"runAsUser": 2140.0}),
                               "runAsUser"),
    "hostNetwork as text": (spec(hostNetwork="true"), "spec.hostNetwork"),
    "a probe a list": (spec(containers=[{"livenessProbe": []}]),
                       "livenessProbe"),
    "a probe's port": (spec(containers=[{"livenessProbe": {
        "httpGet": {"port": 65536}}}]), "httpGet.port: 65536"),
    "control bytes": (b'{"\x1b[31m\x07":1}', "control character"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_reviews_are_answered_with_400(injector, name):  # noqa: F811
    body, why = HOSTILE[name]
    status, text = injector.curl("/inject", body=body)
    assert status == 400, text
    assert why in text.decode()
    assert text.count(b"\n") == 1 and len(text) < 1000
    assert all(byte >= 0x20 for byte in text[:-1])
    assert injector.alive()


def mutated(rng, text):
    """A review with some of its bytes or parts exchanged."""
    text = bytearray(text)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(text))
        kind = rng.randrange(4)
        if kind == 0:
            text[at] = rng.randrange(256)
        elif kind == 1:
            del text[at:at + rng.randint(1, 20)]
        elif kind == 2:
            text[at:at] = rng.choice([b"{", b"[", b'"', b"null", b"-1",
                                      b'"a":', b"2140", b"\\u0000"])
        else:
            other = rng.randrange(len(text))
            text[at:at] = text[other:other + rng.randint(1, 50)]
        if not text:
            break
    return bytes(text)


def test_mutated_reviews_are_always_answered(injector):  # noqa: F811
    rng = random.Random(20240817)
    whole = text_of(a_pod(options(skip_inbound_ports="80"), initContainers=[
        {"name": "i", "restartPolicy": "Always"}]))
    context = ssl.create_default_context(cafile=injector.ca.path)
    seen = set()
    with context.wrap_socket(
            socket.create_connection(("127.0.0.1", injector.port), 20),
            server_hostname=NAME) as s:
        answers = s.makefile("rb")
        for _ in range(500):
            body = mutated(rng, whole)
            s.sendall(b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Length: "
                      b"%d\r\n\r\n" % len(body) + body)
            status = int(answers.readline().split()[1])
            length = 0
            while line := answers.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            text = answers.read(length)
            seen.add(status)
            assert status in (200, 400)
            if status == 200:
                assert isinstance(json.loads(text)["response"]["uid"], str)
    assert seen == {200, 400}
    assert injector.alive()


def test_a_body_that_is_too_large(injector):  # noqa: F811
    body = b'{"a":"' + b"x" * (4 << 20) + b'"}'
    assert injector.curl("/inject", "-H", "Expect:", body=body)[0] == 413
    assert injector.alive()


def test_a_large_pod_is_no_problem(injector):  # noqa: F811
    pod = a_pod({"large": "x" * (1 << 20)})
    after = injector.inject(pod)
    assert ours(after)
    pod = a_pod(containers=[{"name": f"c{i}", "env": [
        {"name": f"E{k}", "value": "v" * 100} for k in range(50)]}
        for i in range(200)])
    assert ours(injector.inject(pod))


@pytest.mark.parametrize("path, extra, status", [
    ("/", [], 404), ("/injected", [], 404), ("/inject/", [], 404),
    ("/metrics", [], 404), ("/inject", [], 405), ("/inject", ["-XPUT"], 405),
    ("/inject", ["-XDELETE"], 405)])
def test_other_paths_and_methods(injector, path, extra, status):  # noqa: F811
    assert injector.curl(path, *extra)[0] == status


# --- TLS ---

@pytest.mark.parametrize("extra, version", [
    ([], "2"), (["--http1.1"], "1.1"), (["--no-alpn"], "1.1"),
    (["--tls-max", "1.2"], "2"),
    (["--tls-max", "1.2", "--no-alpn"], "1.1"),
    (["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"], "2")])
def test_protocols_of_api_servers(injector, extra, version):  # noqa: F811
    status, text = injector.curl("/inject", *extra, body=text_of(a_pod()))
    assert status == 200, injector.error
    assert injector.version == version
    assert json.loads(text)["response"]["uid"] == UID


@pytest.mark.parametrize("extra", [
    ["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"],
    ["--tls-max", "1.2", "--ciphers", "AES128-GCM-SHA256"],
    ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA256"]])
def test_weak_protocols_are_refused(injector, extra):  # noqa: F811
    assert injector.curl("/inject", *extra, body=b"{}")[0] == 0
    assert injector.alive()


def test_plain_text_gets_no_answer(injector):  # noqa: F811
    with socket.create_connection(("127.0.0.1", injector.port), 10) as s:
        s.sendall(b"POST /inject HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in s.recv(1000)
    assert injector.alive()


def test_many_at_once(injector):  # noqa: F811
    body = text_of(a_pod())
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(
            lambda _: injector.curl("/inject", body=body)[0], range(64)))
    assert found == [200] * 64


def test_clients_that_stop_halfway_do_not_block(injector):  # noqa: F811
    context = ssl.create_default_context(cafile=injector.ca.path)
    stuck = []
    for i in range(20):
        s = socket.create_connection(("127.0.0.1", injector.port), 20)
        if i % 2:
            s = context.wrap_socket(s, server_hostname=NAME)
            s.sendall(b"POST /inject HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: 100\r\n\r\n{")
        stuck.append(s)
    assert ours(injector.inject(a_pod()))
    for s in stuck:
        s.close()
    assert injector.alive()


# --- the certificate's files ---

def test_ready_as_soon_as_there_is_a_certificate(start):  # noqa: F811
    one = start(certificate=False)
    assert one.status("/live")[0] == 200
    assert one.status("/ready") == (503, "no certificate yet\n")
    assert one.curl("/inject", body=text_of(a_pod()))[0] == 0
    one.ca.issue()
    wait_for(lambda: one.status("/ready")[0] == 200, 20, "ready")
    assert ours(one.inject(a_pod()))


def test_a_new_certificate_is_used(start):  # noqa: F811
    one = start()
    wait_for(lambda: one.status("/ready")[0] == 200, 20, "ready")
    old = one.serial()
    new = one.ca.issue()
    assert new != old
    wait_for(lambda: one.serial() == new, 20, "the new certificate")


def test_a_bad_certificate_changes_nothing(start):  # noqa: F811
    one = start()
    wait_for(lambda: one.status("/ready")[0] == 200, 20, "ready")
    old = one.serial()
    faults = "eastwest_injector_certificate_faults_total"
    for spoil in (lambda: one.ca.issue(["crt"]), lambda: one.ca.issue(["key"]),
                  lambda: one.ca.put("crt", b"nonsense"),
                  lambda: one.ca.put("crt", b""),
                  lambda: (one.folder / "tls.crt").unlink()):
        before = one.metric(faults)
        spoil()
        wait_for(lambda: one.metric(faults) > before, 20, "a fault")
        assert one.serial() == old
        assert one.status("/ready")[0] == 200
    assert any(line["msg"] == "certificate not usable"
               for line in one.lines())
    new = one.ca.issue()
    wait_for(lambda: one.serial() == new, 20, "the new certificate")


# --- what it tells ---

def test_reviews_are_counted_and_logged(start):  # noqa: F811
    one = start()
    wait_for(lambda: one.status("/ready")[0] == 200, 20, "ready")
    one.inject(a_pod())
    one.left(a_pod(hostNetwork=True))
    one.denied(a_pod(options(strict="x")))
    one.curl("/inject", body=b"{}")
    one.curl("/inject", body=b"[]")
    for verdict, n in (("injected", 1), ("left", 1), ("denied", 1),
                       ("malformed", 2)):
        assert one.metric("eastwest_injector_reviews_total"
                          f'{{verdict="{verdict}"}}') == n
    assert one.metric("eastwest_injector_review_seconds_count") == 5
    assert one.metric("eastwest_injector_certificate_not_after_seconds") > 1e9
    found = [line for line in one.lines() if line["msg"] == "review"]
    assert [line["verdict"] for line in found] == [
        "injected", "left", "denied", "malformed", "malformed"]
    assert found[0]["pod"] == "shop/web-5d4f-"
    assert "hostNetwork" in found[1]["reason"]
    assert one.status("/inject")[0] == 404


def run(*args):
    return subprocess.run([INJECTOR, *args], text=True, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


NEEDED = ["--image", "a", "--controller", "10.0.0.1:1", "--tls-cert", "x",
          "--tls-key", "y"]


@pytest.mark.parametrize("args, why", [
    ([], "--image is required"),
    (NEEDED[2:], "--image is required"),
    (NEEDED[:2] + NEEDED[4:], "--controller is required"),
    (NEEDED[:-2], "--tls-key is required"),
    (NEEDED[:-4], "--tls-cert (or --kubernetes) is required"),
    (NEEDED[:-4] + NEEDED[-2:], "--tls-cert (or --kubernetes) is required"),
    (NEEDED[:-4] + ["--kubernetes"], "KUBERNETES_SERVICE_HOST"),
    (NEEDED + ["--cert-secret", "a/b"], '"a/b": expected a name'),
    (NEEDED + ["--service", ""], "expected a name"),
    (NEEDED + ["--webhook-config", "A"], "expected a name"),
    (NEEDED + ["--namespace", "../x"], "expected a name"),
    (NEEDED + ["--certificate-lifetime", "119"], "from 120 to 31536000"),
    (NEEDED + ["x"], '"x": expected an option'),
    (NEEDED + ["--image", "a b"], '"a b": expected an image'),
    (NEEDED + ["--controller", "10.0.0.1"], "expected IP:PORT"),
    (NEEDED + ["--controller", "a b:1"], "expected IP:PORT"),
    (NEEDED + ["--controller", "a:65536"], "expected IP:PORT"),
    (NEEDED + ["--controller", ":1"], "expected IP:PORT"),
    (NEEDED + ["--controller-id", "x"], "expected spiffe://"),
    (NEEDED + ["--trust-domain", "A"], "lowercase"),
    (NEEDED + ["--token-audience", "a b"], "printable ASCII"),
    (NEEDED + ["--opt-in", "all"], "expected namespace or pod"),
    (NEEDED + ["--default", "strict"], "expected NAME=VALUE"),
    (NEEDED + ["--default", "strict=x"], "expected true or false"),
    (NEEDED + ["--default", "stict=true"], "the name of an annotation"),
    (NEEDED + ["--default", "memory-limit=8Mi"], "memory-request"),
    (NEEDED + ["--listen", "x"], "expected IP:PORT"),
    (NEEDED + ["--log-level", "x"], "expected error, warn"),
    (NEEDED + ["--nonsense"], "nonsense"),
])
def test_bad_options_end_it_with_2(args, why):
    done = run(*args)
    assert done.returncode == 2
    assert why in done.stderr and done.stdout == ""


def test_a_name_without_address_ends_it_with_1():
    done = run(*NEEDED, "--controller", "no.such.host.invalid:15010")
    assert done.returncode == 1
    assert "no.such.host.invalid" in done.stderr


def test_help_and_version():
    assert run("--help").stdout.startswith("Usage: eastwest-injector")
    assert run("--version").stdout.startswith("eastwest-injector ")
