"""The shipped videos are what their ground truth says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import InvalidDataError
from scenedetect import ContentDetector, detect

SAMPLES = Path(__file__).parents[2] / "samples"
FILMS = ("trailer", "launch_pad", "portrait")
RATE = 16_000


def truth(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """The trailer's audio, mono float32 at 16 kHz."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(SAMPLES / "videos/trailer.mp4")) as container:
        frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def loudness(sound: np.ndarray, start: float, end: float) -> float:
    """RMS level in dBFS."""
    part = sound[round(start * RATE) : round(end * RATE)]
    return float(10 * np.log10(np.mean(part.astype(np.float64) ** 2) + 1e-12))


def test_folder_is_small_and_holds_nothing_else() -> None:
    files = sorted((SAMPLES / "videos").iterdir())
    assert [file.stem for file in files] == sorted([*FILMS, "interrupted"])
    assert sum(file.stat().st_size for file in files) <= 5_000_000


@pytest.mark.parametrize("name", FILMS)
def test_streams_match_the_truth(name: str) -> None:
    facts = truth(name)
    with av.open(str(SAMPLES / facts["file"])) as container:
        video = container.streams.video[0]
        times = []
        for frame in container.decode(video):
            times.append(frame.time)
            rotation, coded = frame.rotation, (frame.width, frame.height)
        assert video.codec_context.name == "h264"
        assert [stream.codec_context.name for stream in container.streams.audio] == ["aac"] * facts["audio"]
    assert len(times) == facts["frames"]
    assert np.allclose(times, np.arange(facts["frames"]) / facts["fps"], atol=1e-4)
    assert facts["frames"] / facts["fps"] == facts["duration"]
    assert rotation == facts["rotation"]
    assert coded == ((facts["width"], facts["height"]) if rotation == 0 else (facts["height"], facts["width"]))


@pytest.mark.parametrize("name", FILMS)
def test_cuts_are_those_that_pyscenedetect_finds(name: str) -> None:
    facts = truth(name)
    scenes = detect(str(SAMPLES / facts["file"]), ContentDetector(threshold=30))
    assert [start.frame_num for start, _ in scenes][1:] == facts["cuts"]


@pytest.mark.parametrize("name", FILMS)
def test_shots_tile_the_film(name: str) -> None:
    facts = truth(name)
    edges = [0, *facts["cuts"], facts["frames"]]
    assert [shot["frames"] for shot in facts["shots"]] == [list(pair) for pair in pairwise(edges)]


def test_trailer_has_every_kind_of_shot() -> None:
    shots = truth("trailer")["shots"]
    assert {shot["sound"] for shot in shots} >= {"speech and music", "speech", "music", "silence"}
    assert any(shot["frames"][1] - shot["frames"][0] < truth("trailer")["fps"] for shot in shots)
    assert any(shot["faces"] for shot in shots)
    assert any(shot["text"] for shot in shots)
    for movement in ("pan_x", "pan_y", "zoom"):
        assert any(shot["camera"][movement] for shot in shots)


def test_speech_and_music_stand_out_of_silence(sound: np.ndarray) -> None:
    facts = truth("trailer")
    [silent] = [shot for shot in facts["shots"] if shot["sound"] == "silence"]
    # The drum stroke's last echo and the encoder's ringing stay within 50 ms of the cut.
    floor = loudness(sound, silent["time"][0] + 0.05, silent["time"][1] - 0.05)
    assert floor < -70
    for line in facts["speech"]:
        assert loudness(sound, line["start"], line["end"]) > -25
    for shot in facts["shots"]:
        if "music" in shot["sound"]:
            assert loudness(sound, *shot["time"]) > -30


def test_music_stops_where_only_speech_is_heard(sound: np.ndarray) -> None:
    facts = truth("trailer")
    [alone] = [shot for shot in facts["shots"] if shot["sound"] == "speech"]
    [line] = [line for line in facts["speech"] if alone["time"][0] <= line["start"] < alone["time"][1]]
    assert loudness(sound, alone["time"][0] + 0.1, line["start"] - 0.05) < -60
    assert loudness(sound, line["end"] + 0.1, alone["time"][1] - 0.1) < -60


def test_beats_fall_on_the_stated_tempo(sound: np.ndarray) -> None:
    """Onset strength repeats with the beat of 120 per minute, not with one 10 % off."""
    [_, cue] = truth("trailer")["music"]
    end = min(line["start"] for line in truth("trailer")["speech"] if line["start"] > cue["start"])
    part = sound[round(cue["start"] * RATE) : round((end - 1) * RATE)]
    steps = part[: len(part) // 160 * 160].reshape(-1, 160)
    onset = np.maximum(np.diff(np.log1p(1e4 * (steps.astype(np.float64) ** 2).mean(axis=1))), 0)
    onset -= onset.mean()

    def echo(tempo: float) -> float:
        lag = round(100 * 60 / tempo)
        return float(np.dot(onset[lag:], onset[:-lag]) / (len(onset) - lag) / onset.var())

    assert echo(cue["tempo"]) > 0.5
    assert echo(cue["tempo"]) > 2 * max(echo(0.9 * cue["tempo"]), echo(1.1 * cue["tempo"]))


def test_interrupted_upload_cannot_be_opened() -> None:
    with pytest.raises(InvalidDataError):
        av.open(str(SAMPLES / "videos/interrupted.mp4"))
