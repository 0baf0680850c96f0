# SPDX-License-Identifier: Apache-2.0
"""TCP echo with half-close: after the client's EOF the rest, then EOF."""

import asyncio
import hashlib

from echo import PIECE, arguments, pattern, serve_forever, sockets_of


async def echo(reader, writer):
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def sink(reader, writer):
    digest = hashlib.sha256()
    while data := await reader.read(PIECE):
        digest.update(data)
    writer.write(digest.hexdigest().encode() + b"\n")
    writer.write_eof()


def source(size):
    async def send(reader, writer):
        for piece in pattern(size):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        # Closing with unread bytes would send RST.
        while await reader.read(PIECE):
            pass
    return send


def main():
    parser = arguments(__doc__.splitlines()[0])
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--sink", action="store_true",
                      help="answer the SHA-256 of all bytes after EOF")
    kind.add_argument("--source", type=int, metavar="N",
                      help="send N bytes (byte i is i modulo 251), then EOF")
    args = parser.parse_args()
    serve = echo
    if args.sink:
        serve = sink
    elif args.source is not None:
        serve = source(args.source)
    asyncio.run(serve_forever(sockets_of(args), serve))


if __name__ == "__main__":
    main()
