# SPDX-License-Identifier: Apache-2.0
"""gRPC and WebSocket through two sidecars, without configuration."""
import json

import pytest

import meshes as m
import wire

NS = "proto-grpc"
MB = 1 << 20


@pytest.fixture(scope="module")
def net(mesh):
    with wire.servers(mesh, NS, [
            m.pod(NS, "client"),
            m.deployment(NS, "grpc", ["grpc_echo.py", "--port", "8080"]),
            m.service(NS, "grpc", {"app": "grpc"}),
            m.deployment(NS, "ws", ["ws_echo.py", "--port", "8080"]),
            m.service(NS, "ws", {"app": "ws"}),
            m.deployment(NS, "deflate", ["ws_echo.py", "--port", "8080",
                                         "--deflate"]),
            m.service(NS, "deflate", {"app": "deflate"})]) as made:
        yield made


def run(net, code, target):
    """|code| in the client's pod; it prints JSON."""
    done = net.mesh.exec(f"{NS}/client", m.PYTHON, "-c", code, target,
                         timeout=60)
    return json.loads(done.stdout)


# gRPC.

GRPC = """
import grpc, json, sys, threading, time
channel = grpc.insecure_channel(sys.argv[1], options=(
    ("grpc.max_receive_message_length", -1),))
ECHO = "/eastwest.test.Echo/"
def unary(name): return channel.unary_unary(ECHO + name)
def code_of(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
        return "OK"
    except grpc.RpcError as e:
        return e.code().name
"""


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def target(request, net):
    address = net.resolve(f"grpc.{NS}", request.param)
    return f"[{address}]:80" if request.param == 6 else f"{address}:80"


def test_grpc_of_all_four_kinds(net, target):
    said = run(net, GRPC + """
one = unary("Echo")(b"hello", timeout=10)
repeat = channel.unary_stream(ECHO + "Repeat")
many = [len(x) for x in repeat(bytes([5]) + b"x" * 9, timeout=10)]
collect = channel.stream_unary(ECHO + "Collect")
sum_ = collect(iter([b"a", b"b", b"c"]), timeout=10)
chat = channel.stream_stream(ECHO + "Chat")
back = [x.decode() for x in chat(iter([b"1", b"", b"3"]), timeout=10)]
print(json.dumps([one.decode(), many, sum_.decode(), back]))
""", target)
    assert said == ["hello", [10] * 5, "abc", ["1", "", "3"]]


def test_grpc_messages_of_a_chat_arrive_one_by_one(net, target):
    said = run(net, GRPC + """
import queue
q = queue.Queue()
answers = channel.stream_stream(ECHO + "Chat")(iter(q.get, None), timeout=10)
seen = []
for i in range(20):
    q.put(str(i).encode())
    seen.append(next(answers).decode())
q.put(None)
print(json.dumps([seen, list(answers), answers.code().name]))
""", target)
    assert said == [[str(i) for i in range(20)], [], "OK"]


def test_grpc_large_messages(net, target):
    assert run(net, GRPC + """
big = bytes(range(256)) * 65536
collect = channel.stream_unary(ECHO + "Collect")
one = unary("Echo")(big, timeout=30) == big
many = collect(iter([big[:1 << 20]] * 16), timeout=30) == big[:1 << 20] * 16
print(json.dumps([one, many]))
""", target) == [True, True]


def test_grpc_metadata_and_status(net, target):
    said = run(net, GRPC + """
answer, call = unary("Echo").with_call(b"", timeout=10, metadata=(
    ("x-a", "1"), ("x-a", "2"), ("x-bin", bytes(range(256)))))
initial = dict(call.initial_metadata())
trailing = dict(call.trailing_metadata())
seen = json.loads(trailing["x-metadata-bin"])
failures = []
for number in range(1, 17):
    try:
        unary("Fail")(str(number).encode(), timeout=10)
    except grpc.RpcError as e:
        failures.append([e.code().value[0], e.details(),
                         dict(e.trailing_metadata())["x-why"]])
print(json.dumps([initial["x-pod"], seen["x-a"], seen["x-bin"], failures]))
""", target)
    pod = net.mesh.pod(f"{NS}/deploy/grpc")["name"]
    assert said[:3] == [pod, ["1", "2"], [bytes(range(256)).hex()]]
    assert [f[:2] for f in said[3]] == [[n, "asked for"]
                                        for n in range(1, 17)]
    assert all(f[2].startswith("asked for ") for f in said[3])


def test_grpc_unknown_method(net, target):
    assert run(net, GRPC + """
print(json.dumps(code_of(unary("Nothing"), b"", timeout=10)))
""", target) == "UNIMPLEMENTED"


def test_grpc_deadline(net, target):
    """The chat waits for a message that never comes."""
    code, seconds, after = run(net, GRPC + """
import queue
start = time.monotonic()
chat = channel.stream_stream(ECHO + "Chat")
code = code_of(lambda: list(chat(iter(queue.Queue().get, None),
                                 timeout=0.5)))
seconds = time.monotonic() - start
print(json.dumps([code, seconds, unary("Echo")(b"x", timeout=10).decode()]))
""", target)
    assert code == "DEADLINE_EXCEEDED" and 0.4 < seconds < 5 and after == "x"


def test_grpc_cancel(net, target):
    """The server's handler ends with it: more calls than it has threads."""
    said = run(net, GRPC + """
import queue
chat = channel.stream_stream(ECHO + "Chat")
codes = set()
for _ in range(100):
    q = queue.Queue()
    call = chat(iter(q.get, None), timeout=30)
    q.put(b"x")
    next(call)
    call.cancel()
    q.put(None)
    codes.add(call.code().name)
print(json.dumps([sorted(codes), unary("Echo")(b"y", timeout=10).decode()]))
""", target)
    assert said == [["CANCELLED"], "y"]


def test_grpc_many_calls_at_a_time(net, target):
    assert run(net, GRPC + """
calls = [unary("Echo").future(str(i).encode(), timeout=30)
         for i in range(500)]
print(json.dumps(all(c.result() == str(i).encode()
                     for i, c in enumerate(calls))))
""", target) is True


def test_grpc_without_a_server(net):
    """As a status, not as a broken connection; and no waiting."""
    code, seconds = run(net, GRPC + """
start = time.monotonic()
code = code_of(unary("Echo"), b"", timeout=20)
print(json.dumps([code, time.monotonic() - start]))
""", f"{net.mesh.pod(f'{NS}/deploy/ws')['ips'][0]}:8081")
    assert code == "UNAVAILABLE" and seconds < 10


# WebSocket.

WS = """
import asyncio, json, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], max_size=1 << 26,
                                  compression=COMPRESSION) as ws:
        print(json.dumps(await talk(ws)))
"""


def talk(net, code, url, compression=None):
    body = WS.replace("COMPRESSION", repr(compression)) + code + \
        "\nasyncio.run(main())\n"
    return run(net, body, url)


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def url(request, net):
    address = net.resolve(f"ws.{NS}", request.param)
    return f"ws://[{address}]" if request.param == 6 else f"ws://{address}"


def test_websocket_text_and_binary(net, url):
    said = talk(net, """
async def talk(ws):
    seen = []
    for message in ("text", "", "\\u00e9\\u20ac", b"\\0\\xff", b""):
        await ws.send(message)
        seen.append(await ws.recv() == message)
    return seen
""", url)
    assert said == [True] * 5


def test_websocket_handshake_carries_path_and_fields(net, url):
    said = talk(net, """
async def talk(ws):
    return json.loads(await ws.recv())
""", url + "/hello?a=b%20c")
    assert said["path"] == "/hello?a=b%20c"
    assert said["headers"]["upgrade"] == ["websocket"]
    assert said["headers"]["x-forwarded-client-cert"] == [
        f"URI=spiffe://cluster.local/ns/{NS}/sa/default"]


def test_websocket_large_messages(net, url):
    assert talk(net, """
async def talk(ws):
    big = bytes(range(256)) * 65536
    await ws.send(big)
    same = await ws.recv() == big
    async def pieces():
        for i in range(0, len(big), 300000):
            yield big[i:i + 300000]
    await ws.send(pieces())
    return [same, await ws.recv() == big]
""", url) == [True, True]


def test_websocket_ping_and_close_codes(net, url):
    assert talk(net, """
async def talk(ws):
    for i in range(3):
        await asyncio.wait_for(await ws.ping(b"p%d" % i), 10)
    await ws.close(4321, "enough")
    return [ws.close_code, ws.close_reason]
""", url) == [4321, "enough"]


def test_websocket_close_by_the_server(net, url):
    """A message beyond its limit is 1009."""
    assert talk(net, """
async def talk(ws):
    try:
        await ws.send(b"x" * ((64 << 20) + 1))
        await ws.recv()
    except websockets.ConnectionClosed as e:
        return e.rcvd.code
""", url) == 1009


def test_websocket_with_compression(net):
    assert talk(net, """
async def talk(ws):
    text = "again " * 100000
    await ws.send(text)
    return [await ws.recv() == text, len(ws.extensions)]
""", f"ws://deflate.{NS}", "deflate") == [True, 1]


def test_websocket_that_is_silent_for_a_while(net, url):
    assert talk(net, """
async def talk(ws):
    await asyncio.sleep(3)
    await ws.send("still there")
    return await ws.recv()
""", url) == "still there"


def test_many_websockets(net, url):
    assert run(net, """
import asyncio, json, sys, websockets
async def one(i):
    async with websockets.connect(sys.argv[1], open_timeout=30) as ws:
        await ws.send(str(i))
        return await ws.recv() == str(i)
async def main():
    print(json.dumps(all(await asyncio.gather(*map(one, range(50))))))
asyncio.run(main())
""", url) is True
