"""YAML with few surprises."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.plain_yaml import PlainYamlError, dump_yaml, load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("012", 12),
        ("0x1f", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        (".inf", ".inf"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("'12'", "12"),
        ('"a\\nb"', "a\nb"),
        ("{a: [1, x], b: {}}", {"a": [1, "x"], "b": {}}),
        ("{1: one, yes: two}", {"1": "one", "yes": "two"}),
        ("<<: 5", {"<<": 5}),
    ],
)
def test_scalars_are_those_of_the_core_schema(text, value):
    assert load_yaml(text) == value
    assert type(load_yaml(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "line 2, column 1: the key 'a' comes twice"),
        ("{x: {a: 1, a: 2}}", "the key 'a' comes twice"),
        ("a: &n 1\nb: *n", r"line 2, column 4: aliases \(\*name\) are not used here"),
        ("!!int '5'", r"tags \(tag:yaml.org,2002:int\) are not used here"),
        ("!!python/name:os.system ''", "tags .* are not used here"),
        ("--- 1\n--- 2", "expected a single document in the stream, but found another document"),
        ("[1", "expected ',' or ']'"),
        ("1e999", "too large a number"),
        ("9" * 5000, "too many digits"),
        ("[" * 30 + "]" * 30, "nested more than 20 levels deep"),
        ("[" * 100_000, "nested more than 20 levels deep"),
        ("? [1]\n: 2", "a key must be a word"),
        ("a\0b", "special characters are not allowed"),
        ("a: b: c", "mapping values are not allowed here"),
        ("@x", "cannot start any token"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(PlainYamlError, match=message):
        load_yaml(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["no", "1e3", "0o7", "1:30", "null", "~", "=", "<<", "2024-01-01", "1_0", "0b1", "true", ".5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_what_is_written_reads_back_alike_here_and_elsewhere(value):
    assert load_yaml(dump_yaml(value)) == value
    assert yaml.safe_load(dump_yaml(value)) == value
