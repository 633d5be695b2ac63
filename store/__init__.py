"""Object storage: the layout of a run, its commit, and the way back to its rows."""

from store.objects import open_store
from store.reader import open

__all__ = ["open", "open_store"]
