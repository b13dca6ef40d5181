import pytest

from semibench.protocols import lists, names, pins


def test_a_protocol_needs_its_lists_its_pool_and_what_it_is_scored_on(published):
    titles = [pin.title for pin in pins.needed(names.resolve("camvid-4@leaky"))]
    assert titles == [
        "list 'train' of camvid",
        "list 'val' of camvid",
        "list 'labeled' of camvid-4@leaky",
        "list 'unlabeled' of camvid-4@leaky",
    ]


def test_a_list_of_two_protocols_is_one_list(published):
    (classic,) = pins.own(names.resolve("camvid-4@classic"))
    owners = [pin.owner for pin in pins.by_digest(pins.everything())[classic.sha256]]
    assert owners == ["camvid-4@classic", "camvid-4@leaky"]


def test_a_protocol_is_at_hand_when_all_its_own_lists_are(published):
    entry = names.resolve("camvid-4@leaky")
    assert pins.state(entry) == "to fetch"
    lists.keep(published.lists["lists/classic.txt"])
    assert pins.state(entry) == "to fetch"
    lists.keep(published.lists["lists/leaky_rest.txt"])
    assert pins.state(entry) == "at hand"


@pytest.mark.parametrize("name", ["camvid-all", "camvid-3@hash1", "shapes-16", "ade20k-158", "ade20k-631@v2", "voc-all"])
def test_what_follows_from_a_rule_needs_no_file(name):
    assert pins.state(names.resolve(name)) == "computed"
