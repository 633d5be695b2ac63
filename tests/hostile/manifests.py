"""Manifests that strangers wrote: names that climb, addresses of the machine's own network, tables that explode."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

PLACES = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/zero",
    "file:///etc/shadow",
    "file:///proc/self/mem",
    "file://localhost/etc/passwd",
    "file:///%2e%2e/%2e%2e/etc/passwd",
)
"""Local places that are no videos. A manifest may name any local file; that it is no film is found by reading it."""

FORBIDDEN = (
    "http://127.0.0.1:9/a.mp4",
    "http://localhost/a.mp4",
    "http://[::1]/a.mp4",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://10.0.0.1/a.mp4",
    "http://192.168.1.1/a.mp4",
    "http://2130706433/a.mp4",
    "http://0x7f.1/a.mp4",
    "https://user:secret@host/a.mp4",
    "HTTP://127.0.0.1/a.mp4",
    "ftp://127.0.0.1/a.mp4",
    "rtmp://127.0.0.1/live",
    "rtsp://127.0.0.1/live",
    "tcp://127.0.0.1:22",
    "udp://239.0.0.1:1234",
    "gopher://127.0.0.1:25/_HELO",
    "smb://host/share/a.mp4",
    "gs://bucket/a.mp4",
    "data:video/mp4;base64,AAAA",
    "javascript://%0aalert(1)",
    "file://10.0.0.1/share/a.mp4",
    "file:etc/passwd",
    "s3://bucket@127.0.0.1:9/a.mp4",
    "s3://127.0.0.1:9/a.mp4",
    "s3://key:secret@bucket/a.mp4",
    "s3://bucket?endpoint_url=http://127.0.0.1:9/a.mp4",
    "s3://../a.mp4",
    "s3:///a.mp4",
    "s3://bucket/a\r\nX-Evil: 1.mp4",
    "a\0.mp4",
    "a\r\nSet-Cookie: x.mp4",
    "\x1b]0;owned\x07.mp4",
    "x" * (1 << 20),
    "",
)
"""Places that no manifest may name; none of them is opened to find that out."""

IDS = (
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "..",
    ".",
    "a\r\nb",
    "a\0b",
    "\x1b[31mred",
    "\u202egpj.exe",
    "zero\u200bwidth",
    " outer ",
    "x" * (1 << 20),
    "",
)
"""Identifiers that are no names."""

FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", '=HYPERLINK("http://127.0.0.1:9/")', "\t=1", "\r=1")
"""Cells that a spreadsheet would run; they are carried along as text."""


def deep_json(depth: int) -> bytes:
    """A row whose extra column holds lists in lists."""
    return b'{"uri": "a.mp4", "x": ' + b"[" * depth + b"]" * depth + b"}\n"


def _parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)  # type: ignore[arg-type]
    return sink.getvalue()


def wide_csv() -> bytes:
    """A million columns."""
    return b"uri," + b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n"


def wide_parquet() -> bytes:
    """Two thousand columns."""
    return _parquet(pa.table({"uri": ["a.mp4"], **{f"c{number}": [number] for number in range(2000)}}))


def parquet_bomb() -> bytes:
    """Three hundred megabytes of zeros as one text, in less than a hundred kilobytes."""
    text = pa.array([b"\0" * (300 << 20)], pa.large_binary())
    return _parquet(
        pa.table({"uri": ["a.mp4"], "x": text}), compression="zstd", use_dictionary=False, write_statistics=False
    )


def dictionary_bomb() -> bytes:
    """A text of a megabyte that a hundred thousand rows repeat, for a few bits each."""
    rows = 100_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * (1 << 20)]))
    return _parquet(pa.table({"uri": ["a.mp4"] * rows, "x": texts}), compression="zstd")


def lying_parquet() -> Iterator[bytes]:
    """A whole Parquet file with bytes of its footer changed, one after another."""
    whole = bytearray(_parquet(pa.table({"uri": ["a.mp4"] * 9, "note": ["n"] * 9})))
    length = int.from_bytes(whole[-8:-4], "little")
    for at in range(len(whole) - 8 - length, len(whole) - 4, 3):
        for byte in (0xFF, 0x7F, whole[at] ^ 0x10):
            changed = bytearray(whole)
            changed[at] = byte
            yield bytes(changed)


def tables(name: str) -> bytes:
    """A manifest that explodes, by name."""
    return EXPLODING[name]()


EXPLODING: dict[str, Callable[[], bytes]] = {
    "wide.csv": wide_csv,
    "wide.parquet": wide_parquet,
    "bomb.parquet": parquet_bomb,
    "dictionary.parquet": dictionary_bomb,
    "deep.jsonl": lambda: deep_json(480),
    "deeper.jsonl": lambda: deep_json(100_000),
    "long line.jsonl": lambda: b'{"uri": "' + b"a" * (2 << 20) + b'"}\n',
    "huge number.jsonl": lambda: b'{"uri": "a.mp4", "x": 1' + b"0" * 10_000 + b"}\n",
    "not a number.jsonl": lambda: b'{"uri": "a.mp4", "x": NaN}\n',
    "infinity.jsonl": lambda: b'{"uri": "a.mp4", "x": -Infinity}\n',
    "many keys.jsonl": lambda: json.dumps({"uri": "a.mp4", **{f"k{n}": n for n in range(20_000)}}).encode(),
    "long cell.csv": lambda: b"uri,x\na.mp4," + b"y" * (1 << 20) + b"\n",
    "quotes.csv": lambda: b'uri\n"' + b'""' * 500_000,
    "zeros.csv": lambda: bytes(1 << 20),
    "zeros.jsonl": lambda: bytes(1 << 20),
    "zip.parquet": lambda: b"PAR1" + b"PK\x03\x04" * 100 + (400).to_bytes(4, "little") + b"PAR1",
    "endless footer.parquet": lambda: b"PAR1" + bytes(64) + (0x7FFFFFFF).to_bytes(4, "little") + b"PAR1",
}
"""Manifests by file name that are refused as a whole."""
