# SPDX-License-Identifier: Apache-2.0
"""A folder of Kubernetes manifests: load, follow, keep the last good state."""

import json
import os

import yaml

from .validate import FieldError, validate

SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILE = 8 * 1024 * 1024

# The kinds that make pods and their surroundings. All others (routes,
# grants) belong to the controller, which reads the same folder by itself.
KINDS = {
    "Namespace": "v1", "ServiceAccount": "v1", "Pod": "v1", "Service": "v1",
    "ConfigMap": "v1", "Secret": "v1", "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1", "Job": "batch/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
}
CLUSTER_SCOPED = {"Namespace"}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as Kubernetes reads it: a date is text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, rx) for tag, rx in rules if not tag.endswith(":timestamp")]
    for first, rules in Loader.yaml_implicit_resolvers.items()}


def key_of(obj):
    """(kind, namespace, name), or None where the object does not say."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        return None
    kind, meta = obj.get("kind"), obj["metadata"]
    name, namespace = meta.get("name"), meta.get("namespace", "default")
    if not all(isinstance(v, str) and v for v in (kind, name, namespace)):
        return None
    return kind, "" if kind in CLUSTER_SCOPED else namespace, name


def title(key):
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _documents(path):
    """Yield (number, document) of one file; a List counts as its items."""
    with open(path, encoding="utf-8") as file:
        text = file.read(MAX_FILE + 1)
    if len(text) > MAX_FILE:
        raise ValueError(f"the file is larger than {MAX_FILE} bytes")
    for number, doc in enumerate(yaml.load_all(text, Loader), start=1):
        if doc is None:
            continue
        if isinstance(doc, dict) and str(doc.get("kind", "")).endswith("List") \
                and isinstance(doc.get("items"), list):
            for item in doc["items"]:
                yield number, item
        else:
            yield number, doc


class _File:
    def __init__(self):
        self.stamp = None
        self.objects = {}
        self.errors = []

    def load(self, path):
        """Read the file; what is faulty keeps its last good state."""
        before, self.errors = self.objects, []
        try:
            documents = list(_documents(path))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as err:
            reason = " ".join(str(err).split())
            self.errors.append(f"{path}: not readable as YAML: {reason}")
            return
        self.objects = {}
        nameless = False
        for number, doc in documents:
            key = key_of(doc)
            if key and key[0] not in KINDS:
                continue
            try:
                self._take(doc, key, path)
            except FieldError as err:
                nameless = nameless or key is None
                what = title(key) if key else "object"
                self.errors.append(f"{path}: document {number}: {what}: {err}")
                if key in before:
                    self.objects.setdefault(key, before[key])
        if nameless:
            # Which object was meant can't be known, so none of them goes.
            self.objects = {**before, **self.objects}

    def _take(self, doc, key, path):
        validate(doc)
        want = KINDS[key[0]]
        if doc["apiVersion"] != want:
            raise FieldError("apiVersion", doc["apiVersion"], want)
        if key in self.objects:
            raise FieldError("metadata.name", key[2],
                             "a name that is used once in a file")
        obj = json.loads(json.dumps(doc))
        if key[0] not in CLUSTER_SCOPED:
            obj["metadata"].setdefault("namespace", "default")
        obj["_file"] = path
        self.objects[key] = obj


class Manifests:
    """All objects of a folder. `poll` re-reads what changed on disk."""

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self.objects = {}
        self.errors = []
        self._files = {}

    def poll(self):
        """True if an object, or the list of errors, is no longer the same."""
        seen = self._scan()
        changed = [p for p, s in seen.items()
                   if p not in self._files or self._files[p].stamp != s]
        gone = [p for p in self._files if p not in seen]
        if not changed and not gone:
            return False
        for path in gone:
            del self._files[path]
        for path in changed:
            file = self._files.setdefault(path, _File())
            file.stamp = seen[path]
            file.load(path)
        self._merge()
        return True

    def _scan(self):
        seen = {}
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            # A folder that is being replaced is not a folder without files.
            return {p: f.stamp for p, f in self._files.items()}
        for entry in entries:
            if entry.name.startswith(".") or \
                    not entry.name.endswith(SUFFIXES):
                continue
            try:
                stat = entry.stat()
            except OSError:
                continue
            seen[entry.path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return seen

    def _merge(self):
        self.objects, self.errors = {}, []
        for path in sorted(self._files):
            file = self._files[path]
            self.errors += file.errors
            for key, obj in file.objects.items():
                if key in self.objects:
                    other = self.objects[key]["_file"]
                    self.errors.append(
                        f"{path}: {title(key)}: metadata.name is {key[2]!r}: "
                        f"expected a name that {other} does not use")
                    continue
                self.objects[key] = obj

    def of_kind(self, *kinds):
        return [o for k, o in self.objects.items() if k[0] in kinds]

    def get(self, kind, namespace, name):
        return self.objects.get((kind, namespace, name))
