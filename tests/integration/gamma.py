# SPDX-License-Identifier: Apache-2.0
"""Routes of a frontend between echo-v1 and echo-v2: to write them, to wait for
them, to ask what became of a request and of a route."""
import meshes as m

TWO_PORTS = [{"name": "http", "port": 80, "targetPort": 8080},
             {"name": "more", "port": 81, "targetPort": 8080}]


def two_ports(frontend):
    frontend.apply(m.service("app", frontend.name, {"app": "echo"},
                             ports=TWO_PORTS), name="service")


def rule(version, *matches, **more):
    """To echo-v1 or echo-v2."""
    made = {"backendRefs": [m.backend(f"echo-{version}")], **more}
    if matches:
        made["matches"] = list(matches)
    return made


def path(value, kind="PathPrefix"):
    return {"path": {"type": kind, "value": value}}


def in_force(mesh, name, *routes, pod="app/client", port=80):
    """Until the sidecar of |pod| follows exactly these routes there."""
    def seen():
        mesh.exec(pod, "curl", "-s", "-o", "/dev/null", "--max-time", "2",
                  f"http://{name}.app:{port}/", check=False)
        for d in mesh.destinations(pod).values():
            if d and (d.get("name"), d.get("port")) == (name, port):
                return {r["route"]["name"] for r in
                        d.get("rules", []) + d.get("l4Rules", [])}
        return None
    m.wait_for(lambda: seen() == set(routes), 10,
               f"{routes} in force at {name}:{port} for {pod}")


def version(mesh, url, *options, pod="app/client"):
    """Which version answered, or why the request was refused."""
    r = mesh.curl(pod, url, *options)
    return r.json["version"] if r.status == 200 else \
        (r.status, r.header("eastwest-refusal"))


def addresses(mesh, name, pod="app/client"):
    """The cluster addresses of a Service in namespace app."""
    out = mesh.exec(pod, "getent", "ahosts", f"{name}.app").stdout
    return sorted({f"[{a}]" if ":" in a else a
                   for a in (line.split()[0] for line in out.splitlines())})


def conditions(mesh, name, kind="HTTPRoute", ns="app", parent=0):
    return {c["type"]: (c["status"], c["reason"]) for c in
            mesh.route_status(kind, ns, name)[parent]["conditions"]}


def conditions_are(mesh, name, expected, **where):
    """Until a route has these conditions, and maybe others."""
    def check():
        got = conditions(mesh, name, **where)
        assert expected.items() <= got.items(), got
        return True
    m.wait_for(check, 10, f"{expected} of {name}")


def accepted_is(mesh, name, status, reason, **where):
    conditions_are(mesh, name, {"Accepted": (status, reason)}, **where)
