# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 echo that ends as good servers do.

Answers as echo.py, and names the pod in x-pod. On SIGTERM it takes no more
connections, answers the requests that are open, at most for --grace seconds,
and ends.
"""

import asyncio
import logging
import signal

from echo import App, MAX_HEAD, arguments, guarded, listen, serve_http1


class Counting(App):
    def __init__(self, version):
        super().__init__(version)
        self.open, self.ending = 0, asyncio.Event()

    async def start(self, x, wish, length, *fields, **more):
        await super().start(x, wish, length, *fields,
                            ("x-pod", self.who["pod"]), **more)

    async def tell(self, x, wish, *more, **named):
        wish.fields.append(("x-pod", self.who["pod"]))
        await super().tell(x, wish, *more, **named)

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
    end = loop.time() + args.grace
    while app.open and loop.time() < end:
        await asyncio.sleep(0.01)


def main():
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--version", default="",
                        help='reported as "version"')
    parser.add_argument("--grace", type=float, default=float("inf"),
                        help="seconds for what is open (no end)")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
