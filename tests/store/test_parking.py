"""Records of partitions that fail."""

from __future__ import annotations

from pathlib import Path

from store.local import LocalStore
from store.parking import (
    REASON_LIMIT,
    PartitionFailures,
    forget_failures,
    one_line,
    read_failures,
    write_failures,
)


def test_failures_are_kept_until_they_are_forgotten(tmp_path: Path):
    store = LocalStore(tmp_path)
    once = PartitionFailures(partition=17, failures=1, reason="damaged", epoch=1)
    thrice = once.model_copy(update={"partition": 2, "failures": 3})
    for failures in (once, thrice):
        write_failures(store, failures)
    assert read_failures(store) == {2: thrice, 17: once}
    assert (once.parked, thrice.parked) == (False, True)
    forget_failures(store, 17)
    forget_failures(store, 17)
    assert read_failures(store) == {2: thrice}


def test_what_is_no_record_is_no_evidence(tmp_path: Path):
    store = LocalStore(tmp_path)
    store.put("parked/00001.json", b"{torn")
    store.put(
        "parked/00002.json", PartitionFailures(partition=3, failures=3, reason="", epoch=1).model_dump_json().encode()
    )
    store.put("parked/other.txt", b"")
    assert read_failures(store) == {}


def test_a_reason_is_one_line_of_bounded_length():
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 5000)) == REASON_LIMIT
