from __future__ import annotations

import pytest

from operators.pose.meshes.regressor_settings import RegressorSettings


@pytest.mark.parametrize(
    "settings",
    [{"outputs": {"hair": "x"}}, {"forms": {"betas2": "matrix"}}, {"input_size": (8, 64)}, {"std": (1.0, 0.0, 1.0)}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=r"is no part of a body|16 to 2048|above 0"):
        RegressorSettings(**settings)


def test_how_fast_it_runs_is_no_part_of_its_identity():
    plain = RegressorSettings(model="nlf.onnx")
    tuned = RegressorSettings(model="nlf.onnx", frames=3, readers=1, batch=9)
    assert plain.identity() == tuned.identity()
    assert plain.identity() != RegressorSettings(model="nlf.onnx", margin=1.5).identity()
