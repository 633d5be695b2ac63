"""Files that name other files and addresses: nothing else is read, and nobody is called."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import av
import pytest
from av.error import FFmpegError

from operators.video.decoding import DecodingProcess, Limits
from operators.video.events import Ended
from operators.video.one_pass import PassOptions
from tests.hostile import boxes, disguises
from tests.hostile.sources import clip


class Listener:
    """A server on loopback that notes who calls and hangs up."""

    def __init__(self) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._socket.accept()
                self.calls += 1
                caller.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=10)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that lies elsewhere and plays: where a frame of it is seen, it was read."""
    path = tmp_path_factory.mktemp("elsewhere") / "secret.ts"
    path.write_bytes(clip("mpegts", "libx264", None))
    return path


def targets(secret: Path, listener: Listener) -> list[str]:
    """The secret film and the listener, in the ways in which FFmpeg can be asked for them."""
    address = f"127.0.0.1:{listener.port}"
    return [
        str(secret),
        f"file:{secret}",
        f"file://{secret}",
        f"concat:{secret}",
        f"subfile,,start,0,end,0,,:{secret}",
        f"crypto:{secret}",
        f"cache:{secret}",
        f"http://{address}/a.ts",
        f"tcp://{address}",
        f"hls+http://{address}/a.m3u8",
        f"async:http://{address}/a.ts",
    ]


def test_no_list_is_followed(secret: Path, listener: Listener, tmp_path: Path) -> None:
    before = listener.calls
    followed = []
    process = DecodingProcess(Limits(memory_mb=600))
    try:
        for name in disguises.LISTS:
            for number, target in enumerate(targets(secret, listener)):
                trap = tmp_path / f"{name} {number}.mp4"
                trap.write_bytes(disguises.text(name, target))
                *others, ended = process.watch(trap, PassOptions())
                assert isinstance(ended, Ended)
                if ended.kind != "unreadable" or ended.frames or others:
                    followed.append((name, target, ended))
    finally:
        process.close()
    assert followed == []
    assert listener.calls == before


@pytest.mark.parametrize("kind", [b"alis", b"url ", b"rsrc"])
def test_no_sample_is_read_from_another_file(kind: bytes, secret: Path, tmp_path: Path) -> None:
    film = clip("mov", "mjpeg", None)
    chosen = next(box for box in boxes.boxes(film) if box.type == b"dref")
    entry = boxes.box(kind, bytes(4) + str(secret).encode() + b"\0")
    data = film[: chosen.body + 8] + entry + film[chosen.start + chosen.size :]
    grown = len(entry) - (chosen.size - 16)
    for parent in [box for box in boxes.boxes(film) if box.start <= chosen.start < box.start + box.size]:
        data = data[: parent.start] + (parent.size + grown).to_bytes(4, "big") + data[parent.start + 4 :]
    (tmp_path / "trap.mov").write_bytes(data)
    process = DecodingProcess(Limits(memory_mb=600))
    try:
        *_, ended = process.watch(tmp_path / "trap.mov", PassOptions())
    finally:
        process.close()
    assert isinstance(ended, Ended)
    with av.open(str(tmp_path / "trap.mov")) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"
    assert ended.kind in (None, "decode", "no_video", "unreadable")
    assert (ended.kind is None) is (ended.frames == 24), "frames are the film's own or none"


def test_the_traps_bite_where_nothing_guards(secret: Path, listener: Listener, tmp_path: Path) -> None:
    """FFmpeg as it comes follows these lists, so that the tests above say something."""
    trap = tmp_path / "trap.txt"
    trap.write_bytes(disguises.text("concat", str(secret)))
    with av.open(str(trap), format="concat", options={"safe": "0"}) as container:
        assert next(container.decode(video=0)).width > 0
    trap.write_bytes(disguises.text("hls", str(secret)))
    with av.open(str(trap), format="hls") as container:
        assert next(container.decode(video=0)).width > 0
    before = listener.calls
    trap.write_bytes(disguises.text("hls", f"http://127.0.0.1:{listener.port}/a.ts"))
    options = {"protocol_whitelist": "file,http,tcp"}
    with suppress(FFmpegError), av.open(str(trap), format="hls", options=options, timeout=5):
        pass
    assert listener.calls > before


def test_lists_around_a_film_change_nothing(secret: Path, listener: Listener, tmp_path: Path) -> None:
    before = listener.calls
    film = clip("mp4", "mpeg4", None)
    process = DecodingProcess(Limits(memory_mb=600))
    try:
        for number, mutate in enumerate((disguises.list_in_film, disguises.list_before_film, disguises.archive)):
            trap = tmp_path / f"{number}.mp4"
            trap.write_bytes(mutate(film, Random(number)))
            *_, ended = process.watch(trap, PassOptions())
            assert isinstance(ended, Ended)
            assert ended.frames <= 24 and ended.kind in (None, "unreadable", "no_video", "decode")
    finally:
        process.close()
    assert listener.calls == before
