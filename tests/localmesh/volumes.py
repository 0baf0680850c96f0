# SPDX-License-Identifier: Apache-2.0
"""Volumes of a pod as folders, and the places where they are mounted."""

import os

from .containers import config_data
from .state import MeshError, write_atomic

EMPTY = ("emptyDir", "persistentVolumeClaim", "ephemeral")


def _items(data, source):
    """The keys that `items` selects, under the paths that it gives."""
    if not source.get("items"):
        return data
    return {i.get("path", i["key"]): data[i["key"]]
            for i in source["items"] if i.get("key") in data}


def _fill(folder, files):
    for name, text in files.items():
        path = os.path.normpath(os.path.join(folder, name))
        if not path.startswith(folder + "/"):
            raise MeshError(f"volume: {name!r} leads out of the volume")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = text.encode(errors="surrogateescape").decode(errors="replace")
        write_atomic(path, data)
    for name in os.listdir(folder):
        if os.path.isfile(f"{folder}/{name}") and name not in files:
            os.unlink(f"{folder}/{name}")


def prepare(pod, folder, lookup):
    """Make, or bring up to date, each volume: {name: folder}."""
    namespace, made = pod["metadata"]["namespace"], {}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        where = f"{folder}/{name}"
        kinds = [k for k in volume if k != "name"] or ["emptyDir"]
        source = volume.get(kinds[0]) or {}
        if kinds[0] == "hostPath":
            where = source.get("path", "")
            if not os.path.exists(where):
                raise MeshError(f"volume {name}: hostPath.path is {where!r}: "
                                "expected a path that exists")
        elif kinds[0] in ("configMap", "secret"):
            kind = "ConfigMap" if kinds[0] == "configMap" else "Secret"
            wanted = source.get("name") or source.get("secretName")
            obj = lookup(kind, namespace, wanted)
            if obj is None and not source.get("optional"):
                raise MeshError(f"volume {name}: there is no {kind} "
                                f"{namespace}/{wanted}")
            os.makedirs(where, exist_ok=True)
            _fill(where, _items(config_data(obj or {}), source))
        elif kinds[0] in EMPTY:
            os.makedirs(where, exist_ok=True)
            os.chmod(where, 0o777)
        else:
            raise MeshError(f"volume {name}: its kind is {kinds[0]!r}: "
                            "expected configMap, secret, emptyDir or hostPath")
        made[name] = where
    return made


def mount_point(state, path, folder):
    """A place to mount at; what had to be made is noted for removal."""
    missing = []
    probe = path.rstrip("/")
    while not os.path.lexists(probe):
        missing.append(probe)
        probe = os.path.dirname(probe)
    for step in reversed(missing):
        with open(state.path("mountpoints"), "a", encoding="utf-8") as file:
            file.write(step + "\n")
        if step == path.rstrip("/") and not folder:
            with open(step, "x", encoding="utf-8"):
                pass
        else:
            os.mkdir(step, 0o755)


def binds(state, container, volumes):
    """(source, target) for each volumeMount of a container."""
    pairs = []
    for mount in container.get("volumeMounts") or []:
        source = volumes[mount["name"]]
        if mount.get("subPath"):
            source = os.path.join(source, mount["subPath"])
            if not os.path.exists(source):
                os.makedirs(source, 0o777)
        mount_point(state, mount["mountPath"], os.path.isdir(source))
        pairs.append((source, mount["mountPath"]))
    return pairs
