# SPDX-License-Identifier: Apache-2.0
"""The main job in a minute: a mesh from ordinary manifests, without Kubernetes.

Every line that starts with "$" is a command that works the same with
`./dev up` on a folder of your own."""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
NAME = "demo"
SECRET = "card-4111-1111-1111-1111"


def mesh(*args, **kwargs):
    return subprocess.run([sys.executable, "-m", "localmesh", *args],
                          text=True, **kwargs)


def in_client(*command):
    done = mesh("exec", "--name", NAME, "shop/client", "--", *command,
                capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"demo: {' '.join(command)}: exit code "
                         f"{done.returncode}\n{done.stderr}")
    return done.stdout


def title(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


def call(path="/", *options):
    return json.loads(in_client("curl", "-sS", "--max-time", "5", *options,
                                f"http://echo{path}"))


def many(count, *options):
    """Bodies of |count| requests over one connection."""
    out = in_client("curl", "-sS", "--max-time", "20", *options,
                    f"http://echo/?n=[1-{count}]")
    decoder, at, bodies = json.JSONDecoder(), 0, []
    while at < len(out):
        while at < len(out) and out[at].isspace():
            at += 1
        if at < len(out):
            body, at = decoder.raw_decode(out, at)
            bodies.append(body)
    return bodies


def tally(values):
    return ", ".join(f"{k}: {v}" for k, v in
                     sorted(collections.Counter(values).items()))


def wait_for(condition, seconds):
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise SystemExit("demo: it did not happen in time")
    return time.monotonic() - started


def balance():
    title("1. A Service: its requests are balanced one by one")
    print("$ ./dev exec shop/client -- curl 'http://echo/?n=[1-30]'")
    print("  30 requests on one connection reached", tally(
        b["pod"] for b in many(30)))


def route(folder):
    title("2. An HTTPRoute: 90/10, a header, a redirect, a rewrite")
    shutil.copy(HERE / "route.yaml", folder / "route.yaml")
    print("$ cp route.yaml manifests/")
    wait_for(lambda: call("/", "-H", "x-beta: yes")["version"] == "v2" and
             call("/api/v1/x")["path"] == "/internal/x", 5)
    print("  200 requests:", tally(b["version"] for b in many(200)))
    print("  x-beta: yes  ->", tally(
        b["version"] for b in many(20, "-H", "x-beta: yes")))
    head = in_client("curl", "-sSI", "--max-time", "5", "http://echo/old/page")
    print("  /old/page    ->", head.split("\n")[0].split(" ", 1)[1],
          re.search(r"(?im)^location: (.*)$", head).group(1))
    print("  /api/v1/x    -> the app sees", call("/api/v1/x")["path"])


def edit(folder):
    title("3. The same route, edited on disk")
    text = (folder / "route.yaml").read_text()
    text = text.replace("weight: 90", "weight: 0").replace(
        "weight: 10", "weight: 100")
    (folder / "route.yaml").write_text(text)
    print("$ sed -i 's/weight: 90/weight: 0/; s/weight: 10/weight: 100/' "
          "manifests/route.yaml")
    took = wait_for(lambda: {b["version"] for b in many(10)} == {"v2"}, 5)
    print(f"  all requests go to v2 after {took:.2f} s")


def identity():
    title("4. Who called? The server saw a verified SPIFFE identity")
    headers = call("/")["headers"]
    print("  x-forwarded-client-cert:",
          ", ".join(headers["x-forwarded-client-cert"]))


def wire():
    title("5. On the wire between the pods")
    capture = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/ew-{NAME}", "tcpdump", "-i", "any",
         "-n", "-l", "-x", "-s", "0", "--immediate-mode",
         # Between pods; the hub's readiness probes are plain.
         "tcp port 8080 and not host 198.18.255.1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in capture.stderr:
        if "listening" in line:
            break
    for _ in range(3):
        in_client("curl", "-sS", "-d", SECRET, "http://echo/")
    capture.send_signal(signal.SIGINT)
    out, _ = capture.communicate(timeout=10)
    packets = re.split(r"\n(?=\d\d:\d\d:\d\d)", out)
    secret = SECRET.encode().hex()
    records, leaks, shown = 0, 0, None
    for packet in packets:
        data = "".join(re.findall(r"(?m)^\s+0x[0-9a-f]+:\s+([0-9a-f ]+)$",
                                  packet)).replace(" ", "")
        leaks += secret in data
        if "170303" in data:
            records += 1
            shown = shown or (packet.split("\n")[0],
                              data[data.index("170303"):][:48])
    if not shown:
        raise SystemExit("demo: no TLS record was captured")
    what = re.sub(r" Flags.*length", ", length", re.split(" IP6? ", shown[0], maxsplit=1)[1])
    print("  " + what)
    print(f"  {' '.join(re.findall('..', shown[1]))} ...  "
          "(17 03 03: TLS application data)")
    print(f"  {len(packets)} packets, {records} with TLS records; the text "
          f"that was posted appears in {leaks}")
    if leaks:
        raise SystemExit("demo: plain text on the wire")


def metrics():
    title("6. Metrics by route and backend")
    text = in_client("sh", "-c", "curl -sS http://127.0.0.1:15020/metrics")
    wanted = ("route_name", "rule", "backend_name", "status")
    for line in text.split("\n"):
        if line.startswith("eastwest_requests_total") and \
                'route_name="echo"' in line:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            print("  eastwest_requests_total{" + ",".join(
                f'{k}="{labels[k]}"' for k in wanted if labels[k]) +
                "} " + line.rsplit(" ", 1)[1])


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="eastwest-demo-"))
    stop = {"signal": None}

    def on_signal(number, _frame):
        stop["signal"] = number
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)
    code = 1
    try:
        for source in (HERE / "manifests").iterdir():
            shutil.copy(source, folder)
        shutil.copy(HERE.parent / "workloads" / "echo.py", folder)
        os.chmod(folder, 0o755)
        print("$ ./dev up manifests/")
        if mesh("up", "--name", NAME, str(folder)).returncode != 0:
            return 1
        mesh("pods", "--name", NAME)
        for step in (balance, lambda: route(folder), lambda: edit(folder),
                     identity, wire, metrics):
            step()
        code = 0
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        mesh("down", "--name", NAME, stdout=subprocess.DEVNULL,
             stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
    title("Everything is cleaned up. Next: ./dev up DIR with manifests of "
          "your own, ./dev test, README.md." if code == 0 else "Stopped.")
    return code


if __name__ == "__main__":
    sys.exit(main())
