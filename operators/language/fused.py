"""Fusion by a language model, checked: picture, music and speech in one paragraph, or the stated one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from operators.columns import select
from operators.contract import PROVENANCE, Resources, Row, tuning
from operators.errors import RowFailure
from operators.language import fusion
from operators.language.answer_checks import Given, claim_faults, missing_kinds, style_faults
from operators.language.prompts.fusion import INSTRUCTIONS, fusion_request
from operators.language.quotation import one_line
from operators.models.chat import ChatAnswer
from operators.models.chat_operator import ChatOperator, ChatSettings, Unusable

QWEN3 = "Qwen/Qwen3-4B-Instruct-2507@cdbee75f17c01a7cc42f958dc650907174af0554"

QUOTED_WORDS = 14  # of the transcript, in a stated paragraph
PASSAGES = 4  # descriptions of the music that the model is given
FEWEST_POLISHED, FEWEST_MERGED, MOST_WORDS = 4, 12, 160  # words

STATED = f"{fusion.StatedFusion.__name__}/{fusion.StatedFusion.version}"
"""Author of what the stated fusion wrote, in provenance."""


class ModelFusionSettings(ChatSettings):
    """Which language model merges the facts, and how much it may write."""

    model: str = Field(
        default=QWEN3,
        description="instruct model that vLLM runs; owner/name@commit, a folder or s3://…, or the server's name",
    )
    batch: int = tuning(64, ge=1, le=4096, description="clips that are asked about at once by one thread")
    max_num_seqs: int = tuning(256, ge=1, le=4096, description="requests that vLLM works on at the same time")
    most_words: int = Field(
        default=MOST_WORDS,
        ge=30,
        le=400,
        description="words from which a paragraph is refused; about 100 are asked for",
    )


class Texts(BaseModel):
    """A model's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    polish_caption: str
    merge_caption: str


class ModelFusion(ChatOperator):
    """Merges a clip's picture, music and speech into one paragraph with a language model, and checks what it wrote.

    A text that adds, omits or leaks something is asked for again once, with the complaint; what is still
    refused is replaced by the stated fusion, with the reason in `merge_fallback`.
    """

    name = "fusion"
    reads = (*fusion.StatedFusion.reads, "objects", "background", "view_scale", "movement", "language")
    writes = select("polish_caption", "merge_caption", "merge_fallback")
    Settings = ModelFusionSettings
    needs = Resources(memory_mb=6144, gpu_memory_mb=13_000)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        results: list[Any] = [_stated(clip) for clip in clips]
        told = self.settings.instructions or INSTRUCTIONS
        asked = [place for place, clip in enumerate(clips) if one_line(clip.get("caption") or "")]
        facts = [facts_of(clips[place]) for place in asked]
        given = [given_by(fact, told) for fact in facts]
        requests = [fusion_request(fact, instructions=self.settings.instructions) for fact in facts]

        def judged(number: int, answer: ChatAnswer) -> Row:
            return self._judged(answer, given[number])

        for place, found in zip(asked, self.ask(requests, judged), strict=True):
            results[place] = _joined(results[place], found)
        return results

    def _judged(self, answer: ChatAnswer, given: Given) -> Row:
        """The columns that can stand. Raises `Unusable`, which carries them, where one cannot."""
        if not answer.whole:
            raise _Refused({}, {"merge_caption": ["it was too long and cut off"]})
        try:
            texts = Texts.model_validate(json.loads(answer.text, strict=False))
        except (ValueError, RecursionError):  # pydantic's is one too
            raise _Refused({}, {"merge_caption": ["it is not the JSON object that was asked for"]}) from None
        wrote = {name: text.strip() for name, text in texts.model_dump().items()}
        picture = Given(picture=given.picture, other=given.other, instructions=given.instructions)
        complaints = {
            "polish_caption": self._faults(wrote["polish_caption"], picture, FEWEST_POLISHED),
            "merge_caption": self._faults(wrote["merge_caption"], given, FEWEST_MERGED),
        }
        refused = {name: found for name, found in complaints.items() if found}
        standing = {name: text for name, text in wrote.items() if name not in refused}
        if refused:
            raise _Refused(standing, refused)
        return standing

    def _faults(self, text: str, given: Given, fewest: int) -> list[str]:
        style = style_faults(text, given, fewest=fewest, most=self.settings.most_words)
        return [*style, *claim_faults(text, given), *missing_kinds(text, given)]


class _Refused(Unusable):
    """What of an answer can stand, and why the rest cannot."""

    def __init__(self, standing: Row, complaints: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(f"{name}: {', '.join(found)}" for name, found in complaints.items()))
        self.standing = standing


def facts_of(clip: Mapping[str, Any]) -> dict[str, Any]:
    """What the model is given of a clip: picture, music and speech, each only where it was found."""
    picture = {
        "caption": clip.get("caption"),
        "objects": clip.get("objects"),
        "background": clip.get("background"),
        "view_scale": clip.get("view_scale"),
        "camera": clip.get("movement"),
    }
    measured, heard = fusion.music_sentences(clip), fusion.speech_sentences(clip, QUOTED_WORDS)
    described = [passage.get("text") for passage in clip.get("music_caption") or ()][:PASSAGES]
    spoken = clip.get("transcript") if fusion.likely_right(clip) else None
    return {
        "picture": picture,
        "music": {"heard": " ".join(measured), "described": described} if measured else None,
        "speech": {"heard": " ".join(heard), "transcript": spoken, "language": clip.get("language")}
        if heard
        else None,
        "sound": " ".join(fusion.silence_sentences(clip)),
    }


def given_by(facts: Mapping[str, Any], instructions: str) -> Given:
    """The facts as the checks read them."""
    return Given(
        picture=_text(facts["picture"]),
        music=_text(facts["music"]),
        speech=_text(facts["speech"]),
        other=_text(facts["sound"]),
        instructions=instructions,
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(filter(None, map(_text, value.values())))
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(_text, value)))
    return one_line(value) if isinstance(value, str) else ""


def _stated(clip: Row) -> Row:
    columns = fusion.stated(clip, QUOTED_WORDS)
    return {
        **columns,
        "merge_fallback": None,
        PROVENANCE: {name: STATED for name, text in columns.items() if text is not None},
    }


def _joined(stated: Row, found: Row | Unusable | RowFailure) -> Row | RowFailure:
    """The stated columns with those of the model in their places."""
    if isinstance(found, RowFailure):
        return found
    refused = isinstance(found, _Refused)
    standing = found.standing if isinstance(found, _Refused) else found
    assert not isinstance(standing, Unusable)
    credit = {name: author for name, author in stated[PROVENANCE].items() if name not in standing}
    return {**stated, **standing, "merge_fallback": str(found) if refused else None, PROVENANCE: credit}
