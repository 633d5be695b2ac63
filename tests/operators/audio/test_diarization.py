"""The adapter of pyannote.audio, with a package of its shape in its place: it does not come with Rushes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from operators.audio.diarization import Diarizer, Turn
from operators.errors import ConfigurationError

PACKAGE = """
class Segment:
    def __init__(self, start, end):
        self.start, self.end = start, end

class Annotation:
    def __init__(self, found):
        self._found = found
    def itertracks(self, yield_label=False):
        assert yield_label
        for number, (start, end, label) in enumerate(self._found):
            yield Segment(start, end), number, label

class Output:
    def __init__(self, annotation):
        self.speaker_diarization = annotation

class Pipeline:
    @classmethod
    def from_pretrained(cls, name):
        if name == "gated":
            return None
        if name == "broken":
            raise ValueError("no such pipeline")
        pipeline = cls()
        pipeline.wrapped = name == "four"
        return pipeline

    def to(self, device):
        self.device = device
        return self

    def __call__(self, file):
        waveform, rate = file["waveform"], file["sample_rate"]
        assert waveform.ndim == 2 and waveform.shape[0] == 1 and rate == 16000
        assert str(waveform.dtype) == "torch.float32" and waveform.abs().max() <= 1
        seconds = waveform.shape[1] / rate
        found = [
            (0.5 * seconds, 1.5 * seconds, "SPEAKER_00"),
            (-0.1, 0.6 * seconds, "SPEAKER_01"),
            (2 * seconds, 3 * seconds, "X"),
        ]
        annotation = Annotation(found)
        return Output(annotation) if self.wrapped else annotation
"""


@pytest.fixture
def pyannote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "pyannote" / "audio").mkdir(parents=True)
    (tmp_path / "pyannote" / "__init__.py").touch()
    (tmp_path / "pyannote" / "audio" / "__init__.py").write_text(PACKAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyannote"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("version", ["three", "four"])
@pytest.mark.usefixtures("pyannote")
def test_turns_are_in_order_within_the_clip_and_named_as_they_are_heard(version):
    diarizer = Diarizer(version, "cpu")
    turns = diarizer(np.full(32_000, 1000, np.int16))
    assert turns == [Turn("SPEAKER_00", 0.0, 1.2), Turn("SPEAKER_01", 1.0, 2.0)]
    assert turns[0].row() == {"speaker": "SPEAKER_00", "start": 0.0, "end": 1.2}
    assert diarizer(np.zeros(100, np.int16)) == []


@pytest.mark.parametrize(("name", "says"), [("broken", "no such pipeline"), ("gated", "terms")])
@pytest.mark.usefixtures("pyannote")
def test_a_pipeline_that_cannot_be_loaded_is_named(name, says):
    with pytest.raises(ConfigurationError, match=f"'{name}'.*{says}"):
        Diarizer(name)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyannote.audio", None)
    with pytest.raises(ConfigurationError, match=r"pip install pyannote\.audio"):
        Diarizer("any")
