"""Base of the operators that run a model: its files, its device, and batches that shrink where memory is short."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from operators.contract import ClipOperator, OpenMedia, Resources, Settings, is_out_of_memory, tuning
from operators.models.device import Device, Precision, choose_device, choose_precision, free_memory
from operators.models.files import ModelFiles, check_files, files_revision, locate, pinned

Item = TypeVar("Item")


class ModelSettings(Settings):
    """What every model operator has. `gpus` is the share of a GPU that one instance may fill."""

    device: Device = tuning("auto", description="where the model runs")
    precision: Precision = Field(
        default="auto", description="number format; auto is bfloat16 where the GPU has it, else float32"
    )
    gpus: float | None = tuning(
        0.25,
        ge=0,
        le=8,
        description="GPUs of one instance, a share or whole ones; null takes what the others leave; none on a CPU",
    )
    actors: tuple[int, int | None] = tuning(
        (1, None), description="smallest and largest number of instances; null is as many as fit"
    )
    memory_mb: int | None = tuning(
        None, ge=0, description="MiB of main memory of one instance; null is what the usual model needs"
    )
    batch: int = tuning(32, ge=1, le=4096, description="clips that are gathered for the model")


class ModelOperator(ClipOperator):
    """A clip operator with model files.

    Subclasses say which in `files`, load them in `setup` from `located(...)` onto `self.device` with
    `self.precision`, and run the model on `self.portions(...)`. `needs` is what one instance occupies
    beside the GPU share that its settings give.
    """

    Settings = ModelSettings
    needs: ClassVar[Resources] = Resources(memory_mb=2048)

    def __init__(self, settings: Settings | None = None, *, open_media: OpenMedia | None = None) -> None:
        super().__init__(settings, open_media=open_media)
        on_cpu = self.settings.device == "cpu"
        self.resources = replace(
            self.needs,
            gpus=0.0 if on_cpu else self.settings.gpus,
            memory_mb=self.needs.memory_mb if self.settings.memory_mb is None else self.settings.memory_mb,
            batch=self.settings.batch,
            actors=self.settings.actors,
        )
        self._revision: str | None = None
        self._pinned: dict[ModelFiles, ModelFiles] = {}
        self._most: int | None = None

    @abstractmethod
    def files(self) -> tuple[ModelFiles, ...]:
        """The models that this operator loads, from its settings."""

    def check(self) -> None:
        for wanted in self.files():
            check_files(wanted, self.model_store)

    def revision(self) -> str:
        if self._revision is None:  # asked on the driver, so that its processes load what it names
            self._pinned = {wanted: pinned(wanted, self.model_store) for wanted in self.files()}
            self._revision = "+".join(files_revision(wanted, self.model_store) for wanted in self._pinned.values())
        return self._revision

    def setup(self) -> None:
        self.device = choose_device(self.settings.device)
        self.precision = choose_precision(self.settings.precision, self.device)

    def located(self, wanted: ModelFiles) -> Path:
        """The folder with the files of `wanted`, on this machine. Raises `ConfigurationError`."""
        return locate(self._pinned.get(wanted, wanted), self.model_store)

    def portions(self, items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
        """`items` in runs of at most `size`, fewer where more did not fit into memory before."""
        step = size if self._most is None else min(size, self._most)
        for start in range(0, len(items), step):
            yield items[start : start + step]

    def recover(self, problem: Exception, clips: int) -> None:
        if is_out_of_memory(problem):
            self._most = max(1, (self._most or self.settings.batch) // 2)
        free_memory(self.device)

    def __getstate__(self) -> dict[str, Any]:
        if not hasattr(self, "device"):
            return dict(self.__dict__)
        raise TypeError(f"{self.name} holds a loaded model and cannot be sent to another process")
