"""S3 addresses, and one client per process."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from operators.errors import ConfigurationError
from store.retries import Patience
from store.s3_connection import S3Connection, split_s3_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket/a/b.mp4", ("bucket", "a/b.mp4")),
        ("s3://bucket", ("bucket", "")),
        ("S3://my.bucket-1/with space/ü?#", ("my.bucket-1", "with space/ü?#")),
    ],
)
def test_addresses_are_split(url: str, parts: tuple[str, str]) -> None:
    assert split_s3_url(url) == parts


@pytest.mark.parametrize(
    "url", ["", "s3:bucket/a", "http://bucket/a", "s3:///a", "s3://-/a", "s3://KEY:SECRET@bucket/a"]
)
def test_other_addresses_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        split_s3_url(url)
    assert "SECRET@" not in str(refused.value)


def test_threads_share_a_client_and_copies_make_their_own(s3_bucket: str) -> None:
    connection = S3Connection(Patience())
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda _: connection.client, range(8)))
    assert all(client is clients[0] for client in clients)
    copy = pickle.loads(pickle.dumps(connection))
    assert copy.patience == connection.patience
    assert copy.client is not clients[0]


def test_the_endpoint_of_the_environment_is_addressed_by_path(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = S3Connection(Patience(read_timeout=7.0)).client
    assert client.meta.endpoint_url == os.environ["AWS_ENDPOINT_URL"]
    assert client.meta.config.s3["addressing_style"] == "path"
    assert client.meta.config.read_timeout == 7.0
    assert client.meta.config.retries["total_max_attempts"] == 1
