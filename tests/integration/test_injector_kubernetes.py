# SPDX-License-Identifier: Apache-2.0
"""The injector's own certificate: its Secret, and the API server's caBundle."""
import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from injectors import NAME, a_pod, ours, start  # noqa: F401
from kube_api import KubeApi
from kube_controller import SYSTEM, namespace, secret
from meshes import wait_for

CONFIGS = "mutatingwebhookconfigurations"
SECRET = "eastwest-injector-tls"
# What the chart grants, and no more.
RULES = (("create", "secrets", SYSTEM, None),
         ("get,list,watch,update", "secrets", SYSTEM, SECRET),
         ("get,list,watch,patch", CONFIGS, "*", "eastwest-injector"),
         ("create", "events", "*", None))


def webhooks(*bundles):
    return {"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "eastwest-injector",
                         "labels": {"app": "eastwest"}},
            "webhooks": [{"name": f"w{i}.eastwest.dev", "failurePolicy": "Fail",
                          "clientConfig": {
                              "service": {"name": "eastwest-injector",
                                          "namespace": SYSTEM,
                                          "path": "/inject"},
                              **({"caBundle": text(b)} if b else {})}}
                         for i, b in enumerate(bundles)]}


def text(pem):
    return base64.b64encode(pem.encode()).decode()


@pytest.fixture
def api():
    made = KubeApi()
    made.bearers = {"api-token"}
    made.allow(*RULES)
    made.put(namespace(SYSTEM, mesh=False), webhooks(None, None))
    yield made
    made.stop()


def stored(api, key):
    data = api.get("secrets", SYSTEM, SECRET)["data"]
    return base64.b64decode(data[key]).decode()


def leaf(api):
    return x509.load_pem_x509_certificate(stored(api, "tls.crt").encode())


def roots(pem):
    """Serial numbers, in order."""
    parts = pem.split("-----BEGIN")[1:]
    return [x509.load_pem_x509_certificate(("-----BEGIN" + p).encode())
            .serial_number for p in parts]


def bundles(api):
    config = api.get(CONFIGS, "", "eastwest-injector")
    return [roots(base64.b64decode(
        w["clientConfig"].get("caBundle", "")).decode())
        for w in config["webhooks"]]


def pair(begin_s, end_s, names=(NAME, NAME + ".cluster.local")):
    """(tls.crt, tls.key, ca.crt), valid from and to so many seconds from
    now."""
    now = dt.datetime.utcnow()

    def make(name, issuer, key, issuer_key, ca):
        builder = x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
            key.public_key(), x509.random_serial_number(),
            now + dt.timedelta(seconds=begin_s),
            now + dt.timedelta(seconds=end_s)).add_extension(
                x509.BasicConstraints(ca, None), True)
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName(n) for n in names]), False)
        return builder.sign(issuer_key, hashes.SHA256())
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    return (pem_of(make("webhook", "old", key, ca_key, False)),
            key.private_bytes(serialization.Encoding.PEM,
                              serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()).decode(),
            pem_of(make("old", "old", ca_key, ca_key, True)))


def pem_of(cert):
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def put_pair(api, crt, key, ca):
    api.put(secret(SECRET, **{"tls.crt": crt, "tls.key": key, "ca.crt": ca}))


# --- the first start ---

def test_it_makes_a_certificate_and_gives_its_root(api, start):  # noqa: F811
    one = start(api=api).ready()
    assert ours(one.inject(a_pod()))  # curl checks by the caBundle
    made = leaf(api)
    san = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert san.value.get_values_for_type(x509.DNSName) == [
        NAME, NAME + ".cluster.local"]
    assert made.serial_number == one.serial()
    assert isinstance(made.public_key().curve, ec.SECP256R1)
    days = (made.not_valid_after - made.not_valid_before).days
    assert days == 90
    assert api.get("secrets", SYSTEM, SECRET)["type"] == "kubernetes.io/tls"
    # No key of a CA is left over.
    assert set(api.get("secrets", SYSTEM, SECRET)["data"]) == {
        "tls.crt", "tls.key", "ca.crt"}
    assert bundles(api) == [roots(stored(api, "ca.crt"))] * 2
    config = api.get(CONFIGS, "", "eastwest-injector")
    expected = webhooks(stored(api, "ca.crt"), stored(api, "ca.crt"))
    assert config["webhooks"] == expected["webhooks"]
    assert config["metadata"]["labels"] == {"app": "eastwest"}
    assert one.metric("eastwest_injector_ca_bundle_in_place") == 1
    assert one.metric("eastwest_injector_certificate_not_after_seconds") == \
        int(made.not_valid_after.replace(tzinfo=dt.timezone.utc).timestamp())


def test_replicas_that_start_together_share_one(api, start):  # noqa: F811
    many = [start(api=api) for _ in range(4)]
    for one in many:
        one.ready()
    assert len(api.written("secrets")) == 1
    assert len({one.serial() for one in many}) == 1
    assert all(ours(one.inject(a_pod())) for one in many)


def test_nothing_is_written_when_nothing_changed(api, start):  # noqa: F811
    start(api=api).ready()
    writes = len(api.writes)
    second = start(api=api).ready()
    assert ours(second.inject(a_pod()))
    lists = api.count("GET", "secrets", 200)
    api.forget()  # all is listed again
    wait_for(lambda: api.count("GET", "secrets", 200) >= lists + 4, 20,
             "watches of both")
    assert len(api.writes) == writes


def test_what_is_granted_is_enough_and_asked_by_name(api, start):  # noqa: F811
    start(api=api).ready()
    assert api.count("GET", "", 403) == 0
    with api.lock:
        queries = [q for m, p, q, _ in api.requests if m == "GET"]
    assert len(queries) >= 4
    assert all("fieldSelector=metadata.name%3Deastwest-injector" in q
               for q in queries)


# --- ready ---

def test_not_ready_before_the_api_server_has_the_root(api, start):  # noqa: F811
    api.remove(CONFIGS, "", "eastwest-injector")
    one = start(api=api)
    wait_for(lambda: api.get("secrets", SYSTEM, SECRET), 20, "the Secret")
    assert one.status("/ready")[0] == 503
    assert one.serial() is None  # nobody could check it yet
    api.put(webhooks(None))
    one.ready()
    assert bundles(api) == [roots(stored(api, "ca.crt"))]


def test_ready_once_writing_works(api, start):  # noqa: F811
    api.fail(2, 500, method="POST", part="secrets")
    api.fail(1, 403, method="PATCH", part=CONFIGS)
    one = start(api=api).ready(60)
    faults = "eastwest_injector_write_faults_total"
    assert one.metric(faults + '{object="secret"}') == 2
    assert one.metric(faults + '{object="ca-bundle"}') == 1
    assert any(line["msg"] == "caBundle can't be written" and
               line["status"] == 403 for line in one.lines())


def test_it_serves_without_the_api_server(api, start):  # noqa: F811
    one = start(api=api).ready()
    assert ours(one.inject(a_pod()))
    path = one.ca.path
    api.stop()
    wait_for(lambda: one.metric("eastwest_injector_api_faults") > 1, 20,
             "failed watches")
    assert one.status("/ready")[0] == 200
    assert ours(one.inject(a_pod())), path


# --- what others do ---

def reset(api, change):
    config = api.get(CONFIGS, "", "eastwest-injector")
    fresh = {**config, "webhooks": [
        {**w, "clientConfig": {**w["clientConfig"]}}
        for w in config["webhooks"]]}
    change(fresh["webhooks"])
    with api.lock:
        api.store(CONFIGS, fresh, config)


@pytest.mark.parametrize("change", [
    lambda w: w[0]["clientConfig"].pop("caBundle"),
    lambda w: w[1]["clientConfig"].update(caBundle=""),
    lambda w: w[1]["clientConfig"].update(caBundle=text("nonsense")),
    lambda w: w[0]["clientConfig"].update(caBundle="%%%"),
    lambda w: [x["clientConfig"].update(caBundle=text(pair(-9, 99)[2]))
               for x in w],
    lambda w: w.append({"name": "w2.eastwest.dev", "clientConfig": {}}),
], ids=["gone", "empty", "nonsense", "no base64", "another", "a third"])
def test_a_reset_bundle_is_repaired(api, start, change):  # noqa: F811
    one = start(api=api).ready()
    expected = roots(stored(api, "ca.crt"))
    reset(api, change)
    wait_for(lambda: all(b == expected for b in bundles(api)), 20, "repair")
    one.ready()
    config = api.get(CONFIGS, "", "eastwest-injector")
    assert config["webhooks"][0]["failurePolicy"] == "Fail"


def test_an_old_root_of_somebody_is_taken_out(api, start):  # noqa: F811
    one = start(api=api).ready()
    ca = stored(api, "ca.crt")
    more = text(ca + pair(-5000, 5000)[2])
    reset(api, lambda w: w[0]["clientConfig"].update(caBundle=more))
    wait_for(lambda: bundles(api) == [roots(ca)] * 2, 20, "only ours")
    assert one.status("/ready")[0] == 200


def test_a_younger_root_is_left_to_who_knows_more(api, start):  # noqa: F811
    start(api=api).ready()
    ca = stored(api, "ca.crt")
    more = text(ca + pair(60, 5000)[2])
    writes = len(api.writes)
    reset(api, lambda w: w[0]["clientConfig"].update(caBundle=more))
    lists = api.count("GET", CONFIGS, 200)
    api.forget()
    wait_for(lambda: api.count("GET", CONFIGS, 200) >= lists + 2, 20, "a watch")
    assert len(api.writes) == writes


def test_a_deleted_secret_is_made_again(api, start):  # noqa: F811
    one = start(api=api).ready()
    before = one.serial()
    old = roots(stored(api, "ca.crt"))
    api.remove("secrets", SYSTEM, SECRET)
    wait_for(lambda: api.get("secrets", SYSTEM, SECRET), 20, "a new Secret")
    # What is still served stays trusted.
    assert roots(stored(api, "ca.crt"))[1:] == old
    wait_for(lambda: one.serial() not in (None, before), 20, "the new one")
    assert ours(one.inject(a_pod()))


GOOD = pair(-100, 10000)
OTHER = pair(-100, 10000)


@pytest.mark.parametrize("files, why", [
    (("", GOOD[1], GOOD[2]), "tls.crt: expected a certificate"),
    (("nonsense", GOOD[1], GOOD[2]), "tls.crt: expected a certificate"),
    ((GOOD[0], OTHER[1], GOOD[2]), "tls.key: expected the private key"),
    ((GOOD[0], "nonsense", GOOD[2]), "tls.key: expected the private key"),
    ((GOOD[0], GOOD[1], OTHER[2]), "ca.crt: expected the CA"),
    (pair(-9000, -100), "valid now"),
    (pair(9000, 20000), "valid now"),
    (pair(-100, 10000, [NAME]), f"the name {NAME}.cluster.local"),
], ids=["empty", "nonsense", "another key", "no key", "another CA", "expired",
        "not yet", "another name"])
def test_an_unusable_secret_is_replaced(api, start, files, why):  # noqa: F811
    put_pair(api, *files)
    one = start(api=api).ready()
    assert any(line["msg"] == "certificate not usable" and why in line["error"]
               for line in one.lines())
    assert one.metric("eastwest_injector_certificate_faults_total") == 1
    assert len(api.written("secrets", "PUT")) == 1
    assert one.serial() == leaf(api).serial_number
    assert ours(one.inject(a_pod()))


def test_what_others_keep_in_the_secret_stays(api, start):  # noqa: F811
    made = secret(SECRET, **{"tls.crt": "x", "tls.key": "y", "note": "z"})
    made["metadata"]["labels"] = {"team": "mesh"}
    api.put(made)
    start(api=api).ready()
    after = api.get("secrets", SYSTEM, SECRET)
    assert stored(api, "note") == "z"
    assert after["metadata"]["labels"] == {"team": "mesh"}


# --- rotation ---

def test_renewed_at_two_thirds_of_its_life(api, start):  # noqa: F811
    """In the order: Secret, caBundle with both roots, then the new leaf."""
    old = pair(-2 * 3600 + 4, 3600 + 4)  # two thirds are over in some seconds
    put_pair(api, *old)
    many = [start(api=api).ready() for _ in range(2)]
    first = x509.load_pem_x509_certificate(old[0].encode()).serial_number
    assert [one.serial() for one in many] == [first] * 2
    bodies = []
    served = []

    def look(method, path):
        bodies.append((method, path))
        served.append([one.serial() for one in many])
    api.before_write = look
    wait_for(lambda: leaf(api).serial_number != first, 30, "a renewal")
    new = leaf(api).serial_number
    both = roots(stored(api, "ca.crt"))
    assert len(both) == 2 and both[1] == roots(old[2])[0]
    wait_for(lambda: bundles(api) == [both] * 2, 20, "both roots")
    # Trusted by both roots whatever is served now.
    for one in many:
        assert one.serial() in (first, new)
        assert ours(one.inject(a_pod()))
    wait_for(lambda: [one.serial() for one in many] == [new] * 2, 30,
             "the new certificate")
    for one in many:
        assert ours(one.inject(a_pod()))
        assert one.is_ready()
    # Nobody served it before the bundle was written.
    assert served and all(s == [first] * 2 for s in served)
    assert len(api.written("secrets")) == 1


def test_never_a_leaf_that_the_api_server_can_not_check(api, start):  # noqa: F811
    old = pair(-2 * 3600 - 60, 3600 - 60)
    put_pair(api, *old)
    api.put(webhooks(old[2], old[2]))
    # The new root can't be written for a while.
    api.fail(3, 500, method="PATCH", part=CONFIGS)
    first = x509.load_pem_x509_certificate(old[0].encode()).serial_number
    one = start(api=api)
    wait_for(lambda: leaf(api).serial_number != first, 20, "a renewal")
    while len(bundles(api)[0]) == 1:
        assert one.serial() in (None, first)
    wait_for(lambda: one.serial() == leaf(api).serial_number, 30, "the new one")
    assert ours(one.inject(a_pod()))


def test_the_old_root_goes_when_nobody_needs_it(api, start):  # noqa: F811
    crt, key, ca = pair(-2 * 3600, 8 * 3600)
    other = pair(-9000, 9000)[2]
    put_pair(api, crt, key, other + ca)
    api.put(webhooks(other + ca, other + ca))
    one = start(api=api).ready()
    wait_for(lambda: bundles(api) == [roots(ca)] * 2, 20, "only its root")
    assert roots(stored(api, "ca.crt")) == roots(ca)
    assert stored(api, "tls.crt") == crt and stored(api, "tls.key") == key
    assert one.is_ready() and ours(one.inject(a_pod()))


def test_a_certificate_of_others_is_followed(api, start):  # noqa: F811
    """Another replica wrote it: as soon as its root is in the bundle."""
    one = start(api=api).ready()
    crt, key, ca = pair(-100, 10000)
    put_pair(api, crt, key, ca + stored(api, "ca.crt"))
    wait_for(lambda: one.serial() == x509.load_pem_x509_certificate(
        crt.encode()).serial_number, 30, "the new one")
    assert ours(one.inject(a_pod()))


def test_a_lifetime_can_be_chosen(api, start):  # noqa: F811
    one = start("--certificate-lifetime", "3600", "--service", "inj",
                "--cert-secret", SECRET, api=api)
    one.ready()
    made = leaf(api)
    life = made.not_valid_after - made.not_valid_before
    assert 3600 <= life.total_seconds() <= 3660
    san = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert san.value.get_values_for_type(x509.DNSName) == [
        f"inj.{SYSTEM}.svc", f"inj.{SYSTEM}.svc.cluster.local"]


def test_files_leave_secret_and_bundle_alone(api, start):  # noqa: F811
    one = start(api=api, certificate="files").ready()
    assert ours(one.inject(a_pod()))
    assert api.count("GET", "secrets") == 0 and api.count("GET", CONFIGS) == 0
    assert api.writes == []


