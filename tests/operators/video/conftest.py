"""Small films made for the tests: coloured scenes with hard cuts, and tones where sound is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition


class FilmStudio:
    """Makes pictures, sounds and films in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def scene(number: int, width: int, height: int) -> np.ndarray:
        """A picture of coloured blocks, H×W×3 BGR uint8, unlike that of every other number."""
        rng = np.random.default_rng(number)
        hue = (number * 67) % 180
        blocks = np.stack(
            [rng.integers(hue, hue + 12, (6, 8)) % 180, rng.integers(120, 255, (6, 8)), rng.integers(60, 240, (6, 8))],
            axis=-1,
        ).astype(np.uint8)
        picture = cv2.cvtColor(blocks, cv2.COLOR_HSV2BGR)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)

    @staticmethod
    def scenes(lengths: Sequence[int], width: int, height: int) -> list[np.ndarray]:
        """One still scene per length in frames."""
        return [picture for n, k in enumerate(lengths) for picture in [FilmStudio.scene(n, width, height)] * k]

    @staticmethod
    def texture(number: int, width: int, height: int) -> np.ndarray:
        """Coloured clouds in which motion can be seen everywhere, H×W×3 BGR uint8."""
        noise = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
        clouds = cv2.GaussianBlur(noise, (0, 0), max(1.0, width / 100)).astype(np.float32)
        return cv2.normalize(clouds, clouds, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)

    @staticmethod
    def tone(seconds: float, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
        """A sine of that length at 44.1 kHz, float32."""
        return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 44_100)) / 44_100)).astype(np.float32)

    def make(
        self,
        pictures: Sequence[np.ndarray],
        name: str = "film.mp4",
        *,
        fps: int | Fraction = 25,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        options: dict[str, str] | None = None,
        times: Sequence[float] | None = None,
        start: float = 0.0,
        rotation: int = 0,
        pixel_aspect: Fraction | None = None,
        colour: tuple[int, int] | None = None,
        sound: np.ndarray | None = None,
        sound_start: float = 0.0,
        cover: np.ndarray | None = None,
    ) -> Path:
        """Writes a film and gives its path.

        `pictures`: BGR pictures of one size; `times`: their presentation times in seconds (default:
        constant rate); `sound`: mono float samples at 44.1 kHz beginning at `sound_start` seconds.
        """
        path = self.folder / name
        height, width = pictures[0].shape[:2]
        base = Fraction(1, 1000) if times is not None else 1 / Fraction(fps)
        with av.open(str(path), "w") as container:
            art: Any = None
            if cover is not None:
                art = container.add_stream("mjpeg", 1)
                art.height, art.width = cover.shape[:2]
                art.pix_fmt = "yuvj420p"
                art.disposition = Disposition.attached_pic
            video: Any = container.add_stream(codec, Fraction(fps), options=options or {})
            video.width, video.height, video.pix_fmt = width, height, pix_fmt
            video.codec_context.time_base = base
            video.codec_context.thread_count = 1
            if pixel_aspect is not None:
                video.codec_context.sample_aspect_ratio = pixel_aspect
            if colour is not None:
                video.codec_context.colorspace, video.codec_context.color_range = colour
            if rotation:
                video.set_display_rotation(rotation)
            audio: Any = container.add_stream("aac", 44_100, layout="mono") if sound is not None else None
            if cover is not None:
                container.mux(
                    art.encode(av.VideoFrame.from_ndarray(cover, format="bgr24").reformat(format="yuvj420p"))
                )
            packets = []
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
                moment = times[index] if times is not None else index * base
                frame.pts, frame.time_base = round((Fraction(moment) + Fraction(start)) / base), base
                if colour is not None:
                    frame = frame.reformat(format=pix_fmt, dst_colorspace=colour[0], dst_color_range=colour[1])
                packets += video.encode(frame)
            packets += video.encode()
            if sound is not None:
                packets += _encode_sound(audio, sound, sound_start)
            for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
                container.mux(packet)
        return path


def _encode_sound(audio: Any, sound: np.ndarray, start: float) -> list[av.Packet]:
    packets = []
    for first in range(0, len(sound), 1024):
        samples = sound[None, first : first + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = 44_100, Fraction(1, 44_100)
        frame.pts = first + round(start * 44_100)
        packets += audio.encode(frame)
    return packets + audio.encode()


@pytest.fixture(scope="session")
def lasting_films(tmp_path_factory: pytest.TempPathFactory) -> FilmStudio:
    """A studio whose films several tests may share."""
    return FilmStudio(tmp_path_factory.mktemp("films"))


@pytest.fixture
def films(tmp_path: Path) -> FilmStudio:
    """A studio in the test's own folder."""
    return FilmStudio(tmp_path)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: quicker for tiny models on a busy machine, and its CPU time is work and not waiting."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
