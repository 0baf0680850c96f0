# SPDX-License-Identifier: Apache-2.0
"""gRPC calls from pods, and the pods that answer them.

Run in a pod as a program, it makes the calls that its argument describes.
"""
import json
import os
import sys

import meshes as m

ECHO = "eastwest.test.Echo"
CONFORMANCE = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho"
V1 = {"app": "grpc", "version": "v1"}
V2 = {"app": "grpc", "version": "v2"}


def _fields(metadata):
    found = {}
    for name, value in metadata or ():
        if isinstance(value, bytes):
            value = value.decode()
        found.setdefault(name, []).append(value)
    return found


def _call(grpc, channel, spec):
    """One call; for a list as "body" one with streams in both directions."""
    body, streams = spec.get("body", ""), isinstance(spec.get("body"), list)
    path = "/" + spec["method"]
    options = {"metadata": [tuple(x) for x in spec.get("metadata", [])],
               "timeout": spec.get("timeout", 10)}
    if streams:
        call = channel.stream_stream(path)(
            iter([x.encode() for x in body]), **options)
    else:
        call = channel.unary_unary(path).future(body.encode(), **options)
    answer, details = None, ""
    try:
        answer = [x.decode() for x in call] if streams \
            else call.result().decode()
    except grpc.RpcError:
        details = call.details()
    initial = _fields(call.initial_metadata())
    trailing = _fields(call.trailing_metadata())
    pod = initial.get("x-pod", [""])[0]
    return {"code": call.code().name, "details": details, "body": answer,
            "initial": initial, "trailing": trailing, "pod": pod,
            "version": pod.split("-")[1] if pod else None,
            "seen": json.loads(trailing.get("x-metadata-bin", ["{}"])[0])}


def main():
    os.environ["GRPC_DNS_RESOLVER"] = "native"
    import grpc  # pylint: disable=import-outside-toplevel
    target, specs = json.loads(sys.argv[1])
    with grpc.insecure_channel(target) as channel:
        json.dump([_call(grpc, channel, spec) for spec in specs], sys.stdout)


def deploy(mesh):
    """Services app/grpc-v1 and app/grpc-v2, once in a mesh."""
    if (mesh.folder / "grpc.yaml").exists():
        return
    made = []
    for labels in (V1, V2):
        name = f"grpc-{labels['version']}"
        made += [m.deployment("app", name, ["grpc_echo.py", "--port", "8080"],
                              1, labels), m.service("app", name, labels)]
    mesh.write("grpc.yaml", made)
    for labels in (V1, V2):
        pod = f"app/deploy/grpc-{labels['version']}"
        m.wait_for(lambda pod=pod: mesh.pod(pod)["is_ready"], 30, pod)
    mesh.sync()


def calls(mesh, target, *specs, pod="app/client"):
    """What came of each of the calls, all on one channel."""
    out = mesh.exec(pod, m.PYTHON, os.path.abspath(__file__),
                    json.dumps([target, specs])).stdout
    return json.loads(out)


def call(mesh, target, method=f"{ECHO}/Echo", pod="app/client", **spec):
    return calls(mesh, target, {"method": method, **spec}, pod=pod)[0]


if __name__ == "__main__":
    main()
