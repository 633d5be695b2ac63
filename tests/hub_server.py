"""A small model hub on loopback for tests: the endpoints by which huggingface_hub lists and fetches a model.

    GET  /api/models/OWNER/NAME/revision/REVISION     description: commit and files
    GET  /api/models/OWNER/NAME/tree/REVISION         files with sizes and digests
    HEAD /OWNER/NAME/resolve/REVISION/FILE            commit, ETag and size of a file
    GET  /OWNER/NAME/resolve/REVISION/FILE            its bytes, or a range of them

Faults are set as attributes, by file name.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 1000
"""Bytes from which a file is listed by its SHA-256, as large files are on a hub, and not by its Git digest."""

API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)\Z")
RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)\Z")


def commit_of(files: Mapping[str, bytes]) -> str:
    """The commit of a repository with these files: 40 hex digits."""
    return hashlib.sha1(b"".join(f"{name}\0".encode() + data for name, data in sorted(files.items()))).hexdigest()


def digest_of(data: bytes) -> str:
    """The digest by which the hub lists a file."""
    if len(data) >= LARGE:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


@dataclass
class Hub:
    """What the server serves, and what it was asked."""

    url: str
    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)  # repository → commit → files
    branches: dict[str, dict[str, str]] = field(default_factory=dict)  # repository → branch → commit
    asked: list[str] = field(default_factory=list)  # "METHOD path", in order
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)  # repository → status and error code
    cut: dict[str, int] = field(default_factory=dict)  # file → bytes after which each answer breaks off
    stall: dict[str, threading.Event] = field(default_factory=dict)  # file → event; half of it comes, then it waits
    instead: dict[str, bytes] = field(default_factory=dict)  # file → the bytes that are sent in its place
    etags: dict[str, str] = field(default_factory=dict)  # file → the ETag that is sent with it
    sizes: dict[str, int] = field(default_factory=dict)  # file → the size that HEAD and the list claim

    def publish(self, name: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Put a commit with these files on a branch of the repository `name`, and return it."""
        commit = commit_of(files)
        self.commits.setdefault(name, {})[commit] = dict(files)
        self.branches.setdefault(name, {})[branch] = commit
        return commit

    def fetched(self) -> list[str]:
        """Names of the files whose bytes were asked for, in order."""
        matches = (RESOLVE.match(line.removeprefix("GET ")) for line in self.asked if line.startswith("GET "))
        return [match[3] for match in matches if match]

    def environment(self, cache: str) -> dict[str, str]:
        """Variables that make a new process use this hub, with its cache in a folder."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_CACHE": cache, "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub that serves until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(url=f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # pyright: ignore[reportAttributeAccessIssue]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        for event in hub.stall.values():
            event.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # pyright: ignore[reportAttributeAccessIssue]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if match := API.match(path):
            name, kind, revision = match.groups()
            files = self._files(name, revision)
            if files is not None:
                self._json(self._described(name, revision, files) if kind == "revision" else self._tree(files))
        elif match := RESOLVE.match(path):
            name, revision, file = match.groups()
            files = self._files(name, revision)
            if files is None:
                return
            if file not in files:
                self._error(404, "EntryNotFound")
            else:
                self._file(name, revision, file, files[file])
        else:
            self._error(404, "")

    def _files(self, name: str, revision: str) -> dict[str, bytes] | None:
        if name in self.hub.refuse:
            self._error(*self.hub.refuse[name])
        elif name not in self.hub.commits:
            self._error(401, "RepoNotFound")  # a hub does not tell strangers what it hides
        elif (commit := self._commit(name, revision)) not in self.hub.commits[name]:
            self._error(404, "RevisionNotFound")
        else:
            return self.hub.commits[name][commit]
        return None

    def _commit(self, name: str, revision: str) -> str:
        return self.hub.branches[name].get(revision, revision)

    def _described(self, name: str, revision: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        siblings = [
            {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]} for entry in self._tree(files)
        ]
        return {"id": name, "modelId": name, "sha": self._commit(name, revision), "siblings": siblings}

    def _tree(self, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
        entries = []
        for name, data in sorted(files.items()):
            size, digest = self.hub.sizes.get(name, len(data)), digest_of(data)
            entry: dict[str, Any] = {"type": "file", "path": name, "size": size, "oid": digest}
            if len(data) >= LARGE:
                entry |= {"oid": "0" * 40, "lfs": {"oid": digest, "size": size, "pointerSize": 134}}
            entries.append(entry)
        return entries

    def _file(self, name: str, revision: str, file: str, data: bytes) -> None:
        size, etag = self.hub.sizes.get(file, len(data)), self.hub.etags.get(file, digest_of(data))
        data = self.hub.instead.get(file, data)
        headers = {"X-Repo-Commit": self._commit(name, revision), "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self._head(200, {**headers, "Content-Length": str(size)})
            return
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._head(206 if asked else 200, {**headers, "Content-Length": str(len(data) - start)})
        rest = data[start:]
        if file in self.hub.stall:
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.hub.stall[file].wait(60)
            self.close_connection = True
        elif file in self.hub.cut:
            self.wfile.write(rest[: self.hub.cut[file]])
            self.close_connection = len(rest) > self.hub.cut[file]
        else:
            self.wfile.write(rest)

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        if self.command == "GET":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self._head(status, {"X-Error-Code": code, "Content-Length": "0"})

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
