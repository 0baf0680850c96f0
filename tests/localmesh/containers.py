# SPDX-License-Identifier: Apache-2.0
"""A container as a shell script: mounts, user, environment, command."""

import os
import re
import shlex

from .state import MeshError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_UID = 1000
# What container runtimes leave to a container that runs as root.
ROOT_CAPABILITIES = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,"
    "net_bind_service,net_raw,sys_chroot,mknod,audit_write,setfcap")

# Process 1 outlives its own set-up, so it must hand SIGTERM on: the kernel
# drops signals to process 1 for which it has no handler.
HEADER = """#!/bin/sh
child= stopping=
trap 'stopping=1; [ -z "$child" ] || kill -TERM "$child"' TERM
set -e
mount -t proc proc /proc
"""
FOOTER = """child=$!
[ -z "$stopping" ] || kill -TERM "$child"
while :; do
  wait "$child"
  rc=$?
  kill -0 "$child" 2>/dev/null || exit "$rc"
done
"""


def user_prefix(uid, gid, capabilities, *more):
    """The command that gives up root for good and runs what follows."""
    bounding = "-all"
    if capabilities:
        bounding += "".join(f",+{c}" for c in capabilities.split(","))
    # A user other than root gets no capability at all by the change of ids.
    return ["setpriv", "--reuid", str(uid), "--regid", str(gid),
            "--clear-groups", "--inh-caps", "-all",
            "--bounding-set", bounding, *more]


def expand(text, env):
    """$(NAME) as Kubernetes expands it; $$(NAME) stays as $(NAME)."""
    def replace(match):
        if match.group(0).startswith("$$"):
            return match.group(0)[1:]
        return env.get(match.group(1), match.group(0))
    return re.sub(r"\$?\$\(([^()]+)\)", replace, text)


def field_ref(path, pod, ips):
    meta = pod["metadata"]
    match = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if match:
        return (meta.get(match.group(1)) or {}).get(match.group(2), "")
    values = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.serviceAccountName": pod["spec"]["serviceAccountName"],
        "spec.nodeName": "local",
        "status.podIP": ips[0], "status.podIPs": ",".join(ips),
        "status.hostIP": "198.18.255.1",
    }
    if path not in values:
        raise MeshError(f"fieldRef.fieldPath is {path!r}: expected one of "
                        + ", ".join(values))
    return values[path]


def _from_map(lookup, kind, namespace, ref):
    obj = lookup(kind, namespace, ref.get("name")) or {}
    value = config_data(obj).get(ref.get("key"))
    if value is None and not ref.get("optional"):
        raise MeshError(f"env: {kind} {namespace}/{ref.get('name')} has no "
                        f"key {ref.get('key')!r}")
    return value or ""


def config_data(obj):
    """The entries of a ConfigMap or Secret as text."""
    import base64
    data = dict(obj.get("data") or {})
    if obj.get("kind") == "Secret":
        data = {k: base64.b64decode(v).decode(errors="surrogateescape")
                for k, v in data.items()}
    data.update(obj.get("stringData") or {})
    return data


def environment(container, pod, ips, lookup):
    """The variables of a container; `lookup` finds ConfigMaps, Secrets."""
    namespace = pod["metadata"]["namespace"]
    env = {"PATH": SEARCH_PATH, "HOME": "/tmp", "LANG": "C.UTF-8",
           "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"]}
    for source in container.get("envFrom") or []:
        for ref, kind in (("configMapRef", "ConfigMap"),
                          ("secretRef", "Secret")):
            if ref in source:
                obj = lookup(kind, namespace, source[ref].get("name")) or {}
                prefix = source.get("prefix", "")
                env.update({prefix + k: v
                            for k, v in config_data(obj).items()})
    for entry in container.get("env") or []:
        source = entry.get("valueFrom")
        if not source:
            env[entry["name"]] = expand(entry.get("value") or "", env)
        elif "fieldRef" in source:
            env[entry["name"]] = field_ref(
                source["fieldRef"].get("fieldPath", ""), pod, ips)
        elif "configMapKeyRef" in source:
            env[entry["name"]] = _from_map(lookup, "ConfigMap", namespace,
                                           source["configMapKeyRef"])
        elif "secretKeyRef" in source:
            env[entry["name"]] = _from_map(lookup, "Secret", namespace,
                                           source["secretKeyRef"])
        elif "resourceFieldRef" in source:
            # No limits here, so Kubernetes' answer is the machine's size.
            env[entry["name"]] = str(os.cpu_count())
    return env


def command(container, images, env):
    """Entrypoint and arguments; images stand for commands by --image."""
    words = list(container.get("command") or [])
    if not words:
        image = container.get("image", "")
        name = re.sub(r"(:[^/]*)?(@.*)?$", "", image)
        best = max((i for i in images if name == i or image.startswith(i)),
                   key=len, default=None)
        if best is None:
            raise MeshError(
                f"container {container['name']} has no command, and images "
                f"aren't run here; say what image {image!r} runs: "
                f"--image {name or 'IMAGE'}=COMMAND")
        words = list(images[best])
    words += container.get("args") or []
    return [expand(word, env) for word in words]


def user_of(container, pod):
    """(uid, gid): the container's, else the pod's, else 1000."""
    def pick(name, default):
        for owner in (container, pod["spec"]):
            value = (owner.get("securityContext") or {}).get(name)
            if value is not None:
                return value
        return default
    uid = pick("runAsUser", DEFAULT_UID)
    return uid, pick("runAsGroup", uid)


def capabilities_of(container, uid):
    if uid != 0:
        return ""
    context = container.get("securityContext") or {}
    added = (context.get("capabilities") or {}).get("add") or []
    names = [str(c).lower().removeprefix("cap_") for c in added]
    return ",".join([ROOT_CAPABILITIES, *names])


def hidden_by(path):
    """The topmost folder over `path` that other users can't pass."""
    parts = path.strip("/").split("/")
    for i in range(1, len(parts)):
        folder = "/" + "/".join(parts[:i])
        if not os.stat(folder).st_mode & 0o001:
            return folder
    return None


def reveal(paths, stage):
    """Script lines that let every user reach folders below, say, /root.

    In the container's own view an empty folder takes the place of the
    closed one, and the wanted folders are mounted there under their paths.
    """
    groups = {}
    wanted = sorted({os.path.realpath(p) for p in paths if os.path.exists(p)})
    for path in wanted:
        if any(path.startswith(other + "/") for other in wanted):
            continue
        closed = hidden_by(path)
        if closed:
            groups.setdefault(closed, []).append(path)
    lines = []
    for closed, members in groups.items():
        quoted = shlex.quote(closed)
        spots = []
        for path in members:
            spot = f"{stage}/{len(os.listdir(stage))}"
            os.mkdir(spot)
            spots.append((shlex.quote(spot), shlex.quote(path)))
        lines += [f"mount --bind {path} {spot}" for spot, path in spots]
        lines.append(f"mount -t tmpfs -o mode=0755 tmpfs {quoted}")
        lines += [f"mkdir -p {path} && mount --move {spot} {path}"
                  for spot, path in spots]
    return lines


def script(lines, hostname, binds, cwd, prefix, env, argv):
    """The text of the script that process 1 of the container runs."""
    out = [HEADER.rstrip(), f"hostname {shlex.quote(hostname)}"]
    out += [f"mount --bind {shlex.quote(a)} {shlex.quote(b)}"
            for a, b in binds]
    out += lines
    out += [f"cd {shlex.quote(cwd)}", "set +e"]
    pairs = [f"{k}={v}" for k, v in env.items()]
    # A shell starts background commands with SIGINT and SIGQUIT ignored.
    words = [*prefix, "env", "-i", "--default-signal=INT,QUIT", *pairs, *argv]
    out.append(" ".join(shlex.quote(w) for w in words) + " </dev/null &")
    return "\n".join(out) + "\n" + FOOTER
