"""One pass over a video: its shots, their motion, keyframes and sound, while it is decoded once.

Packets of the picture and of the sound come from one container in file order. A clip is told as
soon as its end and its sound are known, so memory does not grow with the length of the video. The
end of the stream decides, and presentation times; what the header says of frame counts is ignored.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame

from operators.errors import ErrorKind, RowFailure
from operators.video.clock import Clock
from operators.video.cuts import CutFinder, make_detector
from operators.video.events import Clip, Ended, Event, Opened, Progress, Sample
from operators.video.keyframes import Candidate, Reservoir, choose, encode, frame_bytes
from operators.video.limits import Limits
from operators.video.motion import ClipMotion, MotionSampler, PairMotion, summarise
from operators.video.packets import Packets
from operators.video.shrink import Shrinker
from operators.video.sound import SoundTrack
from operators.video.stream import Geometry, OpenVideo, geometry, is_cut_short, open_video

SOUND_BEHIND = 30.0
"""Seconds by which sound may be stored behind its picture; a clip waits for its sound no longer."""

SOUND_AHEAD = 600.0
"""Seconds by which sound may be stored ahead of its picture (19 MB as 16 kHz mono)."""

LONGEST_HOLD = 60.0
"""Seconds for which a picture may stand; a longer step of the clock is a jump, and the clip ends before it."""

SOUND_BATCH = 64
"""Packets of sound decoded at a time: in turns with every picture, both decoders lose the processor's cache."""

PACKETS_PER_SIGN = 128
"""Packets between two signs of life."""

MOST_SAMPLES = 1200
"""Samples of a clip, 50 to 100 kB each; a clip ends before the next one."""


@dataclass(frozen=True, kw_only=True)
class PassOptions:
    """What a pass looks for; the fields are those of `SplitShots.Settings`.

    `samples_per_second`: frames of every clip to tell beside its keyframes, on a clock that counts from
    time 0; none by default. Their longer side has `sample_size` pixels at most. `owner`: the operator
    whose settings these are, as messages name it.
    """

    owner: str = "shots"
    detector: str = "content"
    threshold: float | None = None
    min_shot_frames: int = 15
    max_clip_seconds: float = 300.0
    keyframe_size: int = 1280
    keyframe_quality: int = 85
    max_clips: int = 50_000
    max_hours: float = 24.0
    samples_per_second: float = 0.0
    sample_size: int = 640
    sample_quality: int = 90


def watch(
    path: Path,
    options: PassOptions,
    have: Mapping[int, tuple[int, int]] | None = None,
    limits: Limits | None = None,
) -> Iterator[Event]:
    """Everything about the video at `path`, with `Ended` always last; errors are told in it.

    `have` names clips stored earlier, index → (first frame, end): they are counted but not told. Of `limits`
    only those of pixels and streams are kept here; the others need somebody who looks on.
    """
    try:
        with open_video(path, limits) as video:
            yield from _Pass(video, options, have or {}).events()
    except RowFailure as problem:
        yield Ended(clips=0, frames=0, duration=None, kind=problem.kind, message=str(problem))


class _SpanDiffers(Exception):
    """A clip that was stored earlier has another span now."""


class _Pass:
    def __init__(self, video: OpenVideo, options: PassOptions, have: Mapping[int, tuple[int, int]]) -> None:
        self._video = video
        self._options = options
        self._have = have
        self._sound = SoundTrack(video.origin) if video.audio is not None else None
        self._unheard: list[Packet] = []
        self._told: deque[Clip | None] = deque()
        self._delivered = 0
        self._lost_sound_from = float("inf")
        self._given_sound_until = float("-inf")
        self._sound_misplaced = False
        self._frames = 0
        self._clips = 0
        self._footage = 0.0
        self._too_much: str | None = None
        self._stop: float | None = None
        self._samples: list[Sample] = []
        self._tick: int | None = None

    def events(self) -> Iterator[Event]:
        """The pass itself; used once."""
        failure: RowFailure | None = None
        try:
            try:
                yield from self._watch()
            except RowFailure as problem:
                failure = problem  # the clips before it and what there is of the running one are told
            if self._frames:
                yield from self._finish()
            elif failure is None:
                failure = RowFailure(ErrorKind.NO_VIDEO, self._no_frame())
        except _SpanDiffers:
            yield self._ended(None, restart=True)
            return
        except (MemoryError, cv2.error) as problem:
            if isinstance(problem, cv2.error) and problem.code != cv2.Error.StsNoMem:
                raise
            text = f"decoding ran out of memory ({problem}); raise {self._options.owner}.memory_mb"
            failure = RowFailure(ErrorKind.OUT_OF_MEMORY, text)
        if failure is None and self._sound_misplaced:
            text = "sound and picture lie too far apart in the file, so some sound is missing; remux the file"
            failure = RowFailure(ErrorKind.DECODE, text)
        yield self._ended(failure)

    def _no_frame(self) -> str:
        # A decoder that refuses a picture for its size does not say so.
        return f"the video stream holds no frame that decodes, or only frames over {self._options.owner}.max_pixels"

    def _ended(self, failure: RowFailure | None, *, restart: bool = False) -> Ended:
        return Ended(
            clips=self._delivered,
            frames=self._frames,
            duration=round(self._stop - self._begin, 6) if self._stop is not None else None,
            kind=failure.kind if failure is not None else None,
            message=str(failure) if failure is not None else None,
            restart=restart,
        )

    def _watch(self) -> Iterator[Event]:
        streams = [stream for stream in (self._video.video, self._video.audio) if stream is not None]
        packets = Packets(self._video, streams, self._last_time)
        for count, packet in enumerate(packets):
            if packet.stream is self._video.video:
                for frame in packets.decode(packet):
                    if not self._frames:
                        yield self._start(frame)
                    self._see(frame)
            else:
                self._unheard.append(packet)
                if len(self._unheard) >= SOUND_BATCH:
                    self._hear()
            if self._told:
                yield from self._deliver(final=False)
            if count % PACKETS_PER_SIGN == PACKETS_PER_SIGN - 1:
                yield Progress(frames=self._frames, clips=self._delivered)
        if is_cut_short(self._video):
            text = f"the file is cut short at {self._last_time():.2f} s; fetch it again"
            raise RowFailure(ErrorKind.DECODE, text)

    def _hear(self) -> None:
        packets, self._unheard = self._unheard, []
        for packet in packets:
            self._hear_packet(packet)

    def _hear_packet(self, packet: Packet) -> None:
        assert self._sound is not None
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except (FFmpegError, ValueError):
            return  # a damaged packet of sound leaves a gap, which is silence
        for frame in frames:
            time = frame.time - self._video.origin if frame.time is not None else None
            if time is not None and time > self._last_time() + SOUND_AHEAD:
                self._lost_sound_from = min(self._lost_sound_from, time)
                continue
            if time is not None and time < self._given_sound_until - 0.1:
                self._sound_misplaced = True
            try:
                self._sound.feed(frame)  # type: ignore[arg-type]
            except (FFmpegError, ValueError):
                continue

    def _last_time(self) -> float:
        return self._time if self._frames else 0.0

    def _see(self, frame: VideoFrame) -> None:
        if self._too_much is not None:
            raise RowFailure(ErrorKind.REFUSED, self._too_much)
        held = min(self._clock.frame_seconds, LONGEST_HOLD)
        ticks = self._clock.tick(frame)
        position, time = self._frames, self._clock.seconds(ticks)
        previous, self._time = self._time, time
        self._frames += 1
        self._times[position] = time
        if position and time - previous > LONGEST_HOLD:
            self._close(position, round(previous + held, 6), time)
        small = self._shrink(frame)
        motion = self._motion.feed(position, position - self._clip_first, time, small.luma)
        if motion is not None:
            self._pairs.append(motion)
        for cut in self._cuts.feed(position, ticks - self._clock.first_tick, small.bgr):
            if cut > self._clip_first:
                self._close(cut, self._times[cut])
        wanted = self._is_on_clock(time)
        too_many = wanted and len(self._samples) >= MOST_SAMPLES
        if time - self._clip_start >= self._options.max_clip_seconds or too_many:
            self._close(position, time)
        if wanted:
            self._samples.append(self._sample(Candidate(position, time, frame)))
        self._reservoir.add(Candidate(position, time, frame), self._cuts.suspect)

    def _is_on_clock(self, time: float) -> bool:
        """Whether the frame at `time` is the first one since the last tick of the samples' clock."""
        if not self._options.samples_per_second:
            return False
        before, self._tick = self._tick, math.floor(time * self._options.samples_per_second)
        return self._tick != before

    def _sample(self, candidate: Candidate) -> Sample:
        jpeg = self._jpeg(candidate.frame, self._options.sample_size, self._options.sample_quality)
        return Sample(candidate.position, candidate.time, jpeg)

    def _start(self, frame: VideoFrame) -> Opened:
        video, options = self._video, self._options
        self._shape: Geometry = geometry(video.video, frame)
        self._clock = Clock(video, frame)
        self._begin = self._time = self._clip_start = self._clock.seconds(self._clock.first_tick)
        self._clip_first = 0
        self._times: dict[int, float] = {}
        self._pairs: list[PairMotion] = []
        self._shrink = Shrinker(frame.width, frame.height)
        self._motion = MotionSampler(video.fps, self._shrink.width, self._shrink.height)
        detector = make_detector(options.detector, options.threshold, options.min_shot_frames)
        self._cuts = CutFinder(detector, options.min_shot_frames, video.fps, self._clock.base)
        self._reservoir = Reservoir(0, frame_bytes(frame))
        width, height = self._shape.displayed
        return Opened(
            duration=video.duration,
            resolution=(height, width),
            fps=float(video.fps),
            codec=video.codec,
            has_audio=video.audio is not None,
        )

    def _close(self, end: int, stop: float, next_start: float | None = None) -> None:
        """End the running clip before frame `end`, at `stop` seconds; the next starts there or at `next_start`."""
        first, start, index = self._clip_first, self._clip_start, self._clips
        self._footage += stop - start
        self._weigh(index + 1)
        candidates = self._reservoir.split(end)
        inside = [pair for pair in self._pairs if first <= pair.position < end - 1]
        self._pairs = [pair for pair in self._pairs if pair.position >= end]
        self._times = {position: time for position, time in self._times.items() if position >= end}
        self._clip_first, self._clip_start, self._clips = end, stop if next_start is None else next_start, index + 1
        samples = [sample for sample in self._samples if sample.position < end]
        del self._samples[: len(samples)]
        known = self._have.get(index)
        if known is not None:
            if tuple(known) != (first, end):
                raise _SpanDiffers
            self._told.append(None)
            return
        chosen = choose(candidates, start, stop)
        if self._options.samples_per_second and not samples:
            samples = [self._sample(chosen[1])]  # shorter than a tick of the clock
        self._told.append(
            Clip(
                index=index,
                first=first,
                end=end,
                start=start,
                stop=stop,
                motion=self._as_displayed(summarise(inside, self._shrink.width, self._shrink.height)),
                keyframe_times=tuple(candidate.time for candidate in chosen),
                keyframes=self._encode(chosen),
                audio=None,
                samples=tuple(samples),
            )
        )

    def _weigh(self, clips: int) -> None:
        """Note when there are clips or footage enough, after which no further frame is looked at."""
        options = self._options
        if clips >= options.max_clips:
            self._too_much = f"more than {options.max_clips:,} clips; raise {options.owner}.max_clips"
        elif self._footage >= 3600 * options.max_hours:
            self._too_much = f"longer than {options.max_hours:g} hours; raise {options.owner}.max_hours"

    def _as_displayed(self, motion: ClipMotion) -> ClipMotion:
        if motion.pan_x is None or motion.pan_y is None:
            return motion
        pan_x, pan_y = self._shape.turn_vector(motion.pan_x, motion.pan_y)
        return replace(motion, pan_x=pan_x, pan_y=pan_y)

    def _encode(self, chosen: list[Candidate]) -> tuple[bytes, ...]:
        pictures: dict[int, bytes] = {}
        for candidate in chosen:
            if candidate.position not in pictures:
                size, quality = self._options.keyframe_size, self._options.keyframe_quality
                pictures[candidate.position] = self._jpeg(candidate.frame, size, quality)
        return tuple(pictures[candidate.position] for candidate in chosen)

    def _jpeg(self, frame: VideoFrame, size: int, quality: int) -> bytes:
        return encode(frame, replace(self._shape, width=frame.width, height=frame.height), size, quality)

    def _deliver(self, *, final: bool) -> Iterator[Clip]:
        self._hear()
        while self._told:
            clip = self._told[0]
            if clip is not None and self._sound is not None:
                late = self._last_time() > clip.stop + SOUND_BEHIND
                if not final and not late and self._sound.end < clip.stop:
                    return
                if late and self._sound.end < clip.stop:
                    self._given_sound_until = clip.stop
                self._sound_misplaced |= clip.stop > self._lost_sound_from
                clip = replace(clip, audio=self._sound.span(clip.start, clip.stop).astype("<i2").tobytes())
                self._sound.forget(clip.stop)
            self._told.popleft()
            self._delivered += 1
            if clip is not None:
                yield clip

    def _finish(self) -> Iterator[Event]:
        for cut in self._cuts.finish(self._frames - 1, self._clock.last_tick - self._clock.first_tick):
            if cut > self._clip_first:
                self._close(cut, self._times[cut])
        self._stop = round(self._time + min(self._clock.frame_seconds, LONGEST_HOLD), 6)
        self._close(self._frames, self._stop)
        if self._sound is not None:
            self._hear()
            self._sound.flush()
        yield from self._deliver(final=True)
