"""Files that are something else: lists that name other files and addresses, pages, archives, scripts."""

from __future__ import annotations

import io
import tarfile
import zipfile
from random import Random

from tests.hostile.boxes import box

TARGETS = (
    "file:///etc/passwd",
    "/etc/passwd",
    "../../../../etc/passwd",
    "http://127.0.0.1:9/x.ts",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "https://[::1]:9/x.mp4",
    "tcp://127.0.0.1:9",
    "gopher://127.0.0.1:9/_x",
    "concat:/etc/passwd|/etc/hosts",
    "subfile,,start,0,end,64,,:/etc/passwd",
    "data:video/mp4;base64,AAAA",
    "pipe:0",
    "fd:0",
    "crypto+file:/etc/passwd",
)
"""What a list may name that no video has business with."""

LISTS: dict[str, str] = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n",
    "hls key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n',
    "hls map": '#EXTM3U\n#EXT-X-MAP:URI="{target}"\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n',
    "hls master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "concat options": "ffconcat version 1.0\nfile '{target}'\noption safe 0\noption protocol_whitelist ALL\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'contentType="video"><Representation id="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={target}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\na=control:{target}\n",
    "rtsp text": "RTSPtext\nrtsp://{target}\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "redirect": "[Reference]\nRef1={target}\n",
    "smooth": '<SmoothStreamingMedia><StreamIndex Type="video" Url="{target}"/></SmoothStreamingMedia>',
    "imf": '<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><Path>{target}</Path></AssetMap>',
    "avisynth": 'DirectShowSource("{target}")\n',
    "vapoursynth": "import os\nos.system('cat {target}')\n",
    "ffmetadata": ";FFMETADATA1\ntitle={target}\n",
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\ntimestamp: 00:00:00:000, "
    "filepos: 0\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\n{target}\n",
    "ass": "[Script Info]\nScriptType: v4.00+\n[Events]\nDialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{target}\n",
    "lrc": "[00:00.00]{target}\n",
    "mpsub": "TITLE={target}\nFORMAT=TIME\n0 1\n{target}\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
    "html": '<!doctype html><script>fetch("{target}")</script><video src="{target}">',
    "shell": "#!/bin/sh\ncat {target}\n",
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
}
"""Texts by what reads them, with a place for {target}."""


def a_list(data: bytes, rng: Random) -> bytes:
    """A text that names another file or address."""
    return text(rng.choice(sorted(LISTS)), rng.choice(TARGETS))


def text(name: str, target: str) -> bytes:
    """One of `LISTS` naming `target`."""
    return LISTS[name].replace("{target}", target).encode()


def list_before_film(data: bytes, rng: Random) -> bytes:
    """A list in front of a whole film."""
    return a_list(data, rng) + bytes(rng.choice((0, 4096))) + data


def list_in_film(data: bytes, rng: Random) -> bytes:
    """A film that begins with a box in which a list, a page or a script stands."""
    return box(b"free", a_list(data, rng)) + data


def archive(data: bytes, rng: Random) -> bytes:
    """A zip or tar archive with a film in it, or a film with an archive behind it."""
    sink = io.BytesIO()
    if rng.random() < 0.5:
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in (("../../film.mp4", data), ("zeros", bytes(8 << 20))):
                packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of no date
    else:
        with tarfile.open(fileobj=sink, mode="w") as tape:
            member = tarfile.TarInfo("/etc/film.mp4")
            member.size = len(data)
            tape.addfile(member, io.BytesIO(data))
    return sink.getvalue() if rng.random() < 0.5 else data + sink.getvalue()


def other_file(data: bytes, rng: Random) -> bytes:
    """The beginning of a file of another trade."""
    heads = (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/URI/URI(http://127.0.0.1:9/)>>>>endobj\n",
        b"\x7fELF\x02\x01\x01" + bytes(57),
        b"MZ" + bytes(62),
        b"PK\x03\x04" + bytes(26),
        b"\x89PNG\r\n\x1a\n" + bytes(17),
        b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        b"SQLite format 3\0",
        b"RIFF\xff\xff\xff\xffWAVE",
        b"",
    )
    return rng.choice(heads) + rng.randbytes(rng.choice((0, 300, 20_000))) + b"\n"


LONE = (a_list, a_list, other_file)
AROUND = (list_before_film, archive)
MP4 = (list_in_film,)
