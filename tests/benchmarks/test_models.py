"""The benchmark of the models runs as its command does, and prints the figures it promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import gpu_watch, model_weights, models
from benchmarks.chat_cases import CaptionCase, FusionCase
from benchmarks.model_rows import clip_rows
from operators.audio.passages import measure_music
from operators.video.stills import decode

TWO = ["--device", "cpu", "--size", "tiny", "--operators", "aesthetics,tags", "--clips", "6", "--rounds", "1"]


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    patch = pytest.MonkeyPatch()
    patch.setenv("OMP_NUM_THREADS", "1")  # two threads that wait for each other on a busy machine wait long
    printed: list[str] = []
    patch.setattr("builtins.print", lambda *words, file=None: printed.append(words[0]) if file is None else None)
    try:
        code = models.main([*TWO, "--set", "aesthetics.batch=3", "--json"])
    finally:
        patch.undo()
    assert code == 0, printed
    yield json.loads(printed[-1])


def test_every_operator_has_its_figures(report: dict[str, Any]):
    assert [case["operator"] for case in report["cases"]] == ["aesthetics", "tags"]
    assert report["size"] == "tiny" and report["device"] == "cpu" and report["weights"] == "random"
    for case in report["cases"]:
        assert case["clips"] == 6 and len(case["ratio_of_rounds"]) == 1
        speed, spent = case["clips_per_second"], case["cpu_ms_per_clip"]
        assert min(speed.values()) > 0
        assert case["ratio"] == pytest.approx(speed["operator"] / speed["limit"], rel=0.02, abs=0.002)
        assert 0 < spent["limit"] < spent["operator"], "the operator does all that its limit does, and more"
        assert 0 < case["ratio"] < 1.5
        assert case["gflop_per_clip"] > 0 and case["precision"] == "float32"


def test_what_a_cpu_cannot_tell_is_left_open(report: dict[str, Any]):
    for case in report["cases"]:
        assert case["busy"] is case["flops_utilisation"] is case["gpu_memory_mb"] is None
    assert report["chain"] == {"busy": None, "goal": 0.9}


def test_settings_reach_the_operator(report: dict[str, Any]):
    assert [case["batch"] for case in report["cases"]] == [3, 32]


def test_the_table_names_machine_and_goals(report: dict[str, Any]):
    lines = models.table(report).splitlines()
    assert lines[0] == report["machine"] and "torch" in lines[0] and "no GPU used" in lines[0]
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| aesthetics", "| tags"]
    assert "0.95" in lines[-1] and "90%" in lines[-1]


def test_an_operator_that_cannot_be_measured_fails_alone(capsys: pytest.CaptureFixture[str]):
    code = models.main(["--device", "cpu", "--operators", "aesthetics", "--clips", "1", "--set", "aesthetics.batch=0"])
    assert code == 1 and "aesthetics: ValidationError" in capsys.readouterr().out


def test_the_chain_is_busy_as_long_as_its_operators_are():
    cases = [
        {"busy": 1.0, "operator_seconds": 30.0, "clips": 10},
        {"busy": 0.5, "operator_seconds": 10.0, "clips": 10},
        {"error": "none", "operator": "tags"},
    ]
    assert models.chain(cases) == {"busy": 0.875, "goal": 0.9}


def test_unknown_operators_are_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        models.main(["--operators", "aesthetics,taste"])
    assert "no operator taste" in capsys.readouterr().err


def test_clips_are_all_different_and_the_same_each_time():
    rows, again = clip_rows(3, spoken=True), clip_rows(3, spoken=True)
    assert rows == again
    pictures = [jpeg for row in rows for jpeg in row["keyframes"]]
    assert len(set(pictures)) == 9
    assert all(60_000 < len(jpeg) < 500_000 for jpeg in pictures)
    assert {decode(jpeg).shape for jpeg in pictures} == {(720, 1280, 3)}
    for row in rows:
        assert len(row["audio"]) == round(row["clip_duration"] * 16_000) * 2 and 5 <= row["clip_duration"] <= 15
        assert row["speech_spans"][0][1] < row["clip_duration"]
        assert measure_music({**row, "speech_spans": []}, min_share=0.3, min_seconds=5.0) is not None


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L400", None),
    ],
)
def test_peaks_go_by_the_whole_name(name: str, peak: float | None):
    assert gpu_watch.peak_flops(name) == peak


def test_without_a_driver_nothing_is_sampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    watch = gpu_watch.GpuWatch()
    assert not watch.there and watch.busy(0, 1) is None and watch.memory() is None
    watch.close()


def test_samples_are_read_while_they_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A program in the driver's place that prints as `nvidia-smi` does."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nwhile :; do echo '80, 1000'; echo '[N/A], 1000'; sleep 0.05; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    watch = gpu_watch.GpuWatch()
    try:
        start = gpu_watch.time.monotonic()
        gpu_watch.time.sleep(1)
        assert watch.busy(start, start + 1) == pytest.approx(0.8)
        assert watch.memory() == 1000
    finally:
        watch.close()


@pytest.mark.parametrize(
    ("case", "billions", "vision"),
    [(CaptionCase, 1.54, 0.665), (FusionCase, 4.02, 0.0)],
    ids=["Qwen2-VL-2B", "Qwen3-4B"],
)
def test_the_language_models_have_their_published_sizes(
    tmp_path: Path, case: type[CaptionCase], billions: float, vision: float
):
    made = case(tmp_path, "real", "cpu", {})
    made.operator.check()
    language, seeing, _, patches = made.parameters()
    assert language / 1e9 == pytest.approx(billions, abs=0.01) and seeing / 1e9 == pytest.approx(vision, abs=0.005)
    assert patches == (4 if vision else 0)


def test_a_trained_tokenizer_reads_several_characters_a_token():
    text = "You write captions for a data set of video clips. The picture leads and has authority. " * 3
    tokenizer = model_weights.trained_tokenizer([text])
    tokens = tokenizer(text)["input_ids"]
    assert len(tokens) < len(text) / 3 and tokenizer.decode(tokens) == text
