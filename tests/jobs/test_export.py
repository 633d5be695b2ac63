"""Exporting as a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs import export
from jobs.export import main
from operators.pose.beat2 import from_beat2
from operators.pose.meshes.body_model import BodyModel
from store.objects import open_store
from tests.jobs.gesture_run import gesture_clip, gesture_run
from tests.store.committed import small_run


@pytest.fixture
def output(tmp_path) -> Path:
    clips = [
        gesture_clip(0),
        gesture_clip(1, speaker_id="v_s1"),
        gesture_clip(2, usable_spans=[]),
        gesture_clip(3, drop_reason="noisy"),
    ]
    gesture_run(open_store(tmp_path / "out"), clips)
    return tmp_path / "out"


def command(output: Path, *more: str) -> list[str]:
    return ["--output", str(output), "--format", "beat2", "--to", str(output.parent / "to"), *more]


def names(output: Path, kind: str = "*.npz") -> list[str]:
    folder = output.parent / "to"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(kind))


def test_kept_clips_are_written_and_the_rest_is_counted(output, capsys):
    assert main(command(output)) == 0
    assert names(output) == ["smplxflame_30/v_0000000_000.npz", "smplxflame_30/v_0000001_000.npz"]
    assert names(output, "*.wav") == ["wave16k/v_0000000_000.wav", "wave16k/v_0000001_000.wav"]
    told = capsys.readouterr().out
    assert "2 motions of 0.1 minutes written to" in told
    assert "1 clips have no usable span; --spans whole writes them too" in told
    motion = from_beat2(output.parent / "to" / "smplxflame_30" / "v_0000000_000.npz")
    np.testing.assert_allclose(motion.transl, gesture_clip(0)["transl"], atol=1e-5)
    listing = (output.parent / "to" / "clips.jsonl").read_text().splitlines()
    assert [json.loads(line)["basic"]["clip_id"] for line in listing] == ["v_0000000", "v_0000001"]


def test_rate_spans_and_speakers(output):
    assert main(command(output, "--fps", "15", "--spans", "whole", "--speaker", "v_s1")) == 0
    assert names(output) == ["smplxflame_15/v_0000001.npz"]


def test_hands_relative_to_the_mean_hand_of_a_model(output, smplx_body):
    assert main(command(output, "--hand-mean", str(smplx_body))) == 0
    with np.load(output.parent / "to" / "smplxflame_30" / "v_0000000_000.npz") as file:
        assert not file["flat_hand_mean"]


def test_meshes_of_a_model_stand_where_the_motion_is(output, smplx_body):
    pytest.importorskip("smplx")
    assert main(command(output, "--vertices", str(smplx_body))) == 0
    to = output.parent / "to"
    mesh = np.load(to / "vertices_30" / "v_0000000_000.npy", allow_pickle=False)
    motion = from_beat2(to / "smplxflame_30" / "v_0000000_000.npz")
    assert mesh.shape == (len(motion), 10475, 3)
    body = BodyModel(smplx_body)
    place = motion.transl + motion.rest_joints[0] - body.rest_joints(motion.betas)[0]
    seen = body.vertices(motion.poses, motion.betas, None, place)
    np.testing.assert_allclose(mesh, seen * (1, -1, -1), atol=1e-4)
    assert json.loads((to / "clips.jsonl").read_text().splitlines()[0])["files"]["vertices"].endswith("_000.npy")


def test_clips_without_sound_are_counted(tmp_path, capsys):
    gesture_run(open_store(tmp_path / "out"), [gesture_clip(0, sound=None)])
    assert main(command(tmp_path / "out")) == 0
    assert "1 have no sound, as their videos" in capsys.readouterr().out
    assert names(tmp_path / "out", "*.wav") == []


def test_a_clip_that_cannot_be_written_is_named_and_the_others_are_written(tmp_path, capsys):
    broken = gesture_clip(0, transl=np.zeros((3, 3), np.float32))
    gesture_run(open_store(tmp_path / "out"), [broken, gesture_clip(1)])
    assert main(command(tmp_path / "out")) == 1
    assert "not written: v_0000000: per-frame columns of different lengths" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["smplxflame_30/v_0000001_000.npz"]


def test_progress_is_told_in_lines(output, capsys, monkeypatch):
    monkeypatch.setattr(export, "INTERVAL", 0.0)
    assert main(command(output)) == 0
    assert "1 of 3 clips read, 1 files of 0.0 minutes written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--fps", "fast"), "--fps fast: give 15, 30"),
        (("--fps", "nan"), "--fps nan: give 15, 30"),
        (("--fps", "0"), "--fps 0: give 15, 30"),
        (("--speaker", "v_s9"), "no clip of v_s9; there are v_s0, v_s1"),
        (("--hand-mean", "gone.npz"), "there is no file gone.npz"),
        (("--spans", "some"), "invalid choice: 'some'"),
    ],
)
def test_wrong_options_exit_2(output, capsys, more, says):
    assert main(command(output, *more)) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_poses_exits_2(tmp_path, capsys):
    small_run(open_store(tmp_path / "out"))
    assert main(command(tmp_path / "out")) == 2
    assert "is a run of mmtrail without poses, transl, rest_joints" in capsys.readouterr().err


def test_no_run_and_no_folder_exit_2(output, tmp_path, capsys):
    assert main(command(tmp_path / "gone")) == 2
    assert "holds no run" in capsys.readouterr().err
    (output.parent / "to").write_text("a file")
    assert main(command(output)) == 2
    assert "is a file; give a folder" in capsys.readouterr().err
