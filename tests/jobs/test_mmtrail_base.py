"""The preset `base` from the command line to the committed rows: real engines, tiny models with random weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import store
from store.markers import latest_generations, read_markers
from store.objects import open_store
from store.verify import verify
from tests.tiny.aesthetic_head import write_aesthetic_head
from tests.tiny.blip import write_blip
from tests.tiny.clap import write_clap
from tests.tiny.clip import write_clip
from tests.tiny.llama import write_reciting_llama
from tests.tiny.qwen2_vl import write_qwen2_vl
from tests.tiny.whisper import write_whisper

for library in ("torch", "transformers", "whisper", "vllm"):
    pytest.importorskip(library, reason=f"{library} is not installed (make install)")

SAMPLES = Path(__file__).parents[2] / "samples" / "videos"
SCENE = {
    "caption": "A tall rocket waits on its pad under the evening sky while faint smoke drifts across the wet ground.",
    "objects": ["rocket"],
    "background": "launch pad",
    "view_scale": "long shot",
    "movement": "static",
}
SECONDS = 420
MODEL_OPERATORS = ("aesthetics", "frames", "caption", "tags", "music", "speech", "fusion")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`--set` of every model of the preset to a tiny one, and thresholds that their scores pass."""
    folder = tmp_path_factory.mktemp("models")
    fused = json.dumps({"polish_caption": "A rocket waits", "merge_caption": "Nothing else"})
    models = {
        "aesthetics.model": write_clip(folder / "clip"),
        "aesthetics.head": write_aesthetic_head(folder / "head"),
        "frames.model": write_blip(folder / "blip"),
        "caption.model": write_qwen2_vl(folder / "qwen2_vl", recited=json.dumps(SCENE)),
        "tags.model": write_clap(folder / "clap"),
        "music.model": folder / "clap",
        "speech.model": write_whisper(folder / "whisper.pt"),
        "fusion.model": write_reciting_llama(folder / "llama", fused),
    }
    engines = {
        f"{name}.{field}": value
        for name in ("caption", "fusion")
        for field, value in (("cpu_cache_mb", 128), ("compiled", "false"), ("max_model_len", 4096))
    }
    engines["caption.image_side"] = 224
    gates = {"tiers.hq.min_height": 240, "tiers.hq.min_image_quality": 0, "tiers.hq.min_aesthetic": "null"}
    return [f"{name}={value}" for name, value in {**models, **engines, **gates}.items()]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("launch_pad.mp4", "portrait.mp4"):
        shutil.copy(SAMPLES / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def first(settings: list[str], videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "first"
    run(videos, output, settings)
    return output


def run(videos: Path, output: Path, settings: list[str], *more: str) -> str:
    command = [sys.executable, "-m", "tests.jobs.on_logical_gpu", "mmtrail", "--preset", "base"]
    command += ["--input", str(videos), "--output", str(output), *more]
    command += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows_of(output: Path) -> dict[str, dict[str, Any]]:
    return {row["clip_id"]: row for table in store.open(str(output)).clips() for row in table.to_pylist()}


def calls(output: Path) -> dict[str, int]:
    objects = open_store(str(output))
    counted: dict[str, int] = {}
    for marker in read_markers(objects, latest_generations(objects)).values():
        for name, tally in marker.operators.items():
            counted[name] = counted.get(name, 0) + tally.clips
    return counted


def test_every_model_of_the_preset_leaves_its_columns_in_every_clip(first: Path) -> None:
    rows = rows_of(first)
    assert rows
    assert list(verify(open_store(str(first)))) == []
    assert [row["error"] for table in store.open(str(first)).failed() for row in table.to_pylist()] == []
    for row in rows.values():
        credit = dict(row["provenance"])
        assert len(row["aesthetic_score"]) == 3
        assert len(row["frame_caption"]) == 3
        assert 0 <= row["image_quality"] <= 100
        assert sum(value * value for value in row["image_embedding"]) == pytest.approx(1, abs=1e-3)
        assert credit["aesthetic_score"].startswith("aesthetics/")
        assert "@" in credit["frame_caption"]
        assert row["merge_caption"]
        if row["tier"] == "hq":
            assert {name: row[name] for name in SCENE} == SCENE
            assert credit["caption"].startswith("caption/")
    assert any(row["tier"] == "hq" for row in rows.values())
    heard = [row for row in rows.values() if row["loudness"] is not None]
    assert heard
    assert all(row["audio_embedding"] and row["audio_tags"] is not None for row in heard)


def test_a_paragraph_that_fails_its_checks_is_replaced_and_marked(first: Path) -> None:
    for row in rows_of(first).values():
        assert row["merge_fallback"]
        assert dict(row["provenance"])["merge_caption"].startswith("StatedFusion/")
        assert "Nothing else" not in row["merge_caption"]


def test_another_fusion_prompt_with_reuse_costs_fusion_only(
    first: Path, videos: Path, settings: list[str], tmp_path: Path
) -> None:
    again = tmp_path / "again"
    prompt = "fusion.instructions=Merge the facts into one plain paragraph."
    run(videos, again, [*settings, prompt], "--reuse", str(first))
    told = calls(again)
    assert told["fusion"] == calls(first)["fusion"] > 0
    assert {name: told.get(name, 0) for name in MODEL_OPERATORS if name != "fusion"} == dict.fromkeys(
        (name for name in MODEL_OPERATORS if name != "fusion"), 0
    )
    before, after = rows_of(first), rows_of(again)
    assert before.keys() == after.keys()
    for clip_id, row in before.items():
        assert after[clip_id]["caption"] == row["caption"]
        assert after[clip_id]["aesthetic_score"] == row["aesthetic_score"]
