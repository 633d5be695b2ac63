"""The aesthetic head: the released layout in each of its files, and nothing else in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators.errors import ConfigurationError
from operators.video.aesthetic_head import HEAD_FILES, aesthetic_score, load_head
from tests.tiny.aesthetic_head import HIDDEN, write_aesthetic_head

torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")


@pytest.mark.parametrize("name", HEAD_FILES)
def test_scores_are_those_of_the_released_network(tmp_path: Path, name: str):
    layers = load_head(write_aesthetic_head(tmp_path, embedding=768, name=name), 768)
    assert [len(bias) for _, bias in layers] == [*HIDDEN, 1]
    nn = torch.nn
    released = nn.Sequential(
        nn.Linear(768, 1024), nn.Dropout(0.2),
        nn.Linear(1024, 128), nn.Dropout(0.2),
        nn.Linear(128, 64), nn.Dropout(0.1),
        nn.Linear(64, 16),
        nn.Linear(16, 1),
    ).eval()  # fmt: skip
    indices = [0, 2, 4, 6, 7]
    released.load_state_dict(
        {f"{n}.{part}": tensor for n, pair in zip(indices, layers, strict=True)
         for part, tensor in zip(("weight", "bias"), pair, strict=True)}
    )  # fmt: skip
    embeddings = torch.nn.functional.normalize(torch.randn(7, 768, generator=torch.manual_seed(3)), dim=-1)
    with torch.inference_mode():
        expected = released(embeddings)[:, 0]
    torch.testing.assert_close(aesthetic_score(embeddings, layers), expected, rtol=1e-5, atol=1e-6)


def test_the_head_of_another_model_is_an_error_that_names_both_sizes(tmp_path: Path):
    write_aesthetic_head(tmp_path, embedding=512)
    with pytest.raises(ConfigurationError, match=r"aesthetics\.head.*\(1024, 512\).*embedding of 768"):
        load_head(tmp_path, 768)


def test_layers_that_end_in_more_than_one_score_are_an_error(tmp_path: Path):
    torch.save({"layers.0.weight": torch.ones(2, 8), "layers.0.bias": torch.ones(2)}, tmp_path / HEAD_FILES[1])
    with pytest.raises(ConfigurationError, match="to one score"):
        load_head(tmp_path, 8)


class Trap:
    """What a pickle may do to those who open it."""

    def __reduce__(self):
        return (Path.touch, (Path("trapped"),))


@pytest.mark.parametrize("content", ["trap", "text", "other"])
def test_a_file_with_something_else_is_an_error_and_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / HEAD_FILES[1]
    if content == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1")
    else:
        torch.save(Trap() if content == "trap" else {"weight": torch.ones(1, 8)}, path)
    with pytest.raises(ConfigurationError, match="is not the head that LAION released"):
        load_head(tmp_path, 8)
    assert not (tmp_path / "trapped").exists()
