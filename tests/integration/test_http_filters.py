# SPDX-License-Identifier: Apache-2.0
"""Filters of HTTPRoutes, their timeouts and retries."""
import hashlib
import time

import pytest

import meshes as m
from http_tables import (FAR, V1, V2, ask, modify, path, prefix, refused,
                         rule)


def seen(response, name):
    """A field of the request as the app got it."""
    assert response.status == 200, response
    return response.json["headers"].get(name)


# ---- header modifiers ----

def test_request_headers_set_add_remove(mesh, frontend):
    frontend.route(
        rule("set", prefix("/set"), filters=[
            modify("Request", set={"X-Header-Set": "new"})]),
        rule("add", prefix("/add"), filters=[
            modify("Request", add={"X-Header-Add": "more"})]),
        rule("remove", prefix("/remove"), filters=[
            modify("Request", remove=["X-Header-Remove"])]),
        rule("all", prefix("/all"), filters=[modify(
            "Request", set={"x-header-set-1": "set-1", "X-Set-2": "set-2"},
            add={"X-Header-Add-1": "add-1", "x-add-2": "add-2"},
            remove=["X-HEADER-remove-1", "x-remove-2"])]))
    url = frontend.url
    r = ask(mesh, [
        (url + "/set",), (url + "/set", "-H", "x-header-set: old"),
        (url + "/set", "-H", "X-HEADER-SET: a", "-H", "x-header-set: b"),
        (url + "/add",), (url + "/add", "-H", "X-Header-add: old"),
        (url + "/remove", "-H", "x-header-REMOVE: x", "-H", "other: y"),
        (url + "/all", "-H", "X-Header-Set-1: old", "-H", "x-add-2: old",
         "-H", "x-header-remove-1: x", "-H", "X-Remove-2: x", "-H",
         "x-remove-23: kept")])
    assert seen(r[0], "x-header-set") == ["new"]
    assert seen(r[1], "x-header-set") == ["new"]
    assert seen(r[2], "x-header-set") == ["new"]
    assert seen(r[3], "x-header-add") == ["more"]
    assert ",".join(seen(r[4], "x-header-add")) == "old,more"
    assert seen(r[5], "x-header-remove") is None
    assert seen(r[5], "other") == ["y"]
    assert [seen(r[6], n) for n in (
        "x-header-set-1", "x-set-2", "x-header-add-1", "x-header-remove-1",
        "x-remove-2", "x-remove-23")] == [
            ["set-1"], ["set-2"], ["add-1"], None, None, ["kept"]]
    assert ",".join(seen(r[6], "x-add-2")) == "old,add-2"


def test_response_headers_set_add_remove(mesh, frontend):
    frontend.route({"filters": [modify(
        "Response", set={"X-Header-Set": "new"}, add={"x-header-add": "more"},
        remove=["X-Header-Remove", "server"])], "backendRefs": [V1]})
    r = mesh.curl("app/client", frontend.url + "/?header=x-header-set:a&"
                  "header=X-Header-Set:b&header=X-HEADER-ADD:old&"
                  "header=x-header-REMOVE:x&header=other:y&header=Server:z")
    assert r.status == 200
    assert r.headers["x-header-set"] == ["new"]
    assert r.header("x-header-add").replace(" ", "") == "old,more"
    assert r.header("other") == "y"
    assert r.header("x-header-remove") is None and r.header("server") is None


def test_backends_have_modifiers_of_their_own(mesh, frontend):
    def share(ref, name):
        return {**ref, "filters": [
            modify("Request", set={"x-backend": name, "x-both": name}),
            modify("Response", set={"x-from": name}, add={"x-list": name})]}
    frontend.route({"filters": [
        modify("Request", set={"x-both": "rule", "x-rule-only": "1"}),
        modify("Response", add={"x-list": "rule"})],
        "backendRefs": [share(V1, "v1"), share(V2, "v2"), FAR]})
    versions = set()
    for r in ask(mesh, [(frontend.url + "/",)] * 60):
        version = r.json["version"]
        versions.add(version)
        own = None if version == "far" else version
        assert seen(r, "x-backend") == (own and [own])
        # The backend's filters come after the rule's.
        assert seen(r, "x-both") == [own or "rule"]
        assert seen(r, "x-rule-only") == ["1"]
        assert r.header("x-from") == own
        assert r.header("x-list") == (f"{own}, rule" if own else "rule")
    assert versions == {"v1", "v2", "far"}


def test_the_host_may_be_set_as_a_header(mesh, frontend):
    frontend.route(rule("host", filters=[
        modify("Request", set={"Host": "other.example"})]))
    assert mesh.curl("app/client", frontend.url + "/").json[
        "host"] == "other.example"


def test_response_modifiers_see_errors_of_the_app(mesh, frontend):
    frontend.route(rule("all"))
    r = mesh.curl("app/client", frontend.url + "/status/503")
    assert (r.status, r.header("x-rule")) == (503, "all")
    assert r.header("eastwest-refusal") is None


def test_an_app_can_not_speak_for_the_mesh(mesh, frontend):
    frontend.route(rule("all"))
    r = mesh.curl("app/client", frontend.url +
                  "/status/503?header=eastwest-refusal:no-route")
    assert r.status == 503 and r.header("eastwest-refusal") is None


# ---- what is no filter of this mesh ----

@pytest.mark.parametrize("bad", [
    {"type": "ExtensionRef", "extensionRef": {
        "group": "example.com", "kind": "Filter", "name": "x"}},
    {"type": "ExternalAuth", "externalAuth": {
        "protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}}},
    modify("Request", set={"transfer-encoding": "chunked"}),
    {"type": "RequestRedirect", "requestRedirect": {"statusCode": 304}},
    {"type": "RequestRedirect", "requestRedirect": {"scheme": "ftp"}},
], ids=["extension", "auth", "framing", "status", "scheme"])
@pytest.mark.parametrize("level", ["rule", "backend"])
def test_a_filter_that_can_not_be_done_is_never_skipped(mesh, frontend, bad,
                                                        level):
    ref = {**V1, "filters": [bad]} if level == "backend" else V1
    frontend.route({"backendRefs": [ref],
                    "filters": [bad] if level == "rule" else []},
                   rule("other", prefix("/other")))
    one, other = ask(mesh, [(frontend.url + "/",), (frontend.url + "/other",)])
    text = refused(one, "invalid-filter", 500)
    assert f"HTTPRoute app/{frontend.name} rule 0" in text, text
    assert other.header("x-rule") == "other"


# ---- redirects ----

def redirect(*matches, **config):
    return {"matches": list(matches), "filters": [
        {"type": "RequestRedirect", "requestRedirect": config}]}


def full(value):
    return {"type": "ReplaceFullPath", "replaceFullPath": value}


def replace(value):
    return {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}


def locations(mesh, url, *targets):
    got = ask(mesh, [(url + t,) for t in targets])
    for r in got:
        assert r.header("eastwest-refusal") is None, r
        assert r.text == "" and r.header("content-length") == "0", r
    return [(r.status, r.header("location")) for r in got]


def test_redirects_to_another_host(mesh, frontend):
    frontend.route(redirect(prefix("/host"), hostname="example.org"),
                   redirect(prefix("/status"), hostname="example.org",
                            statusCode=301))
    assert locations(mesh, frontend.url, "/host", "/status", "/host/a?b=c",
                     "/host?") == [
        (302, "http://example.org/host"), (301, "http://example.org/status"),
        (302, "http://example.org/host/a?b=c"),
        (302, "http://example.org/host?")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_statuses(mesh, frontend, status):
    frontend.route(redirect(prefix("/"), scheme="https", statusCode=status))
    host = f"{frontend.name}.app"
    r = mesh.curl("app/client", frontend.url + "/x", "-d", "a body")
    assert (r.status, r.header("location")) == (status, f"https://{host}/x")


def test_redirects_to_another_path(mesh, frontend):
    frontend.route(
        redirect(prefix("/original-prefix"), path=replace("/replacement")),
        redirect(prefix("/full"), path=full("/full-path")),
        redirect(prefix("/path-and-host"), hostname="example.org",
                 path=replace("/replacement")),
        redirect(prefix("/full-and-host"), hostname="example.org",
                 path=full("/full"), statusCode=301),
        redirect(prefix("/strip"), path=replace("/")),
        redirect(prefix("/slashed/"), path=replace("/xyz/")))
    here = frontend.url
    assert locations(
        mesh, here, "/original-prefix/lemon", "/original-prefix",
        "/original-prefix/?q", "/full/path/original?q=1", "/path-and-host",
        "/full-and-host/x", "/strip", "/strip/", "/strip/a/b?c",
        "/slashed/a") == [
            (302, here + "/replacement/lemon"), (302, here + "/replacement"),
            (302, here + "/replacement/?q"), (302, here + "/full-path?q=1"),
            (302, "http://example.org/replacement"),
            (301, "http://example.org/full"), (302, here + "/"),
            (302, here + "/"), (302, here + "/a/b?c"),
            (302, here + "/xyz/a")]


# (scheme, port) of the filter -> what stands for them in the Location.
ON_80 = {(None, None): ("http", ""), (None, 80): ("http", ""),
         (None, 8080): ("http", ":8080"), ("https", None): ("https", ""),
         ("https", 443): ("https", ""), ("https", 8443): ("https", ":8443"),
         ("http", None): ("http", ""), ("http", 80): ("http", ""),
         ("http", 8080): ("http", ":8080"), ("https", 80): ("https", ":80"),
         ("http", 443): ("http", ":443"), (None, 443): ("http", ":443")}
ON_8090 = {(None, None): ("http", ":8090"), (None, 80): ("http", ""),
           ("http", None): ("http", ""), ("https", None): ("https", ""),
           (None, 8090): ("http", ":8090"), ("https", 8090): ("https",
                                                              ":8090")}


@pytest.mark.parametrize("port, table", [(80, ON_80), (8090, ON_8090)])
def test_ports_and_schemes_of_redirects(mesh, frontend, port, table):
    frontend.apply(m.service("app", frontend.name, {"app": "echo"},
                             port=port), name="service")
    rules, want = [], []
    for i, ((scheme, to), (a, b)) in enumerate(table.items()):
        config = {"hostname": "example.org", "scheme": scheme, "port": to}
        rules.append(redirect(path("Exact", f"/{i}"), **{
            k: v for k, v in config.items() if v}))
        want.append((302, f"{a}://example.org{b}/{i}"))
    frontend.apply(m.http_route("app", frontend.name, frontend.name, rules))
    url = f"{frontend.url}:{port}"
    m.wait_for(lambda: mesh.curl("app/client", url + "/0").status == 302)
    assert locations(mesh, url, *[f"/{i}" for i in range(len(want))]) == want


def test_a_redirect_without_hostname_takes_the_requests_own(mesh, frontend):
    frontend.route(redirect(prefix("/"), path=full("/x"), port=8443))
    got = ask(mesh, [(frontend.url + "/", "-H", f"Host: {host}") for host in (
        "a.example", "a.example:80", "[fd00::1]:80", "10.0.0.1")])
    assert [r.header("location") for r in got] == [
        f"http://{h}:8443/x" for h in ("a.example", "a.example", "[fd00::1]",
                                       "10.0.0.1")]


def test_redirects_of_a_backend(mesh, frontend):
    def by_backend(match, how):
        return {"matches": [match], "backendRefs": [{**V1, "filters": [
            {"type": "RequestRedirect", "requestRedirect": {"path": how}}]}]}
    frontend.route(by_backend(prefix("/full"), full("/redirected-full")),
                   by_backend(prefix("/prefix"), replace("/redirected")))
    assert locations(mesh, frontend.url, "/full/original",
                     "/prefix/original?q") == [
        (302, frontend.url + "/redirected-full"),
        (302, frontend.url + "/redirected/original?q")]


def test_response_modifiers_reach_redirects(mesh, frontend):
    one = redirect(prefix("/"), hostname="example.org")
    one["filters"].insert(0, modify("Response", set={"x-seen": "1"}))
    frontend.route(one)
    r = mesh.curl("app/client", frontend.url + "/")
    assert (r.status, r.header("x-seen")) == (302, "1")


# ---- rewrites ----

def rewrite(match, filters=(), **config):
    return {"matches": [match], "backendRefs": [V1], "filters": [
        {"type": "URLRewrite", "urlRewrite": config}, *filters]}


def test_rewritten_paths(mesh, frontend):
    frontend.route(
        rewrite(prefix("/prefix/one"), path=replace("/one")),
        rewrite(prefix("/strip-prefix"), path=replace("/")),
        rewrite(prefix("/empty"), path=replace("")),
        rewrite(prefix("/slash/"), path=replace("/xyz/")),
        rewrite(prefix("/"), path=replace("/root")),
        rewrite(prefix("/full/one"), path=full("/one")),
        rewrite(prefix("/full/two"), path=full("/")))
    table = {
        "/prefix/one/two": "/one/two", "/prefix/one": "/one",
        "/prefix/one/": "/one/", "/prefix/one?q=/a": "/one?q=/a",
        "/prefix/one/two?": "/one/two?",
        "/strip-prefix/three": "/three", "/strip-prefix": "/",
        "/strip-prefix/": "/", "/strip-prefix?a=b": "/?a=b",
        "/strip-prefix/a/b/": "/a/b/", "/empty": "/", "/empty/a": "/a",
        "/slash/a": "/xyz/a", "/slash/": "/xyz/", "/slash": "/xyz/",
        "/": "/root", "/a": "/root/a", "/a%2Fb/%41": "/root/a%2Fb/%41",
        "/full/one/two?x=1&y": "/one?x=1&y", "/full/two/a": "/"}
    got = ask(mesh, [(frontend.url + a,) for a in table])
    assert {a: r.json["path"] for a, r in zip(table, got)} == table


def test_the_specifications_table_of_prefixes(mesh, frontend):
    """As in the field's documentation: request, match, replacement, result."""
    table = [("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
             ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
             ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
             ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
             ("/foo", "/foo", "/xyz", "/xyz"),
             ("/foo/", "/foo", "/xyz", "/xyz/"),
             ("/foo/bar", "/foo", "", "/bar"),
             ("/foo/", "/foo", "", "/"), ("/foo", "/foo", "", "/"),
             ("/foo/", "/foo", "/", "/"), ("/foo", "/foo", "/", "/")]
    frontend.route(*[rewrite(prefix(f"/{i}{match}"), path=replace(to))
                     for i, (_, match, to, _) in enumerate(table)])
    got = ask(mesh, [(f"{frontend.url}/{i}{row[0]}",)
                     for i, row in enumerate(table)])
    assert [r.json["path"] for r in got] == [row[3] for row in table]


def test_rewritten_hosts(mesh, frontend):
    frontend.route(
        rewrite(prefix("/one"), hostname="one.example.org"),
        rewrite(prefix("/both"), hostname="two.example.org",
                path=full("/new")),
        rewrite(prefix("/headers"), hostname="test.example.org", filters=[
            modify("Request", set={"x-set": "1"}, remove=["x-gone"])]))
    r = ask(mesh, [(frontend.url + "/one?q", "-H", "Host: rewrite.example"),
                   (frontend.url + "/both",),
                   (frontend.url + "/headers", "-H", "x-gone: 1")])
    assert [(x.json["host"], x.json["path"]) for x in r] == [
        ("one.example.org", "/one?q"), ("two.example.org", "/new"),
        ("test.example.org", "/headers")]
    assert seen(r[2], "x-set") == ["1"] and seen(r[2], "x-gone") is None


def test_rewrites_of_a_backend(mesh, frontend):
    def by_backend(match, how):
        return {"matches": [match], "backendRefs": [{**V1, "filters": [
            {"type": "URLRewrite", "urlRewrite": {
                "hostname": "b.example", "path": how}}]}]}
    frontend.route(by_backend(prefix("/full"), full("/rewritten-full")),
                   by_backend(prefix("/prefix"), replace("/rewritten")))
    r = ask(mesh, [(frontend.url + "/full/original",),
                   (frontend.url + "/prefix/original?q",)])
    assert [(x.json["path"], x.json["host"]) for x in r] == [
        ("/rewritten-full", "b.example"), ("/rewritten/original?q",
                                           "b.example")]


@pytest.mark.parametrize("matches", [
    [path("Exact", "/x")], [path("RegularExpression", "/x.*")],
    [prefix("/x"), prefix("/y")]])
def test_a_prefix_is_replaced_only_where_one_prefix_matched(
        mesh, frontend, matches):
    frontend.route({"matches": matches, "backendRefs": [V1], "filters": [
        {"type": "URLRewrite", "urlRewrite": {"path": replace("/new")}}]})
    refused(mesh.curl("app/client", frontend.url + "/x"), "invalid-filter",
            500)


def test_redirect_and_rewrite_exclude_each_other(mesh, frontend):
    one = rewrite(prefix("/"), path=full("/x"), filters=[
        {"type": "RequestRedirect", "requestRedirect": {"port": 1}}])
    frontend.route(one)
    refused(mesh.curl("app/client", frontend.url + "/"), "invalid-filter",
            500)


# ---- mirrors ----

RECORDER = f"""
import asyncio, sys
sys.path.insert(0, {str(m.WORKLOADS)!r})
import echo


class Recorder(echo.App):
    seen = {{}}

    async def flaky(self, x, wish, parts):
        how, times, key = parts[1:4]
        if self.count(self.fails, (how, key)) > int(times):
            await self.tell(x, wish)
        elif how == "reset":
            x.reset()
        elif how == "slow":
            await asyncio.sleep(2)
            await self.tell(x, wish)
        else:
            await self.tell(x, wish, int(how))

    async def tell(self, x, wish, status=200, what=None):
        if x.path == "/seen":
            what = self.seen
        else:
            self.seen.setdefault(x.path, []).append(self.describe(x))
        await super().tell(x, wish, status, what)


app = Recorder("shadow")
app.paths["flaky"] = app.flaky
args = echo.arguments("").parse_args(["--port", "8080"])
asyncio.run(echo.serve_forever(
    echo.sockets_of(args), lambda r, w: echo.serve_http1(app, r, w, {{}})))
"""
SHADOWS = ("shadow-a", "shadow-b")


@pytest.fixture(scope="module")
def shadows(mesh):
    """Two Services that remember what came, and one that nobody serves."""
    mesh.write("shadows.yaml", [
        m.service("app", "shadow-none", {"app": "nobody"}),
        *[m.service("app", name, {"app": name}) for name in SHADOWS],
        *[m.pod("app", name, (m.PYTHON, "-c", RECORDER),
                labels={"app": name}) for name in SHADOWS]])
    for name in SHADOWS:
        m.wait_for(lambda: mesh.curl("app/client", f"http://{name}.app/")
                   .status == 200, 30, f"{name} to answer")
    yield
    mesh.remove("shadows.yaml")


def mirror(name, **more):
    return {"type": "RequestMirror", "requestMirror": {
        "backendRef": m.backend(name), **more}}


def copies(mesh, shadow, path_):
    """The requests for a path that came to a shadow."""
    return mesh.curl("app/client", f"http://{shadow}.app/seen").json.get(
        path_, [])


def test_a_mirror_gets_a_copy_and_its_answer_is_ignored(mesh, frontend,
                                                        shadows):
    frontend.route(rule("one", filters=[mirror("shadow-a")]))
    own = f"/status/418/{frontend.name}"
    for _ in range(3):
        r = mesh.curl("app/client", frontend.url + own)
        assert (r.status, r.json["version"], r.header("x-rule")) == (
            418, "v1", "one")
    m.wait_for(lambda: len(copies(mesh, "shadow-a", own)) == 3)
    assert copies(mesh, "shadow-b", own) == []


def test_a_copy_is_like_the_request(mesh, frontend, shadows):
    """Modified headers, query, method, host and version included."""
    frontend.route(rule("one", filters=[
        modify("Request", set={"x-set": "new"}, add={"x-add": "more"},
               remove=["x-gone"]), mirror("shadow-a")]))
    own = f"/{frontend.name}"
    r = mesh.curl("app/client", frontend.url + own + "?q=1&q=%2F", "-X", "PUT",
                  "-d", "abc", "-H", "x-add: old", "-H", "x-set: old", "-H",
                  "x-gone: 1").json
    copy, = m.wait_for(lambda: copies(mesh, "shadow-a", own))
    for name in ("method", "path", "host", "http", "body_sha256",
                 "body_bytes"):
        assert copy[name] == r[name], name
    assert copy["headers"] == r["headers"]
    assert copy["headers"]["x-set"] == ["new"]
    assert ",".join(copy["headers"]["x-add"]) == "old,more"
    assert "x-gone" not in copy["headers"]


@pytest.mark.parametrize("how", ["content-length", "chunked"])
def test_a_copy_has_the_whole_body(mesh, frontend, shadows, how):
    frontend.route(rule("one", filters=[mirror("shadow-a"),
                                        mirror("shadow-b")]))
    own, body = f"/{frontend.name}", bytes(range(251)) * 240
    options = ["-H", "transfer-encoding: chunked"] if how == "chunked" else []
    done = mesh.exec("app/client", "curl", "-sS", "--max-time", "10",
                     "--data-binary", "@-", *options, frontend.url + own,
                     input=body, text=False)
    digest = hashlib.sha256(body).hexdigest()
    assert digest.encode() in done.stdout
    for shadow in SHADOWS:
        copy, = m.wait_for(lambda: copies(mesh, shadow, own))
        assert (copy["body_bytes"], copy["body_sha256"]) == (len(body),
                                                             digest)


def test_a_large_body_is_not_held_up_by_its_copy(mesh, frontend, shadows):
    """What a copy does not take in time is given up, not waited for."""
    frontend.route(rule("one", filters=[mirror("shadow-a"),
                                        mirror("shadow-none")]))
    body = bytes(range(251)) * 40000
    done = mesh.exec("app/client", "curl", "-sS", "--max-time", "20",
                     "--data-binary", "@-", frontend.url + "/big",
                     input=body, text=False)
    assert hashlib.sha256(body).hexdigest().encode() in done.stdout


def test_several_mirrors(mesh, frontend, shadows):
    frontend.route(rule("one", filters=[mirror(s) for s in SHADOWS]))
    own = f"/{frontend.name}"
    assert mesh.curl("app/client", frontend.url + own).json["version"] == "v1"
    for shadow in SHADOWS:
        m.wait_for(lambda: len(copies(mesh, shadow, own)) == 1)


def test_a_mirror_of_a_backend(mesh, frontend, shadows):
    frontend.route({"backendRefs": [{**V1, "filters": [mirror("shadow-a")]}]})
    own = f"/{frontend.name}"
    assert mesh.curl("app/client", frontend.url + own).status == 200
    m.wait_for(lambda: len(copies(mesh, "shadow-a", own)) == 1)


@pytest.mark.parametrize("how, least, most", [
    ({"percent": 0}, 0, 0), ({"percent": 20}, 25, 100),
    ({"percent": 100}, 300, 300),
    ({"fraction": {"numerator": 25, "denominator": 50}}, 100, 200),
    ({"fraction": {"numerator": 100}}, 300, 300),
    ({"fraction": {"numerator": 0, "denominator": 7}}, 0, 0)])
def test_a_part_is_mirrored(mesh, frontend, shadows, how, least, most):
    frontend.route(rule("one", filters=[mirror("shadow-a", **how)]))
    own = f"/{frontend.name}"
    assert mesh.tally("app/client", frontend.url + own, 300, by="version") == {
        "v1": 300}

    def enough():
        return least <= len(copies(mesh, "shadow-a", own)) <= most
    m.wait_for(enough)


@pytest.mark.parametrize("name", ["nobody", "shadow-none"])
def test_a_mirror_that_is_not_there_disturbs_nobody(mesh, frontend, shadows,
                                                    name):
    frontend.route(rule("one", filters=[mirror(name), mirror("shadow-a")]))
    own = f"/{frontend.name}"
    assert mesh.tally("app/client", frontend.url + own, 20, by="version") == {
        "v1": 20}
    m.wait_for(lambda: len(copies(mesh, "shadow-a", own)) == 20)
    if name == "nobody":
        c = mesh.condition("HTTPRoute", "app", frontend.name, "ResolvedRefs")
        assert (c["status"], c["reason"]) == ("False", "BackendNotFound")


def test_a_copy_is_without_the_filters_of_the_backend(mesh, frontend,
                                                      shadows):
    """Those are for what goes to that backend."""
    frontend.route({"filters": [mirror("shadow-a")], "backendRefs": [{
        **V1, "filters": [modify("Request", set={"x-backend": "1"}),
                          {"type": "URLRewrite", "urlRewrite": {
                              "path": full("/changed")}}]}]})
    own = f"/{frontend.name}"
    r = mesh.curl("app/client", frontend.url + own)
    assert r.json["path"] == "/changed" and seen(r, "x-backend") == ["1"]
    copy, = m.wait_for(lambda: copies(mesh, "shadow-a", own))
    assert "x-backend" not in copy["headers"]


@pytest.mark.parametrize("what", ["/reset", "/delay/4", "/half", "/close"])
def test_a_mirror_in_trouble_disturbs_nobody(mesh, frontend, shadows, what):
    """Only the copy goes to the path that is reset, slow or cut."""
    frontend.route({"filters": [mirror("shadow-a")], "backendRefs": [{
        **V1, "filters": [{"type": "URLRewrite", "urlRewrite": {
            "path": full("/fine")}}]}]})
    r = mesh.curl("app/client", frontend.url + what, timeout=3)
    assert (r.status, r.json["path"]) == (200, "/fine")


# ---- CORS ----

PREFLIGHT = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: ")
ALLOW, ORIGIN = "access-control-allow-", "access-control-allow-origin"


def cors(match, **config):
    return {"matches": [match], "backendRefs": [V1],
            "filters": [{"type": "CORS", "cors": config}]}


def preflight(url, origin, method="GET", headers=None):
    more = ["-H", f"Access-Control-Request-Headers: {headers}"]
    return (url, *PREFLIGHT[:-1], PREFLIGHT[-1] + method, "-H",
            f"Origin: {origin}", *(more if headers else []))


def cors_fields(response):
    return {k.removeprefix("access-control-"): response.header(k)
            for k in response.headers if k.startswith("access-control-")}


FULL = {"allowOrigins": ["https://www.foo.com", "https://*.bar.com"],
        "allowMethods": ["GET", "OPTIONS"],
        "allowHeaders": ["x-header-1", "x-header-2"],
        "exposeHeaders": ["x-header-3", "x-header-4"],
        "allowCredentials": True, "maxAge": 3600}


def test_a_preflight_is_answered_by_the_mesh(mesh, frontend):
    frontend.route(cors(prefix("/"), **FULL))
    url = frontend.url + "/cors-1"
    good = ["https://www.foo.com", "https://www.bar.com",
            "https://xpto.www.bar.com", "https://www.foo.com:443"]
    for origin, r in zip(good, ask(mesh, [preflight(
            url, o, headers="x-header-1, x-header-2") for o in good])):
        assert r.status == 204 and r.text == "", r
        assert r.header("eastwest-refusal") is None
        assert cors_fields(r) == {
            "allow-origin": origin, "allow-methods": "GET, OPTIONS",
            "allow-headers": "x-header-1, x-header-2",
            "expose-headers": "x-header-3, x-header-4", "max-age": "3600",
            "allow-credentials": "true"}
        assert r.header("vary") == "Origin"


def test_other_origins_get_no_cors_fields(mesh, frontend):
    frontend.route(cors(prefix("/"), **FULL))
    bad = ["https://foobar.com", "http://www.foo.com", "https://bar.com",
           "https://www.foo.com:8443", "https://www.foo.com.evil.org",
           "https://evilbar.com", "https://evil.org/.bar.com", "null"]
    for r in ask(mesh, [preflight(frontend.url, o) for o in bad]):
        assert r.status in (200, 204, 403) and cors_fields(r) == {}, r
    for r in ask(mesh, [(frontend.url, "-H", f"Origin: {o}") for o in bad]):
        assert r.status == 200 and cors_fields(r) == {}, r


def test_actual_responses_tell_who_may_read_them(mesh, frontend):
    frontend.route(cors(prefix("/"), **FULL))
    told = {"allow-origin": "https://www.foo.com", "allow-credentials": "true",
            "expose-headers": "x-header-3, x-header-4"}
    origin = ("-H", "Origin: https://www.foo.com")
    got = ask(mesh, [
        (frontend.url, *origin), (frontend.url, "-d", "x", *origin),
        (frontend.url + "/status/500", *origin),
        (frontend.url + "/?header=Access-Control-Allow-Origin:*&"
         "header=Access-Control-Expose-Headers:x-own", *origin)])
    assert [r.status for r in got] == [200, 200, 500, 200]
    assert [cors_fields(r) for r in got] == [told] * 4
    # OPTIONS without a wish is no preflight; no Origin is no CORS.
    plain, options = ask(mesh, [(frontend.url,),
                                (frontend.url, "-X", "OPTIONS", *origin)])
    assert cors_fields(plain) == {} and plain.header("vary") == "Origin"
    assert options.json["method"] == "OPTIONS"


def test_refusals_of_the_mesh_can_be_read_too(mesh, frontend):
    one = cors(prefix("/"), **FULL)
    one["backendRefs"] = []
    frontend.route(one)
    r = mesh.curl("app/client", frontend.url, "-H",
                  "Origin: https://www.foo.com")
    refused(r, "no-backends", 500)
    assert r.header(ORIGIN) == "https://www.foo.com"


def test_cors_wildcards_without_credentials(mesh, frontend):
    frontend.route(
        cors(prefix("/methods"), allowOrigins=["https://www.foo.com"],
             allowMethods=["*"]),
        cors(prefix("/origin"), allowOrigins=["*"], allowMethods=["PUT"],
             allowCredentials=False),
        cors(prefix("/all"), allowOrigins=["*"], allowMethods=["*"],
             allowHeaders=["*"], exposeHeaders=["*"]))
    url = frontend.url
    r = ask(mesh, [
        preflight(url + "/methods", "https://www.foo.com", "POST"),
        preflight(url + "/origin", "https://foobar.com:12345", "PUT"),
        (url + "/origin", "-H", "Origin: https://foobar.com", "-X", "PUT"),
        preflight(url + "/all", "https://other.foo.com", "PUT", "x-1, x-2"),
        (url + "/all", "-H", "Origin: null")])
    assert cors_fields(r[0]) == {"allow-origin": "https://www.foo.com",
                                 "allow-methods": "*", "max-age": "5"}
    assert cors_fields(r[1]) == {"allow-origin": "*", "allow-methods": "PUT",
                                 "max-age": "5"}
    assert cors_fields(r[2]) == {"allow-origin": "*"}
    assert cors_fields(r[3]) == {
        "allow-origin": "*", "allow-methods": "*", "allow-headers": "*",
        "expose-headers": "*", "max-age": "5"}
    assert cors_fields(r[4]) == {"allow-origin": "*", "expose-headers": "*"}


def test_cors_wildcards_with_credentials_are_never_sent(mesh, frontend):
    frontend.route(cors(prefix("/"), allowOrigins=["*"], allowMethods=["*"],
                        allowHeaders=["*"], exposeHeaders=["*"],
                        allowCredentials=True))
    one, two, three = ask(mesh, [
        preflight(frontend.url, "https://other.foo.com", "PUT", "x-1, x-2"),
        preflight(frontend.url, "https://other.foo.com", "PUT"),
        (frontend.url, "-H", "Origin: https://other.foo.com")])
    told = {"allow-origin": "https://other.foo.com",
            "allow-credentials": "true"}
    asked = {**told, "allow-methods": "PUT", "max-age": "5"}
    assert cors_fields(one) == {**asked, "allow-headers": "x-1, x-2"}
    assert cors_fields(two) == asked and cors_fields(three) == told


# ---- timeouts ----

def test_the_time_for_a_request(mesh, frontend):
    frontend.route(rule("one", prefix("/"), timeouts={"request": "500ms"}),
                   rule("off", prefix("/off"), timeouts={"request": "0s"}))
    started = time.monotonic()
    late, soon, off = ask(mesh, [(frontend.url + p,) for p in (
        "/?delay=5", "/", "/off?delay=1")])
    assert time.monotonic() - started < 5
    text = refused(late, "request-timeout", 504)
    assert f"HTTPRoute app/{frontend.name} rule 0" in text
    assert soon.status == 200 and off.header("x-rule") == "off"


def test_the_time_for_a_backend(mesh, frontend):
    frontend.route(
        rule("one", prefix("/"), timeouts={"backendRequest": "500ms"}),
        rule("off", prefix("/off"), timeouts={"backendRequest": "0s"}),
        rule("both", prefix("/both"), timeouts={"backendRequest": "300ms",
                                                "request": "10s"}))
    late, soon, off, both = ask(mesh, [(frontend.url + p,) for p in (
        "/?delay=5", "/", "/off?delay=1", "/both?delay=5")])
    text = refused(late, "backend-timeout", 504)
    assert "backend Service app/echo-v1:80" in text
    assert soon.status == 200 and off.header("x-rule") == "off"
    refused(both, "backend-timeout", 504)


@pytest.mark.parametrize("which", ["request", "backendRequest"])
def test_the_time_covers_the_whole_response(mesh, frontend, which):
    """What has begun can't become a 504, so it is cut off visibly."""
    frontend.route(rule("one", timeouts={which: "200ms"}))
    done = mesh.exec("app/client", "curl", "-sS", "--max-time", "10",
                     frontend.url + "/sse", check=False)
    # Of curl: "partial file" or "failure receiving".
    assert done.returncode in (18, 56), (done.returncode, done.stderr)
    assert "event 0" in done.stdout and "event 9" not in done.stdout


# ---- retries ----

def retried(match, backend="shadow-a", **retry):
    return {"matches": [match], "backendRefs": [m.backend(backend)],
            "retry": {"backoff": "10ms", **retry}}


def flaky(frontend, how, times):
    """A path of the recorder that fails so many times in this way."""
    return f"/flaky/{how}/{times}/{frontend.name}"


def tries(mesh, path_):
    return mesh.curl("app/client", "http://shadow-a.app/counts").json.get(
        path_, 0)


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
def test_codes_are_retried_within_the_attempts(mesh, frontend, shadows, code):
    frontend.route(retried(prefix("/"), codes=[code], attempts=2))
    good, bad = flaky(frontend, code, 2), flaky(frontend, code, 9) + "-9"
    a, b = ask(mesh, [(frontend.url + good,), (frontend.url + bad,)])
    assert (a.status, tries(mesh, good)) == (200, 3)
    # The last try's own response is the answer.
    assert (b.status, tries(mesh, bad)) == (code, 3)
    assert b.header("eastwest-refusal") is None and b.json["path"] == bad


def test_other_codes_are_not_retried(mesh, frontend, shadows):
    frontend.route(retried(prefix("/"), codes=[500], attempts=3))
    one = flaky(frontend, 503, 2)
    assert mesh.curl("app/client", frontend.url + one).status == 503
    assert tries(mesh, one) == 1


def test_one_retry_if_attempts_are_not_given(mesh, frontend, shadows):
    frontend.route(retried(prefix("/"), codes=[503]))
    one = flaky(frontend, 503, 9)
    assert mesh.curl("app/client", frontend.url + one).status == 503
    assert tries(mesh, one) == 2


def test_without_retry_no_code_is_retried(mesh, frontend, shadows):
    frontend.route({"backendRefs": [m.backend("shadow-a")]})
    one = flaky(frontend, 503, 9)
    assert mesh.curl("app/client", frontend.url + one).status == 503
    assert tries(mesh, one) == 1


def test_a_retry_sends_the_body_again(mesh, frontend, shadows):
    frontend.route(retried(prefix("/"), codes=[503], attempts=2))
    body = "x" * 50000
    r = mesh.curl("app/client", frontend.url + flaky(frontend, 503, 2), "-d",
                  body)
    assert r.status == 200
    assert r.json["body_sha256"] == hashlib.sha256(body.encode()).hexdigest()


def test_the_backoff_is_waited_for(mesh, frontend, shadows):
    frontend.route(retried(prefix("/"), codes=[503], attempts=2,
                           backoff="400ms"))
    started = time.monotonic()
    r = mesh.curl("app/client", frontend.url + flaky(frontend, 503, 2))
    assert r.status == 200 and time.monotonic() - started >= 0.8


def test_connection_errors_are_retried_without_codes(mesh, frontend, shadows):
    frontend.route(retried(prefix("/"), attempts=3))
    good, bad = flaky(frontend, "reset", 2), flaky(frontend, "reset", 9) + "-9"
    a, b = ask(mesh, [(frontend.url + good,), (frontend.url + bad,)])
    assert (a.status, tries(mesh, good)) == (200, 3)
    refused(b, "retries-spent", 503)
    # The far sidecar asks its app again where a kept connection ended.
    assert 4 <= tries(mesh, bad) <= 8


def test_what_is_not_idempotent_is_not_sent_twice(mesh, frontend, shadows):
    """A reset says nothing about what the app did before it."""
    frontend.route(retried(prefix("/"), attempts=3))
    one = flaky(frontend, "reset", 2)
    r = mesh.curl("app/client", frontend.url + one, "-d", "x")
    text = refused(r, "upstream-reset", 502)
    assert "backend Service app/shadow-a:80" in text, text
    assert tries(mesh, one) == 1


def test_a_try_that_timed_out_is_retried(mesh, frontend, shadows):
    one = retried(prefix("/"), attempts=2)
    frontend.route({**one, "timeouts": {"backendRequest": "300ms"}})
    good, bad = flaky(frontend, "slow", 2), flaky(frontend, "slow", 9) + "-9"
    a, b = ask(mesh, [(frontend.url + good,), (frontend.url + bad,)])
    assert (a.status, tries(mesh, good)) == (200, 3)
    refused(b, "backend-timeout", 504)
    assert tries(mesh, bad) == 3


def test_the_time_for_a_request_covers_its_retries(mesh, frontend, shadows):
    one = retried(prefix("/"), codes=[503], attempts=100, backoff="100ms")
    frontend.route({**one, "timeouts": {"request": "700ms"}})
    path_ = flaky(frontend, 503, 100)
    started = time.monotonic()
    refused(mesh.curl("app/client", frontend.url + path_), "request-timeout",
            504)
    assert time.monotonic() - started < 5
    assert 2 <= tries(mesh, path_) <= 7


def test_the_time_ends_between_two_tries_with_a_body(mesh, frontend, shadows):
    """What was to be sent again was taken from the client once."""
    one = retried(prefix("/"), codes=[503], attempts=9, backoff="5s")
    frontend.route({**one, "timeouts": {"request": "500ms"}})
    before = mesh.pod("app/client")["containers"]
    path_ = flaky(frontend, 503, 9)
    for _ in range(2):
        refused(mesh.curl("app/client", frontend.url + path_, "-d",
                          "x" * 50000), "request-timeout", 504)
    after = mesh.pod("app/client")["containers"]
    assert [c["restarts"] for c in after] == [c["restarts"] for c in before]


def test_nobody_listens_at_the_endpoint(mesh, frontend):
    none = f"{frontend.name[:40]}-none"
    frontend.apply(m.service("app", none, {"app": "echo"}, target=9),
                   name="none")
    frontend.route(retried(prefix("/"), backend=none, attempts=1))
    refused(mesh.curl("app/client", frontend.url), "connect-failed", 503)
