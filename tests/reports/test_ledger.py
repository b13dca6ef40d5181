"""Claims: every one has a source and names what it was measured on; conflicts stand side by side."""

import pytest

from semibench import plugins
from semibench.errors import DataError
from semibench.protocols import names
from semibench.reports import ledger

DOCUMENT = """
[settings]
"VOC 1/8" = ["voc-183@classic", "voc-1323@cps"]

[[claims]]
method = "fixmatch"
backbone = "ResNet-101"
source = "README"
grade = "stated"
values = { "voc-183@classic" = 0.73, "VOC 1/8" = 0.75 }
"""


@pytest.fixture
def document(tmp_path):
    """Read a ledger file with a text replaced."""

    def read(old="", new=""):
        assert old in DOCUMENT
        (tmp_path / "voc.toml").write_text(DOCUMENT.replace(old, new))
        return ledger.read(tmp_path / "voc.toml")

    return read


def test_the_ledger_is_read_whole():
    assert set(ledger.load()) <= set(plugins.summaries(plugins.DATASET))
    assert sum(len(claim.values) for found in ledger.load().values() for claim in found.claims) > 700


def test_a_claim_is_on_the_data_set_of_its_file():
    for dataset, found in ledger.load().items():
        named = {name for claim in found.claims for name in claim.values} | set().union(*found.settings.values())
        assert {names.entries()[name].dataset for name in named if name in names.entries()} <= {dataset}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            '"voc-183@classic" = 0.73', '"voc-184@classic" = 0.73', "neither a protocol of the catalogue", id="protocol"
        ),
        pytest.param('"voc-1323@cps"', '"voc-1323@cpx"', "'voc-1323@cpx' is neither", id="candidate"),
        pytest.param(', "VOC 1/8" = 0.75', "", "no claim is made under the setting 'VOC 1/8'", id="unused"),
        pytest.param("0.73", "73.0", "less than or equal to 1", id="percent"),
        pytest.param('"stated"', '"sure"', "grade", id="grade"),
        pytest.param('source = "README"\n', "", "source", id="source"),
        pytest.param('source = "README"', 'source = "README"\nyear = 2023', "unknown key 'claims.0.year'", id="unknown key"),
        pytest.param("[[claims]]", "[[claims]", "cannot be read", id="no TOML"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused(document, old, new, message):
    with pytest.raises(DataError, match=message):
        document(old, new)


def test_the_same_claim_twice_is_refused(document):
    claim = DOCUMENT[DOCUMENT.index("[[claims]]") :]
    with pytest.raises(DataError, match="fixmatch on voc-183@classic stands twice with the source 'README'"):
        document(claim, claim + claim)


def test_sources_that_disagree_stand_side_by_side(document):
    claim = DOCUMENT[DOCUMENT.index("[[claims]]") :]
    found = document(claim, claim + claim.replace("README", "logs").replace("0.73", "0.74"))
    assert [one.values["voc-183@classic"] for one in found.claims] == [0.73, 0.74]


def test_figures_on_a_protocol_come_before_those_that_may_be_on_it(document, tmp_path, monkeypatch):
    document()
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    ledger.load.cache_clear()
    try:
        found = [(entry.setting, entry.value, entry.is_known) for entry in ledger.on("voc-183@classic")]
        assert found == [("voc-183@classic", 0.73, True), ("VOC 1/8", 0.75, False)]
        assert [entry.setting for entry in ledger.on("voc-1323@cps")] == ["VOC 1/8"]
        assert ledger.on("voc-92@classic") == []
        assert [claim.source for claim in ledger.by("fixmatch")] == ["README"]
    finally:
        ledger.load.cache_clear()


@pytest.mark.parametrize(
    ("protocol", "method", "value"),
    [("voc-92@classic", "unimatch", 0.752), ("cityscapes-186@cps", "supervised", 0.663), ("coco-232@classic", "semivl", 0.501)],
)
def test_headline_figures_are_as_their_sources_print_them(protocol, method, value):
    assert value in [entry.value for entry in ledger.on(protocol) if entry.claim.method == method]
