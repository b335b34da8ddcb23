#!/usr/bin/env python3
"""The image's health check: does the daemon answer on its Unix socket? Exits with 0 or 1."""

import os
import socket
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4.0


def main() -> int:
    """Alive is healthy: neither a broker that is down nor a login that is missing is mended by a new container."""
    connection = HTTPConnection("localhost")
    try:
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.settimeout(TIMEOUT_S)
            connection.sock.connect(os.environ.get("TICKERD_SOCKET", "/run/tickerd/tickerd.sock"))
            connection.request("GET", "/livez")
            return int(connection.getresponse().status != 200)
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
