"""The picture in words by a vision-language model: caption, objects, background, view scale, movement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.columns import select
from operators.contract import PROVENANCE, Resources, Row
from operators.errors import RowFailure
from operators.language.answer_checks import Given, style_faults
from operators.language.caption import StatedCaption, small, stated
from operators.language.prompts.scene import INSTRUCTIONS, MOST_OBJECTS, UNCLEAR, scene_request
from operators.language.quotation import one_line
from operators.models.chat import ChatAnswer, ChatRequest
from operators.models.chat_operator import ChatOperator, ChatSettings, Unusable
from operators.video.stills import RGB, WORKING_SIDE, quickly_shrunk, stills

QWEN2_VL = "Qwen/Qwen2-VL-2B-Instruct@895c3a49bc3fa70a340399125c650a463535e71c"

KEYFRAMES = 3
FEWEST_WORDS, MOST_WORDS = 6, 140  # of a caption
OBJECT_CHARACTERS, BACKGROUND_CHARACTERS = 40, 100

STATED = f"{StatedCaption.__name__}/{StatedCaption.version}"
"""Author of what was measured and stated, in provenance."""


class SceneCaptionSettings(ChatSettings):
    """Which vision-language model describes which clips, and what it sees."""

    model: str = Field(
        default=QWEN2_VL,
        description="vision-language model for vLLM; owner/name@commit, a folder or s3://…, or the server's name",
    )
    tiers: tuple[Literal["hq", "visual"], ...] = Field(
        default=("hq",), description="tiers that the model describes; the others keep the stated caption"
    )
    image_side: int = Field(
        default=768,
        ge=56,
        le=WORKING_SIDE,
        description="longer side in pixels at which keyframes are shown; never enlarged",
    )


class Scene(BaseModel):
    """A model's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    caption: str
    objects: list[Annotated[str, Field(max_length=OBJECT_CHARACTERS)]]
    background: Annotated[str, Field(max_length=BACKGROUND_CHARACTERS)]
    view_scale: str
    movement: str


class SceneCaption(ChatOperator):
    """Describes a clip from its three keyframes with a vision-language model, in one structured answer.

    The caption is checked and asked for again once. Clips of other tiers, and those without a usable
    answer, keep what was measured and stated; pace and colours are always the measured ones.
    """

    name = "caption"
    version = 2
    reads = (*StatedCaption.reads, "tier", "screen_text")
    writes = select("caption", "view_scale", "movement", "speed", "dominant_colours", "objects", "background")
    Settings = SceneCaptionSettings
    needs = Resources(memory_mb=8192, gpu_memory_mb=9000)
    shows_pictures = KEYFRAMES

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        results: list[Row | RowFailure] = []
        asked: list[int] = []
        requests: list[ChatRequest] = []
        for place, clip in enumerate(clips):
            try:
                frames = stills(clip)  # once for both: decoding is most of what a clip costs beside the model
            except RowFailure as problem:
                results.append(problem)
                continue
            measured = _measured(clip, frames)
            results.append(measured)
            if clip.get("tier") in self.settings.tiers:
                asked.append(place)
                requests.append(self._request(clip, measured, frames))
        for place, found in zip(asked, self.ask(requests, self._judged), strict=True):
            results[place] = _joined(results[place], found)
        return results

    def _request(self, clip: Row, measured: Row, frames: Sequence[RGB]) -> ChatRequest:
        shown = [quickly_shrunk(frame, self.settings.image_side) for frame in frames[:KEYFRAMES]]
        return scene_request(shown, facts_of(clip, measured), instructions=self.settings.instructions)

    def _judged(self, place: int, answer: ChatAnswer) -> Row:
        """The columns of an answer. Raises `Unusable`."""
        if not answer.whole:
            raise Unusable("it was too long and cut off")
        try:
            scene = Scene.model_validate(json.loads(answer.text, strict=False))
        except (ValueError, RecursionError):  # pydantic's is one too
            raise Unusable("it is not the JSON object that was asked for") from None
        caption = scene.caption.strip()
        # Numbers, names and quotations stand: the model may have read them in the picture.
        given = Given(instructions=self.settings.instructions or INSTRUCTIONS)
        if found := style_faults(caption, given, fewest=FEWEST_WORDS, most=MOST_WORDS):
            raise Unusable("caption: " + ", ".join(found))
        return {
            "caption": caption,
            "objects": list(dict.fromkeys(filter(None, map(one_line, scene.objects))))[:MOST_OBJECTS],
            "background": one_line(scene.background) or None,
            "view_scale": _clear(scene.view_scale),
            "movement": _clear(scene.movement),
        }


def facts_of(clip: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """What the model is given beside the pictures."""
    return {
        "measured camera movement": measured["movement"],
        "measured pace": measured["speed"],
        "text on the screen": clip.get("screen_text"),
    }


def _measured(clip: Row, frames: Sequence[RGB]) -> Row:
    columns = stated(clip, small(frames))
    return {**columns, PROVENANCE: {name: STATED for name, value in columns.items() if value is not None}}


def _clear(word: str) -> str | None:
    """None for what the model could not tell."""
    return None if word == UNCLEAR else word


def _joined(measured: Any, found: Row | Unusable | RowFailure) -> Row | RowFailure:
    """The measured columns with those of the model in their places."""
    if isinstance(found, RowFailure):
        return found
    if isinstance(found, Unusable):
        return measured
    kept = {name: value for name, value in found.items() if value is not None}
    credit = {name: author for name, author in measured[PROVENANCE].items() if name not in kept}
    return {**measured, **kept, PROVENANCE: credit}
