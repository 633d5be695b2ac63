"""Whether the person who is seen is the one who speaks: the mouth's opening against the voice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from operators import columns
from operators.audio import activity
from operators.audio.waveform import SAMPLE_RATE, Samples, decibels, mean_squares, read_samples
from operators.contract import ClipOperator, Row
from operators.contract import Settings as BaseSettings
from operators.pose.columns import FACE_POINTS, select
from operators.pose.topology import FACE
from operators.tensors import read_tensor

LAG = 0.2  # s by which the picture may be early or late
SLOW = 4.0  # s: changes of mouth and voice that last longer (turns of the head, distance) do not count
SMOOTH = 0.08  # s: standard deviation of the smoothing of both curves, about half a syllable
SEEN = 0.6  # share of the frames in which the mouth must be seen
VOICE, PAUSES = 2.0, 1.0  # s with voice, and of clear pauses, in which the mouth must be seen
CLEAR = 15.0  # dB under the voice's level from which sound without voice activity is a clear pause
RANGE = 40.0  # dB below the loudest that the voice's curve reaches down to
FACE_SEEN = 0.5  # score of the face in `presence`

LIPS = ((61, 67), (62, 66), (63, 65))  # pairs of points of the inner lips, upper and lower
EYES = (FACE["right_eye_outer"], FACE["left_eye_outer"])


class Speaking(ClipOperator):
    """Drops clips in which somebody else speaks than the person who is seen.

    `mouth_speech` is the correlation of two curves on the clip's clock, at the best lag within ±0.2 s: how
    far the inner lips are open, over the distance of the outer corners of the eyes, and the sound's level
    in dB. Both are smoothed, and what changes over more than 4 s is taken out. It is null where it would tell
    nothing: where the mouth is not seen in 60 % of the frames, nor in 2 s of voice, nor in a second of clear
    pauses, 15 dB under the voice. Over music or applause there are none.

    A clip is dropped as "someone_else_speaks" where the correlation is under `floor`. Lips tell this only
    roughly. Of made speech with made lips, under another's voice, the default drops over half of the clips
    of 13 s, two thirds of 25 s and nine in ten of a minute, and none with the right voice, down to lips that
    follow it with a correlation of 0.3. A listener who keeps still is dropped, too.
    """

    name = "speaking"
    reads = ("audio", "speech_spans", "video_resolution", "fps", "face_landmarks", "presence")
    writes: pa.Schema = pa.schema([*select("mouth_speech"), *columns.select("drop_reason")])

    class Settings(BaseSettings):
        floor: float = Field(
            default=0.15,
            ge=-1,
            le=1,
            description="correlation of mouth and voice under which a clip is dropped",
        )

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._judged(clip) for clip in clips]

    def _judged(self, clip: Row) -> Row:
        agreement = _agreement_of(clip)
        other = agreement is not None and agreement < self.settings.floor
        return {"mouth_speech": agreement, "drop_reason": "someone_else_speaks" if other else None}


def _agreement_of(clip: Row) -> float | None:
    samples = read_samples(clip.get("audio"))
    if samples is None or clip.get("face_landmarks") is None or not clip.get("speech_spans"):
        return None
    fps = float(clip["fps"])
    height, width = clip["video_resolution"]
    opening = mouth_opening(read_tensor(clip, "face_landmarks", FACE_POINTS, 3), width / height)
    opening[~(read_tensor(clip, "presence", 4)[:, 1] >= FACE_SEEN)] = np.nan
    level = voice_level(samples, len(opening), fps)
    voiced = activity.covered(clip["speech_spans"], len(opening), fps)
    return agreement(opening, level, fps) if tells(np.isfinite(opening), voiced, level, fps) else None


def tells(seen: NDArray[np.bool_], voiced: NDArray[np.bool_], level: NDArray[np.float64], fps: float) -> bool:
    """Whether mouth and voice are there long enough to be compared; all of shape (T,)."""
    if not len(seen) or seen.mean() < SEEN or not voiced.any():
        return False
    paused = ~voiced & (level <= level[voiced].mean() - CLEAR)
    return bool((seen & voiced).sum() >= VOICE * fps and (seen & paused).sum() >= PAUSES * fps)


def mouth_opening(face: NDArray[np.floating], aspect: float) -> NDArray[np.float64]:
    """Distance of the inner lips over that of the outer eye corners, shape (T,); NaN where there is no face.

    `face` has shape (T, 68, 3) in shares of the picture, whose width over height is `aspect`.
    """
    points = face[..., :2].astype(np.float64) * [aspect, 1.0]
    lips = np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in LIPS], axis=0)
    eyes = np.linalg.norm(points[:, EYES[0]] - points[:, EYES[1]], axis=-1)
    return np.divide(lips, eyes, out=np.full(len(lips), np.nan), where=eyes > 0)


def voice_level(samples: Samples, count: int, fps: float) -> NDArray[np.float64]:
    """The sound's level around each of `count` frames, in dB, at most `RANGE` under the loudest; shape (count,)."""
    hop = SAMPLE_RATE // 100
    power = mean_squares(samples, hop)
    times = (np.arange(len(power)) + 0.5) * hop / SAMPLE_RATE
    level = decibels(ndimage.uniform_filter1d(power, 5))
    frames = np.interp(np.arange(count) / fps, times, level)
    return np.maximum(frames, frames.max() - RANGE)


def agreement(opening: NDArray[np.float64], level: NDArray[np.float64], fps: float) -> float:
    """Correlation of the two curves, of shape (T,), at the lag that fits best; 0 where either stands still.

    `opening` may hold NaN for frames without a mouth.
    """
    seen = np.isfinite(opening)
    mouth = _lively(np.where(seen, opening, 0.0), seen, fps)
    voice = _lively(level, np.ones(len(level), dtype=bool), fps)
    reach = round(LAG * fps)
    return max(_correlation(mouth, voice, seen, lag) for lag in range(-reach, reach + 1))


def _lively(curve: NDArray[np.float64], seen: NDArray[np.bool_], fps: float) -> NDArray[np.float64]:
    """The curve smoothed, without its slow part; frames that are not seen count for nothing."""
    weight = seen.astype(np.float64)

    def smoothed(seconds: float) -> NDArray[np.float64]:
        held = ndimage.gaussian_filter1d(weight, seconds * fps)
        return ndimage.gaussian_filter1d(curve * weight, seconds * fps) / np.maximum(held, 1e-6)

    return smoothed(SMOOTH) - smoothed(SLOW / 2)


def _correlation(mouth: NDArray[np.float64], voice: NDArray[np.float64], seen: NDArray[np.bool_], lag: int) -> float:
    """Pearson's correlation of the mouth with the voice `lag` frames earlier."""
    count = len(mouth)
    first, stop = max(0, lag), min(count, count + lag)
    use = seen[first:stop]
    a, b = mouth[first:stop][use], voice[first - lag : stop - lag][use]
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
