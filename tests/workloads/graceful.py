# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 echo that ends as good servers do.

Answers as echo.py. On SIGTERM it takes no more connections, answers the
requests that are open, and ends.
"""

import asyncio
import logging
import signal

from echo import App, MAX_HEAD, arguments, guarded, listen, serve_http1


class Counting(App):
    def __init__(self, version):
        super().__init__(version)
        self.open, self.ending = 0, asyncio.Event()

    async def serve(self, x):
        self.open += 1
        try:
            if self.ending.is_set():
                x.keep = False
            await super().serve(x)
        finally:
            self.open -= 1


async def serve(args):
    app = Counting(args.version)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.ending.set)
    servers = [await asyncio.start_server(
        guarded(lambda r, w: serve_http1(app, r, w, {})), sock=sock,
        limit=MAX_HEAD, backlog=1024)
        for sock in listen(args.port or [8080], args.host)]
    await app.ending.wait()
    for server in servers:
        server.close()
    while app.open:
        await asyncio.sleep(0.01)


def main():
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--version", default="",
                        help='reported as "version"')
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
