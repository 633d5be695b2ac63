"""The way through the gates, for jobs with tiers and for those whose operators drop clips."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.gates import GATES, Passage, passages
from store.run_record import OperatorRecord
from tests.store.committed import run_record

DROPS = {"drop_reason": "string"}


def test_tiers_are_two_gates() -> None:
    run = run_record(1, 3)
    found = list(
        passages(
            run,
            {"done": 2, "partial": 1, "failed": 1},
            {"kept": 5, "dropped": 3, "failed": 2},
            {"hq": 1, "visual": 4},
            {"too_short": 2, "motion": 1},
            {"too_short": 6, "motion": 1},
            {"caption/model": 2},
        )
    )
    assert found == [
        Passage("videos", 4, 3, {"failed": 1}),
        Passage("clips", 10, 8, {"caption/model": 2}),
        Passage("visual", 8, 5, {"too_short": 2, "motion": 1}),
        Passage("hq", 8, 1, {"too_short": 6, "motion": 1}),
    ]


def test_gates_of_gestures_follow_one_another_and_lose_no_reason() -> None:
    operators = tuple(OperatorRecord(name=name, fingerprint="1", writes=DROPS) for name in GATES["gesx"])
    run = run_record(1, 1, job="gesx", operators=operators)
    reasons = {"no_person": 4, "hands_hidden": 1, "no_words": 2, "no_usable_span": 1, "not_annotated": 1}
    clips = {"kept": 3, "dropped": 9, "failed": 0}
    found = list(passages(run, {"done": 1}, clips, {}, reasons, {}, {}))
    assert found[2:] == [
        Passage("speakers", 12, 7, {"no_person": 4, "hands_hidden": 1}),
        Passage("talk", 7, 5, {"no_words": 2}),
        Passage("speaking", 5, 5, {}),
        Passage("lift", 5, 5, {}),
        Passage("gates", 5, 4, {"no_usable_span": 1}),
        Passage("other", 4, 3, {"not_annotated": 1}),
    ]


def test_a_job_that_drops_elsewhere_has_one_gate_of_that_operator() -> None:
    run = run_record(1, 1, job="mine", operators=(OperatorRecord(name="judge", fingerprint="1", writes=DROPS),))
    found = list(passages(run, {"done": 1}, {"kept": 1, "dropped": 1, "failed": 0}, {}, {"dull": 1}, {}, {}))
    assert found[-1] == Passage("judge", 2, 1, {"dull": 1})


def test_the_gates_of_gestures_are_those_of_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "gestures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text.split("## One clock")[0], flags=re.M)
    told = {operator: set(re.findall(r"`(\w+)`", reasons)) for operator, reasons in rows}
    assert {operator: set(reasons) for operator, reasons in GATES["gesx"].items()} == {
        operator: reasons for operator, reasons in told.items() if reasons
    }
