"""What the decoding process gives up before it reads a hostile file: sockets, other programs, files to write to.

A decoder that is made to run somebody's code can then still read files and talk to its parent, and that is
all. On Linux these are, where the kernel has them: limits on resources, a Landlock domain that allows no
writing, no program, no TCP, and no look into processes outside of it (Linux 5.13, `landlock(7)`), and a
seccomp filter that refuses sockets and new programs (`seccomp(2)`). Elsewhere the limits on resources hold
alone, and what FFmpeg may open (`operators.video.stream`).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

CORE_BYTES = 0
SAID_BYTES = 1 << 20
"""Bytes of a file that the process may write: what it says on standard error, which is a file."""

OPEN_FILES = 64

_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # the same on all architectures
_LANDLOCK_VERSION = 1
_FS = (1 << 0 | 1 << 1) | 0x1FF0  # execute, write_file; remove_dir … make_sym
_FS_BY_ABI = ((2, 1 << 13), (3, 1 << 14))  # refer, truncate
_NET = 1 << 0 | 1 << 1  # bind_tcp, connect_tcp: from version 4
_SCOPED = 1 << 0 | 1 << 1  # abstract sockets, signals: from version 6

_CAP_DAC_OVERRIDE = 1 << 1  # capabilities(7)

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_SPEC_ALLOW = 1 << 2  # older kernels make a filtered process slow otherwise
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
_EPERM = 1

_MACHINES: dict[str, tuple[int, int, tuple[int, ...]]] = {
    # Audit architecture, the number of seccomp(2), and those that are refused: socket, connect, socketpair, ptrace,
    # execve, execveat, process_vm_readv, process_vm_writev, io_uring_setup, bpf, userfaultfd.
    "x86_64": (0xC000003E, 317, (41, 42, 53, 101, 59, 322, 310, 311, 425, 321, 323)),
    "aarch64": (0xC00000B7, 277, (198, 203, 199, 117, 221, 281, 270, 271, 425, 280, 282)),
}


def confine() -> tuple[str, ...]:
    """Give up what decoding never needs, for good; the names of the fences that stand.

    To be called in a process of one thread: threads that run already keep what they have.
    """
    fences = []
    if _limit_resources():
        fences.append("rlimits")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            fences += [name for name, raise_ in (("landlock", _landlock), ("seccomp", _seccomp)) if raise_(libc)]
        if _drop_capabilities(libc):
            fences.append("capabilities")
    return tuple(fences)


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Of root's rights keep the one to read files of others, where it is there."""
    version, held = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    if libc.capget(version, held) != 0:
        return False
    _, permitted, *_ = struct.unpack("=6I", held.raw)
    kept = permitted & _CAP_DAC_OVERRIDE
    return libc.capset(version, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) == 0


def _limit_resources() -> bool:
    try:
        import resource
    except ImportError:
        return False
    for what, most in (
        (resource.RLIMIT_CORE, CORE_BYTES),
        (resource.RLIMIT_FSIZE, SAID_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    return True


def _landlock(libc: ctypes.CDLL) -> bool:
    """A domain without any rule: what it handles, it refuses."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION))
    if version < 1:
        return False
    files = _FS | sum(right for since, right in _FS_BY_ABI if version >= since)
    handled = struct.pack("=QQQ", files, _NET if version >= 4 else 0, _SCOPED if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = libc.syscall(_LANDLOCK_CREATE_RULESET, handled, ctypes.c_size_t(size), ctypes.c_uint32(0))
    if rules < 0:
        return False
    try:
        return libc.syscall(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)) == 0
    finally:
        os.close(rules)


def _seccomp(libc: ctypes.CDLL) -> bool:
    """Refuse the calls of `_MACHINES` with EPERM, and every call by the numbers of another architecture."""
    if platform.machine() not in _MACHINES or sys.maxsize < 1 << 32:
        return False
    architecture, seccomp, refused = _MACHINES[platform.machine()]
    count = len(refused)
    refusal = _REFUSE | _EPERM
    # Classic BPF over struct seccomp_data: the call's number at 0, the architecture at 4.
    steps = [
        (0x20, 0, 0, 4),
        (0x15, 0, count + 3, architecture),
        (0x20, 0, 0, 0),
        (0x35, count + 1, 0, 0x40000000),  # x32's numbers
        *((0x15, count - place, 0, number) for place, number in enumerate(refused)),
        (0x06, 0, 0, _ALLOW),
        (0x06, 0, 0, refusal),
    ]
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(steps), ctypes.addressof(buffer))
    return libc.syscall(seccomp, _SECCOMP_SET_MODE_FILTER, ctypes.c_uint(_SECCOMP_SPEC_ALLOW), head) == 0
