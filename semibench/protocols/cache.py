"""Where semibench keeps what can be made or fetched again: lists, prepared masks, downloads."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the cache: the environment variable ``SEMIBENCH_CACHE``, else a folder in the platform's user cache."""
    if chosen := os.environ.get("SEMIBENCH_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "semibench"
    return Path(os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache") / "semibench"
