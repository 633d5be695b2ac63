"""TextGrid files: tiers that tile the clip, whatever the words are."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobs.textgrid import textgrid

WORDS = ("word", "", '"', 'say "', "\n", "ü")
INTERVAL = re.compile(r'xmin = (\S+)\n +xmax = (\S+)\n +text = "((?:[^"]|"")*)"\n')


def intervals(text: str) -> list[tuple[float, float, str]]:
    return [(float(start), float(end), word.replace('""', '"')) for start, end, word in INTERVAL.findall(text)]


def test_words_and_pauses():
    text = textgrid({"words": [(0.5, 1.0, "say"), (1.0, 1.25, '"hi"')], "phones": []}, 2.0)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 2.000000\n')
    assert text.count('class = "IntervalTier"') == 2
    assert 'name = "words"' in text
    assert "intervals: size = 4" in text
    assert intervals(text) == [
        (0.0, 0.5, ""), (0.5, 1.0, "say"), (1.0, 1.25, '"hi"'), (1.25, 2.0, ""), (0.0, 2.0, ""),
    ]  # fmt: skip


@given(
    words=st.lists(st.tuples(st.floats(-1, 12), st.floats(-1, 12), st.sampled_from(WORDS)), max_size=8),
    duration=st.floats(0.1, 10),
)
def test_a_tier_tiles_the_clip(words, duration):
    found = intervals(textgrid({"words": words}, duration))
    assert found[0][0] == 0
    assert abs(found[-1][1] - duration) < 1e-5
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(start < end for start, end, _ in found)


def test_texts_cannot_break_out_of_their_line():
    text = textgrid({"words": [(0.0, 1.0, 'a"\n        xmax = 99\x00')]}, 1.0)
    assert intervals(text) == [(0.0, 1.0, 'a"         xmax = 99 ')]
