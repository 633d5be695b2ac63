"""How busy a GPU is, how much of its memory is used, and how fast it could be."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time

EVERY = 100  # ms between two samples
SETTLE = 0.3  # s that the driver's figures lag behind

PEAKS = (
    ("B200", 2250.0),
    ("H200 NVL", 835.0),
    ("H200", 989.0),
    ("H100 PCIe", 756.0),
    ("H100 NVL", 835.0),
    ("H100", 989.0),
    ("A100", 312.0),
    ("L40S", 362.0),
    ("A10G", 70.0),
    ("A10", 125.0),
    ("L4", 121.0),
    ("RTX 4090", 165.0),
)
"""Dense bfloat16 TFLOP/s by what the device's name holds, the first that fits; from NVIDIA's data sheets."""


def peak_flops(name: str) -> float | None:
    """FLOP/s in bfloat16 of the GPU of that name, None where it is not listed."""
    words = name.replace("-", " ").split()
    for known, teraflops in PEAKS:
        if all(part in words for part in known.split()):
            return teraflops * 1e12
    return None


class GpuWatch:
    """Samples the first visible GPU through `nvidia-smi`, whatever process uses it.

    The driver says of each past moment whether a kernel ran in it; the share of such moments is called busy.
    It says nothing of how much of the GPU a kernel fills. On a machine without `nvidia-smi` everything is None.
    """

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, float]] = []
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
        command = ["nvidia-smi", f"--id={visible}", "--query-gpu=utilization.gpu,memory.used"]
        command += ["--format=csv,noheader,nounits", f"--loop-ms={EVERY}"]
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            self._process = None
            return
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def there(self) -> bool:
        """Whether there is a GPU to sample."""
        return self._process is not None

    def busy(self, start: float, end: float) -> float | None:
        """Mean share of time with a kernel running between two readings of `time.monotonic`."""
        time.sleep(SETTLE if self.there else 0)
        found = [busy for at, busy, _ in self._samples if start + SETTLE <= at <= end + SETTLE]
        return statistics.mean(found) / 100 if found else None

    def memory(self) -> float | None:
        """Most MiB in use on the whole GPU in any sample so far."""
        return max((used for _, _, used in self._samples), default=None)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._thread.join()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    busy, used = map(float, line.split(","))
                except ValueError:  # "[N/A]", or words of an error
                    continue
                self._samples.append((time.monotonic(), busy, used))
