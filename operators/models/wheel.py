"""Networks inside wheels (`operators.networks`) as model files, for `python -m jobs.models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from operators import networks
from operators.contract import ModelStore
from operators.models.files import ModelFiles
from operators.models.hub import offline
from operators.models.source import Source


@dataclass(frozen=True, kw_only=True)
class WheelFile(ModelFiles):
    """One network of a wheel; `reference` is its file's name."""

    network: networks.Network
    patterns: tuple[str, ...] = ()

    def source(self, store: ModelStore | None = None) -> Source:
        return WheelSource(self.network)


class WheelSource(Source):
    """A file that is pinned by its checksum, so that no other can take its place."""

    pinned = True

    def __init__(self, network: networks.Network) -> None:
        self.network = network

    def held(self) -> Path | None:
        kept = networks.held(self.network)
        return kept.parent if kept is not None else None

    def offered(self) -> Mapping[str, int | None] | None:
        return None if offline() else {Path(self.network.member).name: None}

    def fetch(self, names: Sequence[str], again: Sequence[str] = ()) -> Path:
        return networks.path(self.network).parent

    def version(self) -> str:
        return self.network.revision

    def absent(self, problems: str) -> str:
        return (
            f"{self.network.member} {problems} of this machine's cache, and the environment forbids to fetch it; "
            f"copy the cache folder of a machine that has it here: {networks.cache_dir()}"
        )


def wheel_files(operator: str, wanted: Sequence[networks.Network]) -> tuple[WheelFile, ...]:
    """The networks that the operator of this name takes from wheels."""
    files = ((network, Path(network.member).name) for network in wanted)
    return tuple(
        WheelFile(setting=operator, reference=name, needs=((name,),), network=network) for network, name in files
    )
