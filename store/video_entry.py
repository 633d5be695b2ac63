"""One video of the input: its URI, checked, and its identity."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote_to_bytes

from operators.errors import ConfigurationError

ID_LIMIT = 200
"""Characters of a `video_id`; it becomes part of every `clip_id`."""

PATH_LIMIT = 4096
"""Bytes of a local path (PATH_MAX on Linux)."""

S3_KEY_LIMIT = 1024
"""Bytes of an S3 object key (Amazon S3 user guide, "Naming Amazon S3 objects")."""

SHOWN = 60
"""Characters of a bad value that a message repeats."""

LOOKED_AT = 10_000
"""Characters of a bad value in which passwords are looked for before its beginning is shown."""

_KNOWN = "https?|ftps?|file|data|s3[an]?|gs|az|abfss?|hdfs"
_SCHEME = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]*)://|({_KNOWN}):", re.IGNORECASE)
_USER = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]+@")
_QUERY = re.compile(r"(https?://[^?\s]*)\?\S*", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class ManifestError(ConfigurationError):
    """The input does not name videos that could be processed. The message lists the problems by line."""


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """A video to process.

    `uri` is an absolute local path, `s3://bucket/key`, or `file:///…` with percent-escapes where the
    path holds control characters or bytes that are not UTF-8. `size` (bytes) and `etag` are None where
    the input does not know them; `extra` holds the manifest's other columns as a JSON object.
    """

    video_id: str
    uri: str
    size: int | None = None
    etag: str | None = None
    extra: str | None = None


def shown(value: object, length: int = SHOWN) -> str:
    """`value` for a message: quoted, escaped, without passwords, and cut to `length` characters."""
    whole = value if isinstance(value, str) else repr(value)
    text = without_secrets(whole[:LOOKED_AT])
    cut = text if len(text) <= length and len(whole) <= LOOKED_AT else f"{text[:length]}… ({len(whole):,} characters)"
    return ascii(cut) if not cut.isprintable() else repr(cut)


def without_secrets(text: str) -> str:
    """`text` without what stands before the @ of a URL, and after the ? of a web address (signatures, tokens)."""
    return _QUERY.sub(r"\1?…", _USER.sub(r"\1…@", text))


def make_video_id(identity: str) -> str:
    """A readable identifier: a slug of the file's stem, and 12 hex digits of the SHA-256 of `identity`.

    `identity` says where the video is, never when or by which machine it was found: the path relative
    to the input folder or as a manifest writes it, and the whole URI on S3. So a folder keeps its
    identifiers when it moves, and objects of different prefixes never share one.
    """
    stem = PurePosixPath(identity).stem
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain)[:40].strip("-") or "video"
    return f"{slug}-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:12]}"


def check_video_id(video_id: object) -> str:
    """`video_id` itself. Raises `ValueError` saying what is wrong with it."""
    if not isinstance(video_id, str):
        raise ValueError(f"video_id {shown(video_id)} is not text; write it in quotes")
    if not 0 < len(video_id) <= ID_LIMIT:
        raise ValueError(f"video_id {shown(video_id)} has {len(video_id):,} characters; 1 to {ID_LIMIT} are allowed")
    if not video_id.isprintable() or video_id != video_id.strip() or "/" in video_id or "\\" in video_id:
        raise ValueError(f"video_id {shown(video_id)} holds a slash, a control character or outer spaces; remove them")
    if video_id in (".", ".."):
        raise ValueError(f"video_id {shown(video_id)} is not a name")
    return video_id


def check_uri(uri: object) -> str:
    """A URI of a manifest as `s3://bucket/key` or a local path, still relative where it was.

    Raises `ValueError` for other types, schemes, hosts, control characters and absurd lengths.
    """
    if not isinstance(uri, str):
        raise ValueError(f"uri {shown(uri)} is not text; write it in quotes")
    if not uri.strip():
        raise ValueError("uri is empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in uri):
        raise ValueError(f"uri {shown(uri)} holds a control character; remove it, or write file:///… with %-escapes")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return _check_path(uri)
    name = (scheme[1] or scheme[2]).lower()
    if name == "s3":
        return check_s3(uri)
    if name == "file":
        return local_path(uri)
    raise ValueError(f"uri {shown(uri)} has the scheme {shown(name)}; use a local path or s3://bucket/key")


def check_s3(uri: str) -> str:
    """`uri` itself where it is `s3://bucket/key`. Raises `ValueError` otherwise."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"uri {shown(uri)} does not start with s3://bucket/")
    if not key or key.endswith("/"):
        raise ValueError(f"uri {shown(uri)} names no object; write s3://bucket/key")
    if len(key.encode()) > S3_KEY_LIMIT:
        raise ValueError(f"uri {shown(uri)} has a key of more than {S3_KEY_LIMIT:,} bytes, which S3 does not allow")
    return uri


def local_path(uri: str) -> str:
    """The path behind `file:///…`. Raises `ValueError` for a host or a NUL byte."""
    host, slash, path = uri[len("file:") :].removeprefix("//").partition("/")
    if not uri.lower().startswith("file://") or host not in ("", "localhost") or not slash:
        raise ValueError(f"uri {shown(uri)} is not a local file; write file:///path/to/video")
    return _check_path(os.fsdecode(unquote_to_bytes("/" + path)))


def path_uri(path: str) -> str:
    """An absolute local path as a URI that fits a text column: itself, or `file://…` with %-escapes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        plain = False
    else:
        plain = not any(unicodedata.category(character) == "Cc" for character in path)
    return path if plain else f"file://{quote(os.fsencode(path))}"


def _check_path(path: str) -> str:
    if "\0" in path:
        raise ValueError(f"uri {shown(path)} holds a NUL, which no path may")
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise ValueError(f"uri {shown(path)} is longer than {PATH_LIMIT:,} bytes, the longest path")
    return path
