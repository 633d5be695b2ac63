"""A server that speaks OpenAI's chat protocol over HTTP and answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "scripted"

Reply = str | int
"""A text, or the status of an error."""


@dataclass
class ChatServer:
    """Where it listens, what it was asked (headers and body), and how it answers."""

    reply: Callable[[dict[str, Any]], Reply]
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    finish: str = "stop"
    usage: dict[str, Any] | None = None


@contextmanager
def chat_server(reply: Callable[[dict[str, Any]], Reply]) -> Iterator[ChatServer]:
    """A server on a free port of 127.0.0.1."""
    server = ChatServer(reply=reply)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(
                200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "t"}]}
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = server.reply(body)
            if isinstance(answer, int):
                self._send(answer, {"error": {"message": f"status {answer} for {self.headers.get('Authorization')}"}})
                return
            choice = {"index": 0, "finish_reason": server.finish, "message": {"role": "assistant", "content": answer}}
            whole = {"id": "1", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice]}
            self._send(200, whole if server.usage is None else {**whole, "usage": server.usage})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_port}/v1"
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join(10)
