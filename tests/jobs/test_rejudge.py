"""Other thresholds on stored scores, as a command."""

from __future__ import annotations

import pytest

import store
from jobs.mmtrail import lite
from jobs.rejudge import main
from operators.video.tiers import TierSettings
from store.objects import open_store
from store.run_record import OperatorRecord, create_run
from store.verify import verify
from tests.store import committed

SCORES = {
    "hq": {"clip_duration": 6.0, "video_resolution": [1080, 1920]},
    "visual": {"clip_duration": 6.0, "video_resolution": [480, 640]},
    "-shorter_than_min_duration": {"clip_duration": 0.5, "video_resolution": [1080, 1920]},
}


@pytest.fixture
def output(tmp_path, monkeypatch) -> str:
    """A committed run of one video with a clip for each of `SCORES`."""
    plain = committed.clip_row
    monkeypatch.setattr(
        committed,
        "clip_row",
        lambda video_id, index, outcome: {**plain(video_id, index, outcome), **SCORES[outcome]},
    )
    objects = open_store(tmp_path)
    names = tuple(OperatorRecord(name=kind.name, fingerprint="1") for kind in lite())
    config = {"tiers": TierSettings().model_dump(mode="json")}
    create_run(objects, committed.run_record(1, 1, operators=names, config=config))
    committed.commit(objects, 0, {"a": list(SCORES)})
    return str(tmp_path)


def tiers(output: str) -> list[tuple[str | None, str | None]]:
    rows = store.open(output).to_table(["clip_index", "tier", "drop_reason"], dropped=True).to_pylist()
    return [(row["tier"], row["drop_reason"]) for row in sorted(rows, key=lambda row: row["clip_index"])]


DROPPED = (None, "shorter_than_min_duration")


def test_new_thresholds_give_new_tiers_and_the_old_command_the_old_ones(output, capsys):
    assert tiers(output) == [("hq", None), ("visual", None), DROPPED]
    assert main(["--output", output, "--set", "tiers.hq.min_height=480"]) == 0
    assert capsys.readouterr().out == "3 clips judged, 1 other than when they were made; tiers: hq 2\n"
    assert tiers(output) == [("hq", None), ("hq", None), DROPPED]
    assert list(verify(open_store(output))) == []
    assert main(["--output", output]) == 0
    assert tiers(output) == [("hq", None), ("visual", None), DROPPED]


def test_what_was_dropped_unannotated_stays_dropped_and_is_said(output, capsys):
    assert main(["--output", output, "--set", "tiers.visual.min_duration=0.1"]) == 0
    out = capsys.readouterr().out
    assert "1 clips would be kept, but were dropped before their annotation" in out
    assert tiers(output)[2] == (None, "not_annotated")


def test_a_plan_prints_thresholds_and_commits_nothing(output, capsys, tmp_path):
    (tmp_path / "my.yaml").write_text("tiers: {hq: {min_height: 360}}")
    assert main(["--output", output, "--config", str(tmp_path / "my.yaml"), "--plan"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiers:\n  visual:\n")
    assert "    min_height: 360\n" in out
    assert [marker.generation for marker in store.open(output).markers.values()] == [1]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("shots.min_duration=3", "error: "),
        ("quality.name=x", "quality has no setting 'name'"),
        ("tiers.hq.min_hight=3", "Did you mean 'min_height'?"),
        ("tiers.hq.max_ocr=2", "tiers.hq.max_ocr = 2 must be at most 1"),
    ],
)
def test_anything_but_thresholds_is_refused(output, capsys, assignment, said):
    assert main(["--output", output, "--set", assignment]) == 2
    assert said in capsys.readouterr().err
    assert [marker.generation for marker in store.open(output).markers.values()] == [1]


def test_other_operators_need_the_videos(output, capsys):
    from jobs.setting_names import settings_of

    first = next(setting for setting in settings_of("shots", lite()[0].Settings) if setting.kind == "number")
    assert main(["--output", output, "--set", f"{first.name}={float(first.default) + 1}"]) == 2
    assert "shots needs the videos; only tiers can be applied to stored scores" in capsys.readouterr().err


def test_runs_without_tiers_or_of_other_operators_are_refused(tmp_path, capsys):
    for folder, names, said in (
        ("no_tiers", ("shots",), "the run of mmtrail gave no tiers: its operators are shots"),
        ("other", ("shots", "tiers"), "no preset of mmtrail in this version has the operators shots, tiers"),
    ):
        objects = open_store(tmp_path / folder)
        records = tuple(OperatorRecord(name=name, fingerprint="1") for name in names)
        create_run(objects, committed.run_record(1, 1, operators=records, config={}))
        assert main(["--output", str(tmp_path / folder)]) == 2
        assert said in capsys.readouterr().err
    assert main(["--output", str(tmp_path / "gone")]) == 2
    assert "holds no run" in capsys.readouterr().err
