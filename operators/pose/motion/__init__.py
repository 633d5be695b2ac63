"""Poses over time: how plausible they are, filtered, resampled, and cut into spans of frames."""
