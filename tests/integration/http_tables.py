# SPDX-License-Identifier: Apache-2.0
"""Routes under test as tables: what is asked, and which rule answers it."""
import meshes as m

END = "\n=-=-= end of a response =-=-=\n"
# In the tests' routes the same Service, so that only the rule differs.
V1, V2 = m.backend("echo-v1"), m.backend("echo-v2")
FAR = m.backend("far", namespace="other")


def ask(mesh, requests, pod="app/client", timeout=10):
    """The responses to [(url, *options of curl)], all from one curl."""
    command = ["curl"]
    for i, (url, *options) in enumerate(requests):
        command += ["--next"] if i else []
        command += ["-sSi", "--path-as-is", "-g", "--max-time", str(timeout),
                    "-w", END, *options, url]
    done = mesh.exec(pod, *command, text=False,
                     timeout=20 + timeout * len(requests))
    out = done.stdout.decode("utf-8", "surrogateescape").split(END)
    assert len(out) == len(requests) + 1, done.stdout
    return [m.Response(one) for one in out[:-1]]


def header(name, value, type_=None):
    found = {"name": name, "value": value}
    return {**found, "type": type_} if type_ else found


def path(type_, value):
    return {"path": {"type": type_, "value": value}}


def prefix(value):
    return path("PathPrefix", value)


def modify(kind, **changes):
    """A header modifier: set and add as {name: value}, remove as a list."""
    config = {}
    for what, value in changes.items():
        config[what] = value if what == "remove" else [
            {"name": k, "value": v} for k, v in value.items()]
    member = f"{kind[0].lower()}{kind[1:]}HeaderModifier"
    return {"type": f"{kind}HeaderModifier", member: config}


def rule(mark, *matches, to=V1, filters=(), **more):
    """A rule whose responses say in x-rule which one it was."""
    made = {"filters": [modify("Response", set={"X-Rule": str(mark)}),
                        *filters], "backendRefs": [to], **more}
    return {**made, "matches": list(matches)} if matches else made


def check(mesh, frontend, table, pod="app/client"):
    """|table|: (name of the rule or status, "METHOD /path", *headers)."""
    requests = []
    for _, what, *headers in table:
        method, _, target = what.rpartition(" ")
        options = [x for h in headers for x in ("-H", h)]
        options += ["-I"] if method == "HEAD" else ["-X", method or "GET"]
        requests.append((frontend.url + target, *options))
    for row, got in zip(table, ask(mesh, requests, pod)):
        if isinstance(row[0], int):
            assert got.status == row[0], (row, got)
        else:
            assert (got.status, got.header("x-rule")) == (200, row[0]), (
                row, got)


def in_force(frontend, *names, pod="app/client"):
    """Until the sidecar of |pod| follows rules of exactly these routes."""
    def known():
        frontend.mesh.exec(pod, "curl", "-s", "-o", "/dev/null",
                           "--max-time", "2", f"{frontend.url}/", check=False)
        found = [d for d in frontend.mesh.destinations(pod).values()
                 if d and d.get("name") == frontend.name]
        return found and all(
            {r["route"]["name"] for r in d.get("rules", [])} == set(names)
            for d in found)
    m.wait_for(known, 10, f"routes {names} of {frontend.name} in force")


def routes(frontend, rules_by_name, **more):
    """One HTTPRoute each, in force when this returns."""
    frontend.apply(*[m.http_route("app", name, frontend.name, rules, **more)
                     for name, rules in rules_by_name.items()])
    in_force(frontend, *rules_by_name)


def refused(response, reason, status):
    """A refusal of the mesh; gives its text."""
    assert response.status == status, response
    assert response.header("eastwest-refusal") == reason, response
    assert response.header("content-type") == "text/plain; charset=utf-8"
    assert response.text.startswith(f"eastwest: {reason}: "), response
    return response.text
