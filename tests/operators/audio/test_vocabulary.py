"""The default labels, and labels from a file."""

from __future__ import annotations

import pytest

from operators.audio.tags import MEASURED_TAGS
from operators.audio.vocabulary import LONGEST, SOUNDS, read_vocabulary
from operators.errors import ConfigurationError


def test_the_default():
    assert read_vocabulary("") == SOUNDS
    assert 150 <= len(SOUNDS) <= 250
    assert len(set(SOUNDS)) == len(SOUNDS)
    assert all(label == label.strip() and label.isprintable() and len(label) <= LONGEST for label in SOUNDS)


def test_no_default_label_bears_a_measured_tag_s_name():
    assert not MEASURED_TAGS.intersection(SOUNDS)


def test_a_file(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("# sounds\nrain\n\n  Fußgänger \r\n", encoding="utf-8")
    assert read_vocabulary(str(path)) == ("rain", "Fußgänger")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rain\n", "1 labels"),
        (b"", "0 labels"),
        (b"rain\nrain\n", "stands there twice"),
        (b"rain\n" + b"x" * (LONGEST + 1), "is no label"),
        (b"rain\na\x07b\n", "is no label"),
        (b"rain\nbeat\n", "name of a measured tag"),
        (b"rain\nspeech\n", "name of a measured tag"),
        (b"rain\n\xff\xfe\n", "UTF-8"),
        (b"\n".join(b"%d" % number for number in range(5001)), "5001 labels"),
    ],
)
def test_what_is_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        read_vocabulary(str(path))


def test_no_file(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.txt"):
        read_vocabulary(str(tmp_path / "nothing.txt"))
