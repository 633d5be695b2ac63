"""A loopback proxy that makes an S3 server fail now and then, as S3 does.

    with FaultyProxy("http://127.0.0.1:5000", rate=0.1, seed=7) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.url

Which requests fail follows from the seed, the method, the path and how often that path was asked for:
threads do not change it.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import urlsplit

FAULTS = ("500", "503", "hang", "reset_before", "reset_after", "cut")
"""What can happen to a request:

500, 503      answered so, not applied
hang          not answered for `hang` seconds, then the connection is reset; not applied
reset_before  the connection is reset before the request's body is read; not applied
reset_after   the request is applied, then the connection is reset without an answer
cut           the request is applied, then half of the answer's body is sent and the connection is reset
"""

UPSTREAM_SECONDS = 60.0
LARGEST_BODY = 1 << 30

ERROR_BODY = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>made by a test</Message></Error>'


class FaultyProxy:
    """Passes requests on to `target`; a seeded share `rate` of them suffers one of `kinds`.

    `lose` is a regular expression on "METHOD path": the first request to each path that it finds is
    applied and its answer lost, on top of the share. `rate` and `lose` may be changed while it runs. It
    listens on `host`.
    `counts` says how many requests passed or met each kind ("lost" for `lose`).
    """

    def __init__(
        self,
        target: str,
        rate: float = 0.1,
        seed: int = 0,
        *,
        kinds: Sequence[str] = FAULTS,
        hang: float = 0.5,
        lose: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        if strangers := set(kinds) - set(FAULTS):
            raise ValueError(f"unknown faults: {sorted(strangers)}")
        self.target = target
        self.rate = rate
        self.seed = seed
        self.kinds = tuple(kinds)
        self.hang = hang
        self.counts: Counter[str] = Counter()
        self.lose = lose
        self._lost: set[str] = set()
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server((host, 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        """The address to use in place of the target's."""
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}"

    @property
    def faults(self) -> int:
        """Requests that suffered something."""
        return sum(self.counts.values()) - self.counts["passed"]

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fate(self, method: str, path: str) -> str:
        """What happens to the next request of this kind; counts it."""
        what = f"{method} {path}"
        with self._lock:
            self._asked[what] += 1
            fate = self._decide(what, self._asked[what])
            self.counts[fate] += 1
            return fate

    def _decide(self, what: str, time_asked: int) -> str:
        if self.lose is not None and what not in self._lost and re.search(self.lose, what):
            self._lost.add(what)
            return "lost"
        digest = hashlib.sha256(f"{self.seed} {time_asked} {what}".encode()).digest()
        if int.from_bytes(digest[:8], "big") / 2**64 >= self.rate:
            return "passed"
        return self.kinds[int.from_bytes(digest[8:12], "big") % len(self.kinds)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: FaultyProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = UPSTREAM_SECONDS
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _serve(self) -> None:
        proxy = cast(_Server, self.server).proxy
        fate = proxy.fate(self.command, self.path)
        if fate == "hang":
            time.sleep(proxy.hang)
        if fate in ("hang", "reset_before"):
            self._reset()
            return
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY or "Transfer-Encoding" in self.headers:
            self.send_error(411)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if fate in ("500", "503"):
            code = "InternalError" if fate == "500" else "SlowDown"
            self._answer(int(fate), {"Content-Type": "application/xml"}, ERROR_BODY.format(code=code).encode())
            return
        status, headers, answer = self._pass_on(proxy.target, body)
        if fate in ("reset_after", "lost"):
            self._reset()
        elif fate == "cut":
            self._answer(status, headers, answer, send=len(answer) // 2)
            self._reset()
        else:
            self._answer(status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _pass_on(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        host = urlsplit(target)
        upstream = http.client.HTTPConnection(host.hostname or "", host.port or 80, timeout=UPSTREAM_SECONDS)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # the host too: it is part of S3's signature
                if name.lower() not in ("connection", "expect"):
                    upstream.putheader(name, value)
            upstream.putheader("Connection", "close")
            upstream.endheaders(body)
            answer = upstream.getresponse()
            hop = ("connection", "transfer-encoding", "content-length", "keep-alive", "date", "server")
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in hop}
            data = answer.read()
            headers["Content-Length"] = answer.getheader("Content-Length") or str(len(data))
            return answer.status, headers, data
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, send: int | None = None) -> None:
        self.send_response(status)
        if self.command != "HEAD" and status != 204:
            headers = {**headers, "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if send is None else body[:send])

    def _reset(self) -> None:
        """Close so that the client sees a reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
