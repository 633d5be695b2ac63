"""What stands below and over a previewed picture: words, phonemes, the gates, and where the clip is usable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from operators.contract import Row
from operators.pose.motion.frame_spans import Frames, frames_of

HEIGHT = 112
"""Pixels of the panel."""

MARGIN = 12
CAPTION_TOP, PHONES_TOP, RAIL_TOP, FOOT_TOP = 8, 36, 66, 90
PHONES_HEIGHT, RAIL_HEIGHT = 22, 14
PHONES_PER_SECOND = 240  # px
PAUSE = 1.2
"""Seconds of silence after which a new line of words begins."""

LONGEST_WORD = 40
SHOWN_GATES = 4

GROUND, RAIL, INK, QUIET, ACCENT = "#14181d", "#2b323b", "#e8ecf0", "#7d8996", "#ffd166"
USABLE, VOID, MARKED, HIT = "#3fae7a", "#8c3a3a", "#c98a2b", "#ff5c5c"

UNITS = {"wrist_rotation": "°", "pose_change": "°", "facing": "°", "missing": " s", "gesture": " m/s"}

Word = dict[str, Any]


class Panel:
    """The panel of one clip, `width` pixels wide; drawn anew for every frame."""

    def __init__(self, row: Row, width: int, frames: int) -> None:
        self._width = width
        self._fps = float(row["fps"])
        self._frames = frames
        self._small, self._font = ImageFont.load_default(size=11), ImageFont.load_default(size=16)
        self._lines = _lines([_readable(word) for word in row.get("words") or ()], self._font, width - 2 * MARGIN)
        self._phonemes = row.get("phonemes") or ()
        self._gates = [gate for gate in row.get("gates") or () if gate["gate"] != "gesture"]
        self._usable = [frames_of(span) for span in row.get("usable_spans") or ()]
        kinds = {"hit" if gate["gate"] in HITS else gate["gate"] for gate in self._gates}
        self._legend = [
            (name, colour)
            for name, colour, there in (
                ("hit", HIT, "hit" in kinds),
                ("quarantine", VOID, "quarantine" in kinds),
                ("marked", MARKED, bool(kinds - {"hit", "quarantine"})),
                ("usable", USABLE, True),
            )
            if there
        ]
        mask = row.get("frame_mask")
        self._mask = np.ones(frames, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)[:frames]
        self._name = _printable(f"{row['clip_id']}{_dropped(row)}   {row.get('speaker_id') or ''}", 80)

    def below(self, frame: int) -> NDArray[np.uint8]:
        """The panel at `frame`: RGB, HEIGHT × width."""
        picture = Image.new("RGB", (self._width, HEIGHT), GROUND)
        draw = ImageDraw.Draw(picture)
        now = frame / self._fps
        self._caption(draw, now)
        self._phones(draw, now)
        self._rail(draw, frame)
        self._foot(draw, now)
        return np.asarray(picture)

    def over(self, picture: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
        """`picture` with a border and the gates' names where the frame did not pass."""
        labels = self._labels(frame)
        usable = not self._usable or any(start <= frame < end for start, end in self._usable)
        if not labels and usable and self._mask[frame]:
            return picture
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        border = HIT if not self._mask[frame] else MARKED
        draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=border, width=4)
        top = 8
        for label in labels or ["too short a span"]:
            box = draw.textbbox((12, top), label, font=self._font)
            draw.rectangle((box[0] - 5, box[1] - 4, box[2] + 5, box[3] + 4), fill=VOID if labels else MARKED)
            draw.text((12, top), label, font=self._font, fill=INK)
            top += 25
        return np.asarray(image)

    def _labels(self, frame: int) -> list[str]:
        here = [gate for gate in self._gates if gate["start_frame"] <= frame < gate["end_frame"]]
        names = dict.fromkeys(_told(gate) for gate in here)
        return list(names)[:SHOWN_GATES]

    def _caption(self, draw: ImageDraw.ImageDraw, now: float) -> None:
        line = next((line for line in reversed(self._lines) if line[0]["start"] - 0.3 <= now), None)
        if line is None or now > line[-1]["end"] + PAUSE:
            return
        x = MARGIN + (self._width - 2 * MARGIN - draw.textlength(_joined(line), font=self._font)) / 2
        for word in line:
            colour = ACCENT if word["start"] <= now < word["end"] else INK if word["end"] <= now else QUIET
            draw.text((x, CAPTION_TOP), word["word"], font=self._font, fill=colour)
            x += draw.textlength(word["word"] + " ", font=self._font)

    def _phones(self, draw: ImageDraw.ImageDraw, now: float) -> None:
        middle, bottom = self._width / 2, PHONES_TOP + PHONES_HEIGHT
        draw.rectangle((MARGIN, PHONES_TOP, self._width - MARGIN, bottom), fill=RAIL)
        for phoneme in self._phonemes:
            left = max(MARGIN, middle + (phoneme["start"] - now) * PHONES_PER_SECOND)
            right = min(self._width - MARGIN, middle + (phoneme["end"] - now) * PHONES_PER_SECOND)
            if right - left < 1:
                continue
            spoken = phoneme["start"] <= now < phoneme["end"]
            shade = ACCENT if spoken else ("#3a444f" if (phoneme["word"] or 0) % 2 else "#46525f")
            draw.rectangle((left, PHONES_TOP, right - 1, bottom), fill=shade)
            label = _printable(phoneme["phoneme"], 4)
            if draw.textlength(label, font=self._small) <= right - left:
                draw.text(
                    ((left + right) / 2, PHONES_TOP + PHONES_HEIGHT / 2),
                    label,
                    font=self._small,
                    fill=GROUND if spoken else INK,
                    anchor="mm",
                )
        draw.line((middle, PHONES_TOP - 3, middle, bottom + 3), fill=ACCENT, width=1)

    def _rail(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        bottom = RAIL_TOP + RAIL_HEIGHT

        def bars(spans: Iterable[Frames], colour: str, top: int = RAIL_TOP) -> None:
            for start, end in spans:
                draw.rectangle((self._x(start), top, max(self._x(start), self._x(end) - 1), bottom), fill=colour)

        draw.rectangle((MARGIN, RAIL_TOP, self._width - MARGIN, bottom), fill=RAIL)
        bars(self._usable, USABLE)
        quarantines = [frames_of(gate) for gate in self._gates if gate["gate"] == "quarantine"]
        others = [gate for gate in self._gates if gate["gate"] != "quarantine"]
        bars(quarantines, VOID)
        bars((frames_of(gate) for gate in others if gate["gate"] not in HITS), MARKED)
        bars((frames_of(gate) for gate in others if gate["gate"] in HITS), HIT, RAIL_TOP + RAIL_HEIGHT // 2)
        x = self._x(frame)
        draw.line((x, RAIL_TOP - 3, x, bottom + 3), fill=INK, width=2)

    def _foot(self, draw: ImageDraw.ImageDraw, now: float) -> None:
        x = float(self._width - MARGIN)
        for name, colour in self._legend:
            x -= draw.textlength(name, font=self._small)
            draw.text((x, FOOT_TOP), name, font=self._small, fill=QUIET)
            x -= 13
            draw.rectangle((x, FOOT_TOP + 3, x + 8, FOOT_TOP + 11), fill=colour)
            x -= 10
        text = f"{now:5.1f} s   {self._name}"
        while text and draw.textlength(text, font=self._small) > x - MARGIN:
            text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
        draw.text((MARGIN, FOOT_TOP), text, font=self._small, fill=QUIET)

    def _x(self, frame: int) -> float:
        return MARGIN + (self._width - 2 * MARGIN) * min(frame, self._frames) / max(1, self._frames)


HITS = ("wrist_rotation", "pose_change")
"""Gates whose findings are quarantined."""


def _told(gate: dict[str, Any]) -> str:
    parts = [gate["gate"].replace("_", " ")]
    if gate["joint"]:
        parts.append(gate["joint"].replace("_", " "))
    if gate["value"] is not None:
        unit = UNITS.get(gate["gate"])
        parts.append(f"{gate['value']:.0%}" if unit is None else f"{gate['value']:.3g}{unit}")
    return "  ".join(parts)


def _dropped(row: Row) -> str:
    return f"   dropped: {row['drop_reason']}" if row.get("drop_reason") else ""


def _readable(word: Word) -> Word:
    return {**word, "word": _printable(word["word"] or "", LONGEST_WORD)}


def _printable(text: str, longest: int) -> str:
    plain = "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word["word"] for word in words)


def _lines(words: Sequence[Word], font: Any, width: int) -> list[list[Word]]:
    """Words in lines of at most `width` pixels, broken at pauses."""
    lines: list[list[Word]] = []
    for word in words:
        fits = lines and font.getlength(_joined([*lines[-1], word])) <= width
        if fits and word["start"] - lines[-1][-1]["end"] < PAUSE:
            lines[-1].append(word)
        else:
            lines.append([word])
    return lines
