"""Settings from the preset, a file and `--set`: what wins, and what is refused in which words."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from jobs.configuration import read_assignment, resolve
from jobs.plain_yaml import dump_yaml
from operators.contract import Operator, Settings
from operators.errors import ConfigurationError


class Detector(StrEnum):
    CONTENT = "content"
    HASH = "hash"


class Cut(Operator):
    """Cuts at changes."""

    name = "cut"

    class Settings(Settings):
        threshold: float = Field(30.0, gt=0, le=255, description="change that counts as a cut")
        detector: Detector = Field(Detector.CONTENT, description="what is compared")
        positions: tuple[float, ...] = Field((0.2, 0.5), min_length=1, description="where keyframes are taken")
        label: str = Field("shot", description="a word")
        fast: bool = Field(False, description="whether frames are skipped")
        shortest: int | None = Field(None, ge=1, description="frames of the shortest shot")

        @field_validator("positions")
        @classmethod
        def _sorted(cls, value: tuple[float, ...]) -> tuple[float, ...]:
            if list(value) != sorted(value):
                raise ValueError("positions must grow")
            return value

    def __call__(self, rows):
        yield from rows


class Gates(Settings):
    min_height: int = Field(720, ge=0, le=4320, description="pixels of the frame's height")
    mode: Literal["all", "any"] = Field("all", description="how gates combine")


class Tier(Operator):
    name = "tier"

    class Settings(Settings):
        hq: Gates = Field(Gates(min_height=720, mode="all"), description="gates of the hq tier")
        visual: Gates = Field(Gates(min_height=0, mode="all"), description="gates of the visual tier")

    def __call__(self, rows):
        yield from rows


CLASSES = (Cut, Tier)


def cut(*assignments: str) -> Cut.Settings:
    found = resolve(CLASSES, assignments=assignments).operators["cut"]
    assert isinstance(found, Cut.Settings)
    return found


def test_defaults_then_preset_then_file_then_assignments_then_flags(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("run: {limit: 5, partition_size: 8}\ncut:\n  threshold: 3\n  label: file\ntier:\n")
    found = resolve(
        CLASSES,
        preset={"cut": {"threshold": 2, "label": "preset", "fast": True}},
        file=file,
        assignments=["cut.threshold=4", "cut.threshold=5", "run.partition_size=16", "run.limit=6"],
        flags={"limit": 7},
    )
    assert found.operators["cut"].model_dump(exclude={"positions", "detector", "shortest"}) == {
        "threshold": 5.0,
        "label": "file",
        "fast": True,
    }
    assert (found.run.partition_size, found.run.limit, found.run.media) == (16, 7, "drop")
    assert [operator.name for operator in found.chain()] == ["cut", "tier"]
    assert found.chain()[0].settings is found.operators["cut"]


def test_nested_settings_merge_field_by_field(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("tier: {hq: {mode: any}, visual: {min_height: 144}}")
    found = resolve(CLASSES, file=file, assignments=["tier.hq.min_height=480", "tier.visual={mode: any}"])
    assert found.operator_settings()["tier"] == {
        "hq": {"min_height": 480, "mode": "any"},
        "visual": {"min_height": 144, "mode": "any"},
    }


def test_what_is_shown_as_yaml_gives_the_same_configuration(tmp_path):
    first = resolve(CLASSES, assignments=["cut.positions=[0.1, 0.9]", "cut.label='1e3'", "cut.detector=hash"])
    (tmp_path / "saved.yaml").write_text(first.to_yaml())
    assert resolve(CLASSES, file=tmp_path / "saved.yaml") == first


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [
        ("cut.threshold=12", "threshold", 12.0),
        ("cut.threshold=1e-3", "threshold", 0.001),
        ("cut.label=no", "label", "no"),
        ("cut.label='12'", "label", "12"),
        ("cut.label=a=b", "label", "a=b"),
        ("cut.label=1:30", "label", "1:30"),
        ("cut.label=2024-01-01", "label", "2024-01-01"),
        ("cut.fast=true", "fast", True),
        ("cut.shortest=null", "shortest", None),
        ("cut.shortest=", "shortest", None),
        ("cut.detector=hash", "detector", Detector.HASH),
        ("cut.positions=[0.5]", "positions", (0.5,)),
    ],
)
def test_values_are_plain_yaml(written, field, value):
    assert getattr(cut(written), field) == value


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "cot.threshold=1",
            "--set cot.threshold: no operator is called 'cot'. Did you mean 'cut'? The choices are: run",
        ),
        ("zzzz.threshold=1", "no operator is called 'zzzz'. The choices are: run, cut, tier."),
        (
            "cut.treshold=1",
            "cut has no setting 'treshold'. Did you mean 'threshold'? The choices are: threshold, dete",
        ),
        ("run.partitions=1", "run has no setting 'partitions'. Did you mean 'partition_size'?"),
        ("tier.hq.min_hight=1", "tier.hq has no setting 'min_hight'. Did you mean 'min_height'?"),
        ("tier.hq=480", "tier.hq is a group; set one of its fields (min_height, mode), not 480"),
        ("cut=1", "write it as operator.field=value"),
        ("cut.threshold", "write it as operator.field=value"),
        ("=1", "write it as operator.field=value"),
        ("cut..threshold=1", "write it as operator.field=value"),
        (
            "cut.threshold=300",
            "cut.threshold = 300 must be at most 255. It is: change that counts as a cut. (from --set",
        ),
        ("cut.threshold=0", "cut.threshold = 0 must be more than 0"),
        ("run.limit=0", "run.limit = 0 must be at least 1"),
        ("cut.threshold=fast", "cut.threshold = 'fast' must be a number"),
        ("cut.threshold=true", "cut.threshold = true must be a number"),
        ("cut.threshold='12'", "cut.threshold = '12' must be a number"),
        ("cut.threshold=.nan", "cut.threshold = '.nan' must be a number"),
        ("cut.threshold=1e999", "1e999 is too large a number"),
        ("cut.shortest=1.5", "cut.shortest = 1.5 must be a whole number"),
        ("cut.shortest=" + "9" * 5000, "a number with too many digits"),
        ("cut.fast=yes", "cut.fast = 'yes' must be true or false"),
        ("cut.fast=1", "cut.fast = 1 must be true or false"),
        ("cut.label=5", "cut.label = 5 must be text; put it in quotes"),
        ("cut.detector=motion", "cut.detector = 'motion' must be one of 'content' or 'hash'"),
        ("tier.hq.mode=some", "tier.hq.mode = 'some' must be one of 'all' or 'any'"),
        ("cut.positions=0.5", "cut.positions = 0.5 must be a list"),
        ("cut.positions=[0.5, x]", "cut.positions.1 = 'x' must be a number"),
        ("cut.positions=[]", "cut.positions = [] is refused: Tuple should have at least 1 item"),
        ("cut.positions=[0.9, 0.1]", "cut.positions = [0.9, 0.1] is refused: positions must grow"),
        ("cut.label=[a", "the value cannot be read: line 1, column 3"),
        (
            "cut.label=!!python/object:os.system x",
            "tags (tag:yaml.org,2002:python/object:os.system) are not used here",
        ),
        ("cut.label=&a x", None),
        ("cut.label=\0", "the value cannot be read"),
        ("cut.positions=" + "[" * 500, "nested more than 20 levels deep"),
    ],
)
def test_refusals_name_the_setting_the_value_and_the_choices(written, message):
    if message is None:
        assert cut(written).label == "x"
        return
    with pytest.raises(ConfigurationError) as caught:
        cut(written)
    assert message in str(caught.value)


def test_every_bad_value_is_listed_with_its_origin(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("cut: {threshold: 900, shortest: -1}")
    with pytest.raises(ConfigurationError) as caught:
        resolve(CLASSES, file=file, assignments=["cut.fast=5"])
    lines = str(caught.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["cut.threshold", "cut.fast", "cut.shortest"]
    origins = [line.rsplit("(from ", 1)[1] for line in lines]
    assert origins == [f"--config {file})", "--set cut.fast)", f"--config {file})"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cut: {threshold: 1, threshold: 2}", "line 1, column 21: the key 'threshold' comes twice"),
        ("cut: {}\ncut: {}", "line 2, column 1: the key 'cut' comes twice"),
        ("cut: [1", "line 1, column"),
        ("a: &x [1]\nb: *x", "line 2, column 4: aliases (*name) are not used here"),
        ("- cut", "must hold sections such as 'run:'"),
        ("cut: 5", "cut is a group; set one of its fields"),
        ("cuts: {}", "no operator is called 'cuts'. Did you mean 'cut'?"),
        ("cut: {threshold: 1}\n---\ntier: {}", "expected a single document"),
        ("? [a]\n: 1", "a key must be a word"),
        ("5: {}", "no operator is called '5'"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        resolve(CLASSES, file=tmp_path / "my.yaml")
    assert f"--config {tmp_path / 'my.yaml'}: " in str(caught.value)
    assert message in str(caught.value)


def test_files_that_are_no_configuration_are_refused(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert resolve(CLASSES, file=tmp_path / "empty.yaml") == resolve(CLASSES)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.yaml").write_text("# " + "x" * (1 << 20))
    for name, message in (("gone", "No such file"), ("binary", "not UTF-8 text"), ("large", "has at most 1,048,576")):
        with pytest.raises(ConfigurationError, match=message):
            resolve(CLASSES, file=tmp_path / f"{name}.yaml")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        resolve(CLASSES, file=tmp_path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.lists(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), min_size=2, max_size=4)


@settings(max_examples=50, deadline=None)
@given(keys=KEYS, value=VALUES)
def test_an_assignment_reads_back_what_yaml_writes(keys, value):
    sections = read_assignment(f"{'.'.join(keys)}={dump_yaml(value)}").sections
    for key in keys:
        sections = sections[key]
    assert sections == value


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40) | st.text(max_size=30).map(lambda value: f"cut.label={value}"))
def test_any_text_is_taken_or_refused_in_words(text):
    try:
        resolve(CLASSES, assignments=[text])
    except ConfigurationError as problem:
        assert str(problem)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="cut:ier{}[]\n -&*!?|>'\"#0.%@`~<=,\t\x00é", max_size=60))
def test_any_file_is_taken_or_refused_in_words(tmp_path_factory, text):
    file = Path(tmp_path_factory.getbasetemp()) / "fuzz.yaml"
    file.write_text(text)
    try:
        resolve(CLASSES, file=file)
    except ConfigurationError as problem:
        assert str(problem)
