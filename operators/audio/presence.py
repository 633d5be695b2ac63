"""Where a clip sounds like music: notes that are sustained, or a clear and regular beat.

Either measure is enough: `partials` hears notes, also under speech, and is deaf to drums; `pulse` hears
drums. A machine that beats regularly counts as music, and so does a chord of several steady tones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.audio import partials, pulse, spectrum
from operators.audio.waveform import Samples

SUSTAINED = 1.7  # of 5: measured at most 1.6 on speech, at least 1.8 on most music


def music_frames(samples: Samples, beaten: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Which frames of 20 ms sound like music, shape (ceil(n / 320),); None under 1.28 s, too short to tell.

    `beaten` says where the clip has a clear beat, per 10 ms (`pulse.beaten` of its onset curve).
    """
    notes = partials.activation(samples)
    if not len(notes):
        return None
    return (notes >= SUSTAINED) | beaten[:: spectrum.HOP // pulse.HOP][: len(notes)]
