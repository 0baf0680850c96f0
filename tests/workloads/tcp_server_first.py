# SPDX-License-Identifier: Apache-2.0
"""TCP server that speaks first: a banner, then it echoes lines."""

import asyncio
import os
import socket

from echo import arguments, linger, serve_forever, sockets_of


async def serve(reader, writer):
    pod = os.environ.get("POD_NAME") or socket.gethostname()
    writer.write(f"220 {pod} ready\r\n".encode())
    try:
        # The last line may have no end.
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except ValueError:
        writer.write(b"500 line too long\r\n")
        await linger(reader, writer)


def main():
    args = arguments(__doc__.splitlines()[0]).parse_args()
    asyncio.run(serve_forever(sockets_of(args), serve))


if __name__ == "__main__":
    main()
