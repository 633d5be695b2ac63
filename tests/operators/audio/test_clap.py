"""Windows, features and embeddings: the whole clip heard, as the library hears it, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from operators.audio import clap  # noqa: E402
from operators.audio.clap import Clap  # noqa: E402
from operators.errors import ConfigurationError  # noqa: E402
from operators.models.files import check_files, locate  # noqa: E402
from tests.tiny.clap import write_clap  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Clap:
    return Clap(folder, "tags.model", CPU, torch.float32)


@pytest.fixture(scope="module")
def sounds(studio) -> list[np.ndarray]:
    made = (studio.voice(3), studio.chords(10), studio.noise(0.4), studio.drums(7), studio.silence(1))
    return [studio.samples(sound) for sound in made]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1_200_000))
def test_windows_cover_the_clip_and_none_is_over_ten_seconds(count):
    samples = np.arange(count, dtype=np.int64).astype(np.int16)
    pieces = clap.windows(samples)
    assert all(0 < len(piece) <= clap.LONGEST for piece in pieces)
    assert sum(map(len, pieces)) == count
    if pieces:
        assert np.array_equal(np.concatenate(pieces), samples)
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_features_are_the_library_s(model, sounds):
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc")
    filled = clap.filled(sounds, CPU)
    expected = extractor(list(filled.numpy()), sampling_rate=clap.RATE, return_tensors="pt")
    assert not expected["is_longer"].any()
    found = model._features(filled)
    assert found.shape == expected["input_features"].shape == (5, 1, 1001, 64)
    apart = (found - expected["input_features"]).abs()  # in dB; the extractor computes in double precision
    assert apart.max() < 0.02
    assert apart[expected["input_features"] > -60].max() < 0.002


def test_short_windows_are_repeated_as_the_library_does_it(sounds):
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc")
    for row, piece in zip(clap.filled(sounds, CPU), sounds, strict=True):
        own = row[: 3 * len(piece)].numpy()
        repeats = clap.FILLED // len(own)
        assert np.array_equal(row.numpy(), np.pad(np.tile(own, repeats), (0, clap.FILLED - repeats * len(own))))
        mine = extractor._get_input_mel(row.numpy(), clap.FILLED, "rand_trunc", "repeatpad")[0]
        theirs = extractor._get_input_mel(own, clap.FILLED, "rand_trunc", "repeatpad")[0]
        assert np.array_equal(mine, theirs)


def test_resampling_keeps_a_tone_and_adds_none_above_8_khz(studio):
    [found] = clap.filled([studio.samples(studio.tone(10, hertz=6000, level=0.5))], CPU).numpy()
    assert len(found) == 480_000
    time = np.arange(480_000) / clap.RATE
    inner = slice(4800, -4800)
    assert np.allclose(found[inner], 0.5 * np.sin(2 * np.pi * 6000 * time)[inner], atol=2e-3)
    power = np.abs(np.fft.rfft(found * np.hanning(480_000))) ** 2
    assert power[8200 * 10 :].sum() < 1e-6 * power.sum()


def test_embeddings_have_unit_length_and_depend_on_the_sound(model, sounds):
    found = model.sounds(sounds)
    assert found.shape == (5, 16)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found @ found.T)[np.triu_indices(5, 1)].max() < 0.9999


def test_an_embedding_does_not_depend_on_the_batch(model, sounds):
    together = model.sounds(sounds)
    assert np.allclose(model.sounds(sounds[::-1])[::-1], together, atol=1e-5)
    alone = np.concatenate([model.sounds([sound]) for sound in sounds])
    assert np.allclose(alone, together, atol=1e-5)


def test_embeddings_are_the_library_s(model, folder, sounds):
    bare = transformers.ClapModel.from_pretrained(folder).eval()
    extractor = transformers.ClapFeatureExtractor.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = extractor(list(clap.filled(sounds, CPU).numpy()), sampling_rate=clap.RATE, return_tensors="pt")
    lines = ["This is a sound of rain.", "A dog."]
    with torch.inference_mode():
        heard = bare.get_audio_features(**batch).pooler_output.numpy()
        read = bare.get_text_features(**tokenizer(lines, padding=True, return_tensors="pt")).pooler_output.numpy()
        scores = bare(**batch, **tokenizer(lines, padding=True, return_tensors="pt")).logits_per_audio.softmax(-1)
    assert np.allclose(model.sounds(sounds), heard, atol=1e-4)
    assert np.allclose(model.sentences(lines), read, atol=1e-5)
    assert np.allclose(clap.shares(heard, read, model.scale), scores.numpy(), atol=1e-4)


def test_many_sentences_are_embedded_in_parts(model):
    lines = [f"line {number}" for number in range(clap.SENTENCES + 3)]
    found = model.sentences(lines)
    assert found.shape == (clap.SENTENCES + 3, 16)
    assert np.allclose(model.sentences(lines[:2]), found[:2], atol=1e-5)


def test_bfloat16_stays_near(folder, model, sounds):
    half = Clap(folder, "tags.model", CPU, torch.bfloat16)
    likeness = (half.sounds(sounds) * model.sounds(sounds)).sum(axis=1)
    assert likeness.min() > 0.99


def test_pooling_weighs_by_length():
    vectors = np.array([[1, 0], [0, 1]], dtype=np.float32)
    pieces = [np.zeros(30, dtype=np.int16), np.zeros(10, dtype=np.int16)]
    assert np.allclose(clap.pooled(vectors, pieces), np.array([3, 1]) / np.sqrt(10))


def test_shares_sum_to_one_and_order_by_likeness():
    sentences = np.eye(3, dtype=np.float32)
    [row] = clap.shares(np.array([[0.8, 0.6, 0.0]], dtype=np.float32), sentences, scale=10.0)
    assert row.sum() == pytest.approx(1)
    assert row[0] / row[1] == pytest.approx(np.exp(2), rel=1e-5)
    assert row[0] > row[1] > row[2]


def test_a_fused_model_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"tags\.model.*fused.*clap-htsat-unfused"):
        Clap(write_clap(tmp_path, fused=True), "tags.model", CPU, torch.float32)


def test_another_window_is_refused(tmp_path):
    write_clap(tmp_path)
    transformers.ClapFeatureExtractor(truncation="rand_trunc", max_length_s=5).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="240000 samples"):
        Clap(tmp_path, "tags.model", CPU, torch.float32)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_a_missing_file_is_named_before_anything_is_loaded(tmp_path, name):
    files = clap.clap_files("tags.model", str(write_clap(tmp_path)))
    check_files(files)
    assert locate(files) == tmp_path
    (tmp_path / name).unlink()
    with pytest.raises(ConfigurationError, match=rf"tags\.model.*{name.replace('.', '.')}"):
        check_files(files)
