"""The package's own checkpoints: what it computes, from files alone, and nothing unsafe read."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from operators.audio import clap, clap_checkpoints  # noqa: E402
from operators.audio.clap_checkpoints import ClapCheckpoint, checkpoint_files, read_weights  # noqa: E402
from operators.audio.clap_tags import ClapTags, ClapTagsSettings  # noqa: E402
from operators.errors import ConfigurationError  # noqa: E402
from operators.models.files import check_files  # noqa: E402
from tests.tiny.clap import write_checkpoint, write_text_encoder  # noqa: E402

LIBRARIES = ("laion_clap", "torchlibrosa", "librosa", "h5py", "ftfy")
LACKING = ", ".join(name for name in LIBRARIES if importlib.util.find_spec(name) is None)
packaged = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {LACKING} ({clap_checkpoints.INSTALL})")
quietly = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_encoder(tmp_path_factory.mktemp("roberta"))


@pytest.fixture(scope="module")
def published(encoder):
    """The package's model with random weights and the tiny text encoder."""
    from transformers import RobertaConfig

    torch.manual_seed(5)
    with clap_checkpoints._text_encoder(RobertaConfig.from_pretrained(encoder)) as create_model:
        model, _ = create_model("HTSAT-tiny", "roberta", device=CPU)
    return model.eval()


@pytest.fixture(scope="module")
def checkpoint(published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "630k-tiny.pt", published)


@packaged
@quietly
def test_sounds_and_sentences_are_the_package_s(published, checkpoint, encoder, studio):
    model = ClapCheckpoint(checkpoint, encoder, CPU, torch.float32)
    sounds = [studio.samples(studio.voice(3)), studio.samples(studio.chords(10))]
    waves = clap.filled(sounds, CPU)
    never = torch.tensor([False])
    with torch.inference_mode():
        heard = published.get_audio_embedding([{"waveform": wave, "longer": never} for wave in waves]).numpy()
    found = model.sounds(sounds)
    assert np.allclose(found, heard, atol=1e-5)
    assert np.allclose(np.concatenate([model.sounds([sound]) for sound in sounds]), found, atol=1e-5)
    lines = model.sentences(["This is a sound of rain.", "This is a sound of a piano."])
    assert lines.shape == (2, 512)
    assert np.allclose(np.linalg.norm(lines, axis=1), 1, atol=1e-5)
    assert not np.allclose(lines[0], lines[1], atol=1e-4)
    assert model.scale == pytest.approx(1 / 0.07, rel=1e-4)


@packaged
@quietly
def test_the_operator_runs_on_it(checkpoint, encoder, studio):
    tags = ClapTags(
        ClapTagsSettings(
            backend="laion_clap", checkpoint=str(checkpoint), text_encoder=str(encoder), device="cpu", floor=0
        )
    )
    tags.check()
    assert tags.revision().count("@") == 2
    tags.setup()
    clips = [studio.clip(studio.voice(2)), {**studio.clip(studio.voice(1)), "audio": b"abc"}, studio.clip(None)]
    good, bad, mute = tags(clips)
    assert len(good["audio_tags"]) == 8
    assert len(good["audio_embedding"]) == 512
    assert bad["error"]["kind"] == "bad_output"
    assert mute["audio_tags"] is None


@packaged
@quietly
def test_weights_that_do_not_fit_are_named(published, encoder, tmp_path):
    other = dict(published.state_dict())
    del other["audio_projection.0.weight"]
    torch.save({"state_dict": other}, tmp_path / "part.pt")
    with pytest.raises(ConfigurationError, match=r"audio_projection\.0\.weight"):
        ClapCheckpoint(tmp_path / "part.pt", encoder, CPU, torch.float32)


@packaged
def test_the_package_is_left_as_it_was(published):
    from clap_module import model  # type: ignore[import-not-found]  # in sys.modules since the fixture
    from transformers import RobertaModel

    assert model.RobertaModel is RobertaModel


def test_weights_are_read_without_the_rest_of_a_pickle(tmp_path):
    """numpy's numbers are read, as the published checkpoints hold them; anything callable is refused."""

    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    weights = {"module.a": torch.ones(2), "module.text_branch.embeddings.position_ids": torch.ones(1)}
    torch.save({"state_dict": weights, "epoch": np.int64(3), "loss": np.float64(0.5)}, tmp_path / "good.pt")
    assert list(read_weights(tmp_path / "good.pt")) == ["a"]
    torch.save({"state_dict": weights, "more": Harm()}, tmp_path / "bad.pt")
    with pytest.raises(ConfigurationError, match="cannot be read as plain weights"):
        read_weights(tmp_path / "bad.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ConfigurationError, match="cannot be read as plain weights"):
        read_weights(tmp_path / "plain.pt")
    assert not (tmp_path / "harm").exists()


def test_another_checkpoint_is_refused(tmp_path, encoder):
    torch.save({"state_dict": {"module.visual.weight": torch.ones(2)}}, tmp_path / "other.pt")
    with pytest.raises(ConfigurationError, match="no unfused LAION-CLAP checkpoint"):
        ClapCheckpoint(tmp_path / "other.pt", encoder, CPU, torch.float32)


def test_the_package_missing_is_said_with_how_to_install_it(tmp_path, encoder, monkeypatch):
    torch.save({"state_dict": {clap_checkpoints._PATCHES: torch.ones(96, 1)}}, tmp_path / "tiny.pt")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "laion_clap" else found(name))
    with pytest.raises(ConfigurationError, match="pip install --no-deps laion-clap"):
        ClapCheckpoint(tmp_path / "tiny.pt", encoder, CPU, torch.float32)


def test_files_are_a_checkpoint_and_an_encoder_without_weights(tmp_path, encoder):
    (tmp_path / "a.pt").write_bytes(b"\x80")
    weights, text = checkpoint_files(str(tmp_path / "a.pt"), str(encoder))
    check_files(weights)
    check_files(text)
    (tmp_path / "a.pt").rename(tmp_path / "b.pt")
    with pytest.raises(ConfigurationError, match=r"tags\.checkpoint.*lacks a\.pt"):
        check_files(weights)


@pytest.mark.parametrize("reference", ["630k.pt", "lukewys/laion_clap", "/models/630k.bin", ""])
def test_what_names_no_checkpoint(reference):
    with pytest.raises(ConfigurationError, match=r"PLACE/NAME\.pt"):
        checkpoint_files(reference, "/roberta")


def test_the_defaults_name_one_commit():
    tags = ClapTags(ClapTagsSettings(backend="laion_clap"))
    assert all(files.parsed.pinned for files in tags.files())
    assert tags.files()[0].needs == (("630k-audioset-best.pt",),)
