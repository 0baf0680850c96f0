# SPDX-License-Identifier: Apache-2.0
"""A client that asks URLs all the time and remembers when the version in the
first one's answers changed.

GET on the port of --port: a list of [version, begin of the first request that
it answered, begin of the last one], and what failed.
"""

import argparse
import http.client
import http.server
import json
import threading
import time
import urllib.parse


def ask(connections, url):
    parts = urllib.parse.urlsplit(url)
    conn = connections.setdefault(
        parts.netloc, http.client.HTTPConnection(parts.netloc, timeout=10))
    try:
        conn.request("GET", parts.path or "/")
        answer = conn.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise ValueError(f"{url}: {answer.status} "
                             f"{answer.getheader('eastwest-refusal')}")
        return json.loads(data).get("version")
    except BaseException:
        conn.close()
        raise


def watch(urls, interval, report):
    connections = {}
    while True:
        for i, url in enumerate(urls):
            begin = time.time()
            try:
                version = ask(connections, url)
            except (OSError, http.client.HTTPException, ValueError) as error:
                report["failures"].append(f"{begin:.3f} {error!r}")
                continue
            if i:
                continue
            seen = report["seen"]
            if not seen or seen[-1][0] != version:
                seen.append([version, begin, begin])
            seen[-1][2] = begin
        time.sleep(interval)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="+")
    parser.add_argument("--interval", type=float, default=0.05,
                        help="seconds between two rounds (0.05)")
    parser.add_argument("--port", type=int, default=9000,
                        help="where the report is (9000)")
    args = parser.parse_args()
    report = {"seen": [], "failures": []}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = json.dumps(report).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    threading.Thread(target=watch, daemon=True,
                     args=(args.url, args.interval, report)).start()
    http.server.ThreadingHTTPServer(("", args.port), Answer).serve_forever()


if __name__ == "__main__":
    main()
