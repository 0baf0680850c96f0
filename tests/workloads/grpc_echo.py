# SPDX-License-Identifier: Apache-2.0
"""gRPC echo: messages are raw bytes, so there is nothing to generate.

Every call gets x-pod as initial metadata and what metadata arrived as JSON
in the trailing x-metadata-bin.
"""

import concurrent.futures
import json
import os
import signal
import socket
import sys
import threading

import grpc

from echo import arguments, end_on_signals

ECHO = "eastwest.test.Echo"
CONFORMANCE = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho"
POD = os.environ.get("POD_NAME") or socket.gethostname()
NAMESPACE = os.environ.get("POD_NAMESPACE", "")


def metadata_of(context):
    fields = {}
    for name, value in context.invocation_metadata():
        if isinstance(value, bytes):
            value = value.hex()
        fields.setdefault(name, []).append(value)
    return fields


def greet(context, *more):
    context.send_initial_metadata((("x-pod", POD),))
    seen = json.dumps(metadata_of(context)).encode()
    context.set_trailing_metadata((("x-metadata-bin", seen), *more))


def echo(message, context):
    greet(context)
    return message


def repeat(message, context):
    """The first byte says how often the whole message comes back."""
    greet(context)
    for _ in range(message[0] if message else 0):
        yield message


def collect(messages, context):
    greet(context)
    return b"".join(messages)


def chat(messages, context):
    greet(context)
    yield from messages


def fail(message, context):
    """Ends with the status whose number is the message, as text."""
    numbers = {code.value[0]: code for code in grpc.StatusCode}
    try:
        code = numbers[int(message)]
    except (ValueError, KeyError):
        code = grpc.StatusCode.INVALID_ARGUMENT
    greet(context, ("x-why", f"asked for {code.name}"))
    if code is grpc.StatusCode.OK:
        return message
    return context.abort(code, "asked for")


def conformance(method):
    def answer(_message, context):
        greet(context)
        return json.dumps({
            "pod": POD, "namespace": NAMESPACE,
            "method": f"{CONFORMANCE}/{method}",
            "metadata": metadata_of(context)}).encode()
    return answer


def handlers():
    unary = grpc.unary_unary_rpc_method_handler
    yield grpc.method_handlers_generic_handler(ECHO, {
        "Echo": unary(echo),
        "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": unary(fail)})
    yield grpc.method_handlers_generic_handler(CONFORMANCE, {
        name: unary(conformance(name))
        for name in ("Echo", "EchoTwo", "EchoThree")})


def listen(server, ports, host):
    for port in ports:
        names = [host] if host else ["[::]", "0.0.0.0"]
        # Refused without IPv6: then IPv4 alone.
        for name in names:
            if ":" in name and not name.startswith("["):
                name = f"[{name}]"
            try:
                if server.add_insecure_port(f"{name}:{port}"):
                    break
            except RuntimeError:
                pass
        else:
            sys.exit(f"cannot listen on port {port}")


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=64,
                        help="calls at the same time (64)")
    parser.add_argument("--grace", type=float,
                        help="seconds for open calls after SIGTERM; without "
                        "it, it ends at once")
    args = parser.parse_args()
    ending = threading.Event()
    if args.grace is None:
        end_on_signals()
    else:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(args.threads),
        handlers=tuple(handlers()),
        options=(("grpc.so_reuseport", 0), ("grpc.max_metadata_size", 65536),
                 ("grpc.max_receive_message_length", -1)))
    listen(server, args.port or [8080], args.host)
    server.start()
    ending.wait()
    # Says GOAWAY, and takes no more connections.
    server.stop(args.grace).wait()


if __name__ == "__main__":
    main()
