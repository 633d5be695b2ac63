"""Prefixes and manifests on S3, over HTTP."""

from __future__ import annotations

import pytest

from operators.errors import ConfigurationError
from store.manifest import read_input, read_partition, write_manifest
from store.objects import open_store
from store.retries import Patience
from store.s3_connection import S3Connection
from store.video_entry import ManifestError, make_video_id


def put(url: str, keys: dict[str, bytes]) -> None:
    """Objects as other tools write them: with keys that Rushes itself would refuse."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    client = S3Connection(Patience()).client
    for key, data in keys.items():
        client.put_object(Bucket=bucket, Key=f"{prefix}/{key}" if prefix else key, Body=data)


def test_a_prefix_gives_videos_with_size_and_etag_sorted_by_key(s3_bucket):
    names = ["b.mp4", "a b.MP4", "sub/Ünï'\".mkv", "up/../x.mp4", "notes.txt", ".hidden/c.mp4", "sub/.d.mp4", "e.mp4/"]
    put(f"{s3_bucket}/films", {name: name.encode() for name in names})
    put(s3_bucket, {"films2/other.mp4": b"1"})
    entries = read_input(f"{s3_bucket}/films/")
    expected = ["a b.MP4", "b.mp4", "sub/Ünï'\".mkv", "up/../x.mp4"]
    assert [entry.uri for entry in entries] == [f"{s3_bucket}/films/{name}" for name in expected]
    assert [entry.size for entry in entries] == [len(name.encode()) for name in expected]
    assert all(entry.etag and '"' not in entry.etag for entry in entries)
    assert [entry.video_id for entry in entries] == [make_video_id(entry.uri) for entry in entries]
    assert read_input(f"{s3_bucket}/films", limit=2) == entries[:2]


def test_a_prefix_without_videos_or_a_bucket_that_is_not_there(s3_bucket):
    put(s3_bucket, {"docs/a.txt": b"1"})
    with pytest.raises(ManifestError, match=r"no video under s3://.*/docs: no key ends in \.3g2"):
        read_input(f"{s3_bucket}/docs")
    with pytest.raises(ManifestError, match=r"no such object"):
        read_input(f"{s3_bucket}/docs/list.csv")
    with pytest.raises(ConfigurationError, match=r"'\.\.' or reserved segment"):
        read_input(f"{s3_bucket}/docs/../list.csv")


def test_a_manifest_on_s3_looks_relative_uris_up_beside_itself(s3_bucket, tmp_path):
    (tmp_path / "here.mp4").write_bytes(b"123")
    lines = ["uri,genre", "a.mp4,x", "../other/b.mp4,y", f"{tmp_path}/here.mp4,z", "s3://else/c.mp4,"]
    put(s3_bucket, {"lists/all.csv": "\n".join(lines).encode()})
    entries = read_input(f"{s3_bucket}/lists/all.csv")
    assert [(entry.uri, entry.size) for entry in entries] == [
        (f"{s3_bucket}/lists/a.mp4", None),
        (f"{s3_bucket}/other/b.mp4", None),
        (f"{tmp_path}/here.mp4", 3),
        ("s3://else/c.mp4", None),
    ]
    store = open_store(f"{s3_bucket}/out")
    assert write_manifest(store, entries, 3) == 2
    assert [*read_partition(store, 0), *read_partition(store, 1)] == entries


def test_a_relative_uri_does_not_leave_its_bucket(s3_bucket):
    put(s3_bucket, {"lists/all.csv": b"uri\n../../../elsewhere/b.mp4\n"})
    with pytest.raises(ManifestError, match=r"line 2: .* leaves the bucket"):
        read_input(f"{s3_bucket}/lists/all.csv")
