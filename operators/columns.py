"""Every standard column: its Arrow type, unit, meaning and where its name comes from.

The written schema is a superset of the fields that MMTrail released, under their own names
(`source="MMTrail"`). Columns that a preset cannot fill are null. An operator takes its `writes`
from here with `select`, or declares fields of its own.
"""

from __future__ import annotations

import pyarrow as pa

STRUCTS = {
    "error": pa.struct([("operator", pa.string()), ("kind", pa.string()), ("message", pa.string())]),
    "word": pa.struct(
        [("word", pa.string()), ("start", pa.float32()), ("end", pa.float32()), ("confidence", pa.float32())]
    ),
    "tag": pa.struct([("tag", pa.string()), ("score", pa.float32())]),
    "timed_text": pa.struct([("text", pa.string()), ("time", pa.string())]),
}


def _field(name: str, kind: pa.DataType, unit: str, doc: str, source: str = "") -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "doc": doc, "source": source})


M = "MMTrail"
_texts = pa.list_(pa.string())
_floats = pa.list_(pa.float32())

IDENTITY = (
    _field("video_id", pa.string(), "", "from the manifest, or a hash of the URI", M),
    _field("video_path", pa.string(), "", "URI of the source video", M),
    _field("clip_id", pa.string(), "", "video_id + '_' + seven-digit clip_index", M),
    _field("clip_path", pa.string(), "", "video_path + '#t=start,end' (W3C media fragment, seconds)", M),
    _field("clip_index", pa.int32(), "", "position of the clip in its video, from 0"),
)

SHOT = (
    _field("video_duration", pa.float64(), "s", "duration of the video stream (null until known)", M),
    _field("video_resolution", pa.list_(pa.int32()), "px", "[height, width] as displayed", M),
    _field("video_fps", pa.float64(), "1/s", "average frame rate", M),
    _field("clip_duration", pa.float64(), "s", "end minus start", M),
    _field("clip_start_end_idx", pa.list_(pa.int64()), "frame", "[first frame, one past the last] as decoded", M),
    _field("clip_start_end_time", pa.list_(pa.float64()), "s", "[start, end] on the presentation clock"),
    _field("of_score", pa.float32(), "px", "mean motion magnitude per frame step at the analysis size", M),
    _field("motion_method", pa.string(), "", "codec_motion_vectors | optical_flow | none"),
    _field("pan_x", pa.float32(), "width/s", "horizontal camera speed; positive when the camera turns right"),
    _field("pan_y", pa.float32(), "height/s", "vertical camera speed; positive when the camera turns down"),
    _field("zoom", pa.float32(), "1/s", "rate of scale change; positive when the camera moves in"),
    _field("motion_residual", pa.float32(), "px", "mean motion left after the camera's is taken out"),
    _field("keyframe_times", pa.list_(pa.float64()), "s", "presentation times of the three keyframes"),
)

TRANSIENT = (
    _field("keyframes", pa.list_(pa.binary()), "JPEG", "three keyframes at 20, 50 and 80 % of the clip"),
    _field("audio", pa.binary(), "int16 LE", "the clip's audio, mono, 16,000 samples per second; null if none"),
)

QUALITY = (
    _field("image_quality", pa.float32(), "0–100", "overall image quality, mean over the keyframes", M),
    _field("imaging_quality", pa.float32(), "0–100", "the same value under the released sample's name", M),
    _field("sharpness", pa.float32(), "0–1", "edge acuity, median over the keyframes"),
    _field("brightness", pa.float32(), "0–1", "mean luma"),
    _field("contrast", pa.float32(), "0–1", "standard deviation of luma"),
    _field("exposure", pa.float32(), "0–1", "share of pixels neither crushed nor clipped"),
    _field("colourfulness", pa.float32(), "", "Hasler and Süsstrunk's M3"),
    _field("image_embedding", _floats, "", "image embedding, mean over the keyframes, unit length (models only)"),
    _field("ocr_score", pa.float32(), "0–1", "area of text boxes over frame area, mean over the keyframes", M),
    _field("screen_text", _texts, "", "text read at each keyframe, one string each; untrusted text (models only)"),
    _field("aesthetic_score", _floats, "1–10", "LAION aesthetic predictor at the keyframes (models only)", M),
)

VERDICT = (
    _field("tier", pa.string(), "", "hq | visual; null when dropped"),
    _field("drop_reason", pa.string(), "", "first gate of the visual tier that failed; null when kept"),
    _field("hq_drop_reason", pa.string(), "", "first gate of the hq tier that failed; null in the hq tier"),
)

SCENE = (
    _field("people", pa.int32(), "", "people seen: faces, and tracks that last over the keyframes"),
    _field("faces", pa.list_(pa.int32()), "", "faces found at each keyframe"),
    _field("person_height", pa.float32(), "0–1", "height of the largest person over frame height"),
    _field("person_position", pa.string(), "", "left | centre | right; null without a person"),
    _field("person_scale", pa.string(), "", "shot scale from face and body size; empty when no person was found"),
    _field("view_scale", pa.string(), "", "shot scale in words: `person_scale`, or a model's answer", M),
    _field("movement", pa.string(), "", "camera movement in words", M),
    _field("speed", pa.string(), "", "pace of the motion in words", M),
    _field("dominant_colours", _texts, "", "names of the main colours, largest first"),
    _field("objects", _texts, "", "objects that were detected", M),
    _field("background", pa.string(), "", "background in a few words, where detected", M),
    _field("frame_caption", _texts, "", "one caption per keyframe", M),
    _field("caption", pa.string(), "", "caption of the clip's picture", M),
)

AUDIO = (
    _field("loudness", pa.float32(), "dBFS", "RMS level of the clip"),
    _field("speech_share", pa.float32(), "0–1", "share of the clip with voice activity"),
    _field("music_share", pa.float32(), "0–1", "share of the clip that sounds like music"),
    _field("silence_share", pa.float32(), "0–1", "share of the clip under the silence floor"),
    _field("audio_tags", pa.list_(STRUCTS["tag"]), "", "tags with scores from 0 to 1, largest first"),
    _field("audio_embedding", _floats, "", "sound embedding, mean over the windows, unit length (models only)"),
    _field("tempo", pa.float32(), "beats/min", "tempo, where music was found"),
    _field("key", pa.string(), "", "musical key, such as 'A minor', where music was found"),
    _field("energy", _floats, "dBFS", "RMS level of each second"),
    _field("music_caption", pa.list_(STRUCTS["timed_text"]), "", "description of the music, {text, time}", M),
    _field("music_caption_wo_vocal", pa.list_(STRUCTS["timed_text"]), "", "music without its vocals (models only)", M),
    _field("vocal_caption", pa.string(), "", "what the voices do, in words", M),
)

SPEECH = (
    _field("speech_spans", pa.list_(_floats), "s", "[start, end] of voice activity, from the clip's start"),
    _field("transcript", pa.string(), "", "words spoken; untrusted text"),
    _field("words", pa.list_(STRUCTS["word"]), "s", "words with times from the clip's start, confidence 0–1 if heard"),
    _field("transcript_quality", pa.string(), "", "low | high | given (by the manifest); null without speech"),
    _field("language", pa.string(), "", "language of the speech as a BCP 47 tag; null where unknown"),
)

FUSION = (
    _field("polish_caption", pa.string(), "", "the picture's caption, rewritten", M),
    _field("merge_caption", pa.string(), "", "one paragraph: the picture leads, music and speech keep their place", M),
    _field("merge_fallback", pa.string(), "", "why a model's text was refused and the stated one stands; else null"),
)

BOOKKEEPING = (
    _field("extra", pa.string(), "JSON", "the manifest's other columns"),
    _field("provenance", pa.map_(pa.string(), pa.string()), "", "column → operator/version@revision that made it"),
    _field("error", STRUCTS["error"], "", "null, except in failed/"),
)

STANDARD: tuple[pa.Field, ...] = (
    *IDENTITY, *SHOT, *QUALITY, *VERDICT, *SCENE, *AUDIO, *SPEECH, *FUSION, *BOOKKEEPING,
)  # fmt: skip
"""Columns of every clip table, in order. `TRANSIENT` joins them when the run keeps media."""

_BY_NAME = {field.name: field for field in (*STANDARD, *TRANSIENT)}


def select(*names: str) -> pa.Schema:
    """The standard fields of these names, as an operator's `writes`.

    Raises `KeyError` for a name that is not a standard column.
    """
    return pa.schema([_BY_NAME[name] for name in names])
