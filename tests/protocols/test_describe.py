import json

from semibench.errors import DataError
from semibench.protocols import names
from semibench.protocols.datasets.shapes import Shapes
from semibench.protocols.describe import describe, describe_data
from semibench.protocols.protocol import Split, load
from semibench.protocols.shelf import Shelf


def test_every_protocol_can_be_described_as_json():
    for name in names.entries():
        assert json.loads(json.dumps(describe(load(name))))["name"] == name


def test_a_description_names_lists_rules_and_defects(published):
    described = describe(load("camvid-4@leaky"))
    assert (described["labeled"]["count"], described["unlabeled"]["count"]) == (4, 7)
    assert described["labeled"]["source"] == f"{published.prefix}:lists/classic.txt"
    assert described["defects"] == ["image03 is also labelled"]
    assert described["rules"]["whole"]["digest"] == load("camvid-4@leaky").rule().digest()


def test_what_is_not_a_published_list_is_described_by_its_rule(published):
    assert "SHA-256 of '3/<id>'" in describe(load("camvid-2@hash3"))["labeled"]["source"]
    assert describe(load("camvid-all"))["labeled"] == {"count": 20, "source": "the whole pool"}
    assert describe(load("camvid-2@hash3"))["unlabeled"]["count"] == 18


def test_without_lists_or_data_nothing_is_added(published):
    assert describe_data(load("camvid-4@classic"), Shelf()) == {}


def test_a_data_set_that_cannot_be_read_does_not_hide_the_protocol(monkeypatch):
    def refuse(*_):
        raise DataError("the masks are not prepared", "Prepare them.")

    monkeypatch.setattr(Shapes, "decode_mask", refuse)
    added = describe_data(load("shapes-16"), Shelf())
    assert len(added["digest"]) == 64
    assert added["images_per_class"] == "not known: the masks are not prepared. Prepare them."


def test_classes_are_not_counted_where_no_labelled_image_is_on_disk(monkeypatch):
    monkeypatch.setattr(Shapes, "ids", lambda self, subset: ("train_0999",))
    protocol, shelf = load("shapes-16"), Shelf()
    monkeypatch.setattr(shelf, "split", lambda _: Split(("train_0000",), ()))
    assert describe_data(protocol, shelf) == {"digest": protocol.official_digest(shelf.split(protocol)), "images_on_disk": 0}


def test_lists_at_hand_give_the_digest_and_data_the_classes():
    protocol = load("shapes-16")
    added = describe_data(protocol, Shelf())
    assert added["digest"] == protocol.digest(protocol.open(None))
    assert added["images_on_disk"] == added["images_per_class"]["background"] == 16
