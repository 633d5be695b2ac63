"""Servers with OpenAI's protocol: vLLM's own, and one that fails as it is told."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

from operators.errors import ConfigurationError, EngineError, ErrorKind, RowFailure
from operators.language.fused import ModelFusion, ModelFusionSettings
from operators.models import openai_chat
from operators.models.chat import ChatAnswer, ChatMessage, ChatRequest, Picture
from operators.models.chat_operator import Unusable
from operators.models.openai_chat import OpenAIChat, checked_endpoint
from operators.spending import Account, charged_to
from operators.video.stills import decode
from tests.chat_server import MODEL, ChatServer, chat_server
from tests.drawn_clips import plain

pytest.importorskip("openai", reason="the models extra is not installed")

SERVED = "tiny"
START_SECONDS = 240
RECITED = {
    "polish_caption": "A small dog runs over wet sand and shakes its fur.",
    "merge_caption": "On a wide beach, the small dog runs along wet sand, then stops to shake its fur before a wave "
    "comes in under low evening light.",
}


def request(text: str = "hello", *images: Picture, schema: dict[str, object] | None = None) -> ChatRequest:
    return ChatRequest(messages=(ChatMessage(role="user", text=text, images=images),), max_tokens=32, schema=schema)


@pytest.fixture
def scripted() -> Iterator[ChatServer]:
    with chat_server(lambda body: f"said {body['messages'][0]['content']}") as server:
        yield server


def test_answers_come_in_the_order_of_the_requests(scripted: ChatServer):
    def slow_first(body: dict[str, object]) -> str:
        text = body["messages"][0]["content"]  # type: ignore[index]
        time.sleep(0.2 if text == "0" else 0.0)
        return f"said {text}"

    scripted.reply = slow_first
    chat = OpenAIChat(scripted.url, MODEL, in_flight=8)
    results = chat.complete([request(str(number)) for number in range(20)])
    assert results == [ChatAnswer(text=f"said {number}", whole=True) for number in range(20)]
    chat.close()


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127}, (120, 7)),
        ({"prompt_tokens": -5, "completion_tokens": "many", "total_tokens": None}, (0, 0)),
        ({"prompt_tokens": 10**15}, (0, 0)),
        (None, (0, 0)),
    ],
)
def test_tokens_are_those_that_the_server_counts(
    scripted: ChatServer, usage: dict[str, object] | None, counted: tuple[int, int]
):
    scripted.usage = usage
    chat = OpenAIChat(scripted.url, MODEL)
    [answer] = chat.complete([request()])
    assert isinstance(answer, ChatAnswer) and answer.text == "said hello"
    assert (answer.tokens_in, answer.tokens_out) == counted
    chat.close()


def test_every_answer_is_charged_also_the_one_that_was_refused(scripted: ChatServer):
    scripted.usage = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}
    scripted.reply = lambda _: "no JSON"
    operator = ModelFusion(ModelFusionSettings(endpoint=scripted.url, model=MODEL))
    operator.setup()

    def judge(place: int, answer: ChatAnswer) -> str:
        if place == 0:
            raise Unusable("not JSON")
        return answer.text

    account: Account = Counter()
    with charged_to(account):
        refused, fine = operator.ask([request("a"), request("b")], judge)
    operator.close()
    assert isinstance(refused, Unusable) and fine == "no JSON"
    assert account == {"tokens_in": 300, "tokens_out": 27}, "two requests, and one of them again"


def test_busy_and_broken_moments_are_waited_out(scripted: ChatServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openai_chat, "RETRIES", 3)
    replies = iter([429, 503, "at last"])
    scripted.reply = lambda _: next(replies)
    chat = OpenAIChat(scripted.url, MODEL)
    assert chat.complete([request()]) == [ChatAnswer(text="at last", whole=True)]
    assert len(scripted.asked) == 3
    chat.close()


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ErrorKind.REFUSED), (422, ErrorKind.REFUSED), (500, ErrorKind.MODEL)]
)
def test_a_request_that_the_server_cannot_answer_fails_alone(
    scripted: ChatServer, monkeypatch: pytest.MonkeyPatch, status: int, kind: ErrorKind
):
    monkeypatch.setattr(openai_chat, "RETRIES", 0)
    scripted.reply = lambda body: status if body["messages"][0]["content"] == "bad" else "fine"
    chat = OpenAIChat(scripted.url, MODEL)
    good, bad, other = chat.complete([request("good"), request("bad"), request("other")])
    assert isinstance(bad, RowFailure)
    assert bad.kind == kind
    assert good == other == ChatAnswer(text="fine", whole=True)
    chat.close()


def test_a_wrong_key_or_model_fails_no_clip_and_tells_no_secret(scripted: ChatServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TINY_KEY", "s3cr3t-value")
    scripted.reply = lambda _: 401  # the server's message repeats the header
    chat = OpenAIChat(scripted.url, MODEL, api_key_env="TINY_KEY")
    with pytest.raises(EngineError) as raised:
        chat.complete([request()])
    assert scripted.headers[0]["authorization"] == "Bearer s3cr3t-value"
    assert "401" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert "s3cr3t" not in repr(ModelFusionSettings(endpoint=scripted.url, api_key_env="TINY_KEY"))
    chat.close()


def test_pictures_are_sent_as_jpegs_of_their_size(scripted: ChatServer):
    chat = OpenAIChat(scripted.url, MODEL)
    [answer] = chat.complete([request("look", plain((200, 10, 10)), plain((10, 200, 10), 40, 30))])
    assert isinstance(answer, ChatAnswer)
    [asked] = scripted.asked
    *sent, text = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": "look"}
    kind, data = zip(*(part["image_url"]["url"].split(",") for part in sent), strict=True)
    assert set(kind) == {"data:image/jpeg;base64"}
    red, green = (decode(base64.b64decode(jpeg)) for jpeg in data)
    assert (red.shape, green.shape) == ((90, 160, 3), (40, 30, 3))
    assert np.abs(red.astype(int) - (200, 10, 10)).max() < 4
    assert np.abs(green.astype(int) - (10, 200, 10)).max() < 4
    chat.close()


@pytest.mark.parametrize(
    "url",
    ["ftp://host/v1", "file:///etc/passwd", "host:8000", "http://", "http://me:secret@host/v1", "http://host/v1?k=v"],
)
def test_other_urls_are_refused_without_their_password(url: str):
    with pytest.raises(ConfigurationError) as raised:
        checked_endpoint(url)
    assert "secret" not in str(raised.value)


def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="NO_SUCH_KEY"):
        OpenAIChat("http://127.0.0.1:1/v1", MODEL, api_key_env="NO_SUCH_KEY")


def test_the_check_before_a_run_names_what_is_wrong(scripted: ChatServer):
    def operator(**settings: object) -> ModelFusion:
        return ModelFusion(ModelFusionSettings(**{"endpoint": scripted.url, "model": MODEL, **settings}))  # type: ignore[arg-type]

    operator().check()
    with pytest.raises(ConfigurationError, match="serves scripted and not another"):
        operator(model="another").check()
    with pytest.raises(ConfigurationError, match="does not answer"):
        operator(endpoint="http://127.0.0.1:9/v1").check()


@pytest.fixture(scope="module")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's own server, with a tiny Llama that recites."""
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    from tests.tiny.llama import write_reciting_llama

    folder = write_reciting_llama(tmp_path_factory.mktemp("served"), json.dumps(RECITED))
    log = tmp_path_factory.mktemp("log") / "server.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--served-model-name",
        SERVED, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager",
        "--max-num-seqs", "16", "--max-model-len", "4096",
    ]  # fmt: skip
    environment = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }  # fmt: skip
    with log.open("wb") as lines:
        server = subprocess.Popen(command, stdout=lines, stderr=lines, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _healthy(port):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=10)


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def test_vllms_server_merges_captions_for_the_operator(vllm_server: str):
    operator = ModelFusion(ModelFusionSettings(model=SERVED, endpoint=vllm_server))
    operator.check()
    operator.setup()
    clip = {
        "record": "clip", "error": None, "caption": "A small dog runs over wet sand on a wide beach, shaking its fur.",
        "objects": ["dog", "wave"], "background": "low evening light",
    }  # fmt: skip
    rows = list(operator([clip, {**clip, "caption": None}, clip]))
    operator.close()
    assert [row["merge_fallback"] for row in rows] == [None, None, None]
    assert [row["merge_caption"] for row in rows] == [RECITED["merge_caption"], None, RECITED["merge_caption"]]
    assert rows[0]["polish_caption"] == RECITED["polish_caption"]
    assert rows[0]["provenance"]["merge_caption"] == f"fusion/1@{SERVED}@endpoint"


def test_vllms_server_refuses_what_is_too_long_and_answers_the_others(vllm_server: str):
    chat = OpenAIChat(vllm_server, SERVED)
    long, short = chat.complete([request("word " * 4000), request("word")])
    assert isinstance(long, RowFailure)
    assert long.kind == ErrorKind.REFUSED
    assert isinstance(short, ChatAnswer)
    assert json.dumps(RECITED).startswith(short.text)
    chat.close()
