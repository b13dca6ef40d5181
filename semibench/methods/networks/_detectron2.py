"""Detectron2, an optional package that is on no package index: imported where it is used, named where it is missing."""

import importlib
import importlib.util
import warnings
from typing import Any

from semibench.errors import MissingPackageError

GUIDE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"


def load(module: str, instead: str = "do without it") -> Any:  # a module without types
    """Import a module of Detectron2; raise MissingPackageError, naming what to do ``instead``, when it is not there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what its own dependencies deprecate
            return importlib.import_module(module)
    except Exception as error:  # an old Detectron2 fails on newer packages in many ways
        raise MissingPackageError(
            f"Detectron2 cannot be imported: {error}", f"Install it as its guide says ({GUIDE}), or {instead}."
        ) from error


def is_usable() -> bool:
    """Return whether Detectron2 can be imported; where it is absent, that is found out without importing anything."""
    if importlib.util.find_spec("detectron2") is None:
        return False
    try:
        load("detectron2.engine")
    except MissingPackageError:
        return False
    return True
