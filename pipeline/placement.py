"""Which stage may run on which node.

Decoding keeps every CPU busy, and a GPU waits for whoever feeds it; so what runs on CPUs stays off the
nodes with GPUs unless it is allowed there. The head of a cluster holds the driver and Ray's own
services, and runs no operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.nodes import DECODE, KIND_LABEL, MODELS, ROLE_LABEL, Node

Mode = Literal["auto", "separate", "shared", "one_box"]

NODE_ID_LABEL = "ray.io/node-id"
ACCELERATOR_LABEL = "ray.io/accelerator-type"
"""Label that Ray gives a node by itself where it finds a GPU that it knows."""

GPU_MAKERS = ("NVIDIA_", "AMD_", "INTEL_MAX_", "METAX_")
"""Beginnings of Ray's names for accelerators that it counts as GPUs."""

WORDS = {
    "one_box": "any node, the head too",
    "shared": "any node but the head",
}
WORDS_SEPARATE = {False: "nodes without a GPU, never the head", True: "nodes with a GPU, never the head"}
WORDS_AUTO = "on one machine: anywhere; on a cluster: "


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A resolved choice: `mode` is never "auto". `roles` are those that nodes of this cluster are labelled with."""

    mode: Mode
    roles: frozenset[str] = frozenset()

    def allows(self, node: Node, on_gpu: bool) -> bool:
        """Whether a stage (one that wants a GPU, or one that wants none) may run on `node`."""
        if on_gpu and not node.gpus:
            return False
        if self.mode == "one_box":
            return True
        if node.head or (on_gpu and node.role == DECODE):
            return False
        wanted = MODELS if on_gpu else DECODE
        if self.mode == "separate" and wanted in self.roles:
            return node.role == wanted
        return self.mode == "shared" or on_gpu or (not node.gpus and node.role != MODELS)

    def selector(self, nodes: Sequence[Node], on_gpu: bool) -> dict[str, str]:
        """Ray's label selector for `allows`: it also holds for nodes that are not there yet.

        Conditions that begin with "!" hold on nodes without the label. A GPU node is told by its role; where
        it has none by its node type, by its GPU, or by its id, where it is among `nodes`.
        """
        if self.mode == "one_box":
            return {}
        shunned = [node.id for node in nodes if node.id and node.head]
        conditions: dict[str, str] = {}
        wanted = MODELS if on_gpu else DECODE
        if on_gpu:
            conditions[ROLE_LABEL] = wanted if self.mode == "separate" and wanted in self.roles else f"!{DECODE}"
        elif self.mode == "separate" and wanted in self.roles:
            conditions[ROLE_LABEL] = wanted
        elif self.mode == "separate":
            conditions[ROLE_LABEL] = f"!{MODELS}"
            conditions[ACCELERATOR_LABEL] = _none_of(_known_accelerators())
            shunned += [node.id for node in nodes if node.id and node.gpus and not node.head]
            if kinds := sorted({node.kind for node in nodes if node.kind and node.gpus and not node.head}):
                conditions[KIND_LABEL] = _none_of(kinds)
        if shunned:
            conditions[NODE_ID_LABEL] = _none_of(sorted(shunned))
        return conditions

    def words(self, on_gpu: bool) -> str:
        """For people: where such a stage runs."""
        wanted = MODELS if on_gpu else DECODE
        if self.mode == "separate" and wanted in self.roles:
            return f"nodes labelled {ROLE_LABEL}={wanted}"
        return WORDS_SEPARATE[on_gpu] if self.mode == "separate" else words(self.mode, on_gpu)


def words(mode: Mode, on_gpu: bool) -> str:
    """For people: where a stage runs on a cluster that nobody has looked at yet."""
    if mode == "auto":
        return WORDS_AUTO + WORDS_SEPARATE[on_gpu]
    if mode == "separate":
        return WORDS_SEPARATE[on_gpu]
    return WORDS[mode]


def place(mode: Mode, present: Sequence[Node], largest: Sequence[Node]) -> Placement:
    """Resolve `mode` for a cluster: a single machine that cannot grow does everything, others separate."""
    alone = len(largest) == 1 and largest[0].cpus > 0
    resolved: Mode = ("one_box" if alone else "separate") if mode == "auto" else mode
    roles = {node.role for node in (*present, *largest) if node.role and not node.head}
    return Placement(mode=resolved, roles=frozenset(roles))


def _none_of(values: Sequence[str]) -> str:
    return f"!in({','.join(values)})"


def _known_accelerators() -> list[str]:
    from ray.util.accelerators import accelerators

    return sorted({value for name, value in vars(accelerators).items() if name.startswith(GPU_MAKERS)})
