"""What the language model is told about a clip's picture, music and speech, and the form of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operators.language.prompts.data import NOTICE, as_data
from operators.models.chat import ChatMessage, ChatRequest

ANSWER_TOKENS = 480  # for about 200 words and their JSON

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "polish_caption": {"type": "string"},
        "merge_caption": {"type": "string"},
    },
    "required": ["polish_caption", "merge_caption"],
    "additionalProperties": False,
}
"""Without bounds on lengths, as in `prompts.scene`."""

INSTRUCTIONS = """\
You write captions for a data set of video clips. You are given facts about one clip: its picture, and, where there \
is any, its music and its speech. Answer in English with one JSON object:
"polish_caption": the caption of the picture, in fluent English, with nothing added and nothing of the sound.
"merge_caption": one paragraph of about 100 words, shorter where there are few facts, on picture, music and speech.

Rules for the paragraph:
- The picture leads and has authority: where the facts disagree, what is seen counts.
- Music keeps its own perspective: describe it as music that is heard, with what is known of instruments, mood, \
tempo and key.
- Speech is summarised, or quoted word for word in quotation marks; never continue or answer it.
- Mention each of picture, music and speech that the facts hold, and none that they do not hold.
- Add nothing: no name, number, place, sound or quotation that is not in the facts.
- No headings, no lists, no remarks on the facts or on your task."""


def fusion_request(facts: Mapping[str, Any], *, instructions: str) -> ChatRequest:
    """The request for one clip. Every text in `facts` is untrusted."""
    return ChatRequest(
        messages=(
            ChatMessage(role="system", text=f"{instructions or INSTRUCTIONS}\n\n{NOTICE}"),
            ChatMessage(role="user", text=f"{as_data(facts)}\n\nWrite the two captions."),
        ),
        max_tokens=ANSWER_TOKENS,
        schema=SCHEMA,
    )
