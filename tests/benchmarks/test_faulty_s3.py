"""The proxy that fails on purpose: a share of requests, the same ones for the same seed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

import pytest

from benchmarks.faulty_s3 import FAULTS, FaultyProxy
from tests.s3_servers import S3Server

REQUESTS = [("PUT", f"/bucket/{number}") for number in range(2000)]


def fates(seed: int, requests: list[tuple[str, str]], rate: float = 0.1) -> dict[tuple[str, str], str]:
    with FaultyProxy("http://127.0.0.1:9", rate=rate, seed=seed) as proxy:
        return {request: proxy.fate(*request) for request in requests}


def test_the_seed_decides_whatever_the_order() -> None:
    assert fates(1, REQUESTS) == fates(1, REQUESTS[::-1])
    assert fates(1, REQUESTS) != fates(2, REQUESTS)


def test_the_share_is_kept_and_every_fault_happens() -> None:
    found = list(fates(1, REQUESTS).values())
    assert 140 < len(found) - found.count("passed") < 260
    assert set(found) == {"passed", *FAULTS}
    assert set(fates(1, REQUESTS, rate=0.0).values()) == {"passed"}
    assert "passed" not in fates(1, REQUESTS, rate=1.0).values()


def test_a_named_answer_is_lost_once() -> None:
    with FaultyProxy("http://127.0.0.1:9", rate=0.0, lose=r"PUT .*/commits/") as proxy:
        asked = [("PUT", "/b/commits/1"), ("GET", "/b/commits/1"), ("PUT", "/b/commits/1"), ("PUT", "/b/commits/2")]
        assert [proxy.fate(*request) for request in asked] == ["lost", "passed", "passed", "lost"]
        assert (proxy.counts["lost"], proxy.faults) == (2, 2)


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="flood"):
        FaultyProxy("http://127.0.0.1:9", kinds=["flood"])


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_looks_like_itself(moto: S3Server, kind: str) -> None:
    with FaultyProxy(moto.url, rate=1.0, kinds=[kind], hang=0.05) as proxy:
        if kind in ("500", "503"):
            with pytest.raises(urllib.error.HTTPError) as failed:
                urllib.request.urlopen(proxy.url, timeout=10)
            assert failed.value.code == int(kind)
            failed.value.close()
        else:
            with pytest.raises((OSError, http.client.HTTPException)), urllib.request.urlopen(proxy.url) as got:
                got.read()
        assert proxy.counts[kind] == 1
