from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from operators.errors import ConfigurationError, RowFailure
from operators.language.alignment import Placed
from operators.language.mfa import Interval, Mfa, program, read_textgrid
from tests.operators.language.mfa_stand_in import write_mfa

RATE = 16_000

TEXTGRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.46
            text = ""
        intervals [2]:
            xmin = 0.46
            xmax = 0.72
            text = "say ""hi"""
        intervals [3]:
            xmin = 0.72
            xmax = 1.5
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0.46
            xmax = 7.2e-1
            text = "HH"
'''


@pytest.fixture
def mfa(tmp_path: Path) -> Mfa:
    return Mfa(str(write_mfa(tmp_path)), "acoustic", "dictionary", 20.0)


def clip(text: str, pause: int | None = None) -> tuple[np.ndarray, list[str], list[Placed]]:
    """Half a second of sound per word, with a second of pause before the word of this number."""
    tokens = text.split()
    starts = [0.5 * number + (1.0 if pause is not None and number >= pause else 0.0) for number in range(len(tokens))]
    words = [Placed(number, start, start + 0.5) for number, start in enumerate(starts)]
    return np.zeros(round((words[-1].end + 0.1) * RATE), np.int16), tokens, words


def test_a_textgrid_is_read(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(TEXTGRID, encoding="utf-8")
    assert read_textgrid(path) == {
        "words": [Interval("", 0.0, 0.46), Interval('say "hi"', 0.46, 0.72), Interval("", 0.72, 1.5)],
        "phones": [Interval("HH", 0.46, 0.72)],
    }


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", TEXTGRID.replace("7.2e-1", "soon").encode()])
def test_a_broken_textgrid_fails(tmp_path, data):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(data)
    with pytest.raises(RowFailure, match="mfa"):
        read_textgrid(path)


def test_every_utterance_of_every_clip_is_aligned_in_one_run(mfa):
    first, second = mfa.align([clip("Mary had a lamb", pause=2), clip("so")])
    assert [word.number for word in first] == [0, 1, 2, 3]
    assert [[phone.name for phone in word.phones] for word in first] == [
        list("MARY"), list("HAD"), ["A"], list("LAMB"),
    ]  # fmt: skip
    for word in (*first, *second):
        assert all(a.end == b.start for a, b in pairwise(word.phones))
        assert word.start - 0.3 <= word.phones[0].start and word.phones[-1].end <= word.end + 0.3


def test_a_token_of_several_words_has_the_phones_of_all(mfa):
    [[first, second]] = mfa.align([clip("$5 please")])
    assert "".join(phone.name for phone in first.phones) == "FIVEDOLLARS"
    assert "".join(phone.name for phone in second.phones) == "PLEASE"


def test_utterances_that_mfa_leaves_out_have_no_phones(mfa):
    [left, right] = mfa.align([clip("this is skipped"), clip("this is not")])
    assert all(word.phones == () for word in left)
    assert all(word.phones for word in right)


def test_nothing_to_say_starts_nothing(mfa, tmp_path):
    assert mfa.align([]) == []
    assert mfa.align([clip("🎉 —")]) == [[]]
    assert not (tmp_path / "arguments.txt").exists()


def test_a_run_has_a_time_limit(tmp_path):
    (tmp_path / "sleep").touch()
    slow = Mfa(str(write_mfa(tmp_path)), "acoustic", "dictionary", 1.0)
    with pytest.raises(RowFailure, match=r"longer than 1 s.*mfa_seconds"):
        slow.align([clip("hello")])


def test_a_program_that_cannot_run_fails(tmp_path):
    broken = tmp_path / "mfa"
    broken.write_text("no program")
    broken.chmod(0o755)
    with pytest.raises(RowFailure, match="could not be started"):
        Mfa(str(broken), "acoustic", "dictionary", 5.0).version()


def test_a_missing_program_is_named():
    with pytest.raises(ConfigurationError, match=r"'no-such-program'.*conda"):
        program("no-such-program")
