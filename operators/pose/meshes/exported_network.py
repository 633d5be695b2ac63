"""Networks that a user exported, ONNX or TorchScript: crops of pictures in, named arrays out.

A network takes `crops`, float32 (N, 3, H, W), normalised, and, where it was made so, as a second input
`intrinsics`, float32 (N, 3, 3): the pinhole camera of each crop in its pixels, which is that of the picture moved
and scaled. It gives arrays whose first axis is N: an ONNX graph by the names of its outputs; a TorchScript
module as a dictionary of tensors, as a named tuple, or as a tuple (or one tensor) with names from settings.

Both formats are programs, and the file is trusted as one: take it from where you would take code. ONNX has no
operators that reach files or the network, so prefer it. A TorchScript archive is code in TorchScript's language
with its constants as pickles, which torch reads with an unpickler of its own that makes nothing but tensors and
plain values; but its operators can read and write files as the user who runs the job.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operators.errors import ConfigurationError, ErrorKind, MissingExtra, RowFailure

if TYPE_CHECKING:
    import torch

ONNX = (".onnx",)
TORCHSCRIPT = (".torchscript", ".ts", ".pt", ".pth")
SUFFIXES = (*ONNX, *TORCHSCRIPT)
NAMES = ("model.onnx", "model.torchscript", "model.ts", "model.pt")
"""What the file is called where only its folder is named."""

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """How crops become a network's input: (value / 255 − mean) / std for each channel, in the order `channels`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: str = "rgb"

    @property
    def order(self) -> list[int]:
        return ["rgb".index(letter) for letter in self.channels]


class ExportedNetwork(ABC):
    """A network on a device. `batch` is the N that it insists on, None where it takes any."""

    batch: int | None = None

    @abstractmethod
    def __call__(self, crops: NDArray[np.uint8], intrinsics: NDArray[np.float32] | None) -> Outputs:
        """The network's arrays for crops uint8 (N, H, W, 3), RGB. Raises what its library raises."""


def load_network(
    path: Path, setting: str, pictures: Pictures, device: torch.device, precision: torch.dtype, names: Sequence[str]
) -> ExportedNetwork:
    """The network in a file, by its ending.

    Args:
        setting: by which a person chose it, for messages.
        precision: other than float32, TorchScript runs under autocast to it; ONNX runs as it was exported.
        names: of a TorchScript module's outputs where it gives a tuple or one tensor.

    Raises `ConfigurationError` for what cannot be loaded on the device, `MissingExtra` without the library.
    """
    try:
        if path.suffix.lower() in ONNX:
            return OnnxNetwork(path, pictures, device)
        return TorchNetwork(path, pictures, device, precision, names)
    except (ConfigurationError, MissingExtra):
        raise
    except Exception as problem:  # onnxruntime and torch raise kinds of their own for damaged files
        first = str(problem).strip().splitlines()[0][:300] if str(problem).strip() else type(problem).__name__
        raise ConfigurationError(f"{setting}: {path} cannot be loaded: {first}") from problem


class OnnxNetwork(ExportedNetwork):
    """An ONNX graph in ONNX Runtime, with one thread on a CPU."""

    def __init__(self, path: Path, pictures: Pictures, device: torch.device) -> None:
        try:
            import onnxruntime
        except ImportError as problem:
            raise MissingExtra("onnxruntime", "models") from problem
        self._pictures = pictures
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers: list[Any] = ["CPUExecutionProvider"]
        if device.type == "cuda":
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise ConfigurationError(
                    f"{path.name}: the ONNX Runtime that is installed runs on CPUs alone; install onnxruntime-gpu in "
                    "its place, export to TorchScript, or set device=cpu"
                )
            providers = [("CUDAExecutionProvider", {"device_id": device.index or 0})]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._outputs = [given.name for given in self._session.get_outputs()]
        first = self._session.get_inputs()[0].shape
        self.batch = first[0] if first and isinstance(first[0], int) else None

    def __call__(self, crops: NDArray[np.uint8], intrinsics: NDArray[np.float32] | None) -> Outputs:
        pictures = self._pictures
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (pictures.mean, pictures.std))
        channels = np.moveaxis(crops[..., pictures.order], 3, 1)
        given = [np.ascontiguousarray((channels.astype(np.float32) / np.float32(255) - mean) / std)]
        given += [] if intrinsics is None else [intrinsics]
        if len(given) != len(self._inputs):
            raise _wrong_inputs(len(self._inputs), intrinsics is not None)
        found = self._session.run(self._outputs, dict(zip(self._inputs, given, strict=True)))
        return {name: np.asarray(array, np.float32) for name, array in zip(self._outputs, found, strict=True)}


class TorchNetwork(ExportedNetwork):
    """A TorchScript module, in inference mode."""

    def __init__(
        self, path: Path, pictures: Pictures, device: torch.device, precision: torch.dtype, names: Sequence[str]
    ) -> None:
        import torch

        with suppress(ImportError):
            import torchvision  # noqa: F401  # registers operators, such as nms, that exports use
        with warnings.catch_warnings():  # of TorchScript's retirement; the released regressors are TorchScript
            warnings.simplefilter("ignore", DeprecationWarning)
            self._module = torch.jit.load(path, map_location=device).eval()
        self._device, self._precision, self._names = device, precision, tuple(names)
        self._order = torch.tensor(pictures.order, device=device)
        self._mean, self._std = (
            torch.tensor(values, device=device)[:, None, None] for values in (pictures.mean, pictures.std)
        )

    def __call__(self, crops: NDArray[np.uint8], intrinsics: NDArray[np.float32] | None) -> Outputs:
        import torch

        reduced = self._precision != torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._precision, enabled=reduced):
            pixels = torch.from_numpy(crops).to(self._device, non_blocking=True)[..., self._order]
            given = [(pixels.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std]
            given += [] if intrinsics is None else [torch.from_numpy(intrinsics).to(self._device)]
            found = self._named(self._module(*given))
        return {name: tensor.float().cpu().numpy() for name, tensor in found.items()}

    def _named(self, found: Any) -> Mapping[str, Any]:
        if isinstance(found, Mapping):
            return found
        if hasattr(found, "_asdict"):
            return found._asdict()
        several = list(found) if isinstance(found, tuple | list) else [found]
        if len(several) != len(self._names):
            raise RowFailure(
                ErrorKind.MODEL,
                f"the network gives {len(several)} unnamed outputs and output_names has {len(self._names)}; name them",
            )
        return dict(zip(self._names, several, strict=True))


def _wrong_inputs(wanted: int, with_intrinsics: bool) -> RowFailure:
    given = "crops and intrinsics" if with_intrinsics else "crops alone"
    return RowFailure(ErrorKind.MODEL, f"the network has {wanted} inputs and is given {given}; see setting intrinsics")
