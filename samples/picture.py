"""Draws what a run found in one video: `python -m samples.picture RUN [--video NAME] [--clips N N] [--to FILE]`.

The film strip on top shows every clip at its place in time; the lanes below it show what was measured;
two clips are shown with their three keyframes and their fused caption. Keyframes are not stored by
default, so they are decoded again from the video, at the stored `keyframe_times`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

import store
from operators.errors import RushesError

Clip = dict[str, Any]

COLUMNS = [
    "video_id", "video_path", "clip_index", "clip_start_end_time", "keyframe_times", "tier", "drop_reason",
    "hq_drop_reason", "movement", "people", "ocr_score", "music_share", "speech_spans", "tempo", "key",
    "transcript", "merge_caption",
]  # fmt: skip

WIDTH, MARGIN, LANE_NAMES = 1600, 36, 122  # px
STRIP_TOP, STRIP_HEIGHT, LANE = 96, 150, 36  # px
TEXT_FLOOR = 0.01  # share of the frame covered by text from which the lane shows it
CARD = 0.08  # the same from which a clip is shown whole in the strip, since its text is the picture
TICK = 10  # s
SPOKEN = re.compile(r"\bsaid\b|“")
HEARD = re.compile(r"\b(soundtrack|music|voices?)\b")

PAPER, INK, QUIET, RULE = "#ffffff", "#1c2128", "#667080", "#e4e8ee"
TIERS = {"hq": "#2a9d6f", "visual": "#9db1c7", None: "#d9604c"}
TIER_NAMES = {"hq": "hq tier", "visual": "visual tier", None: "dropped, with a reason"}
SPEECH, MUSIC, PEOPLE, LETTERS, CAMERA = "#2f6fdb", "#b7791f", "#8e5bb5", "#4a5563", "#eef2f6"


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow carries, in px."""
    return ImageFont.load_default(size=size)


def keyframes(path: str, clips: Sequence[Clip]) -> dict[float, Image.Image]:
    """The frames shown at every clip's `keyframe_times`, by time, turned upright."""
    wanted = sorted({time for clip in clips for time in clip["keyframe_times"]})
    found: dict[float, Image.Image] = {}
    with av.open(path) as container:
        for frame in container.decode(video=0):
            while wanted and frame.time is not None and frame.time >= wanted[0] - 1e-3:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                found[wanted.pop(0)] = Image.fromarray(np.ascontiguousarray(upright))
    return found


class Sheet:
    """The canvas, and the time line's scale."""

    def __init__(self, clips: Sequence[Clip], pictures: dict[float, Image.Image], height: int) -> None:
        self.clips, self.pictures = clips, pictures
        self.image = Image.new("RGB", (WIDTH, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.left = MARGIN + LANE_NAMES
        self.per_second = (WIDTH - MARGIN - self.left) / clips[-1]["clip_start_end_time"][1]

    def x(self, seconds: float) -> int:
        """Where a time of the video lies, in px."""
        return round(self.left + seconds * self.per_second)

    def text(self, x: float, y: float, words: str, size: float, colour: str, anchor: str = "lm") -> None:
        """Words on the canvas."""
        self.draw.text((x, y), words, fill=colour, font=font(size), anchor=anchor)

    def heading(self, title: str) -> None:
        """The title and what the tiers' colours mean."""
        self.text(MARGIN, 46, title, 34, INK)
        x = WIDTH - MARGIN
        for tier in (None, "visual", "hq"):
            name = TIER_NAMES[tier]
            x -= font(22).getlength(name)
            self.text(x, 48, name, 22, QUIET)
            self.draw.rounded_rectangle((x - 30, 38, x - 10, 58), 4, fill=TIERS[tier])
            x -= 62

    def strip(self) -> None:
        """Every clip at its time: its middle keyframe over the colour of its tier."""
        self.text(MARGIN, STRIP_TOP + STRIP_HEIGHT / 2, "clips", 22, QUIET)
        for clip in self.clips:
            left, right = (self.x(time) for time in clip["clip_start_end_time"])
            size = (max(2, right - left - 3), STRIP_HEIGHT)
            picture = self.pictures[clip["keyframe_times"][1]]
            if (clip["ocr_score"] or 0) >= CARD:
                corner = "#" + np.asarray(picture)[0, 0].tobytes().hex()
                picture = ImageOps.pad(picture, size, Image.Resampling.LANCZOS, corner)
            else:
                picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
            self.image.paste(picture, (left, STRIP_TOP))
            bottom = STRIP_TOP + STRIP_HEIGHT
            self.draw.rectangle((left, bottom + 3, right - 4, bottom + 14), fill=TIERS[clip["tier"]])

    def lane(self, row: int, name: str) -> tuple[int, int]:
        """Top and bottom of a lane's bars; writes its name and a rule under it."""
        top = STRIP_TOP + STRIP_HEIGHT + 26 + row * LANE
        self.text(MARGIN, top + LANE / 2, name, 22, QUIET)
        self.draw.line((MARGIN, top + LANE, WIDTH - MARGIN, top + LANE), fill=RULE)
        return top + 5, top + LANE - 5

    def bar(
        self, start: float, end: float, rows: tuple[int, int], fill: str, words: str = "", ink: str = PAPER
    ) -> None:
        """A bar from `start` to `end` in seconds, with words where they fit."""
        left, right = self.x(start), self.x(end) - 4
        self.draw.rounded_rectangle((left, rows[0], max(right, left + 3), rows[1]), 4, fill=fill)
        if words and font(19).getlength(words) <= right - left - 6:
            self.text((left + right) / 2, sum(rows) / 2, words, 19, ink, "mm")

    def lanes(self) -> int:
        """Camera, people, text, speech and music over time; gives the y below them."""
        rows = [self.lane(row, name) for row, name in enumerate(("camera", "people", "text area", "speech", "music"))]
        for clip in self.clips:
            start, end = clip["clip_start_end_time"]
            if clip["movement"]:
                self.bar(start, end, rows[0], CAMERA, clip["movement"].split(" and ")[0], INK)
            if clip["people"]:
                self.bar(start, end, rows[1], PEOPLE, f"{clip['people']} person" + "s" * (clip["people"] > 1))
            if (clip["ocr_score"] or 0) >= TEXT_FLOOR:
                self.bar(start, end, rows[2], LETTERS, f"{clip['ocr_score']:.0%}")
            for span in clip["speech_spans"] or ():
                self.bar(start + span[0], start + span[1], rows[3], SPEECH)
            if clip["music_share"]:
                beat = f"{clip['key']}, {clip['tempo']:.0f} bpm" if clip["key"] and clip["tempo"] else ""
                self.bar(start, start + clip["music_share"] * (end - start), rows[4], MUSIC, beat)
        bottom = rows[-1][1] + 5
        for second in range(0, int(self.clips[-1]["clip_start_end_time"][1]) + 1, TICK):
            self.text(self.x(second), bottom + 18, f"{second} s", 19, QUIET, "mm" if second else "lm")
        return bottom + 30

    def card(self, clip: Clip, left: int, top: int, width: int) -> int:
        """A clip with its three keyframes and its caption; gives the y below it."""
        start, end = clip["clip_start_end_time"]
        self.draw.rectangle((left, top, left + 8, top + 26), fill=TIERS[clip["tier"]])
        heading = f"clip {clip['clip_index']}   {start:.1f} to {end:.1f} s"
        self.text(left + 20, top + 13, heading, 24, INK)
        gap = 8
        size = ((width - 2 * gap) // 3, (width - 2 * gap) // 3 * 9 // 16)
        for place, time in enumerate(clip["keyframe_times"]):
            picture = ImageOps.contain(self.pictures[time], size, Image.Resampling.LANCZOS)
            self.image.paste(picture, (left + place * (size[0] + gap), top + 40))
        return self.caption(clip["merge_caption"], left, top + 40 + size[1] + 32, width)

    def caption(self, paragraph: str, left: int, top: int, width: int, size: int = 25, leading: int = 35) -> int:
        """A wrapped paragraph whose sentences are coloured by what they are about; gives the y below it."""
        x, y, space = float(left), top, font(size).getlength(" ")
        for sentence in re.split(r"(?<=[.”])\s+", paragraph):
            colour = SPEECH if SPOKEN.search(sentence) else MUSIC if HEARD.search(sentence) else INK
            for word in sentence.split():
                length = font(size).getlength(word)
                if x + length > left + width:
                    x, y = float(left), y + leading
                self.text(x, y, word, size, colour)
                x += length + space
        return y + leading


def richest(clips: Sequence[Clip], number: int = 2) -> list[Clip]:
    """The kept clips of which most is known, in order of time: one with a person first, if there is one."""

    def known(clip: Clip) -> tuple[int, int]:
        facts = (clip["people"], clip["transcript"], clip["key"], clip["tempo"])
        return sum(map(bool, facts)), -clip["clip_index"]

    kept = sorted((clip for clip in clips if clip["merge_caption"]), key=known, reverse=True)
    peopled = [clip for clip in kept if clip["people"]][:1]
    chosen = peopled + [clip for clip in kept if clip not in peopled][: number - len(peopled)]
    return sorted(chosen, key=lambda clip: clip["clip_index"])


def draw(clips: Sequence[Clip], shown: Sequence[Clip], pictures: dict[float, Image.Image], title: str) -> Image.Image:
    """The whole picture, `WIDTH` px wide."""
    sheet = Sheet(clips, pictures, 2000)
    sheet.heading(title)
    sheet.strip()
    top = sheet.lanes() + 34
    gap = 44
    width = (WIDTH - 2 * MARGIN - gap * (len(shown) - 1)) // len(shown)
    bottoms = [sheet.card(clip, MARGIN + place * (width + gap), top, width) for place, clip in enumerate(shown)]
    return sheet.image.crop((0, 0, WIDTH, max(bottoms) + 6))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the picture; 2 where the run cannot be read or has no such video."""
    parser = argparse.ArgumentParser(prog="samples.picture", description="Draw what a run found in one video.")
    parser.add_argument("run", help="the run's folder")
    parser.add_argument("--video", default="trailer", help="a part of the video's URI (default: trailer)")
    parser.add_argument("--clips", type=int, nargs="+", help="clip numbers to show with their captions")
    parser.add_argument("--to", type=Path, default=Path("docs/picture.png"), help="default: docs/picture.png")
    options = parser.parse_args(argv)
    try:
        rows = store.open(options.run).to_table(columns=COLUMNS, dropped=True).to_pylist()
    except RushesError as problem:
        print(problem, file=sys.stderr)
        return 2
    paths = sorted({row["video_path"] for row in rows if options.video in row["video_path"]})
    if not paths:
        print(f"no clip of a video named {options.video!r} in {options.run}", file=sys.stderr)
        return 2
    clips = sorted((row for row in rows if row["video_path"] == paths[0]), key=lambda row: row["clip_index"])
    shown = [clip for clip in clips if clip["clip_index"] in options.clips] if options.clips else richest(clips)
    seconds = clips[-1]["clip_start_end_time"][1]
    title = f"{Path(paths[0]).name}: {seconds:.0f} seconds, {len(clips)} clips"
    picture = draw(clips, shown, keyframes(paths[0], clips), title)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(options.to, optimize=True)
    print(f"{options.to}: {picture.width}×{picture.height}, {options.to.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
