# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 server whose answers are hostile or odd; the path says how.

Any other path gets a sound 200. A number after the path, as in
/many-headers/50, takes the place of the number in that function.
"""

import asyncio

from echo import (Bad, Http1, arguments, linger, number, read_head,
                  serve_forever, sockets_of)

OK = b"HTTP/1.1 200 OK\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </x.css>; rel=preload\r\n\r\n"
KEEP, CLOSE = True, False


def sound(body=b"ok\n", status=b"200 OK"):
    return b"HTTP/1.1 %s\r\ncontent-type: text/plain\r\ncontent-length: %d" \
        b"\r\n\r\n%s" % (status, len(body), body)


async def discard(x):
    async for _ in x.body():
        pass


async def say(x, data, keep):
    """Takes the request's body and answers with exactly these bytes."""
    await discard(x)
    x.writer.write(data)
    await x.writer.drain()
    return keep


async def bad_length(x, _n):
    return await say(x, OK + b"content-length: 100\r\n\r\nonly this", CLOSE)


async def two_lengths(x, _n):
    return await say(x, OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\n"
                     b"hello!", KEEP)


async def smuggle(x, _n):
    """A response within the response for who believes transfer-encoding."""
    body = b"0\r\n\r\n" + sound(b"smuggled")
    return await say(x, OK + b"content-length: %d\r\ntransfer-encoding: "
                     b"chunked\r\n\r\n%s" % (len(body), body), KEEP)


async def huge_header(x, n):
    size = 2 << 20 if n is None else n
    return await say(x, OK + b"x-huge: %s\r\ncontent-length: 3\r\n\r\nok\n" %
                     (b"x" * size), KEEP)


async def many_headers(x, n):
    lines = b"".join(b"x-%d: %d\r\n" % (i, i)
                     for i in range(10000 if n is None else n))
    return await say(x, OK + lines + b"content-length: 3\r\n\r\nok\n", KEEP)


async def bad_chunk(x, _n):
    return await say(x, OK + b"transfer-encoding: chunked\r\n\r\n"
                     b"5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n", KEEP)


async def no_status(x, _n):
    return await say(x, b"content-type: text/plain\r\ncontent-length: 3\r\n"
                     b"\r\nok\n", CLOSE)


async def never(x, _n):
    """No answer, until the client gives up."""
    while await x.reader.read(65536):
        pass
    return CLOSE


async def slow_head(x, n):
    """A byte a second; with a number, every so many milliseconds."""
    await discard(x)
    for byte in sound():
        x.writer.write(bytes([byte]))
        await x.writer.drain()
        await asyncio.sleep(1 if n is None else n / 1000)
    return KEEP


async def early(x, _n):
    """Answers without the body, then takes the body; no word of closing."""
    x.framing()
    x.writer.write(sound(b"too large\n", b"413 Content Too Large"))
    await x.writer.drain()
    # The client has its answer, so a 100 must not follow.
    x.fields = [f for f in x.fields if f[0].lower() != "expect"]
    await discard(x)
    return KEEP


async def informational(x, n):
    hints = HINT * (3 if n is None else n)
    return await say(x, hints + sound(), KEEP)


async def endless_informational(x, n):
    return await informational(x, 1000 if n is None else n)


async def upgrade_refused(x, _n):
    return await say(x, sound(b"no upgrade here\n", b"403 Forbidden"), KEEP)


PATHS = {f.__name__.replace("_", "-"): f for f in (
    bad_length, two_lengths, smuggle, huge_header, many_headers, bad_chunk,
    no_status, never, slow_head, early, informational, endless_informational,
    upgrade_refused)}


async def serve(reader, writer):
    keep = KEEP
    try:
        while keep and (head := await read_head(reader)):
            x = Http1(reader, writer, *head, {})
            name, _, n = x.path.strip("/").partition("/")
            fault = PATHS.get(name)
            if fault:
                keep = await fault(x, number(n, "number") if n else None)
            else:
                keep = await say(x, sound(), x.keep)
    except Bad as e:
        writer.write(sound(f"{e}\n".encode(), b"400 Bad Request"))
    await linger(reader, writer)


def main():
    parser = arguments(__doc__.splitlines()[0])
    args = parser.parse_args()
    asyncio.run(serve_forever(sockets_of(args), serve))


if __name__ == "__main__":
    main()
