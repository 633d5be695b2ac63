"""Scene captions: what the model is asked, which answers stand, and what is kept of the measured columns."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from operators.contract import Row
from operators.errors import ErrorKind
from operators.language.caption import StatedCaption
from operators.language.prompts.scene import MOVEMENTS, VIEW_SCALES
from operators.language.scene import STATED, SceneCaption, SceneCaptionSettings
from operators.models.vllm_chat import VllmChat
from operators.video.people import SCALES
from operators.video.stills import stills
from tests.chat_server import MODEL, ChatServer, chat_server
from tests.drawn_clips import clip as drawn
from tests.drawn_clips import jpeg, plain
from tests.overhead import CEILING, Obedient, overhead

pytest.importorskip("openai", reason="the models extra is not installed")

CAPTION = "A small dog runs over wet sand and shakes its fur while a low sun stands behind the hills."
SCENE = {
    "caption": CAPTION, "objects": ["dog", "sand", "dog", " "], "background": "hills", "view_scale": "long shot",
    "movement": "tracking",
}  # fmt: skip
MEASURES = {
    "tier": "hq", "people": 0, "faces": [0, 0, 0], "person_position": None, "person_scale": None, "brightness": 0.5,
    "contrast": 0.2, "colourfulness": 40.0, "ocr_score": 0.0, "of_score": 0.1, "motion_residual": 0.0, "pan_x": 0.0,
    "pan_y": 0.0, "zoom": 0.0, "video_fps": 25.0, "keyframe_times": [1.0, 2.0, 3.0], "screen_text": ["", "SALE", ""],
}  # fmt: skip
MODEL_COLUMNS = ("caption", "objects", "background", "view_scale", "movement")


def picture(seed: int, height: int = 90, width: int = 160) -> np.ndarray:
    """Coloured squares that no other seed has."""
    squares = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    return squares.repeat(height // 9, axis=0).repeat(width // 16, axis=1)


def clip(seed: int = 1, **columns: Any) -> Row:
    return drawn(*(picture(3 * seed + number) for number in range(3)), **{**MEASURES, **columns})


def photographed(number: int) -> Row:
    """A clip with three 720p keyframes of its own, stored as `shots` stores them: 150 kB each, more than most."""
    scene = np.asarray(cv2.resize(data.coffee(), (1280, 720), interpolation=cv2.INTER_CUBIC), np.uint8)
    return {
        **clip(pan_x=0.08),
        "keyframes": [jpeg(np.roll(scene, 120 * part + number, axis=1), quality=85) for part in range(3)],
    }


def stated(row: Row) -> Row:
    [columns] = StatedCaption().annotate([row])
    return {name: value for name, value in columns.items() if name != "frame_caption"}


def described(server: ChatServer, *clips: Row, **settings: Any) -> list[Row]:
    operator = SceneCaption(SceneCaptionSettings(model=MODEL, endpoint=server.url, **settings))
    operator.setup()
    try:
        return list(operator(clips))
    finally:
        operator.close()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(lambda _: json.dumps(SCENE)) as running:
        yield running


def test_an_answer_fills_its_columns_and_measures_stay_measured(server: ChatServer):
    [row] = described(server, clip())
    measured = stated(clip())
    assert row["caption"] == CAPTION
    assert row["objects"] == ["dog", "sand"]
    assert (row["background"], row["view_scale"], row["movement"]) == ("hills", "long shot", "tracking")
    assert (row["speed"], row["dominant_colours"]) == (measured["speed"], measured["dominant_colours"])
    author = f"caption/2@{MODEL}@endpoint"
    assert row["provenance"] == {
        **dict.fromkeys(MODEL_COLUMNS, author), "speed": STATED, "dominant_colours": STATED
    }  # fmt: skip
    assert "frame_caption" not in row


def test_one_request_shows_the_three_keyframes_in_order(server: ChatServer):
    described(server, clip(seed=4), image_side=80)
    [asked] = server.asked
    *pictures, text = asked["messages"][1]["content"]
    assert len(pictures) == 3
    for number, part in enumerate(pictures):
        data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
        shown = np.asarray(Image.open(io.BytesIO(data)))
        assert shown.shape == (45, 80, 3)
        expected = np.asarray(Image.fromarray(picture(12 + number)).resize((80, 45)))
        assert np.abs(shown.astype(int) - expected).mean() < 20
    assert "SALE" in text["text"]
    assert "static" in text["text"]
    assert asked["response_format"]["json_schema"]["schema"]["properties"]["objects"]["maxItems"] == 5


def test_other_tiers_are_stated_and_never_asked(server: ChatServer):
    visual, unknown = described(server, clip(tier="visual"), clip(tier=None))
    assert server.asked == []
    for row in (visual, unknown):
        assert {name: row[name] for name in stated(clip())} == stated(clip())
        assert set(row["provenance"].values()) == {STATED}
    [both] = described(server, clip(tier="visual"), tiers=("hq", "visual"))
    assert both["caption"] == CAPTION


def test_an_unusable_answer_is_asked_for_once_more(server: ChatServer):
    good = json.dumps(SCENE)
    server.reply = lambda body: good if "was refused" in str(body["messages"][-1]) else json.dumps({"caption": "x"})
    [row] = described(server, clip())
    assert row["caption"] == CAPTION
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "no json",
        json.dumps({**SCENE, "caption": "BUY NOW"}),
        json.dumps({**SCENE, "caption": "As an AI I cannot see the frames that you have sent to me in this request."}),
        json.dumps({**SCENE, "caption": CAPTION + " " + CAPTION}),
        json.dumps({**SCENE, "caption": "小狗在湿沙上奔跑。" * 5}),
        json.dumps({**SCENE, "objects": "dog"}),
    ],
)
def test_a_clip_without_a_usable_answer_keeps_what_was_stated(server: ChatServer, answer: str):
    server.reply = lambda _: answer
    [row] = described(server, clip())
    assert row["error"] is None
    assert {name: row[name] for name in stated(clip())} == stated(clip())
    assert set(row["provenance"].values()) == {STATED}
    assert len(server.asked) == 2


def test_what_the_model_cannot_tell_stays_measured(server: ChatServer):
    server.reply = lambda _: json.dumps({**SCENE, "view_scale": "unclear", "movement": "unclear", "background": ""})
    [row] = described(server, clip(person_scale="close-up"))
    assert (row["view_scale"], row["movement"], row["background"]) == ("close-up", "static", None)
    assert row["provenance"]["movement"] == STATED
    assert "background" not in row["provenance"]


def test_a_broken_keyframe_fails_its_clip_alone(server: ChatServer):
    broken = {**clip(), "keyframes": [b"\xff\xd8\xff broken"] * 3}
    rows = described(server, clip(1), broken, clip(2))
    assert [row["error"] and row["error"]["kind"] for row in rows] == [None, ErrorKind.DECODE, None]
    assert len(server.asked) == 2


def test_the_words_for_scales_are_those_of_the_measure():
    assert set(VIEW_SCALES) == {name for _, name in SCALES}
    assert "static" in MOVEMENTS


def test_flat_pictures_are_pictures(server: ChatServer):
    [row] = described(server, drawn(plain((0, 0, 0)), **{**MEASURES, "contrast": 0.0}))
    assert row["caption"] == CAPTION


def on_engine(chat: VllmChat, clips: list[Row], **settings: Any) -> list[Row]:
    """Described by a running engine; the caption as the model wrote it, whatever the weights."""
    operator = SceneCaption(SceneCaptionSettings(model="/tiny", **settings))
    operator._chat, operator._revision = chat, "tiny@0"
    return list(operator(clips))


def test_the_real_engine_answers_in_the_form_and_gibberish_does_not_stand(qwen2_vl_chat: VllmChat):
    rows = on_engine(qwen2_vl_chat, [clip(seed) for seed in range(3)])
    for seed, row in enumerate(rows):
        assert row["error"] is None
        assert row["caption"] == stated(clip(seed))["caption"]


def test_the_operator_costs_little_beside_its_engine(qwen2_vl_chat: VllmChat):
    """At most a tenth of the engine's time, for batches of new clips with keyframes as large as real ones.

    Decoding and shrinking the keyframes count as the operator's. Here 16 clips of three 720p keyframes are shown at
    768 px and answered with 160 tokens each, in 200 to 250 ms a clip of two idle cores. The default model, of
    2 billion weights, makes 13 TFLOP of the same 4,860 patches, 1,800 tokens and such an answer: 30 ms of a GPU that
    does 400 TFLOP a second, where eight batches are prepared beside it, 250 ms of one that does 50, and minutes of
    a CPU.
    """
    operator = SceneCaption(SceneCaptionSettings(model="/tiny"))
    operator._chat, operator._revision = chat, _ = Obedient(qwen2_vl_chat, tokens=160), "tiny@0"
    chat.answers = [json.dumps(SCENE)] * 16

    def batch(number: int) -> list[Row]:
        return [photographed(16 * number + place) for place in range(16)]

    def annotate(clips: list[Row]) -> None:
        assert [row["caption"] for row in operator(clips)] == [CAPTION] * 16

    assert overhead(batch, annotate, chat.calls) <= CEILING


def test_no_picture_lands_on_another_clip(qwen2_vl_chat: VllmChat):
    """Three pictures per request through the real processor and encoder, alone and in mixed batches."""
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    from operators.language.prompts.scene import scene_request
    from operators.models.chat import ChatAnswer, ChatRequest

    def asked(seed: int) -> ChatRequest:
        sizes = ((90, 160), (180, 160), (90, 320))[seed % 3]
        row = drawn(*(picture(3 * seed + number, *sizes) for number in range(3)), **MEASURES)
        request = scene_request(stills(row), {}, instructions="Look.")
        return replace(request, schema=None, max_tokens=10)

    def text(result: object) -> str:
        assert isinstance(result, ChatAnswer), result
        return result.text

    seeds = range(12)
    alone = {seed: text(qwen2_vl_chat.complete([asked(seed)])[0]) for seed in seeds}
    assert len(set(alone.values())) == len(seeds), "answers must differ, or a mix-up could not be seen"
    orders = [np.random.default_rng(number).permutation(12).tolist() for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        batches = list(threads.map(lambda order: qwen2_vl_chat.complete([asked(seed) for seed in order]), orders))
    for order, batch in zip(orders, batches, strict=True):
        assert [text(result) for result in batch] == [alone[seed] for seed in order]
