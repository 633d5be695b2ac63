"""From landmarks to joint rotations: the skeleton before the camera, the terms of the fit, and its solver."""
