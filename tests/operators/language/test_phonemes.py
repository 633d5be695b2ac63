from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.errors import ConfigurationError
from operators.language.alignment import Aligner, Phone
from operators.language.phonemes import Phonemes, tiled
from tests.operators.language.mfa_stand_in import write_mfa
from tests.operators.language.spoken_words import assembled, clip_of, recording

ORDER = ["seven", "people", "told", "children", "about", "music", "question", "water"]
SOUND, EDGES = assembled(ORDER, [0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1])


def spoken(words=ORDER, edges=EDGES, **row) -> dict:
    times = [
        {"word": word, "start": start, "end": end, "confidence": None}
        for word, (start, end) in zip(words, edges, strict=True)
    ]
    return clip_of(SOUND, words=times, **row)


@pytest.fixture(scope="module")
def phonemes() -> Phonemes:
    operator = Phonemes()
    operator.setup()
    return operator


@pytest.fixture
def mfa(tmp_path: Path) -> Phonemes:
    """The operator with a stand-in for the `mfa` program, which is not on the package index."""
    operator = Phonemes(Phonemes.Settings(aligner="mfa", mfa_command=str(write_mfa(tmp_path))))
    operator.check()
    operator.setup()
    return operator


def assert_tiled(row: dict) -> None:
    assert row["error"] is None
    for number, word in enumerate(row["words"]):
        own = [phoneme for phoneme in row["phonemes"] if phoneme["word"] == number]
        assert own[0]["start"] == word["start"]
        assert own[-1]["end"] == word["end"]
        assert all(first["end"] == second["start"] for first, second in pairwise(own))
        assert all(phoneme["start"] < phoneme["end"] for phoneme in own)


def test_phonemes_tile_their_words(phonemes):
    [row] = phonemes([spoken()])
    assert_tiled(row)
    assert row["alignment"] == "pocketsphinx"
    assert [p["phoneme"] for p in row["phonemes"] if p["word"] == ORDER.index("seven")] == ["S", "EH", "V", "AH", "N"]
    assert pa.Table.from_pylist([{n: row[n] for n in phonemes.writes.names}], schema=phonemes.writes).num_rows == 1


def test_they_lie_where_they_are_spoken(phonemes):
    """What hisses is louder at high frequencies than vowels and hums are."""
    [row] = phonemes([spoken()])
    steep, loud = np.abs(np.diff(SOUND.astype(float))), np.abs(SOUND.astype(float))
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for phoneme in row["phonemes"]:
        part = slice(round(phoneme["start"] * 16_000), round(phoneme["end"] * 16_000))
        hisses = phoneme["phoneme"] in {"S", "SH", "CH", "Z"}
        if hisses or phoneme["phoneme"] in {"AA", "AH", "EH", "IH", "IY", "UW", "OW", "AW", "M", "N", "L"}:
            ratios[hisses].append(steep[part].mean() / loud[part].mean())
    assert min(ratios[True]) > 0.6
    assert np.quantile(ratios[False], 0.8) < 0.3


def test_words_that_were_not_found_have_none(phonemes):
    [row] = phonemes([spoken(words=["🎉", *ORDER[1:]])])
    assert row["error"] is None
    assert {p["word"] for p in row["phonemes"]} == set(range(1, 8))


def test_wrong_words_give_none_and_keep_the_clip(phonemes):
    wrong = ["extraordinarily", "complicated", "transcriptions", "nobody", "ever", "pronounced", "like", "this"]
    [row] = phonemes([spoken(words=wrong)])
    assert (row["error"], row["drop_reason"]) == (None, None)
    assert (row["phonemes"], row["alignment"]) == (None, None)


@pytest.mark.parametrize(
    "row",
    [
        {"words": None}, {"words": []}, {"audio": None}, {"language": "de"},
        {"words": [{"word": "hello", "start": 0.0, "end": 0.0, "confidence": 1.0}]},
        {"words": [{"word": "hello", "start": 99.0, "end": 99.5, "confidence": 1.0}]},
        {"words": [{"word": word, "start": 1.0, "end": 0.5, "confidence": 1.0} for word in ("a", "b")]},
    ],
)  # fmt: skip
def test_without_words_or_sound_there_are_none(phonemes, row):
    [result] = phonemes([{**spoken(), **row}])
    assert (result["error"], result["phonemes"], result["alignment"]) == (None, None, None)


def test_history_does_not_matter(phonemes):
    [row] = phonemes([spoken()])
    phonemes.annotate([spoken(words=["frimple", *ORDER[1:]])])
    fresh = Phonemes()
    fresh.setup()
    assert fresh([spoken()]).__next__()["phonemes"] == row["phonemes"] == next(phonemes([spoken()]))["phonemes"]


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=10), st.floats(0, 100), st.floats(0.01, 10))
def test_phones_can_be_stretched_into_any_word(lengths, start, length):
    edges = np.cumsum([3.0, *lengths])
    phones = [Phone(str(k), edges[k], edges[k + 1]) for k in range(len(lengths))]
    moved = tiled(phones, start, start + length)
    assert [phone.name for phone in moved] == [phone.name for phone in phones]
    assert (moved[0].start, moved[-1].end) == (start, start + length)
    assert all(first.end == second.start for first, second in pairwise(moved))
    shares = [(phone.end - phone.start) / length for phone in moved]
    assert shares == pytest.approx([value / sum(lengths) for value in lengths], rel=1e-3, abs=1e-6)


def test_mfa_gives_the_phonemes_of_its_models(mfa):
    rows = list(mfa([spoken(), {**spoken(), "words": None}, spoken()]))
    assert [row["alignment"] for row in rows] == ["mfa", None, "mfa"]
    assert_tiled(rows[0])
    assert rows[0]["phonemes"] == rows[2]["phonemes"]
    assert rows[0]["provenance"]["phonemes"] == "phonemes/1@mfa-3.2.1"
    assert [p["phoneme"] for p in rows[0]["phonemes"] if p["word"] == 0] == list(ORDER[0].upper())


def test_the_command_line_names_every_argument(mfa, tmp_path):
    list(mfa([spoken()]))
    arguments = (tmp_path / "arguments.txt").read_text().splitlines()
    assert arguments[0] == "align"
    assert arguments[2:4] == ["english_us_arpa", "english_us_arpa"]
    assert "--uses_speaker_adaptation" in arguments


def test_a_missing_program_is_named_with_the_remedy():
    operator = Phonemes(Phonemes.Settings(aligner="mfa", mfa_command="no-such-mfa"))
    for step in (operator.check, operator.setup):
        with pytest.raises(ConfigurationError, match=r"conda install .*montreal-forced-aligner.*phonemes\.aligner"):
            step()


def test_a_run_that_fails_fails_its_clips(mfa, tmp_path):
    (tmp_path / "fail").write_text("Kaldi is unhappy")
    [row] = mfa([spoken()])
    assert row["error"]["kind"] == "model"
    assert "Kaldi is unhappy" in row["error"]["message"]


def test_settings_cannot_smuggle_options_in():
    with pytest.raises(ValueError, match="pattern"):
        Phonemes.Settings(mfa_acoustic="--config_path=x")


def test_a_known_recording(phonemes, shared_media):
    text = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
    sound = recording(shared_media / "speech_jfk.flac")
    placed = Aligner().place(sound, text.split(), whole=True)
    words = [
        {"word": said, "start": word.start, "end": word.end, "confidence": None}
        for said, word in zip(text.split(), placed, strict=True)
    ]
    [row] = phonemes([clip_of(sound, words=words)])
    assert [word["word"] for word in row["words"]] == text.split()
    assert_tiled(row)
    assert len(row["phonemes"]) == pytest.approx(74, abs=4)
