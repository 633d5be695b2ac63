"""What strangers wrote — names, identifiers, extra columns — where it could do harm: keys, rows, messages."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

import store
from jobs import plain_yaml
from operators.contract import MESSAGE_LIMIT, row_error
from operators.errors import ErrorKind, RowFailure
from operators.video.shots import SplitShots
from pipeline.attempts import Attempt, write_attempt
from store.objects import open_store
from store.s3_connection import S3Connection, split_s3_url
from store.video_entry import check_uri, shown, without_secrets
from tests.hostile import manifests
from tests.hostile.sources import clip
from tests.pipeline.small_chain import Judge, Listen, Score, Split
from tests.pipeline.small_run import a_run, execute

ROOT = Path(__file__).parents[2]
PLAIN_KEY = re.compile(r"[A-Za-z0-9._/-]+")

IDS = ("=1+1", 'it\'s "q"', "%2e%2e%2fup", "a:b", "..a", "-rf $(x)", "名前", "<script>", "a" * 200, "CON")
"""Identifiers that are allowed, and that a careless program would trip over."""


def test_no_identifier_becomes_part_of_a_key(tmp_path: Path) -> None:
    for number in range(len(IDS)):
        (tmp_path / f"{number}.mp4").write_bytes(b"not really")
    rows = [
        {"uri": f"{number}.mp4", "video_id": video_id, "note": manifests.FORMULAS[number % len(manifests.FORMULAS)]}
        for number, video_id in enumerate(IDS)
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    output = tmp_path / "out"
    execute(a_run(tmp_path / "m.jsonl", output, [Split(), Score(), Judge(), Listen()], partition_size=4))
    for video_id in IDS:
        attempt = Attempt(video_id=video_id, session="s" * 32, number="0" * 12, alone=False)
        write_attempt(open_store(output), 0, attempt)
    keys = [path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()]
    assert len(keys) > 5 and all(PLAIN_KEY.fullmatch(key) and ".." not in key for key in keys), keys
    records = [row for table in store.open(str(output)).videos() for row in table.to_pylist()]
    assert {row["video_id"] for row in records} == set(IDS)


def test_what_a_file_says_of_itself_stays_out_of_messages(tmp_path: Path) -> None:
    film = clip("mov", "mjpeg", None)
    path = tmp_path / "film\x1b[2J\u202e.mov"
    path.write_bytes(film[: len(film) // 3])
    *_, record = SplitShots(isolate=False)([{"video_id": "v", "uri": str(path)}])
    assert record["error"] is not None
    assert record["error"]["message"].isprintable() and "\u202e" not in record["error"]["message"]


def test_messages_are_short_and_printable() -> None:
    for problem in (RowFailure(ErrorKind.DECODE, "\x1b]0;x\x07" * 1000), ValueError("a\r\nb\x9b" * 1000)):
        message = row_error("shots", problem)["message"]
        assert message.isprintable() and len(message) == MESSAGE_LIMIT


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://user:secret@host/a", "https://…@host/a"),
        ("s3://key:secret@bucket/a", "s3://…@bucket/a"),
        ("https://b.s3.amazonaws.com/a.mp4?X-Amz-Signature=secret&x=1", "https://b.s3.amazonaws.com/a.mp4?…"),
        ("see http://h/a?token=secret or not", "see http://h/a?… or not"),
        ("s3://bucket/what?.mp4", "s3://bucket/what?.mp4"),
        ("a@b.mp4", "a@b.mp4"),
    ],
)
def test_messages_repeat_no_password(text: str, safe: str) -> None:
    assert without_secrets(text) == safe
    assert "secret" not in shown(text)


def test_a_megabyte_of_nonsense_is_shown_at_once() -> None:
    for text in ("x" * (1 << 20), "http://" * 150_000, "a@" * 500_000, "://" * 300_000, "\x1b" * (1 << 20)):
        assert len(shown(text)) < 500


def test_no_manifest_chooses_the_endpoint_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URI gives bucket and key; where they are asked for comes from the environment of the run alone."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    from store.retries import Patience

    client = S3Connection(Patience()).client
    try:
        assert client.meta.endpoint_url == "http://127.0.0.1:9"
        for uri in ("s3://bucket/http://evil/x", "s3://bucket/@evil:80/x", "s3://bucket//evil/x"):
            bucket, key = split_s3_url(check_uri(uri))
            url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
            assert bucket == "bucket" and url.startswith("http://127.0.0.1:9/bucket/")
    finally:
        client.close()
    for uri in ("s3://evil:80/x", "s3://a@evil/x", "s3://evil\\@x/y", "s3://../x", "s3://b?e=http://evil/x"):
        with pytest.raises(ValueError):
            check_uri(uri)


def _modules() -> list[tuple[Path, ast.Module]]:
    folders = ("jobs", "operators", "pipeline", "store")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [(path, ast.parse(path.read_text())) for path in paths]


def test_nothing_is_unpickled_and_no_table_is_written_for_spreadsheets() -> None:
    """No pickle of a file, no YAML that makes objects, no shell, and no CSV, in which a cell could be a formula."""
    forbidden = {
        "pickle.load", "pickle.loads", "cPickle.load", "marshal.loads", "dill.load", "joblib.load", "eval", "exec",
        "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "csv.writer", "csv.DictWriter",
    }  # fmt: skip
    assert issubclass(plain_yaml._PlainLoader, yaml.SafeLoader)
    found = []
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                dangerous = (
                    name in forbidden
                    or name.endswith((".to_csv", ".to_excel"))
                    or options.get("shell") == "True"
                    or options.get("allow_pickle") == "True"
                    or options.get("weights_only") == "False"
                    or options.get("trust_remote_code") == "True"
                    or (name == "yaml.load" and options.get("Loader") != "_PlainLoader")
                    or (name == "torch.load" and options.get("weights_only") != "True")
                )
                if dangerous:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert found == []
