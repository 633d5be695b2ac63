"""The videos of a folder or of an `s3://` prefix, in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from store.objects import open_store
from store.video_entry import ManifestError, VideoEntry, make_video_id, path_uri

VIDEO_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v",
        ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
        ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv", ".y4m",
    }
)  # fmt: skip
"""Names (lower case) that are taken for videos in folders and prefixes; a manifest may name any file."""


def list_folder(folder: Path, limit: int | None = None) -> list[VideoEntry]:
    """Every entry under `folder` that is named like a video, sorted by its path relative to `folder`.

    Nothing that looks like a video is left out, so that it ends among the rows or the failures:
    directories named like one (and what they hold), unreadable files and directories, and links that
    leave the folder are entries as well. Hidden names are skipped, and links to directories inside
    the folder, whose files are found anyway.

    Raises `ManifestError` where nothing is found.
    """
    root = os.path.realpath(folder)
    found = sorted(_walk(root))
    if not found:
        raise ManifestError(f"no video in {folder}: no name ends in {_suffixes()}. A manifest may name any file.")
    return [
        VideoEntry(make_video_id(relative), path_uri(os.path.join(root, relative)), size)  # noqa: PTH118
        for relative, size in found[:limit]
    ]


def list_prefix(prefix: str, limit: int | None = None) -> list[VideoEntry]:
    """Every object under an `s3://` prefix that is named like a video, sorted by key, with size and ETag.

    Raises `ManifestError` where nothing is found, `StorageError` where the store can't be listed.
    """
    store = open_store(prefix)
    entries: list[VideoEntry] = []
    for info in store.list():
        if not _named_like_video(info.key) or any(
            part.startswith(".") for part in info.key.split("/") if part != ".."
        ):
            continue
        uri = f"{store.url}/{info.key}"
        entries.append(VideoEntry(make_video_id(uri), uri, info.size, info.etag))
        if len(entries) == limit:
            break
    if not entries:
        raise ManifestError(f"no video under {prefix}: no key ends in {_suffixes()}. A manifest may name any object.")
    return entries


def _walk(root: str) -> Iterator[tuple[str, int | None]]:
    """(path relative to `root`, size in bytes or None) of everything that counts as a video."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            children = list(os.scandir(f"{root}/{inside}"))
        except OSError as problem:
            if not inside:
                raise ManifestError(f"--input {root}: {problem.strerror}") from None
            yield inside, None
            continue
        for child in children:
            if _hidden(child.name):
                continue
            relative = f"{inside}/{child.name}" if inside else child.name
            named = _named_like_video(child.name)
            if child.is_symlink():
                if named or (child.is_dir() and not Path(os.path.realpath(child.path)).is_relative_to(root)):
                    yield relative, _size(child)
            elif child.is_dir():
                if named:
                    yield relative, None
                waiting.append(relative)
            elif named:
                yield relative, _size(child)


def _size(child: os.DirEntry[str]) -> int | None:
    try:
        return child.stat().st_size if child.is_file() else None
    except OSError:
        return None


def _named_like_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES and not name.endswith("/")


def _hidden(name: str) -> bool:
    return name.startswith(".") and not name.startswith("..")


def _suffixes() -> str:
    return ", ".join(sorted(VIDEO_SUFFIXES))
