from __future__ import annotations

from itertools import pairwise

from pipeline.series import FACTS, PARTITION_BUCKETS, SERIES, STATE, WORK

SINGLE = {"rushes_lease_held", "rushes_lease_epoch"}
"""Gauges that count nothing."""
FEW = {"state", "tier", "status", "reason", "operator", "kind", "direction"}
"""Labels whose values come from the code and the configuration."""


def test_names_say_what_is_counted_and_in_what_unit():
    assert len(SERIES) == len(FACTS) + len(WORK) + len(STATE)
    for series in SERIES.values():
        assert series.name.startswith("rushes_")
        assert series.name.endswith("_total") == (series.kind == "counter"), series.name
        what = series.name.removesuffix("_total")
        assert what.endswith("s") or series.name in SINGLE, f"{series.name} is not in the plural of a unit or a thing"
        assert set(series.labels) <= FEW
        assert series.about and not series.about.endswith(".")


def test_buckets_grow():
    assert all(smaller < larger for smaller, larger in pairwise(PARTITION_BUCKETS))
