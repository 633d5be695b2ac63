"""Settings in words."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from jobs.plain_yaml import load_yaml
from jobs.setting_names import Setting, as_yaml, nested_model, settings_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    depth: int | None = Field(default=2, ge=1, description="metres down")


class Outer(BaseModel):
    inner: Inner = Field(default=Inner(), description="a group")
    colour: Colour = Field(default=Colour.RED, description="a choice")
    mode: Literal["all", "any"] = "all"
    points: tuple[float, ...] = Field(default=(0.2, 0.5), min_length=1, max_length=3)
    weights: dict[str, float] = Field(default_factory=dict)
    share: float = Field(default=0.5, gt=0, lt=1)
    quick: bool = False
    name: str = "it's"


def test_every_field_is_listed_with_type_default_bounds_and_meaning():
    assert list(settings_of("outer", Outer)) == [
        Setting("outer.inner.depth", "whole number or null", "2", "≥ 1", "metres down"),
        Setting("outer.colour", "red | blue", "red", "", "a choice"),
        Setting("outer.mode", "all | any", "all", "", ""),
        Setting("outer.points", "list of number", "[0.2, 0.5]", "at least 1 long, at most 3 long", ""),
        Setting("outer.weights", "mapping of text to number", "{}", "", ""),
        Setting("outer.share", "number", "0.5", "> 0, < 1", ""),
        Setting("outer.quick", "true or false", "false", "", ""),
        Setting("outer.name", "text", '"it\'s"', "", ""),
    ]


@pytest.mark.parametrize(
    ("annotation", "found"),
    [(Inner, Inner), (Inner | None, Inner), (int, None), (int | None, None), (tuple[Inner, ...], None)],
)
def test_nested_settings_are_recognised(annotation, found):
    assert nested_model(annotation) is found


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("hash", "hash"),
        ("models/pose.task", "models/pose.task"),
        ("true", '"true"'),
        ("a, b", '"a, b"'),
        ("", '""'),
        (0.1234567891, "0.1234567891"),
        (5.0, "5"),
        (["a", "1", None], '[a, "1", null]'),
        ({"speech": 0.5, "on: off": [True]}, '{speech: 0.5, "on: off": [true]}'),
    ],
)
def test_values_as_one_line_of_yaml(value, written):
    assert as_yaml(value) == written
    assert load_yaml(written) == value
