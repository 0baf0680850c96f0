# SPDX-License-Identifier: Apache-2.0
"""eastwest-init against real kernels' iptables, nft and legacy."""
import os
import random
import shutil
import stat
import subprocess
import time

import pytest

from netns import BIN, Netns, veth

INIT = os.path.join(BIN, "eastwest-init")
POD4, PEER4 = "10.77.0.1", "10.77.0.2"
POD6, PEER6 = "fd77::1", "fd77::2"
FAMILIES = [(POD4, PEER4, "127.0.0.1"), (POD6, PEER6, "::1")]
VARIANTS = ["nft", "legacy"]


@pytest.fixture(autouse=True, scope="session")
def root():
    assert os.geteuid() == 0, "needs root; a skip would be a failure"
    assert os.access(INIT, os.X_OK), "build eastwest-init first: " + INIT


@pytest.fixture
def pod():
    ns = Netns("pod")
    yield ns
    ns.delete()


@pytest.fixture
def pair():
    """A pod and a peer, joined, with the sidecar's listeners in the pod."""
    p, q = Netns("pod"), Netns("peer")
    try:
        veth(p, q, [POD4 + "/24", POD6 + "/64"], [PEER4 + "/24", PEER6 + "/64"])
        p.listen("127.0.0.1:15001", "[::1]:15001", "0.0.0.0:15006",
                 "[::]:15006", "0.0.0.0:15020", "0.0.0.0:8080", "[::]:8080",
                 "0.0.0.0:8090", "[::]:8090", "127.0.0.1:9000", "[::1]:9000")
        q.listen("0.0.0.0:80", "[::]:80", "0.0.0.0:81", "[::]:81",
                 "0.0.0.0:2000", "[::]:2000")
        yield p, q
    finally:
        p.delete()
        q.delete()


def only(tmp_path, *names):
    """An environment whose PATH has just these programs of iptables."""
    d = tmp_path / "bin"
    d.mkdir(exist_ok=True)
    for n in names:
        (d / n).symlink_to(shutil.which(n))
    return dict(os.environ, PATH=str(d))


def variant_env(tmp_path, variant):
    return only(tmp_path, *("%s-%s-%s" % (f, variant, what)
                            for f in ("iptables", "ip6tables")
                            for what in ("restore", "save")))


def wrapped(folder, tool, script):
    """|tool|-save as it is, and a |tool|-restore that does |script|, in which
    $real is the true one; what the versions are it tells by that."""
    folder.mkdir(exist_ok=True)
    (folder / f"{tool}-save").symlink_to(shutil.which(f"{tool}-save"))
    program = folder / f"{tool}-restore"
    program.write_text(f"#!/bin/sh\nreal={shutil.which(program.name)}\n"
                       f'[ "$1" = --version ] && exec $real "$@"\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def init(ns, *args, env=None):
    # By absolute paths: |env| may hide everything else.
    return subprocess.run(
        [shutil.which("ip"), "netns", "exec", ns.name, INIT, *args], env=env,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def applied(ns, *args, env=None):
    r = init(ns, *args, env=env)
    assert r.returncode == 0, r.stderr
    return r


def last_line(r):
    return r.stderr.rstrip("\n").splitlines()[-1]


def save(ns, program):
    """The rules in force without the comments, which hold the time, and
    without tables that were used once and have no rule."""
    text = "".join(l + "\n" for l in ns.check(program + "-save").splitlines()
                   if not l.startswith("#"))
    tables = [t + "COMMIT\n" for t in text.split("COMMIT\n")[:-1]]
    return "".join(t for t in tables if "\n-A " in t or " - [" in t)


def saves(ns):
    return [save(ns, "%s-%s" % (f, v)) for v in VARIANTS
            for f in ("iptables", "ip6tables")]


def split_families(text):
    assert text.startswith("# IPv4\n")
    v4, v6 = text[len("# IPv4\n"):].split("# IPv6\n")
    return v4, v6


def foreign(ns, variant):
    """Rules of another tool, before and after where ours will be."""
    for f in ("iptables", "ip6tables"):
        t = "%s-%s" % (f, variant)
        ns.check(t, "-t", "nat", "-N", "OTHER")
        ns.check(t, "-t", "nat", "-A", "OTHER", "-p", "udp", "--dport", "53",
                 "-m", "comment", "--comment", "a \"-j EASTWEST_OUTPUT\" trap",
                 "-j", "REDIRECT", "--to-ports", "5353")
        ns.check(t, "-t", "nat", "-A", "OUTPUT", "-j", "OTHER")
        ns.check(t, "-A", "INPUT", "-p", "tcp", "--dport", "7", "-j", "DROP")


# --- what is installed ---

@pytest.mark.parametrize("variant", VARIANTS)
def test_ten_runs_leave_identical_rules(pod, tmp_path, variant):
    foreign(pod, variant)
    env = variant_env(tmp_path, variant)
    applied(pod, "--skip-inbound-ports", "80,1000-2000", env=env)
    # Another tool comes after us, in front and behind.
    tool = "iptables-" + variant
    pod.check(tool, "-t", "nat", "-I", "OUTPUT", "-p", "udp", "-j", "RETURN")
    pod.check(tool, "-t", "nat", "-A", "PREROUTING", "-p", "udp", "-j",
              "RETURN")
    first = saves(pod)
    assert first[0].count("EASTWEST") + first[2].count("EASTWEST") > 0
    for _ in range(10):
        applied(pod, "--skip-inbound-ports", "80,1000-2000", env=env)
        assert saves(pod) == first


@pytest.mark.parametrize("variant", VARIANTS)
def test_cleanup_leaves_what_was_there(pod, tmp_path, variant):
    foreign(pod, variant)
    env = variant_env(tmp_path, variant)
    before = saves(pod)
    applied(pod, env=env)
    assert saves(pod) != before
    applied(pod, "--cleanup", env=env)
    assert saves(pod) == before
    applied(pod, "--cleanup", env=env)
    assert saves(pod) == before


def test_cleanup_finds_rules_in_both_variants(pod, tmp_path):
    (tmp_path / "n").mkdir()
    (tmp_path / "l").mkdir()
    for t in ("iptables-nft", "ip6tables-nft"):
        pod.check(t, "-t", "nat", "-L")
    applied(pod, env=variant_env(tmp_path / "n", "nft"))
    applied(pod, env=variant_env(tmp_path / "l", "legacy"))
    assert all("EASTWEST" in s for s in saves(pod))
    applied(pod, "--cleanup")
    assert not any("EASTWEST" in s for s in saves(pod))


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_that_holds_rules_is_used(pod, variant):
    foreign(pod, variant)
    r = applied(pod)
    assert "(%s)" % variant in r.stderr
    used = ["EASTWEST" in s for s in saves(pod)]
    assert used == ([True, True, False, False] if variant == "nft"
                    else [False, False, True, True])


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_stays_in_the_pod_is_not_tracked(pair, tmp_path, variant):
    """The sidecar's connections to its app; but all that is translated is."""
    p, q = pair
    applied(p, env=variant_env(tmp_path, variant))
    for own, peer in ((POD4, PEER4), (POD6, PEER6)):
        assert p.connect(own, 8080)["at"].endswith(":8080")
        via(q.connect(own, 8080), 15006, own, 8080)
        via(p.connect(peer, 80), 15001, peer, 80)
        table = p.check("conntrack", "-L", "-f",
                        "ipv6" if ":" in own else "ipv4")
        assert "src=%s dst=%s " % (own, own) not in table, table
        assert "src=%s dst=%s " % (peer, own) in table, table
        assert "src=%s dst=%s " % (own, peer) in table, table


def test_a_kernel_without_the_raw_table_will_do(pod, tmp_path):
    d = tmp_path / "nat-only"
    for tool in ("iptables-nft", "ip6tables-nft"):
        wrapped(d, tool, 'in=$(/usr/bin/cat)\ncase $in in *raw*) '
                'echo no raw table >&2; exit 4;; esac\n'
                'echo "$in" | $real "$@"')
    r = applied(pod, env=dict(os.environ, PATH=str(d)))
    told = [l for l in r.stderr.splitlines() if "stay in the table" in l]
    assert len(told) == 2 and "no raw table" in told[0]
    assert "is redirected and verified" in last_line(r)
    applied(pod, "--verify")


def test_changed_options_replace_the_rules(pod):
    applied(pod, "--skip-inbound-ports", "80", "--uid", "7")
    applied(pod, "--inbound-port", "4143")
    text = save(pod, "iptables")
    assert "--to-ports 4143" in text
    assert "dport 80 " not in text and "uid-owner 7 " not in text
    assert text.count("-j EASTWEST_INBOUND") == 1


def test_dry_run_is_exactly_what_is_applied(pod, tmp_path):
    """The programs are wrapped so that their input is recorded."""
    d = tmp_path / "wrapped"
    for tool in ("iptables-nft", "ip6tables-nft"):
        wrapped(d, tool,
                f'/usr/bin/tee -a {tmp_path}/{tool}.in | $real "$@"')
    env = dict(os.environ, PATH=str(d))
    foreign(pod, "nft")
    pod.check("iptables-nft", "-t", "nat", "-N", "EASTWEST_OUTPUT")
    pod.check("iptables-nft", "-t", "nat", "-A", "OUTPUT", "-j",
              "EASTWEST_OUTPUT")  # a jump of another form: must be replaced
    args = ["--skip-uids", "5,6", "--skip-inbound-ports", "80,90-99",
            "--skip-outbound-ports", "25", "--skip-inbound-cidrs",
            "192.0.2.0/24,fd01::/16", "--skip-outbound-cidrs",
            "198.51.100.7,2001:db8::1"]
    before = saves(pod)
    r = applied(pod, "--dry-run", *args, env=env)
    assert saves(pod) == before
    applied(pod, *args, env=env)
    assert split_families(r.stdout) == (
        (tmp_path / "iptables-nft.in").read_text(),
        (tmp_path / "ip6tables-nft.in").read_text())
    assert "-D OUTPUT -j EASTWEST_OUTPUT\n" in r.stdout
    # And the text stands for itself: by hand it gives the same rules.
    other = Netns("byhand")
    try:
        for tool, text in zip(("iptables", "ip6tables"),
                              split_families(applied(other, "--dry-run",
                                                     *args).stdout)):
            other.check(tool + "-nft-restore", "--noflush", input=text)
        applied(other, "--verify", *args)
    finally:
        other.delete()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("tool", ["iptables", "ip6tables"])
@pytest.mark.parametrize("change,tells", [
    (["-D", "EASTWEST_OUTPUT", "1"], "chain EASTWEST_OUTPUT, rule 1:"),
    (["-A", "EASTWEST_INBOUND", "-p", "tcp", "-j", "RETURN"],
     "chain EASTWEST_INBOUND, rule 4: expected \"none\""),
    (["-I", "EASTWEST_INBOUND", "2", "-p", "tcp", "-j", "RETURN"],
     "chain EASTWEST_INBOUND, rule 2:"),
    (["-D", "PREROUTING", "-p", "tcp", "-j", "EASTWEST_INBOUND"],
     "chain PREROUTING:"),
    (["-A", "OUTPUT", "-p", "tcp", "-j", "EASTWEST_OUTPUT"], "chain OUTPUT:"),
])
def test_verify_tells_drift_and_a_run_mends_it(pod, tmp_path, variant, tool,
                                               change, tells):
    env = variant_env(tmp_path, variant)
    args = ["--skip-inbound-ports", "80"]
    applied(pod, *args, env=env)
    applied(pod, "--verify", *args, env=env)
    pod.check("%s-%s" % (tool, variant), "-t", "nat", *change)
    r = init(pod, "--verify", *args, env=env)
    assert r.returncode == 1
    assert tells in last_line(r)
    assert ("IPv4" if tool == "iptables" else "IPv6") in last_line(r)
    applied(pod, *args, env=env)
    applied(pod, "--verify", *args, env=env)


def test_verify_tells_other_options(pod):
    applied(pod)
    r = init(pod, "--verify", "--skip-outbound-ports", "25")
    assert r.returncode == 1 and "--dport 25" in last_line(r)


# --- what the rules do ---

def via(reply, listener, host, port):
    assert reply is not None
    assert reply["at"].endswith(":%d" % listener), reply
    assert reply["original"] == [host, port], reply


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_directions_are_redirected(pair, tmp_path, variant):
    p, q = pair
    applied(p, env=variant_env(tmp_path, variant))
    for pod_ip, peer_ip, _ in FAMILIES:
        via(p.connect(peer_ip, 80), 15001, peer_ip, 80)
        # Also a port that nobody listens on: the sidecar decides.
        via(p.connect(peer_ip, 4), 15001, peer_ip, 4)
        via(q.connect(pod_ip, 8080), 15006, pod_ip, 8080)
        # The listeners' own ports keep their address: the sidecar's loop
        # guard sees itself as the original destination.
        via(q.connect(pod_ip, 15001), 15006, pod_ip, 15001)
        via(q.connect(pod_ip, 15006), 15006, pod_ip, 15006)
    via(q.connect(POD4, 15020), 15020, POD4, 15020)


def test_sidecar_and_skipped_users_go_straight(pair):
    p, _ = pair
    applied(p, "--skip-uids", "3000,3001")
    for _, peer_ip, _ in FAMILIES:
        for uid in (2140, 3000, 3001):
            via(p.connect(peer_ip, 80, uid=uid), 80, peer_ip, 80)
        for uid in (0, 3002):
            via(p.connect(peer_ip, 80, uid=uid), 15001, peer_ip, 80)


def test_uid_can_be_chosen(pair):
    p, _ = pair
    applied(p, "--uid", "4000")
    via(p.connect(PEER4, 80, uid=4000), 80, PEER4, 80)
    via(p.connect(PEER4, 80, uid=2140), 15001, PEER4, 80)


@pytest.mark.parametrize("variant", VARIANTS)
def test_skipped_ports_and_ranges_go_straight(pair, tmp_path, variant):
    p, q = pair
    applied(p, "--skip-outbound-ports", "81, 1990-2000",
            "--skip-inbound-ports", "8085-8095",
            env=variant_env(tmp_path, variant))
    for pod_ip, peer_ip, _ in FAMILIES:
        via(p.connect(peer_ip, 81), 81, peer_ip, 81)
        via(p.connect(peer_ip, 2000), 2000, peer_ip, 2000)
        via(p.connect(peer_ip, 80), 15001, peer_ip, 80)
        via(p.connect(peer_ip, 2001), 15001, peer_ip, 2001)
        via(q.connect(pod_ip, 8090), 8090, pod_ip, 8090)
        via(q.connect(pod_ip, 8080), 15006, pod_ip, 8080)


@pytest.mark.parametrize("variant", VARIANTS)
def test_skipped_cidrs_go_straight_in_their_family(pair, tmp_path, variant):
    p, q = pair
    applied(p, "--skip-outbound-cidrs", PEER4 + ",fd77::2/127",
            "--skip-inbound-cidrs", "10.77.0.3/30," + PEER6,
            env=variant_env(tmp_path, variant))
    q.check("ip", "addr", "add", "10.77.0.9/24", "dev", "eth0")
    q.check("ip", "addr", "add", "fd77::9/64", "dev", "eth0", "nodad")
    for (pod_ip, peer_ip, _), other in zip(FAMILIES,
                                              ("10.77.0.9", "fd77::9")):
        via(p.connect(peer_ip, 80), 80, peer_ip, 80)
        via(p.connect(other, 80), 15001, other, 80)
        via(q.connect(pod_ip, 8080, source=peer_ip), 8080, pod_ip, 8080)
        via(q.connect(pod_ip, 8080, source=other), 15006, pod_ip, 8080)


def test_all_addresses_can_be_skipped(pair):
    p, q = pair
    applied(p, "--skip-outbound-cidrs", "0.0.0.0/0", "--skip-inbound-cidrs",
            "::/0")
    via(p.connect(PEER4, 80), 80, PEER4, 80)
    via(p.connect(PEER6, 80), 15001, PEER6, 80)
    via(q.connect(POD4, 8080), 15006, POD4, 8080)
    via(q.connect(POD6, 8080), 8080, POD6, 8080)


@pytest.mark.parametrize("variant", VARIANTS)
def test_self_calls_reach_the_app(pair, tmp_path, variant):
    p, _ = pair
    applied(p, env=variant_env(tmp_path, variant))
    for pod_ip, _, loopback in FAMILIES:
        via(p.connect(pod_ip, 8080), 8080, pod_ip, 8080)
        via(p.connect(loopback, 9000), 9000, loopback, 9000)
        # The sidecar delivers to the pod's own address: straight to the app.
        via(p.connect(pod_ip, 8080, uid=2140), 8080, pod_ip, 8080)
    via(p.connect("127.8.7.6", 8080), 8080, "127.8.7.6", 8080)


def test_loopback_only_ports_stay_closed(pair):
    p, q = pair
    applied(p)
    for pod_ip, _, _ in FAMILIES:
        # The network gets to the sidecar, which is told the pod's address...
        via(q.connect(pod_ip, 9000), 15006, pod_ip, 9000)
        # ...where, going straight, nobody listens.
        assert p.connect(pod_ip, 9000, uid=2140) is None
    # Where redirection is skipped, the port is closed as without a mesh.
    applied(p, "--skip-inbound-ports", "9000,15001")
    for pod_ip, _, _ in FAMILIES:
        assert q.connect(pod_ip, 9000) is None
        assert q.connect(pod_ip, 15001) is None


def test_cleanup_ends_redirection(pair):
    p, q = pair
    applied(p)
    applied(p, "--cleanup")
    for pod_ip, peer_ip, _ in FAMILIES:
        via(p.connect(peer_ip, 80), 80, peer_ip, 80)
        via(q.connect(pod_ip, 8080), 8080, pod_ip, 8080)


# --- what can go wrong ---

@pytest.mark.parametrize("mode", [[], ["--verify"], ["--cleanup"]])
def test_without_net_admin_the_last_line_says_so(pod, mode):
    r = pod.run("setpriv", "--bounding-set", "-net_admin,-net_raw",
                "--inh-caps", "-net_admin,-net_raw", INIT, *mode)
    assert r.returncode == 1
    assert "NET_ADMIN" in last_line(r) and "IPv4" in last_line(r)
    assert not any("EASTWEST" in s for s in saves(pod))


def test_without_iptables_the_last_line_says_so(pod, tmp_path):
    r = init(pod, env=only(tmp_path))
    assert r.returncode == 1
    assert "iptables is not installed" in last_line(r)


def test_ipv6_that_cannot_be_redirected_fails_closed(pod, tmp_path):
    env = only(tmp_path, "iptables-nft-restore", "iptables-nft-save")
    for args in ([], ["--ipv6", "on"]):
        r = init(pod, *args, env=env)
        assert r.returncode == 1
        assert "IPv6 cannot be redirected" in last_line(r)
    r = applied(pod, "--ipv6", "off", env=env)
    assert "IPv6 is on in this pod and is not redirected" in r.stderr
    pod.check("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    pod.check("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    applied(pod, env=env)
    applied(pod, "--verify", env=env)


def test_variant_that_fails_gives_way_to_the_next(pod, tmp_path):
    d = tmp_path / "broken"
    for f in ("iptables", "ip6tables"):
        wrapped(d, f + "-nft", "echo no such module >&2; exit 4")
        for what in ("restore", "save"):
            n = "%s-legacy-%s" % (f, what)
            (d / n).symlink_to(shutil.which(n))
    r = applied(pod, env=dict(os.environ, PATH=str(d)))
    assert "(legacy)" in r.stderr
    for n in ("iptables-legacy-restore", "ip6tables-legacy-restore"):
        (d / n).unlink()
        (d / n).symlink_to("/bin/false")
    r = init(pod, "--uid", "7", env=dict(os.environ, PATH=str(d)))
    assert r.returncode == 1
    assert "no such module" in last_line(r)


def test_a_change_that_is_lost_is_noticed(pod, tmp_path):
    """A restore that succeeds and does nothing must not pass."""
    d = tmp_path / "lying"
    wrapped(d, "iptables-nft", "exit 0")
    r = init(pod, env=dict(os.environ, PATH=str(d)))
    assert r.returncode == 1
    assert "chain EASTWEST_INBOUND, rule 1:" in last_line(r)


@pytest.mark.parametrize("variant", VARIANTS)
def test_kill_leaves_all_or_nothing(pod, tmp_path, variant):
    env = variant_env(tmp_path, variant)
    random.seed(2140)
    start = time.monotonic()
    applied(pod, env=env)
    whole = time.monotonic() - start
    applied(pod, "--cleanup", env=env)
    seen = set()
    for _ in range(25):
        p = subprocess.Popen(
            [shutil.which("ip"), "netns", "exec", pod.name, INIT], env=env,
            stderr=subprocess.DEVNULL)
        time.sleep(random.random() * whole)  # the moment is what is random
        p.kill()
        p.wait()
        pod.wait_quiet()
        state = []
        for f in ("iptables", "ip6tables"):
            text = save(pod, "%s-%s" % (f, variant))
            rules = text.count("-A EASTWEST_")
            jumps = text.count("-j EASTWEST_")
            assert (rules, jumps) in ((0, 0), (5, 2)), text
            state.append(rules)
        seen.add(tuple(state))
        applied(pod, env=env)
        applied(pod, "--verify", env=env)
        applied(pod, "--cleanup", env=env)
    assert len(seen) > 1, "every kill came too early or too late"


@pytest.mark.parametrize("variant", VARIANTS)
def test_runs_at_the_same_time_agree(pod, tmp_path, variant):
    env = variant_env(tmp_path, variant)
    ps = [subprocess.Popen([shutil.which("ip"), "netns", "exec", pod.name,
                            INIT], env=env, stderr=subprocess.PIPE, text=True)
          for _ in range(3)]
    for p in ps:
        _, err = p.communicate(timeout=120)
        assert p.returncode == 0, err
    applied(pod, "--verify", env=env)


@pytest.mark.parametrize("args,tells", [
    (["--inbound-port", "0"], '--inbound-port "0"'),
    (["--outbound-port", "65536"], '--outbound-port "65536"'),
    (["--uid", "root"], '--uid "root"'),
    (["--skip-uids", "1,,2"], '--skip-uids "1,,2"'),
    (["--skip-inbound-ports", "90-80"], '--skip-inbound-ports "90-80"'),
    (["--skip-outbound-ports", "http"], '--skip-outbound-ports "http"'),
    (["--skip-inbound-cidrs", "10.0.0.0/33"], '"10.0.0.0/33"'),
    (["--skip-outbound-cidrs", "fd00::/129"], '"fd00::/129"'),
    (["--ipv6", "maybe"], '--ipv6 "maybe"'),
    (["--dry-run", "--verify"], "--verify"),
    (["--frobnicate"], "--frobnicate"),
    (["extra"], '"extra"'),
])
def test_bad_values_name_option_value_and_expectation(pod, args, tells):
    r = init(pod, *args)
    assert r.returncode == 2
    assert tells in last_line(r) and "expected" in last_line(r)
    assert len(r.stderr.splitlines()) == 1
    assert not any("EASTWEST" in s for s in saves(pod))


def test_help_and_version(pod):
    assert "--skip-outbound-cidrs" in applied(pod, "--help").stdout
    assert applied(pod, "--version").stdout.startswith("eastwest-init ")
