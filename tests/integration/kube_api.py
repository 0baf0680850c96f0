# SPDX-License-Identifier: Apache-2.0
"""An API server of Kubernetes in memory, as far as a controller needs one.

Objects are never changed in place: each write makes a new one, so what was
handed out or waits to be sent stays as it was. One lock guards all; with
`api.lock` held a test makes several changes appear as one.
"""
import base64
import json
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GATEWAY = "gateway.networking.k8s.io"
# plural: group, versions, kind, namespaced, has a status of its own
RESOURCES = {
    "namespaces": ("", ["v1"], "Namespace", False, True),
    "pods": ("", ["v1"], "Pod", True, True),
    "services": ("", ["v1"], "Service", True, True),
    "configmaps": ("", ["v1"], "ConfigMap", True, False),
    "secrets": ("", ["v1"], "Secret", True, False),
    "events": ("", ["v1"], "Event", True, False),
    "mutatingwebhookconfigurations": (
        "admissionregistration.k8s.io", ["v1"],
        "MutatingWebhookConfiguration", False, False),
    "endpointslices": ("discovery.k8s.io", ["v1"], "EndpointSlice", True,
                       False),
    "httproutes": (GATEWAY, ["v1"], "HTTPRoute", True, True),
    "grpcroutes": (GATEWAY, ["v1"], "GRPCRoute", True, True),
    "tcproutes": (GATEWAY, ["v1", "v1alpha2"], "TCPRoute", True, True),
    "tlsroutes": (GATEWAY, ["v1", "v1alpha3"], "TLSRoute", True, True),
    "leases": ("coordination.k8s.io", ["v1"], "Lease", True, False),
    "xmeshes": ("gateway.networking.x-k8s.io", ["v1alpha1"], "XMesh", False,
                True),
}
PLURALS = {r[2]: plural for plural, r in RESOURCES.items()}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden",
           404: "NotFound", 409: "Conflict", 410: "Expired",
           415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests",
           500: "InternalError", 503: "ServiceUnavailable"}


class Refused(Exception):
    def __init__(self, status, message, reason=None, retry_after=None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after
        self.body = {"kind": "Status", "apiVersion": "v1", "metadata": {},
                     "status": "Failure", "message": message, "code": status,
                     "reason": reason or REASONS.get(status, "Unknown")}


def merge(old, patch):
    """RFC 7386; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    out = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merge(out.get(name), value)
    return out


def merge_strategic(old, patch):
    """As merge, but webhooks are merged by their names, as Kubernetes does; a
    new one must be whole."""
    out = merge(old, {k: v for k, v in patch.items() if k != "webhooks"})
    out["webhooks"] = list(old.get("webhooks") or [])
    for change in patch.get("webhooks") or []:
        at = [i for i, w in enumerate(out["webhooks"])
              if w["name"] == change["name"]]
        if not at:
            raise Refused(422, f'webhooks: {change["name"]}: not whole',
                          "Invalid")
        out["webhooks"][at[0]] = merge(out["webhooks"][at[0]], change)
    return out


class Target:
    """What a path means."""

    def __init__(self, path, served):
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            raise Refused(404, "no such path")
        self.ns = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            self.ns, rest = rest[1], rest[2:]
        self.plural = rest[0]
        self.name = rest[1] if len(rest) > 1 else ""
        self.status = rest[2:] == ["status"]
        known = RESOURCES.get(self.plural)
        if self.plural == "tokenreviews":
            return
        if not known or known[0] != group or version not in served[self.plural]:
            raise Refused(404, "the server could not find the requested "
                               "resource")
        if len(rest) > 2 and not (self.status and known[4]):
            raise Refused(404, "no such subresource")
        self.api_version = f"{group}/{version}" if group else version
        self.kind, self.namespaced, self.has_status = known[2:]


class KubeApi:
    def __init__(self):
        self.lock = threading.Condition(threading.RLock())
        self.version = 1000
        self.oldest = 0      # versions before it are forgotten
        self.objects = {plural: {} for plural in RESOURCES}
        self.events = []     # (version, plural, type, object)
        self.served = {plural: list(r[1]) for plural, r in RESOURCES.items()}
        self.bearers = None  # tokens that may come in; None: all
        self.rules = None    # of RBAC, see allow(); None: all is allowed
        self.reviews = {}    # token: (username, audiences, pod)
        self.requests = []   # (method, path, query, status)
        self.writes = []     # (method, path, body) that changed something
        self.bookmark_s = 1.0
        self.bookmarks = {}  # plural: version of the newest that was sent
        self.watch_s = None  # the most that a watch lasts
        self.gone_as_status = False
        self.page_max = None
        self.failing = []    # [times, status, retry_after, method, part]
        self.before_write = None  # called with (method, path) by each write
        self.connections = set()
        self.server = self.port = None
        self.start()

    # ---- life ----

    def start(self):
        api = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass

        class Bound(Handler):
            pass
        Bound.api = api
        self.server = Server(("127.0.0.1", self.port or 0), Bound)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def stop(self):
        """No longer there: connections break, new ones are refused."""
        self.server.shutdown()
        self.server.server_close()
        self.drop()

    def drop(self):
        with self.lock:
            for c in list(self.connections):
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.connections.clear()
            self.lock.notify_all()

    def forget(self):
        """All versions so far; whoever watches has to connect again."""
        with self.lock:
            self.version += 1
            self.oldest = self.version
            self.events = []
            self.drop()

    def fail(self, times, status, retry_after=None, method="", part=""):
        """The next requests with this method whose path has |part|."""
        with self.lock:
            self.failing.append([times, status, retry_after, method, part])

    def allow(self, *rules):
        """Only (verbs, plural, namespace or "*", names or None), as words
        divided by commas; names is what resourceNames says in a Role."""
        self.rules = [(set(verbs.split(",")), plural, ns,
                       names and set(names.split(",")))
                      for verbs, plural, ns, names in rules]

    def refuse_if_forbidden(self, verb, t, name):
        if self.rules is None:
            return
        for verbs, plural, ns, names in self.rules:
            if verb in verbs and plural == t.plural and ns in ("*", t.ns) and \
                    (names is None or name in names):
                return
        raise Refused(403, f'{t.plural} "{name}" is forbidden: {verb} in '
                           f'"{t.ns}"')

    # ---- what tests do and ask ----

    def put(self, *objects):
        """As kubectl apply would, with status as it is in the object."""
        for obj in objects:
            plural = PLURALS[obj["kind"]]
            meta = obj["metadata"]
            with self.lock:
                old = self.get(plural, meta.get("namespace", ""), meta["name"])
                self.store(plural, merge(obj, {}), old)

    def remove(self, plural, ns, name):
        with self.lock:
            old = self.objects[plural].pop((ns, name))
            self.version += 1
            gone = merge(old, {"metadata": {
                "resourceVersion": str(self.version)}})
            self.announce(plural, "DELETED", gone)

    def get(self, plural, ns, name):
        with self.lock:
            return self.objects[plural].get((ns, name))

    def count(self, method, part="", status=None):
        with self.lock:
            return sum(1 for m, path, query, s in self.requests
                       if m == method and part in f"{path}?{query}" and
                       status in (None, s))

    def written(self, part, method=""):
        with self.lock:
            return [w for w in self.writes if part in w[1] and
                    w[0].startswith(method)]

    # ---- the store ----

    def store(self, plural, obj, old):
        """Makes the next version of it; the same as before is no version."""
        meta = dict(obj["metadata"])
        with self.lock:
            if old:
                was = old["metadata"]
                for name in ("uid", "creationTimestamp", "generation",
                             "resourceVersion"):
                    meta[name] = was[name]
                if dict(obj, metadata=meta) == old:
                    return old
                if obj.get("spec") != old.get("spec"):
                    meta["generation"] = was["generation"] + 1
            self.version += 1
            meta.setdefault("uid", f"uid-{self.version}")
            meta.setdefault("creationTimestamp", time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            meta.setdefault("generation", 1)
            meta["resourceVersion"] = str(self.version)
            meta["managedFields"] = [{"manager": "test", "operation": "Update"}]
            new = dict(obj, metadata=meta)
            self.objects[plural][meta.get("namespace", ""), meta["name"]] = new
            self.announce(plural, "MODIFIED" if old else "ADDED", new)
            return new

    def announce(self, plural, kind, obj):
        self.events.append((self.version, plural, kind, obj))
        self.lock.notify_all()

    def announce_error(self, plural):
        """All watches of it end with 410 as an event."""
        with self.lock:
            self.version += 1
            self.announce(plural, "ERROR", Refused(410, "too old").body)

    def refuse_if_asked(self, method, path):
        with self.lock:
            for f in self.failing:
                if f[0] > 0 and method.startswith(f[3]) and f[4] in path:
                    f[0] -= 1
                    raise Refused(f[1], "as the test asks", None, f[2])

    def create(self, t, body):
        if body.get("kind") != t.kind or \
                body.get("apiVersion") != t.api_version:
            raise Refused(400, "apiVersion and kind must be those of the path")
        meta = dict(body["metadata"])
        if "name" not in meta and meta.get("generateName"):
            meta["name"] = f"{meta['generateName']}{self.version}"
        if t.namespaced:
            if (t.ns != meta.setdefault("namespace", t.ns) or
                    ("", t.ns) not in self.objects["namespaces"]):
                raise Refused(404, f'namespaces "{t.ns}" not found')
        body = dict(body, metadata=meta)
        if t.has_status:
            body.pop("status", None)
        if t.plural == "secrets" and "stringData" in body:
            data = dict(body.get("data") or {})
            for name, text in body.pop("stringData").items():
                data[name] = base64.b64encode(text.encode()).decode()
            body["data"] = data
        if (t.ns, meta["name"]) in self.objects[t.plural]:
            raise Refused(409, "already exists", "AlreadyExists")
        return self.store(t.plural, body, None)

    def update(self, t, change):
        """change(old): the new object."""
        old = self.objects[t.plural].get((t.ns, t.name))
        if not old:
            raise Refused(404, f'{t.plural} "{t.name}" not found')
        new = change(old)
        wanted = new["metadata"].get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise Refused(409, "the object has been modified")
        if new["metadata"]["name"] != t.name:
            raise Refused(400, "another name")
        if t.status:
            new = merge(dict(old, status=None), {"status": new.get("status")})
            if new["status"] is None:
                del new["status"]
        elif t.has_status:
            new = {k: v for k, v in new.items() if k != "status"}
            if "status" in old:
                new["status"] = old["status"]
        return self.store(t.plural, new, old)

    def review(self, body):
        spec = body["spec"]
        known = self.reviews.get(spec["token"])
        both = known and [a for a in spec["audiences"] if a in known[1]]
        if not both:
            return dict(body, status={"user": {}, "error": "not known"})
        return dict(body, status={
            "authenticated": True, "audiences": both,
            "user": {"username": known[0], "extra": {
                "authentication.kubernetes.io/pod-name": [known[2]]}}})


def selected(t, query):
    """A function that says whether an object was asked for."""
    field = query.get("fieldSelector", "")
    if field and not field.startswith("metadata.name="):
        raise Refused(400, "only metadata.name")
    name = field.partition("=")[2]

    def asked(obj):
        meta = obj["metadata"]
        return (not t.ns or meta.get("namespace") == t.ns) and \
            (not name or meta["name"] == name)
    return asked


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    api = None

    def setup(self):
        super().setup()
        with self.api.lock:
            self.api.connections.add(self.connection)

    def finish(self):
        with self.api.lock:
            self.api.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def answer(self, status, obj, retry_after=None):
        url = urllib.parse.urlsplit(self.path)
        with self.api.lock:
            self.api.requests.append((self.command, url.path, url.query,
                                      status))
        data = json.dumps(obj).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if retry_after is not None:
            self.send_header("retry-after", str(retry_after))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            self.dispatch(body)
        except Refused as r:
            self.answer(r.status, r.body, r.retry_after)
        except (BrokenPipeError, ConnectionResetError, ValueError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def dispatch(self, body):
        api = self.api
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        api.refuse_if_asked(self.command, f"{url.path}?{url.query}")
        if api.bearers is not None and bearer not in api.bearers:
            raise Refused(401, "Unauthorized")
        t = Target(url.path, api.served)
        field = query.get("fieldSelector", "")
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch",
                "DELETE": "delete"}.get(self.command) or (
            "get" if t.name else "watch" if "watch" in query else "list")
        api.refuse_if_forbidden(verb, t, t.name or (
            field.removeprefix("metadata.name=") if field else ""))
        if self.command == "GET":
            self.read(t, query)
        else:
            self.write(t, url.path, json.loads(body) if body else None)

    def write(self, t, path, body):
        api = self.api
        if api.before_write:
            api.before_write(self.command, path)
        with api.lock:
            before = api.version
            status, obj = 200, None
            if t.plural == "tokenreviews":
                status, obj = 201, api.review(body)
            elif self.command == "POST":
                status, obj = 201, api.create(t, body)
            elif self.command == "PUT":
                obj = api.update(t, lambda old: body)
            elif self.command == "PATCH":
                kinds = {"application/merge-patch+json": merge,
                         "application/strategic-merge-patch+json":
                         merge_strategic}
                way = kinds.get(self.headers.get("content-type"))
                if not way:
                    raise Refused(415, "only merge patches")
                obj = api.update(t, lambda old: way(
                    merge(old, {"metadata": {"resourceVersion": None}}), body))
            elif (t.ns, t.name) in api.objects[t.plural]:
                obj = {"kind": "Status", "status": "Success"}
                api.remove(t.plural, t.ns, t.name)
            else:
                raise Refused(404, "not found")
            if api.version != before:
                api.writes.append((self.command, path, body))
        self.answer(status, obj)

    def read(self, t, query):
        api = self.api
        if t.name:
            obj = api.get(t.plural, t.ns, t.name)
            if not obj:
                raise Refused(404, f'{t.plural} "{t.name}" not found')
            self.answer(200, dict(obj, apiVersion=t.api_version, kind=t.kind))
        elif query.get("watch") in ("1", "true"):
            self.watch(t, query)
        else:
            self.list(t, query)

    def list(self, t, query):
        api, asked = self.api, selected(t, query)
        limit = int(query.get("limit") or 0) or 10 ** 9
        if api.page_max:
            limit = min(limit, api.page_max)
        with api.lock:
            version, start = api.version, None
            if query.get("continue"):
                token = json.loads(base64.urlsafe_b64decode(
                    query["continue"] + "=="))
                version, start = token["v"], tuple(token["start"])
                if version < api.oldest:
                    raise Refused(410, "The provided continue parameter is "
                                       "too old")
            keys = sorted(k for k, o in api.objects[t.plural].items()
                          if asked(o) and (start is None or k > start))
            page = [api.objects[t.plural][k] for k in keys[:limit]]
        meta = {"resourceVersion": str(version)}
        if len(keys) > limit:
            token = json.dumps({"v": version, "start": keys[limit - 1]})
            meta["continue"] = base64.urlsafe_b64encode(
                token.encode()).decode().rstrip("=")
            meta["remainingItemCount"] = len(keys) - limit
        # Items of a list have neither apiVersion nor kind.
        items = [{k: v for k, v in o.items() if k not in
                  ("apiVersion", "kind")} for o in page]
        self.answer(200, {"kind": t.kind + "List", "apiVersion": t.api_version,
                          "metadata": meta, "items": items})

    # ---- WATCH ----

    def send_event(self, kind, obj):
        line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def watch(self, t, query):
        api, asked = self.api, selected(t, query)
        version = int(query["resourceVersion"])
        lasts = float(query.get("timeoutSeconds", 300))
        if api.watch_s is not None:
            lasts = min(lasts, api.watch_s)
        too_old = Refused(410, f"too old resource version: {version} "
                               f"({api.oldest})")
        if version < api.oldest and api.gone_as_status:
            raise too_old
        url = urllib.parse.urlsplit(self.path)
        with api.lock:
            api.requests.append((self.command, url.path, url.query, 200))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        if version < api.oldest:
            self.send_event("ERROR", too_old.body)
        else:
            self.follow(t, version, asked, time.monotonic() + lasts)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def follow(self, t, version, asked, until):
        api = self.api
        next_bookmark = time.monotonic() + api.bookmark_s
        while True:  # what waits is sent even by a watch that lasts 0 s
            with api.lock:
                if self.connection not in api.connections:
                    raise BrokenPipeError
                if not api.events or api.events[-1][0] <= version:
                    api.lock.wait(max(0, min(until, next_bookmark) -
                                      time.monotonic()))
                if self.connection not in api.connections:
                    raise BrokenPipeError
                # From the end: history is long and the news are few.
                news, i = [], len(api.events)
                while i > 0 and api.events[i - 1][0] > version:
                    i -= 1
                    news.append(api.events[i])
                now = api.version
            for _, plural, kind, obj in reversed(news):
                if plural == t.plural and kind == "ERROR":
                    self.send_event(kind, obj)
                    return
                if plural == t.plural and asked(obj):
                    self.send_event(kind, dict(obj, kind=t.kind,
                                               apiVersion=t.api_version))
            version = now
            if time.monotonic() >= until:
                return
            if time.monotonic() >= next_bookmark:
                next_bookmark = time.monotonic() + api.bookmark_s
                self.send_event("BOOKMARK", {
                    "kind": t.kind, "apiVersion": t.api_version,
                    "metadata": {"resourceVersion": str(version)}})
                with api.lock:
                    api.bookmarks[t.plural] = version
