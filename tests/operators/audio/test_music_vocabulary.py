"""The words for music: distinct, and asked for in sentences of their own."""

from __future__ import annotations

import pytest

from operators.audio.music_vocabulary import ASPECTS, CONTRASTS, GENRE, Aspect


@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_label_has_a_sentence_of_its_own(aspect: Aspect):
    assert len(aspect.labels) >= 30
    assert len(set(aspect.labels)) == len(aspect.labels)
    assert aspect.prompt.count("{label}") == 1
    assert len(set(aspect.prompts)) == len(aspect.labels)
    assert not set(aspect.prompts) & set(CONTRASTS)
    assert 1 <= aspect.most <= 3


def test_a_sentence():
    assert GENRE.prompts[GENRE.labels.index("jazz")] == "This is jazz music."


def test_a_contrast_names_no_music():
    assert not any("music" in line for line in CONTRASTS)
