"""A prefix of object storage as the origin of a model, over the store that jobs bring."""

from __future__ import annotations

import pytest

from operators.models.stored import StoreSource
from store.models import S3Models
from store.objects import open_store
from tests.model_folder import whole_model


@pytest.fixture
def url(s3_bucket: str) -> str:
    store = open_store(f"{s3_bucket}/models/clip")
    for name, data in {**whole_model(), "README.md": b"read me"}.items():
        store.put(name, data)
    return store.url


def test_only_what_is_chosen_is_fetched(url, tmp_path):
    source = StoreSource(url, S3Models(tmp_path), lambda names: [name for name in names if name != "README.md"])
    assert source.held() is None
    offered = source.offered()
    assert offered["config.json"] == len(whole_model()["config.json"])
    folder = source.fetch(list(whole_model()))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole_model()
    assert source.held() == folder
    assert not source.pinned


def test_its_version_is_that_of_the_chosen_files(url, tmp_path):
    source = StoreSource(url, S3Models(tmp_path), lambda names: [name for name in names if name != "README.md"])
    version = source.version()
    assert version.startswith("clip@")
    assert source.pin() == ("", version)
    open_store(url).put("README.md", b"another")
    assert source.version() == version
    open_store(url).put("config.json", b'{"another": 1}')
    assert source.version() != version
