"""docs/security.md names files and settings that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operators.video.shots import SplitShots
from store.media import MAX_DOWNLOAD_GB, MAX_DOWNLOAD_VARIABLE

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_file_named_is_there() -> None:
    named = re.findall(r"`((?:docs|jobs|operators|pipeline|store|tests|benchmarks)/[\w/.-]+\.\w+)`", TEXT)
    assert len(named) > 40
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_threat_has_a_guard_and_a_test_that_asserts() -> None:
    threats = rows("Threats and guards")
    assert len(threats) > 20
    for threat, guard, _, tests in threats:
        files = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert guard and files, threat
        assert all("assert " in (ROOT / path).read_text() for path in files), threat


@pytest.mark.parametrize("bound", rows("Decoding"), ids=lambda bound: bound[0])
def test_every_bound_is_a_setting_with_that_default(bound: list[str]) -> None:
    what, setting, told, _ = bound
    names = re.findall(r"`(\w+)`", setting)
    number = float(re.search(r"[\d.,]+", told)[0].replace(",", ""))  # type: ignore[index]
    if names[0] == MAX_DOWNLOAD_VARIABLE:
        assert number == MAX_DOWNLOAD_GB
        return
    settings = SplitShots().settings
    unit = {"cpu_seconds": 3600, "wall_seconds": 60, "max_pixels": 1_000_000, "output_mb": 1024}.get(names[0], 1)
    assert getattr(settings, names[0]) == number * unit, what
    assert all(hasattr(settings, name) for name in names)
