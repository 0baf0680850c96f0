# SPDX-License-Identifier: Apache-2.0
"""WebSocket echo of text and binary messages.

On /hello the first message is the server's: JSON of pod, path and headers.
"""

import asyncio
import json
import logging
import os
import socket

import websockets

from echo import address, arguments, grouped, sockets_of

MAX_MESSAGE = 64 << 20


async def serve(ws):
    try:
        if ws.path.partition("?")[0] == "/hello":
            await ws.send(json.dumps({
                "pod": os.environ.get("POD_NAME") or socket.gethostname(),
                "namespace": os.environ.get("POD_NAMESPACE", ""),
                "path": ws.path,
                "headers": grouped(ws.request_headers.raw_items()),
                "remote": address(ws.remote_address)}))
        async for message in ws:
            await ws.send(message)
    except websockets.ConnectionClosed:
        pass


async def serve_forever(sockets, compression):
    for sock in sockets:
        await websockets.serve(serve, sock=sock, max_size=MAX_MESSAGE,
                               compression=compression)
    await asyncio.Future()


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--deflate", action="store_true",
                        help="accept permessage-deflate")
    args = parser.parse_args()
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    asyncio.run(serve_forever(sockets_of(args),
                              "deflate" if args.deflate else None))


if __name__ == "__main__":
    main()
