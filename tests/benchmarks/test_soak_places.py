"""A disk that fills up, and S3 that goes away and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faulty_s3 import FaultyProxy
from benchmarks.soak import AWAY
from benchmarks.soak_places import Bucket, mounted, why_no_small_disk
from operators.errors import StorageError
from store.objects import open_store
from tests.s3_servers import S3Server


def test_a_full_disk_takes_nothing_until_it_is_freed(tmp_path: Path) -> None:
    if why := why_no_small_disk():
        pytest.skip(why)
    with mounted(tmp_path / "disk") as disk:
        store = open_store(disk.output("run"))
        store.put("a", b"first")
        disk.fill()
        with pytest.raises(StorageError, match="free some space"):
            store.put("b", bytes(100_000))
        assert store.get("a") == b"first"
        disk.free()
        store.put("b", bytes(100_000))
    assert not (tmp_path / "disk" / "run").exists()


def test_s3_that_is_away_applies_nothing(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyProxy(moto.url, rate=0.0, hang=0.1, kinds=AWAY) as proxy:
        for name, value in moto.environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        place = Bucket(moto.new_bucket(), proxy)
        store = open_store(place.output("run"))
        store.put("a", b"first")
        place.drop()
        with pytest.raises(StorageError, match="tries"):
            store.within(1.0).put("b", b"second")
        place.restore()
        assert [info.key for info in store.list()] == ["a"]
