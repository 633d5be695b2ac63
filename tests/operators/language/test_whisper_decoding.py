"""Words of many windows at once: guards, temperatures and times, each window for itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
whisper = pytest.importorskip("whisper")

from operators.errors import ConfigurationError  # noqa: E402
from operators.language.whisper_decoding import Guards, Heard, Recogniser, SeededSampling, seeded_draws  # noqa: E402
from tests.tiny.whisper import whisper_tokenizer, write_reciting_whisper, write_whisper  # noqa: E402

CPU = torch.device("cpu")
GUARDS = Guards(logprob=-1.0, compression=2.4, no_speech=0.6)
NEVER = Guards(logprob=-20.0, compression=100.0, no_speech=1.0)
ALWAYS = Guards(logprob=0.0, compression=1.0, no_speech=1.0)
TEXT = "Ask not what your country can do for you."


def recogniser(
    path: Path, *, guards: Guards = GUARDS, temperatures: Sequence[float] = (0.0, 0.4, 1.0), language: str = ""
) -> Recogniser:
    return Recogniser(path, CPU, torch.float32, language=language, guards=guards, temperatures=temperatures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whisper")


@pytest.fixture(scope="module")
def random_path(folder: Path) -> Path:
    return write_whisper(folder / "random.pt")


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [
        (random.normal(size=round(seconds * 16_000)) * level).astype(np.float32)
        for seconds, level in ((2, 0.1), (30, 0.02), (0.3, 0.3), (7, 0.001), (12, 0.2))
    ]


def words_of(heard: Heard) -> list[str]:
    return [word.text for word in heard.words]


def alike(one: Heard, other: Heard) -> bool:
    same = (one.text, one.language, one.passed, one.silent) == (other.text, other.language, other.passed, other.silent)
    times = [[(word.start, word.end, word.probability) for word in heard.words] for heard in (one, other)]
    return same and words_of(one) == words_of(other) and np.allclose(*times, atol=1e-5)


def test_a_certain_text_passes_with_its_words_and_language(folder, sounds):
    path = write_reciting_whisper(folder / "sure.pt", TEXT, language="de")
    for heard, sound in zip(recogniser(path).hear(sounds), sounds, strict=True):
        assert heard.text == TEXT
        assert heard.language == "de"
        assert heard.passed
        assert not heard.silent
        assert " ".join(words_of(heard)) == TEXT
        starts = [word.start for word in heard.words]
        assert starts == sorted(starts)
        assert all(0 <= word.start <= word.end <= len(sound) / 16_000 + 0.03 for word in heard.words)
        assert all(0.9 < word.probability <= 1 for word in heard.words)


def test_a_text_that_repeats_itself_fails_at_every_temperature(folder, sounds):
    path = write_reciting_whisper(folder / "repeating.pt", " ".join(["la"] * 20))
    [heard] = recogniser(path).hear(sounds[:1])
    assert not heard.passed
    assert not heard.silent
    assert heard.text.startswith("la la la")


def test_an_unlikely_text_where_no_speech_is_heard_is_left_out(folder, sounds):
    path = write_reciting_whisper(folder / "silent.pt", TEXT, sure=0.2, silence=4)
    [heard] = recogniser(path).hear(sounds[:1])
    assert heard.silent
    assert heard.text == ""
    assert heard.words == ()


def test_a_likely_text_stands_against_no_speech(folder, sounds):
    path = write_reciting_whisper(folder / "doubted.pt", TEXT, sure=3, silence=6)
    [heard] = recogniser(path).hear(sounds[:1])
    assert not heard.silent
    assert heard.text == TEXT


def test_an_unlikely_text_fails(folder, sounds):
    path = write_reciting_whisper(folder / "unsure.pt", TEXT, sure=0.1)
    [heard] = recogniser(path).hear(sounds[:1])
    assert not heard.passed
    assert not heard.silent


@pytest.mark.parametrize(
    ("logprob", "compression", "no_speech", "passes", "silent"),
    [
        (-0.5, 1.5, 0.1, True, False),
        (-1.0, 2.4, 0.9, True, False),
        (-1.01, 1.5, 0.6, False, False),
        (-1.01, 1.5, 0.61, False, True),
        (-0.5, 2.5, 0.9, False, False),
    ],
)
def test_guards(logprob, compression, no_speech, passes, silent):
    result = SimpleNamespace(avg_logprob=logprob, compression_ratio=compression, no_speech_prob=no_speech)
    assert GUARDS.passes(result) is passes
    assert GUARDS.silent(result) is silent


def test_the_first_temperature_is_the_package_s_greedy_decoding(random_path, sounds):
    made = recogniser(random_path, guards=NEVER)
    options = whisper.DecodingOptions(temperature=0.0, without_timestamps=True, fp16=False)
    expected = whisper.decode(made._model, made.features(sounds), options)
    for found, bare in zip(made._decoded(sounds), expected, strict=True):
        assert found.tokens == bare.tokens
        assert found.language == bare.language
        assert found.avg_logprob == pytest.approx(bare.avg_logprob, abs=1e-5)


def test_features_are_each_window_s_own(random_path, sounds):
    """The package's features of a stacked batch hang on its loudest window; these do not."""
    made = recogniser(random_path)
    together = made.features(sounds)
    assert together.shape == (5, 80, 3000)
    for row, sound in zip(together, sounds, strict=True):
        assert torch.equal(row, whisper.log_mel_spectrogram(whisper.pad_or_trim(torch.from_numpy(sound))))
    stacked = whisper.log_mel_spectrogram(torch.stack([whisper.pad_or_trim(torch.from_numpy(one)) for one in sounds]))
    assert not torch.allclose(stacked[3], together[3])


def test_only_windows_that_fail_are_decoded_again(random_path, sounds, monkeypatch):
    made = recogniser(random_path, temperatures=(0.0, 0.2, 0.4))
    tried = []
    bare = made._sampled

    def counted(features, sounds, temperature):
        tried.append((temperature, [len(sound) for sound in sounds]))
        return bare(features, sounds, temperature)

    monkeypatch.setattr(made, "_sampled", counted)
    first = recogniser(random_path, guards=NEVER)._decoded(sounds)
    odd = sorted(result.no_speech_prob for result in first)[2]
    monkeypatch.setattr(made, "_failed", lambda result: result.temperature < 0.3 and result.no_speech_prob > odd)
    results = made._decoded(sounds)
    failing = [len(sound) for sound, result in zip(sounds, first, strict=True) if result.no_speech_prob > odd]
    assert len(failing) == 2
    assert tried == [(0.2, failing), (0.4, failing)]
    assert sorted(result.temperature for result in results) == [0.0, 0.0, 0.0, 0.4, 0.4]


@pytest.mark.parametrize("guards", [NEVER, ALWAYS], ids=["first try", "every temperature"])
def test_a_window_does_not_depend_on_the_batch(random_path, sounds, guards):
    made = recogniser(random_path, guards=guards, temperatures=(0.0, 0.8))
    sounds = sounds[:3]
    together = made.hear(sounds)
    assert all(map(alike, made.hear(sounds[::-1])[::-1], together))
    assert all(alike(made.hear([sound])[0], heard) for sound, heard in zip(sounds, together, strict=True))
    assert len({heard.text for heard in together}) > 1


def test_sampling_is_the_same_each_time_and_other_at_another_temperature(random_path, sounds):
    texts = [
        recogniser(random_path, guards=ALWAYS, temperatures=(temperature,)).hear(sounds[:1])[0].text
        for temperature in (0.7, 0.7, 0.9)
    ]
    assert texts[0] == texts[1] != texts[2]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 200), st.floats(0.1, 2), st.integers(0, 99))
def test_sampling_follows_the_probabilities(tokens, temperature, seed):
    """Over evenly spread draws, each token comes as often as its share."""
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=tokens) * 2).float()
    logits[0] = -np.inf
    count = 2000
    draws = ((np.arange(count) + 0.5) / count)[:, None]
    greedy = SimpleNamespace(eot=tokens + 5, temperature=temperature)
    sampling = SeededSampling(greedy, draws)
    before = torch.full((count, 1), 1)
    scores = torch.zeros(count)
    after, ended = sampling.update(before, logits.repeat(count, 1), scores)
    assert not ended
    share = np.bincount(after[:, -1].numpy(), minlength=tokens) / count
    expected = torch.softmax(logits.double() / temperature, -1).numpy()
    assert share[0] == 0
    assert np.abs(share - expected).max() <= 1.5 / count
    assert torch.allclose(scores, torch.log_softmax(logits, -1)[after[:, -1]], atol=1e-5)


def test_an_ended_window_stays_ended():
    greedy = SimpleNamespace(eot=3, temperature=1.0)
    sampling = SeededSampling(greedy, np.array([[0.1], [0.1]]))
    scores = torch.zeros(2)
    after, ended = sampling.update(torch.tensor([[3], [1]]), torch.tensor([[9.0, 0, 0, 0], [0.0, 0, 0, 50]]), scores)
    assert after[:, -1].tolist() == [3, 3]
    assert ended
    assert scores[0] == 0


def test_draws_hang_on_the_sound_and_the_temperature(sounds):
    first = seeded_draws(sounds[0], 0.2, 20)
    assert first.shape == (20,)
    assert ((first >= 0) & (first < 1)).all()
    assert np.array_equal(first, seeded_draws(sounds[0].copy(), 0.2, 20))
    assert np.array_equal(first[:5], seeded_draws(sounds[0], 0.2, 5))
    assert not np.array_equal(first, seeded_draws(sounds[0], 0.4, 20))
    assert not np.array_equal(first, seeded_draws(sounds[1], 0.2, 20))


def test_alignment_uses_the_encoding_that_is_there(folder, sounds, monkeypatch):
    """Times equal those of the package with the window encoded a second time."""
    made = recogniser(write_reciting_whisper(folder / "aligned.pt", TEXT))
    [heard] = made.hear(sounds[:1])
    tokenizer = whisper_tokenizer("en")
    segment = {"seek": 0, "start": 0.0, "end": 2.0, "tokens": tokenizer.encode(" " + TEXT)}
    whisper.timing.add_word_timestamps(
        segments=[segment], model=made._model, tokenizer=tokenizer, mel=made.features(sounds[:1])[0], num_frames=200,
        last_speech_timestamp=0.0,
    )  # fmt: skip
    expected = [(word["word"].strip(), float(word["start"]), float(word["end"])) for word in segment["words"]]
    assert [(word.text, word.start, word.end) for word in heard.words] == expected


def test_an_english_model_names_no_language(folder, sounds):
    path = write_reciting_whisper(folder / "english.pt", TEXT, multilingual=False)
    made = recogniser(path)
    [heard] = made.hear(sounds[:1])
    assert heard.text == TEXT
    assert heard.language == ""
    assert not made.multilingual


def test_a_language_that_was_told_is_not_detected(folder, sounds):
    path = write_reciting_whisper(folder / "german.pt", TEXT, language="de")
    [heard] = recogniser(path, language="fr").hear(sounds[:1])
    assert heard.language == "fr"


@pytest.mark.parametrize(("multilingual", "language"), [(True, "xx"), (False, "de")])
def test_an_unknown_language_is_refused(folder, multilingual, language):
    path = write_whisper(folder / f"{multilingual}.pt", multilingual=multilingual)
    with pytest.raises(ConfigurationError, match=r"speech\.language: this model knows no"):
        recogniser(path, language=language)


def test_what_is_no_checkpoint_is_refused_and_no_pickle_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"dims": {}, "model_state_dict": Harm()}, tmp_path / "harmful.pt")
    torch.save({"weights": torch.ones(2)}, tmp_path / "other.pt")
    for name in ("harmful.pt", "other.pt"):
        with pytest.raises(ConfigurationError, match=f"{name} is no Whisper checkpoint"):
            recogniser(tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_half_precision_wants_a_gpu(random_path):
    with pytest.raises(ConfigurationError, match="needs a CUDA device"):
        Recogniser(random_path, CPU, torch.float16, language="", guards=GUARDS, temperatures=(0.0,))


def test_half_precision_keeps_the_norms(random_path):
    from operators.language.whisper_decoding import _halve

    model = whisper.load_model(str(random_path), device="cpu")
    _halve(model)
    kinds = {name.rpartition(".")[0]: weight.dtype for name, weight in model.named_parameters()}
    assert kinds["encoder.blocks.0.attn.query"] == kinds["decoder.token_embedding"] == torch.float16
    assert kinds["encoder.ln_post"] == kinds["decoder.blocks.0.mlp_ln"] == torch.float32


def test_released_checkpoints_get_their_alignment_heads(random_path, monkeypatch):
    from operators.language import whisper_decoding

    heads = []
    monkeypatch.setattr(whisper_decoding, "release_of", lambda path: "base.en")
    monkeypatch.setattr(whisper.model.Whisper, "set_alignment_heads", lambda self, dump: heads.append(dump))
    recogniser(random_path)
    assert heads == [whisper._ALIGNMENT_HEADS["base.en"]]
