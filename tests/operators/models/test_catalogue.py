"""The catalogue's facts fit one another, and are found by what a setting says."""

from __future__ import annotations

import pytest

from operators import networks
from operators.models.catalogue import CATALOGUE, KnownModel, known_model
from operators.models.reference import COMMIT, parse_reference
from operators.models.wheel import wheel_files


def test_names_are_once_and_commits_are_whole():
    names = [model.name for model in CATALOGUE]
    assert len(names) == len(set(names))
    for model in CATALOGUE:
        assert model.role and model.licence
        assert not model.commit or COMMIT.match(model.commit)
        if "/" in model.name:
            assert parse_reference(model.name).where == model.name


@pytest.mark.parametrize("model", [model for model in CATALOGUE if model.parameters], ids=lambda model: model.name)
def test_published_weights_have_two_or_four_bytes_a_number(model: KnownModel):
    assert model.size is not None and model.parameters is not None
    assert any(model.size == pytest.approx(model.parameters * 1e6 * number, rel=0.05) for number in (2, 4))
    assert model.memory(2) == round(model.parameters * 1e6) * 2


def test_networks_are_known_with_their_sizes():
    for wanted in wheel_files("people", networks.NETWORKS):
        known = known_model(wanted.reference)
        assert known is not None and known.memory(4) is None
        assert known.size == networks.path(wanted.network).stat().st_size


def test_what_a_setting_says_is_found():
    clip = CATALOGUE[0]
    assert known_model(clip.name) is clip
    assert known_model(f"{clip.name}@{clip.commit}") is clip
    assert known_model("small") is not None
    for unknown in ("owner/other", "/models/small", "s3://bucket/small", "no model", ""):
        assert known_model(unknown) is None
