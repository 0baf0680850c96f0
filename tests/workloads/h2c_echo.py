# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 echo in plain text with prior knowledge; answers as echo.py.

/close sends GOAWAY and closes when the last stream has ended, /reset sends
RST_STREAM without a response (/reset/7 with that error code), and /half
sends it within the body.
"""

import asyncio

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from hyperframe.frame import GoAwayFrame

from echo import (DIGITS, PIECE, App, Exchange, address, arguments, linger,
                  serve_forever, sockets_of)


class Http2(Exchange):
    def __init__(self, link, stream, pairs, extra):
        pseudo = dict(p for p in pairs if p[0].startswith(":"))
        fields = [p for p in pairs if not p[0].startswith(":")]
        host = pseudo.get(":authority") or dict(fields).get("host", "")
        super().__init__(pseudo.get(":method", ""), pseudo.get(":path", ""),
                         "2", fields, host,
                         {"scheme": pseudo.get(":scheme", ""), **extra})
        self.link, self.stream = link, stream
        self.remote, self.local = link.remote, link.local
        # What waits here is at most the stream's window.
        self.pieces = asyncio.Queue()
        self.window = asyncio.Event()
        self.bodiless = False

    async def body(self):
        expects = [v.lower() for v in self.values("expect")]
        if "100-continue" in expects and self.pieces.empty():
            self.link.conn.send_headers(self.stream, [(":status", "100")])
            self.link.flush()
        while (item := await self.pieces.get()) is not None:
            yield item[0]
            self.acknowledge(item[1])

    def acknowledge(self, size):
        if size:
            self.link.conn.acknowledge_received_data(size, self.stream)
            self.link.flush()

    async def head(self, status, fields, length):
        self.started = True
        self.bodiless = self.method == "HEAD" or status in (204, 304)
        pairs = [(":status", str(status)), *fields]
        if length is not None and status not in (204, 304):
            pairs.append(("content-length", str(length)))
        self.link.conn.send_headers(self.stream, pairs,
                                    end_stream=self.bodiless)
        # Without a flush: end() or the first bytes are never far.

    async def write(self, data):
        if self.bodiless:
            return
        conn = self.link.conn
        while data:
            room = min(conn.local_flow_control_window(self.stream),
                       conn.max_outbound_frame_size)
            if room <= 0:
                self.window.clear()
                self.link.flush()
                await self.window.wait()
                continue
            conn.send_data(self.stream, data[:room])
            data = data[room:]
        self.link.flush()
        await self.link.writer.drain()

    async def end(self, trailers=()):
        if not self.bodiless:
            if trailers:
                self.link.conn.send_headers(self.stream, trailers,
                                            end_stream=True)
            else:
                self.link.conn.end_stream(self.stream)
        self.link.flush()

    def reset(self):
        code = self.path.rpartition("/")[2]
        code = int(code) if DIGITS.match(code) else (
            h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.link.conn.reset_stream(self.stream, code)
        self.link.flush()

    def cut(self):
        self.reset()

    def discard(self):
        """What the handler left unread still fills the connection's window."""
        while not self.pieces.empty():
            if item := self.pieces.get_nowait():
                self.acknowledge(item[1])


class Link:
    """One connection: a task for each stream."""

    def __init__(self, app, reader, writer, extra):
        self.app, self.reader, self.writer = app, reader, writer
        self.extra = extra
        self.remote = address(writer.get_extra_info("peername"))
        self.local = address(writer.get_extra_info("sockname"))
        # Fields that HTTP/2 forbids may be asked for with ?header=.
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1",
            validate_outbound_headers=False))
        self.exchanges, self.tasks = {}, {}
        self.last = None

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            self.writer.write(data)

    def go_away(self):
        """Announces the end; h2's own way would cut the other streams."""
        if self.last is None:
            self.flush()
            self.last = self.conn.highest_inbound_stream_id
            self.writer.write(GoAwayFrame(
                0, last_stream_id=self.last).serialize())

    def finish(self):
        """The client is to close first, so that no RST eats its answers."""
        if self.writer.can_write_eof():
            self.writer.write_eof()
            asyncio.get_running_loop().call_later(1, self.writer.close)
        else:
            self.writer.close()

    async def serve_stream(self, x):
        try:
            await self.app.serve(x)
            if not x.keep:
                self.go_away()
        except (OSError, h2.exceptions.ProtocolError):
            pass  # The stream or the connection ended meanwhile.
        finally:
            x.discard()
            del self.exchanges[x.stream], self.tasks[x.stream]
            if self.last is not None and not self.tasks:
                self.finish()

    def on_event(self, event):
        x = self.exchanges.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            self.on_request(event)
        elif isinstance(event, h2.events.DataReceived):
            size = event.flow_controlled_length
            if x:
                x.pieces.put_nowait((event.data, size))
            else:
                self.conn.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived) and x:
            x.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded) and x:
            x.pieces.put_nowait(None)
        elif isinstance(event, h2.events.StreamReset) and x:
            self.tasks[x.stream].cancel()
        elif isinstance(event, (h2.events.WindowUpdated,
                                h2.events.RemoteSettingsChanged)):
            for each in [x] if x else self.exchanges.values():
                each.window.set()

    def on_request(self, event):
        stream = event.stream_id
        if self.last is not None and stream > self.last:
            return
        x = Http2(self, stream, event.headers, self.extra)
        self.exchanges[stream] = x
        self.tasks[stream] = asyncio.create_task(self.serve_stream(x))

    async def serve(self):
        self.conn.initiate_connection()
        self.flush()
        try:
            while data := await self.reader.read(PIECE):
                for event in self.conn.receive_data(data):
                    self.on_event(event)
                self.flush()
        except h2.exceptions.ProtocolError:
            self.flush()  # The GOAWAY that says why.
        finally:
            for task in list(self.tasks.values()):
                task.cancel()
            await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def serve_http2(app, reader, writer, extra):
    await Link(app, reader, writer, extra).serve()
    await linger(reader, writer)


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--version", default="",
                        help='reported as "version"')
    args = parser.parse_args()
    app = App(args.version)
    asyncio.run(serve_forever(
        sockets_of(args), lambda r, w: serve_http2(app, r, w, {})))


if __name__ == "__main__":
    main()
