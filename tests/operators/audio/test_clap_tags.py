"""Tags and embeddings of clips: which labels, from which model, and never hung on the batch."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from operators.audio.clap_tags import ClapTags, ClapTagsSettings  # noqa: E402
from operators.audio.music import Music  # noqa: E402
from operators.audio.tags import SoundMeasures  # noqa: E402
from operators.audio.vocabulary import SOUNDS  # noqa: E402
from operators.contract import Row  # noqa: E402
from operators.errors import ConfigurationError, ErrorKind  # noqa: E402
from operators.language.fusion import StatedFusion  # noqa: E402
from tests.overhead import CEILING, Calls, overhead  # noqa: E402
from tests.tiny.clap import write_clap  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clap(tmp_path_factory.mktemp("clap"))


def operator(folder: Path, **chosen: object) -> ClapTags:
    made = ClapTags(ClapTagsSettings.model_validate({"model": str(folder), "device": "cpu", "floor": 0, **chosen}))
    made.setup()
    return made


@pytest.fixture(scope="module")
def tags(folder: Path) -> ClapTags:
    return operator(folder)


@pytest.fixture(scope="module")
def clips(studio) -> list[Row]:
    sounds = (studio.voice(3), studio.chords(12), studio.noise(0.3), studio.drums(10), np.array([0.1]), None)
    return [studio.clip(sound, clip_id=f"v_{number:07d}") for number, sound in enumerate(sounds)]


def heard(row: Row) -> dict[str, float]:
    return {tag["tag"]: tag["score"] for tag in row["audio_tags"]}


def rows_of(made: ClapTags, clips: Sequence[Row]) -> list[Row]:
    """The columns of every clip, none of which fails."""
    found = [result for result in made.annotate(clips) if isinstance(result, dict)]
    assert len(found) == len(clips)
    return found


def alike(one: Row, other: Row) -> bool:
    if one["audio_tags"] is None or other["audio_tags"] is None:
        return one["audio_tags"] is other["audio_tags"] is one["audio_embedding"] is other["audio_embedding"]
    close = np.allclose(one["audio_embedding"], other["audio_embedding"], atol=1e-5)
    return close and list(heard(one)) == list(heard(other)) and heard(one) == pytest.approx(heard(other), abs=1e-5)


def test_tags_and_embedding(tags, clips):
    rows = list(tags(clips))
    assert pa.Table.from_pylist([{n: row[n] for n in tags.writes.names} for row in rows], schema=tags.writes).num_rows
    for row in rows[:-1]:
        assert row["error"] is None
        scores = list(heard(row).values())
        assert len(scores) == 8
        assert scores == sorted(scores, reverse=True)
        assert all(0 < score < 1 for score in scores)
        assert set(heard(row)) <= set(SOUNDS)
        assert np.linalg.norm(row["audio_embedding"]) == pytest.approx(1, abs=1e-5)
        assert row["provenance"]["audio_tags"] == f"tags/1@{tags.revision()}"
    assert rows[-1]["audio_tags"] is None
    assert rows[-1]["audio_embedding"] is None
    assert rows[-1]["error"] is None


def test_scores_of_all_labels_sum_to_one(folder, clips):
    [row] = rows_of(operator(folder, top=100, vocabulary=""), clips[:1])
    everything = operator(folder, top=100)
    everything.settings = everything.settings.model_copy(update={"top": len(SOUNDS)})
    [whole] = rows_of(everything, clips[:1])
    assert sum(heard(whole).values()) == pytest.approx(1)
    assert list(heard(whole))[:100] == list(heard(row))


def test_the_whole_clip_is_heard(tags, studio):
    """Two clips that differ only in their last seconds, beyond the first window, differ."""
    first = studio.noise(19, seed=1)
    one, other = (np.concatenate([first, end]) for end in (studio.tone(4), studio.voice(4)))
    rows = rows_of(tags, [studio.clip(one), studio.clip(other)])
    assert not np.allclose(rows[0]["audio_embedding"], rows[1]["audio_embedding"], atol=1e-4)


def test_a_row_does_not_depend_on_the_batch(folder, tags, clips):
    together = rows_of(tags, clips)
    assert all(map(alike, rows_of(tags, clips[::-1])[::-1], together))
    assert all(alike(rows_of(tags, [clip])[0], row) for clip, row in zip(clips, together, strict=True))
    assert all(map(alike, rows_of(operator(folder, windows=1), clips), together))


def test_one_poisoned_clip_in_a_batch_fails_alone(tags, studio):
    good = [studio.clip(studio.noise(0.2, seed=seed), clip_id=str(seed)) for seed in range(32)]
    batch = [*good[:17], {**good[17], "audio": b"abc"}, *good[18:]]
    rows = list(tags(batch))
    assert [row["clip_id"] for row in rows] == [str(number) for number in range(32)]
    assert [row["clip_id"] for row in rows if row["error"]] == ["17"]
    assert rows[17]["error"]["kind"] == ErrorKind.BAD_OUTPUT
    assert "not a whole number" in rows[17]["error"]["message"]
    assert rows[17].get("audio_tags") is None


def test_a_batch_that_does_not_fit_is_halved(folder, clips, monkeypatch):
    small = operator(folder, batch=8)
    expected = rows_of(small, clips)
    sizes = []
    model: Any = small._model
    bare = model._model.get_audio_features

    def narrow(input_features):
        sizes.append(len(input_features))
        if len(input_features) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return bare(input_features=input_features)

    monkeypatch.setattr(model._model, "get_audio_features", narrow)
    rows = list(small(clips))
    assert [row["error"] for row in rows] == [None] * len(clips)
    assert all(map(alike, rows, expected))
    assert max(sizes) > 2
    before = len(sizes)
    list(small(clips))
    assert max(sizes[before:]) <= 2, "what did not fit is not tried again"


def test_a_vocabulary_of_one_s_own(folder, clips, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("# mine\nrain\n\n  a distant choir \n", encoding="utf-8")
    mine = operator(folder, vocabulary=str(path))
    [row] = rows_of(mine, clips[:1])
    assert sorted(heard(row)) == ["a distant choir", "rain"]
    assert sum(heard(row).values()) == pytest.approx(1)
    revision, fingerprint = mine.revision(), mine.fingerprint()
    path.write_text("rain\na distant piano\n", encoding="utf-8")
    other = ClapTags(mine.settings)
    assert other.revision() != revision
    assert other.fingerprint() != fingerprint
    assert "vocabulary@" in revision


def test_labels_travel_with_the_operator(folder, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("rain\nsnow\n", encoding="utf-8")
    made = ClapTags(ClapTagsSettings(model=str(folder), vocabulary=str(path), device="cpu"))
    sent = pickle.dumps(made)
    path.unlink()
    assert pickle.loads(sent).labels == ("rain", "snow")


def test_the_floor_and_the_top(folder, clips):
    [row] = rows_of(operator(folder, top=3), clips[:1])
    assert len(row["audio_tags"]) == 3
    [row] = rows_of(operator(folder, floor=1), clips[:1])
    assert row["audio_tags"] == []
    assert row["audio_embedding"] is not None


def test_the_prompt_decides(folder, tags, clips):
    [other] = rows_of(operator(folder, prompt="{label}"), clips[:1])
    [row] = rows_of(tags, clips[:1])
    assert other["audio_embedding"] == pytest.approx(row["audio_embedding"], abs=1e-6)
    assert heard(other) != heard(row)


@pytest.mark.parametrize("prompt", ["a sound", "{label} and {label}", "{label} {0}", "{label"])
def test_a_prompt_without_one_place_for_the_label_is_refused(prompt):
    with pytest.raises(ValidationError, match="label"):
        ClapTagsSettings(prompt=prompt)


def test_where_it_runs_is_no_part_of_the_fingerprint(folder):
    made = [
        ClapTags(ClapTagsSettings.model_validate({"model": str(folder), **chosen}))
        for chosen in ({}, {"device": "cpu", "windows": 3, "batch": 2, "gpus": 1.0}, {"floor": 0.5})
    ]
    first, tuned, other = (one.fingerprint() for one in made)
    assert first == tuned != other
    assert made[0].resources.gpus == 0.25
    assert made[1].resources.gpus == 0


def test_a_default_that_names_one_commit():
    [files] = ClapTags().files()
    assert files.parsed.pinned
    assert files.parsed.where == "laion/clap-htsat-unfused"


def test_a_folder_without_a_model_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(ConfigurationError, match=r"tags\.model"):
        ClapTags(ClapTagsSettings(model=str(tmp_path))).check()


def test_stated_fusion_takes_no_label_for_a_measured_beat(tags, studio):
    """Nothing is measured as `beat` here, so the rule of the stated fusion leaves it out; the rest of it holds."""
    sound = 0.6 * studio.chords(12, tempo=120) + 0.4 * studio.drums(12, 120)
    chain = [SoundMeasures(), tags, Music(), StatedFusion()]
    rows: list[Row] = [{**studio.clip(sound), "caption": "A street."}]
    for step in chain:
        rows = list(step(rows))
    [row] = rows
    assert row["error"] is None
    assert "strong beat" in row["music_caption"][0]["text"]
    assert "On the soundtrack, fast music in A minor plays" in row["merge_caption"]
    assert "clear beat" not in row["merge_caption"]
    assert "120 beats per minute" in row["merge_caption"]


def test_overhead_over_the_bare_model(folder, studio, monkeypatch):
    """What the operator adds to one call of the model on the same full batch, at the size of a batch."""
    made, calls = operator(folder, windows=8), Calls()
    clips = [studio.clip(studio.noise(10, seed=seed)) for seed in range(8)]
    sounds = calls.timed(made._model.sounds)
    sizes: list[int] = []

    def counted(windows: Sequence[Any]) -> Any:
        sizes.append(len(windows))
        return sounds(windows)

    monkeypatch.setattr(made._model, "sounds", counted)
    assert overhead(lambda _: clips, made.annotate, calls) <= CEILING
    assert set(sizes) == {8}
