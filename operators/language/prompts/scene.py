"""What the vision-language model is told about a clip's three keyframes, and the form of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operators.language.prompts.data import NOTICE, as_data
from operators.models.chat import ChatMessage, ChatRequest, Picture

VIEW_SCALES = (
    "extreme close-up", "close-up", "medium close-up", "medium shot", "medium long shot", "long shot",
    "extreme long shot",
)  # fmt: skip
MOVEMENTS = (
    "static", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out", "tracking", "handheld",
)  # fmt: skip
UNCLEAR = "unclear"

MOST_OBJECTS = 5
ANSWER_TOKENS = 320

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "objects": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_OBJECTS},
        "background": {"type": "string"},
        "view_scale": {"type": "string", "enum": [*VIEW_SCALES, UNCLEAR]},
        "movement": {"type": "string", "enum": [*MOVEMENTS, UNCLEAR]},
    },
    "required": ["caption", "objects", "background", "view_scale", "movement"],
    "additionalProperties": False,
}
"""Without bounds on lengths: they cost guided decoding 20 s of preparation and 70 times the work per token
(xgrammar 0.2.8, 150,000 tokens). `ANSWER_TOKENS` and the checks bound them."""

INSTRUCTIONS = """\
You describe clips of videos for a data set. You see three frames of one clip in the order of time, taken at \
20, 50 and 80 percent of it. Answer in English with one JSON object:
"caption": two to four sentences, 40 to 90 words, on who or what is seen, what happens from the first frame to the \
last, the place, the light and the style. Describe the clip as one moving scene; do not mention frames or images. \
Say only what can be seen. Do not guess names, places, sounds or what came before.
"objects": up to five things that can be seen, the most important first, one to three words each.
"background": what is behind, in a few words.
"view_scale": how near the camera is.
"movement": how the camera moves. The frames alone hardly show it: where the facts give a measured movement, trust it.
Where you cannot tell, write "unclear"."""


def scene_request(pictures: Sequence[Picture], facts: Mapping[str, Any], *, instructions: str) -> ChatRequest:
    """The request for one clip. `facts` hold what was measured and the text on the screen, which is untrusted."""
    system = f"{instructions or INSTRUCTIONS}\n\n{NOTICE}"
    asked = f"{as_data(facts)}\n\nDescribe the clip."
    return ChatRequest(
        messages=(
            ChatMessage(role="system", text=system),
            ChatMessage(role="user", text=asked, images=tuple(pictures)),
        ),
        max_tokens=ANSWER_TOKENS,
        schema=SCHEMA,
    )
