"""Opening a video by its URI, wherever it lies, as a file on this machine's disk.

URIs come from manifests and folders that strangers filled: only local paths and `s3://` are opened,
nothing outside the input folder, and only regular files.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.contract import Media
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from store.scratch import scratch_folder
from store.video_entry import check_uri, shown

if TYPE_CHECKING:
    from store.s3_download import S3Download


MAX_DOWNLOAD_GB = 100.0
"""10⁹ bytes of a video on S3 that are downloaded at most; a three-hour film in ProRes has about as many."""

MAX_DOWNLOAD_VARIABLE = "RUSHES_MAX_DOWNLOAD_GB"


@dataclass
class _Download:
    """A file that was downloaded, how many use it now, and what removes it."""

    media: Media
    users: int
    removal: ExitStack


class MediaOpener:
    """Opens URIs as `operators.contract.Media`; picklable, so that workers receive it.

    `root` is the input folder or `s3://bucket/prefix`, and nothing outside it is opened: no other path,
    and no symbolic link that leaves it. None, for manifests, opens whatever a manifest names. `cache_dir`
    holds downloads while they are in use, by default the folder for temporary files (`TMPDIR`).
    `max_bytes` bounds a download: by default `RUSHES_MAX_DOWNLOAD_GB` (10⁹ bytes) of the environment in
    which the opener is made, the driver's, and `MAX_DOWNLOAD_GB` without it.

    Used as `with opener(uri) as media`. Raises `RowFailure`: refused (scheme, outside `root`, no regular
    file, over `max_bytes`), unreadable (missing, no permission, a folder, empty, storage that does not
    answer, no room on the disk), changed (written over during each of three downloads).

    A video is downloaded once while somebody uses it, and the last one stays until another is asked for:
    the clips of a video come one after the other.
    """

    def __init__(self, root: str | None, cache_dir: Path | None = None, max_bytes: int | None = None) -> None:
        if root is None or root.startswith("s3://"):
            self._root = root
        else:
            self._root = os.path.realpath(check_uri(root))
        self._cache_dir = cache_dir
        self._max_bytes = max_bytes if max_bytes is not None else _most_bytes()
        self._forget()

    def _forget(self) -> None:
        self._s3: S3Download | None = None
        self._lock = threading.RLock()
        self._here: dict[str, _Download] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_root": self._root, "_cache_dir": self._cache_dir, "_max_bytes": self._max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @contextmanager
    def __call__(self, uri: str) -> Iterator[Media]:
        try:
            place = check_uri(uri)
        except ValueError as problem:
            raise RowFailure(ErrorKind.REFUSED, str(problem)) from None
        if not place.startswith("s3://"):
            yield self._local(place)
            return
        if self._root is not None and not place.startswith(f"{self._root.rstrip('/')}/"):
            raise RowFailure(ErrorKind.REFUSED, f"it lies outside the input {self._root}; name it in a manifest")
        download = self._borrowed(place)
        try:
            yield download.media
        finally:
            with self._lock:
                download.users -= 1

    def close(self) -> None:
        """Remove the downloads that nobody uses."""
        with self._lock:
            for place in [place for place, download in self._here.items() if not download.users]:
                self._here.pop(place).removal.close()

    def _borrowed(self, place: str) -> _Download:
        with self._lock:
            if place not in self._here:
                self.close()
                with ExitStack() as undone:
                    folder = undone.enter_context(scratch_folder("rushes-media-", self._cache_dir))
                    media = self._downloads()(place, folder)
                    self._here[place] = _Download(media, 0, undone.pop_all())
            self._here[place].users += 1
            return self._here[place]

    def _downloads(self) -> S3Download:
        from store.s3_download import S3Download  # imports boto3, which local runs need not wait for

        if self._s3 is None:
            self._s3 = S3Download(self._max_bytes)
        return self._s3

    def _local(self, place: str) -> Media:
        """A local file; its etag is size and time of change in nanoseconds."""
        root = self._root
        if root is not None and root.startswith("s3://"):
            raise RowFailure(ErrorKind.REFUSED, f"it lies outside the input {root}; name it in a manifest")
        path = os.path.realpath(Path(root or "", place))
        if root is not None and not Path(path).is_relative_to(root):
            raise RowFailure(
                ErrorKind.REFUSED, "it leads out of the input folder; copy the file there or name it in a manifest"
            )
        try:
            facts = os.stat(path)  # noqa: PTH116 - `path` is a string that may hold undecodable bytes
            if stat.S_ISDIR(facts.st_mode):
                raise RowFailure(ErrorKind.UNREADABLE, "it is a folder, not a video file; rename or remove it")
            if not stat.S_ISREG(facts.st_mode):
                raise RowFailure(ErrorKind.REFUSED, "it is a device, pipe or socket; name a regular file")
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError as problem:
            raise RowFailure(ErrorKind.UNREADABLE, _local_remedy(problem)) from None
        if facts.st_size == 0:
            raise RowFailure(ErrorKind.UNREADABLE, "the file is empty; copy it again from its source")
        return Media(path=Path(path), size=facts.st_size, etag=f"{facts.st_size}-{facts.st_mtime_ns}")


def _most_bytes() -> int:
    """Raises `ConfigurationError` where the variable holds no number."""
    told = os.environ.get(MAX_DOWNLOAD_VARIABLE) or str(MAX_DOWNLOAD_GB)
    try:
        most = float(told)
    except ValueError:
        most = 0.0
    if not 0 < most < 1e9:
        raise ConfigurationError(f"{MAX_DOWNLOAD_VARIABLE} is {shown(told)}; give a number of gigabytes, such as 100")
    return int(most * 1e9)


def _local_remedy(problem: OSError) -> str:
    match problem.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "there is no such file; check the path"
        case errno.EACCES | errno.EPERM:
            return "no permission to read it; chmod it or run as its owner"
        case errno.ELOOP:
            return "its symbolic links go round in a circle; replace them by the file"
        case _:
            return f"it cannot be opened: {problem.strerror}; check the disk it lies on"
