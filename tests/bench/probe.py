# SPDX-License-Identifier: Apache-2.0
"""Asks again and again on one connection, and says when the answer changes.

Run as a program: HOST PORT. For each new value of the header "app" it prints
the time (CLOCK_MONOTONIC) and the value.
"""

import http.client
import sys
import time


def main():
    connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), 10)
    last = None
    while True:
        connection.request("GET", "/", headers={"Host": "http1"})
        response = connection.getresponse()
        response.read()
        value = response.headers.get("app", str(response.status))
        if value != last:
            print(time.monotonic(), value, flush=True)
            last = value
        time.sleep(0.0005)


if __name__ == "__main__":
    main()
