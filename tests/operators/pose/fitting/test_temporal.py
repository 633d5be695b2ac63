"""Second differences against matrices, the coupled system against a dense solver."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting import temporal  # noqa: E402
from operators.pose.fitting.rotations import matrices  # noqa: E402


def dense(real):
    """The second difference of one clip as a matrix (T − 2, T), rows outside the clip zero."""
    frames = len(real)
    rows = torch.zeros(frames - 2, frames, dtype=torch.float64)
    for k in range(frames - 2):
        if real[k : k + 3].all():
            rows[k, k : k + 3] = torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)
    return rows


def test_differences_spread_and_counts_are_the_matrix_its_transpose_and_its_square():
    torch.manual_seed(0)
    real = torch.ones(1, 9, dtype=torch.bool)
    rows = dense(real[0])
    values, forces = torch.randn(1, 9, 2, dtype=torch.float64), torch.randn(1, 7, 2, dtype=torch.float64)
    torch.testing.assert_close(temporal.differences(values)[0], rows @ values[0])
    torch.testing.assert_close(temporal.spread(forces)[0], rows.T @ forces[0])
    weights = torch.rand(1, 7, dtype=torch.float64)
    torch.testing.assert_close(temporal.counts(weights)[0], (rows.T @ torch.diag(weights[0]) @ rows).diagonal())


def test_an_even_turn_has_no_unevenness_and_a_jerk_has_its_own():
    even = matrices(torch.arange(6.0)[None, :, None, None] * torch.tensor([0.1, 0.0, 0.2]))
    torch.testing.assert_close(temporal.turning(even), torch.zeros(1, 4, 1, 3), atol=1e-5, rtol=0)
    angle = torch.tensor([0.0, 0.1, 0.2, 0.4])
    bent = matrices(torch.stack([angle, 0 * angle, 0 * angle], -1)[None, :, None])
    expected = torch.tensor([[0.0, 0, 0], [0.1, 0, 0]])[None, :, None]
    torch.testing.assert_close(temporal.turning(bent), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [2, 3, 12])
def test_the_coupled_system_is_solved(frames):
    torch.manual_seed(frames)
    real = torch.ones(2, frames, dtype=torch.bool)
    real[1, frames // 2 :] = False
    half = torch.randn(2, frames, 4, 4, dtype=torch.float64)
    blocks = half @ half.mT + 2 * torch.eye(4, dtype=torch.float64)
    right = torch.randn(2, frames, 4, dtype=torch.float64)
    weight = torch.tensor([1.0, 5.0, 0.0, 20.0], dtype=torch.float64)[None, None]
    inside = temporal.triples(real).to(torch.float64)
    found = temporal.solve(blocks - 1.5 * torch.eye(4).double(), 1.5, right, weight, inside, 60)
    for clip in range(2):
        whole = torch.block_diag(*blocks[clip])
        if frames > 2:
            rows = dense(real[clip])
            for unknown in range(4):
                index = torch.arange(frames) * 4 + unknown
                whole[index[:, None], index] += weight[0, 0, unknown] * rows.T @ rows
        torch.testing.assert_close(found[clip].flatten(), torch.linalg.solve(whole, right[clip].flatten()))
