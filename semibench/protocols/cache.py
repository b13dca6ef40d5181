"""The folder of what is kept between commands: partition lists, archives, converted masks."""

import os
import sys
from pathlib import Path

VARIABLE = "SEMIBENCH_CACHE"


def cache_folder() -> Path:
    """Return the folder that the environment variable SEMIBENCH_CACHE names, else the one in the platform's place for caches.

    It need not exist yet.
    """
    if folder := os.environ.get(VARIABLE):
        return Path(folder).expanduser()
    return _platform_caches() / "semibench"


def _platform_caches() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
