"""The Montreal Forced Aligner, run as a program: https://montreal-forced-aligner.readthedocs.io

It comes by conda alone, and brings Kaldi with it. One run aligns the utterances of many clips: a corpus
folder with a WAV file and a text per utterance, in a folder per clip, goes in, TextGrid files come out.
Speaker adaptation is off, and a clip's folder is its speaker, so that no clip's result depends on the others.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from operators.audio.waveform import SAMPLE_RATE, Samples
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from operators.language.alignment import Phone, Placed, utterances
from operators.language.pronunciation import spoken

SILENT = frozenset({"", "sil", "sp", "spn", "<eps>", "SIL", "SPN"})
"""Marks of silence and of words without a pronunciation."""
NEAR = 0.03  # s by which a phone may reach over its word's edges

_STRESS = re.compile(r"([A-Z]{1,2})[0-2]")
_INTERVAL = re.compile(r'xmin\s*=\s*(\S+)\s+xmax\s*=\s*(\S+)\s+text\s*=\s*"((?:[^"]|"")*)"')
_TIER = re.compile(r'class\s*=\s*"IntervalTier"\s+name\s*=\s*"((?:[^"]|"")*)"')

Spoken = tuple[Samples, Sequence[str], Sequence[Placed]]
"""A clip's samples, its words, and the times they have."""


@dataclass(frozen=True)
class Interval:
    """A labelled stretch of a TextGrid's tier, in seconds."""

    label: str
    start: float
    end: float


def program(command: str) -> str:
    """The path of the program. Raises `ConfigurationError` where it is not installed."""
    found = shutil.which(command)
    if found is None:
        raise ConfigurationError(
            f"the Montreal Forced Aligner is not installed: there is no program {command!r}. Install it with "
            "'conda install -c conda-forge montreal-forced-aligner', or set phonemes.aligner to pocketsphinx"
        )
    return found


class Mfa:
    """`mfa align` with an acoustic model and a dictionary, each run ended after `seconds`."""

    def __init__(self, command: str, acoustic: str, dictionary: str, seconds: float) -> None:
        self._command, self._acoustic, self._dictionary, self._seconds = command, acoustic, dictionary, seconds
        self._version: str | None = None

    def version(self) -> str:
        """What `mfa version` prints. Raises `RowFailure` (model)."""
        if self._version is None:
            with tempfile.TemporaryDirectory(prefix="mfa-") as folder:
                self._version = self._run(["version"], Path(folder)).strip().splitlines()[-1][:40]
        return self._version

    def align(self, clips: Sequence[Spoken]) -> list[list[Placed]]:
        """For each clip its words, with phones where they were found, in one run of the program.

        Raises `RowFailure` (model) where the program fails or takes too long.
        """
        with tempfile.TemporaryDirectory(prefix="mfa-") as name:
            folder = Path(name)
            corpus, output = folder / "corpus", folder / "aligned"
            runs = [self._write(corpus / f"clip{number:05d}", clip) for number, clip in enumerate(clips)]
            if any(runs):
                options = ["--clean", "--overwrite", "--num_jobs", "1", "--temporary_directory", str(folder / "work")]
                options += ["--uses_speaker_adaptation", "false", "--output_format", "long_textgrid"]
                # From version 4 on `align` means another kind of model.
                verb = "align_legacy" if re.match(r"[4-9]\b|\d\d", self.version()) else "align"
                models = [self._dictionary, self._acoustic]
                self._run([verb, str(corpus), *models, str(output), *options], folder)
            return [
                [word for name, run, start in written for word in _read(output / name, run, clip[1], start)]
                for clip, written in zip(clips, runs, strict=True)
            ]

    def _write(self, folder: Path, clip: Spoken) -> list[tuple[str, Sequence[Placed], float]]:
        """Writes a clip's utterances; gives each one's output file, its words and its start in the clip."""
        samples, tokens, words = clip
        written = []
        for number, (run, start, end) in enumerate(utterances(words, len(samples) / SAMPLE_RATE)):
            text = " ".join(part for word in run for part in spoken(tokens[word.number]))
            first, stop = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
            if not text or stop - first < SAMPLE_RATE // 10:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{folder.name}_{number:04d}"
            with wave.open(str(folder / f"{name}.wav"), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(SAMPLE_RATE)
                sound.writeframes(samples[first:stop].astype("<i2").tobytes())
            (folder / f"{name}.lab").write_text(text, encoding="utf-8")
            written.append((f"{folder.name}/{name}.TextGrid", run, first / SAMPLE_RATE))
        return written

    def _run(self, arguments: Sequence[str], folder: Path) -> str:
        try:
            done = subprocess.run(
                [self._command, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RowFailure(
                ErrorKind.MODEL, f"mfa {arguments[0]} took longer than {self._seconds:g} s; raise phonemes.mfa_seconds"
            ) from None
        except OSError as problem:
            raise RowFailure(ErrorKind.MODEL, f"mfa could not be started: {problem}") from problem
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise RowFailure(ErrorKind.MODEL, f"mfa {arguments[0]} ended with {done.returncode}: {said[-300:]}")
        return done.stdout.decode(errors="replace")


def read_textgrid(path: Path) -> dict[str, list[Interval]]:
    """The interval tiers of a Praat TextGrid in its long text format, by name.

    Raises `RowFailure` (model) where it is not one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise RowFailure(ErrorKind.MODEL, f"mfa's output cannot be read: {problem}") from problem
    marks = list(_TIER.finditer(text))
    tiers: dict[str, list[Interval]] = {}
    try:
        for mark, after in zip(marks, [*marks[1:], None], strict=True):
            part = text[mark.end() : after.start() if after is not None else len(text)]
            tiers[mark[1]] = [
                Interval(m[3].replace('""', '"'), float(m[1]), float(m[2])) for m in _INTERVAL.finditer(part)
            ]
    except ValueError as problem:
        raise RowFailure(ErrorKind.MODEL, f"{path.name} of mfa holds a time that is no number: {problem}") from problem
    return tiers


def _read(path: Path, run: Sequence[Placed], tokens: Sequence[str], start: float) -> list[Placed]:
    """The words of one utterance with their phones; without them where mfa wrote no or other words."""
    if not path.is_file():
        return list(run)
    tiers = read_textgrid(path)
    words = [word for word in tiers.get("words", ()) if word.label not in SILENT]
    parts = [len(spoken(tokens[word.number])) for word in run]
    if len(words) != sum(parts):
        return list(run)
    phones = [phone for phone in tiers.get("phones", ()) if phone.label not in SILENT]
    found = []
    for word, count in zip(run, parts, strict=True):
        own, words = words[:count], words[count:]
        found.append(replace(word, phones=_within(phones, own, start)) if own else word)
    return found


def _within(phones: Sequence[Interval], words: Sequence[Interval], start: float) -> tuple[Phone, ...]:
    """The phones of neighbouring words, each lasting to the next."""
    own = [p for p in phones if p.start >= words[0].start - NEAR and p.end <= words[-1].end + NEAR]
    ends = [*(phone.start for phone in own[1:]), own[-1].end] if own else []
    names = [_STRESS.sub(r"\1", phone.label) for phone in own]
    return tuple(
        Phone(name, start + phone.start, start + end) for name, phone, end in zip(names, own, ends, strict=True)
    )
