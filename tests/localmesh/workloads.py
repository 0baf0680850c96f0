# SPDX-License-Identifier: Apache-2.0
"""From workloads to pods: which pods there must be, and rolling over."""

import hashlib
import json
import random
import uuid

from .validate import WORKLOADS

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
INJECT = "eastwest.dev/inject"


def digest(value):
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _random():
    return "".join(random.choice(LETTERS) for _ in range(5))


def owner_key(obj):
    return obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]


def injected(manifests, pod):
    """The pod's label decides; without one, its namespace's."""
    meta = pod["metadata"]
    label = (meta.get("labels") or {}).get(INJECT)
    if label is None:
        namespace = manifests.get("Namespace", "", meta["namespace"]) or {}
        labels = namespace.get("metadata", {}).get("labels") or {}
        label = labels.get(INJECT)
    return label == "enabled"


class Plan:
    """What one workload asks for: a template, its hash, a number."""

    def __init__(self, obj, nonce):
        self.key, self.obj = owner_key(obj), obj
        self.kind = obj["kind"]
        spec = obj["spec"]
        if self.kind == "Pod":
            meta = obj["metadata"]
            self.template = {"metadata": meta, "spec": spec}
        else:
            self.template = spec["template"]
        self.replicas = 1
        if self.kind not in ("Pod", "Job", "DaemonSet"):
            self.replicas = spec.get("replicas", 1)
        strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
        self.recreate = isinstance(strategy, dict) and \
            strategy.get("type") == "Recreate"
        self.hash = digest([self.template, nonce, obj["_file"]])

    def fixed_names(self):
        """Names that a new pod can take only when the old pod is gone."""
        name = self.key[2]
        if self.kind == "Pod":
            return [name]
        if self.kind == "StatefulSet":
            return [f"{name}-{i}" for i in range(self.replicas)]
        return None

    def new_name(self):
        stem = self.key[2][:46]
        if self.kind == "Deployment":
            return f"{stem}-{self.hash[:8]}-{_random()}"
        return f"{stem}-{_random()}"

    def pod(self, name):
        """The Pod object, with the defaults that the mesh relies on."""
        template = json.loads(json.dumps(self.template))
        meta = template.get("metadata") or {}
        spec = template["spec"]
        labels = dict(meta.get("labels") or {})
        if self.kind == "Deployment":
            labels["pod-template-hash"] = self.hash
        if self.kind == "StatefulSet":
            labels["statefulset.kubernetes.io/pod-name"] = name
            spec.setdefault("hostname", name)
            spec.setdefault("subdomain", self.obj["spec"].get("serviceName"))
        spec.setdefault("serviceAccountName", "default")
        default = "OnFailure" if self.kind == "Job" else "Always"
        spec.setdefault("restartPolicy", default)
        spec["nodeName"] = "local"
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": self.key[1],
                "uid": str(uuid.uuid4()), "labels": labels,
                "annotations": dict(meta.get("annotations") or {}),
            },
            "spec": spec,
        }
        if self.kind != "Pod":
            pod["metadata"]["ownerReferences"] = [{
                "apiVersion": self.obj["apiVersion"], "kind": self.kind,
                "name": self.key[2], "controller": True}]
        return pod


class Workloads:
    """Compares plans with pods; `mesh` starts and ends pods."""

    def __init__(self, manifests, mesh):
        self._manifests, self._mesh = manifests, mesh
        self._nonces = {}
        self.plans = {}

    def restart(self, key):
        self._nonces[key] = self._nonces.get(key, 0) + 1

    def reconcile(self):
        self.plans = {}
        for obj in self._manifests.of_kind("Pod", *WORKLOADS):
            plan = Plan(obj, self._nonces.get(owner_key(obj), 0))
            self.plans[plan.key] = plan
        for pod in self._mesh.live_pods():
            if pod.owner not in self.plans:
                self._mesh.end_pod(pod)
        for plan in self.plans.values():
            pods = [p for p in self._mesh.live_pods() if p.owner == plan.key]
            if plan.fixed_names() is not None:
                self._named(plan, pods)
            else:
                self._rolling(plan, pods)

    def _named(self, plan, pods):
        names = plan.fixed_names()
        stale = [p for p in pods if p.hash != plan.hash]
        for pod in pods:
            if pod.name not in names:
                self._mesh.end_pod(pod)
        # One at a time, and the next when the one before is ready again.
        ready = all(p.ready for p in pods if p.hash == plan.hash)
        full = all(self._mesh.find(plan.key[1], n) for n in names)
        for pod in stale[-1:]:
            if not pod.ready or (ready and full):
                self._mesh.end_pod(pod)
        for name in names:
            if self._mesh.find(plan.key[1], name) is None:
                self._mesh.start_pod(plan, name)

    def _rolling(self, plan, pods):
        new = [p for p in pods if p.hash == plan.hash]
        old = [p for p in pods if p.hash != plan.hash]
        if plan.recreate and old:
            for pod in old:
                self._mesh.end_pod(pod)
            return
        # At first all at once; over old pods one more than asked (maxSurge 1).
        limit = plan.replicas + (1 if old else 0)
        for _ in range(min(plan.replicas - len(new),
                           limit - len(new) - len(old))):
            pod = self._mesh.start_pod(plan, plan.new_name())
            if pod:
                new.append(pod)
        for pod in [p for p in old if not p.ready]:
            self._mesh.end_pod(pod)
            old.remove(pod)
        # Never fewer ready ones than asked (maxUnavailable 0).
        spare = sum(p.ready for p in new) + len(old) - plan.replicas
        for pod in old[:max(0, spare)]:
            self._mesh.end_pod(pod)
        if not old and len(new) > plan.replicas:
            new.sort(key=lambda p: (p.ready, -p.number))
            for pod in new[:len(new) - plan.replicas]:
                self._mesh.end_pod(pod)

    def unsettled(self):
        """Workloads whose pods aren't yet all there, new and ready."""
        found = []
        for plan in self.plans.values():
            pods = [p for p in self._mesh.live_pods() if p.owner == plan.key]
            good = [p for p in pods if p.hash == plan.hash and
                    (p.ready or p.phase == "Succeeded")]
            if len(good) != plan.replicas or len(pods) != plan.replicas:
                found.append(plan)
        return found
