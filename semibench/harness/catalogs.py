"""A protocol's lists in Detectron2's catalogues, so that any project of Detectron2 can train and score on them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semibench.files import replacing
from semibench.hashing import digest_json
from semibench.methods.networks import _detectron2
from semibench.protocols.cache import cache_folder
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import load


class Registered(NamedTuple):
    """Names in ``DatasetCatalog`` and ``MetadataCatalog``."""

    labeled: str
    unlabeled: str  # its entries have no mask
    val: str  # what the protocol reports on


def register(protocol: str, data_root: Path | None = None, folder: Path | None = None) -> Registered:
    """Register the lists of a protocol in Detectron2's format of semantic segmentation; again, to replace them.

    Lists are checked against the protocol's digests now. Files are looked up when the catalogue is asked: masks are then
    written as index PNGs, once, below ``folder`` (the cache folder without one), and so are images that the program draws.
    """
    data = _detectron2.load("detectron2.data")
    loaded = load(protocol)
    dataset = loaded.open(data_root)
    split = loaded.split(dataset)
    scored = loaded.evaluated(dataset, loaded.rule().report_on)
    place = digest_json([loaded.version, str(dataset.root and dataset.root.resolve())])[:12]
    files = (folder or cache_folder() / "detectron2") / f"{dataset.name}-{place}"
    registered = Registered(f"{loaded.name}_labeled", f"{loaded.name}_unlabeled", f"{loaded.name}_val")
    for name, ids in zip(registered, (split.labeled, split.unlabeled, scored), strict=True):
        for catalog in (data.DatasetCatalog, data.MetadataCatalog):
            if name in catalog.list():
                catalog.remove(name)
        has_masks = name != registered.unlabeled
        data.DatasetCatalog.register(name, partial(_entries, dataset, ids, files, has_masks))
        data.MetadataCatalog.get(name).set(
            stuff_classes=list(dataset.class_names),
            stuff_colors=[list(color) for color in dataset.palette],
            ignore_label=dataset.ignore_index,
            evaluator_type="sem_seg",
        )
    return registered


def _entries(dataset: Dataset, ids: Sequence[str], folder: Path, has_masks: bool) -> list[dict[str, str]]:
    entries = []
    for id in ids:
        entry = {"image_id": id, "file_name": str(_image(dataset, id, folder))}
        entries.append(entry | ({"sem_seg_file_name": str(_mask(dataset, id, folder))} if has_masks else {}))
    return entries


def _image(dataset: Dataset, id: str, folder: Path) -> Path:
    """Return the data set's own file, or that of a drawing."""
    if files := dataset.files(id):
        return files[0]
    path = folder / "images" / f"{id}.png"
    if not path.exists():
        _write(path, dataset.image(id))
    return path


def _mask(dataset: Dataset, id: str, folder: Path) -> Path:
    """Return an index PNG of the mask that is not older than the annotation; some data sets need one for some ids only."""
    if dataset.conversion is not None and dataset.is_prepared(id):
        return dataset.prepared(id)
    path = folder / "masks" / f"{id}.png"
    annotated = dataset.annotation(id).stat().st_mtime_ns if dataset.files(id) else 0
    if not path.exists() or path.stat().st_mtime_ns < annotated:
        _write(path, dataset.mask(id))
    return path


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    with replacing(path) as draft:
        Image.fromarray(pixels).save(draft, "PNG")
