"""CSV, JSONL and Parquet manifests, good and absurd."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.manifest import EXTRA_LIMIT, MAX_PROBLEMS, read_input
from store.video_entry import ManifestError

NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b c.mp4", "Movie: part 2.mp4"):
        (tmp_path / name).write_bytes(b"12345")
    return tmp_path


def test_the_three_formats_read_alike(folder):
    (folder / "m.csv").write_text(
        '\ufeffuri,video_id,size,note\na.mp4,one,5,"x, ""y"""\n\nb c.mp4,,,\n', encoding="utf-8"
    )
    (folder / "m.jsonl").write_text(
        '{"uri": "a.mp4", "video_id": "one", "size": 5, "note": "x, \\"y\\""}\n\n{"uri": "b c.mp4", "note": ""}\n'
    )
    columns = {"uri": ["a.mp4", "b c.mp4"], "video_id": ["one", None], "size": [5, None], "note": ['x, "y"', ""]}
    pq.write_table(pa.table(columns), folder / "m.parquet")
    csv, jsonl, parquet = (read_input(str(folder / f"m.{suffix}")) for suffix in ("csv", "jsonl", "parquet"))
    assert csv == jsonl == parquet
    assert [entry.uri for entry in csv] == [str(folder / "a.mp4"), str(folder / "b c.mp4")]
    assert (csv[0].video_id, csv[0].size, csv[0].extra) == ("one", 5, '{"note": "x, \\"y\\""}')
    assert (csv[1].video_id[:4], csv[1].size) == ("b-c-", 5)


def test_extra_columns_keep_their_json_types(folder):
    row = {"uri": "a.mp4", "tags": ["x", 1, None], "more": {"ä": 0.5}, "flag": True}
    (folder / "m.jsonl").write_text(json.dumps(row))
    pq.write_table(
        pa.table({"uri": ["a.mp4"], "day": [datetime.date(2024, 2, 1)], "score": [float("nan")]}), folder / "m.parquet"
    )
    assert read_input(str(folder / "m.jsonl"))[0].extra == '{"flag": true, "more": {"ä": 0.5}, "tags": ["x", 1, null]}'
    assert read_input(str(folder / "m.parquet"))[0].extra == '{"day": "2024-02-01", "score": null}'


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(NAME, NAME), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_any_names_on_s3_come_through_csv_and_jsonl(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("manifest")
    table = [{"uri": f"s3://bucket/{key}", "note": note} for key, note in rows]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, table)), encoding="utf-8")
    quoted = ['"{}","{}"'.format(*(row[name].replace('"', '""') for name in ("uri", "note"))) for row in table]
    (folder / "m.csv").write_text("\n".join(["uri,note", *quoted]), encoding="utf-8")
    entries = read_input(str(folder / "m.jsonl"))
    assert entries == read_input(str(folder / "m.csv"))
    assert [(entry.uri, json.loads(entry.extra or "")["note"]) for entry in entries] == [
        (row["uri"], row["note"]) for row in table
    ]
    assert len({entry.video_id for entry in entries}) == len(rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"uri": ""}, "uri is empty"),
        ({"uri": "   "}, "uri is empty"),
        ({"video_id": "x"}, "uri is missing"),
        ({"uri": None}, "uri is missing"),
        ({"uri": 7}, "uri '7' is not text"),
        ({"uri": ["a.mp4"]}, "is not text"),
        ({"uri": "gone.mp4"}, "gone.mp4' is not there: No such file"),
        ({"uri": "a.mp4/b.mp4"}, "is not there: Not a directory"),
        ({"uri": "http://x.org/a.mp4"}, "scheme 'http'; use a local path or s3://bucket/key"),
        ({"uri": "HTTPS:a.mp4"}, "scheme 'https'"),
        ({"uri": "data:video/mp4;base64,AAAA"}, "scheme 'data'"),
        ({"uri": "javascript://a.mp4"}, "scheme 'javascript'"),
        ({"uri": "file://server/share/a.mp4"}, "not a local file; write file:///path"),
        ({"uri": "file:a.mp4"}, "not a local file; write file:///path"),
        ({"uri": "file:///a%00b.mp4"}, "NUL"),
        ({"uri": "a\0.mp4"}, r"'a\\x00.mp4' holds a control character"),
        ({"uri": "a\r\n.mp4"}, "holds a control character"),
        ({"uri": "a\ud800.mp4"}, "holds a control character"),
        ({"uri": "x" * (1 << 20)}, "longer than 4,096 bytes|characters on a line"),
        ({"uri": "s3://"}, "does not start with s3://bucket/"),
        ({"uri": "s3://bucket"}, "names no object"),
        ({"uri": "s3://bucket/folder/"}, "names no object"),
        ({"uri": "s3://bu cket/a.mp4"}, "does not start with s3://bucket/"),
        ({"uri": "s3://bucket/" + "k" * 1025}, "more than 1,024 bytes"),
        ({"uri": "a.mp4", "video_id": "a/b"}, "holds a slash"),
        ({"uri": "a.mp4", "video_id": "a\nb"}, "holds a slash, a control character"),
        ({"uri": "a.mp4", "video_id": " a"}, "outer spaces"),
        ({"uri": "a.mp4", "video_id": ".."}, "is not a name"),
        ({"uri": "a.mp4", "video_id": "x" * 201}, "has 201 characters; 1 to 200"),
        ({"uri": "a.mp4", "video_id": 12}, "video_id '12' is not text"),
        ({"uri": "a.mp4", "size": -1}, "size '-1' is not a number of bytes"),
        ({"uri": "a.mp4", "size": 2**63}, "is not a number of bytes"),
        ({"uri": "a.mp4", "size": 1.5}, "is not a number of bytes"),
        ({"uri": "a.mp4", "size": True}, "is not a number of bytes"),
        ({"uri": "a.mp4", "size": 6}, "size is 6 bytes but 'a.mp4' has 5"),
        ({"uri": "a.mp4", "etag": 5}, "not an ETag"),
        ({"uri": "a.mp4", "note": "x" * EXTRA_LIMIT}, "at most 65,536 are carried along"),
        ({"uri": "a.mp4", "note": "\ud800"}, "an extra column cannot be carried along"),
    ],
)
def test_a_bad_row_is_named_by_line(folder, row, message):
    (folder / "m.jsonl").write_text('{"uri": "b c.mp4"}\n' + json.dumps(row) + "\n")
    with pytest.raises(ManifestError, match=f"line 2: .*({message})") as caught:
        read_input(str(folder / "m.jsonl"))
    assert len(str(caught.value)) < 600
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"uri": "a.mp4", "video_id": "other"}, "line 3: uri .* is already on line 1; keep one"),
        ({"uri": "./x/../a.mp4", "video_id": "other"}, "line 3: uri .* is already on line 1"),
        ({"uri": "b c.mp4", "video_id": "one"}, "line 3: video_id 'one' is already on line 1"),
    ],
)
def test_duplicates_name_both_lines(folder, second, message):
    (folder / "x").mkdir()
    (folder / "m.jsonl").write_text('{"uri": "a.mp4", "video_id": "one"}\n\n' + json.dumps(second))
    with pytest.raises(ManifestError, match=message):
        read_input(str(folder / "m.jsonl"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.csv", b"", "names no video"),
        ("m.csv", b"uri\n", "names no video"),
        ("m.csv", b"path,note\na.mp4,x\n", "no column 'uri'; the columns are 'path', 'note'"),
        ("m.csv", b"uri,note,note\na.mp4,x,y\n", "names a column twice: 'note'"),
        ("m.csv", b"uri,note\na.mp4\n", "line 2: 1 cells where the header has 2"),
        ("m.csv", b"uri\n\xff.mp4\n", "line 2 is not UTF-8"),
        ("m.csv", b'uri\n"a.mp4\n', "line 2: not CSV: unexpected end of data"),
        ("m.csv", b"uri\n" + b"x" * 200_000 + b"\n", "line 2: not CSV: field larger"),
        ("m.jsonl", b"{", "line 1: not JSON"),
        ("m.jsonl", b'["a.mp4"]', "line 1: .* is not a JSON object"),
        ("m.jsonl", b'{"uri": "a.mp4", "x": NaN}', "line 1: not JSON: NaN is not a JSON number"),
        ("m.jsonl", b'{"uri": "a.mp4", "uri": "b c.mp4"}', "line 1: not JSON: a key is there twice"),
        ("m.jsonl", b"[" * 100_000, "line 1: not JSON"),
        ("m.jsonl", b'{"uri": "a.mp4", "x": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
        ("m.parquet", b"PAR1 not really", "not a readable Parquet file"),
    ],
)
def test_a_broken_manifest_says_where(folder, name, data, message):
    (folder / name).write_bytes(data)
    with pytest.raises(ManifestError, match=message) as caught:
        read_input(str(folder / name))
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"uri": [1]}, "column 'uri' holds int64; it must hold text"),
        ({"uri": ["a.mp4"], "video_id": [5]}, "column 'video_id' holds int64"),
        ({"uri": ["a.mp4"], "size": ["5"]}, "column 'size' holds string; it must hold whole numbers"),
        ({"path": ["a.mp4"]}, "no column 'uri'; the columns are 'path'"),
        ({"uri": ["a.mp4", "gone.mp4"]}, "row 2: .* is not there"),
        ({"uri": ["a.mp4"], "blob": [b"\0"]}, "row 1: an extra column cannot be carried along"),
    ],
)
def test_a_parquet_manifest_of_other_types_is_refused(folder, columns, message):
    pq.write_table(pa.table(columns), folder / "m.parquet")
    with pytest.raises(ManifestError, match=message):
        read_input(str(folder / "m.parquet"))


def test_colons_spaces_and_file_uris_are_ordinary_paths(folder):
    lines = ["Movie: part 2.mp4", f"file://{folder}/b%20c.mp4", f"file://localhost{folder}/a.mp4"]
    (folder / "m.csv").write_text("\n".join(["uri", *lines]))
    assert [Path(entry.uri).name for entry in read_input(str(folder / "m.csv"))] == [
        "Movie: part 2.mp4",
        "b c.mp4",
        "a.mp4",
    ]


def test_twenty_problems_are_enough(folder):
    (folder / "m.csv").write_text("uri\n" + "".join(f"gone{number}.mp4\n" for number in range(100)))
    with pytest.raises(ManifestError) as caught:
        read_input(str(folder / "m.csv"))
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("cannot be used; nothing was started:")
    assert lines[-2].startswith(f"  line {MAX_PROBLEMS + 1}: ")
    assert len(lines) == MAX_PROBLEMS + 2
