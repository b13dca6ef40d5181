import pytest

from semibench.errors import DataError, UsageError
from semibench.protocols import lists, names, pins
from semibench.protocols.collect import collect, take_file


def test_every_list_of_a_checkout_is_taken(published):
    taken = list(collect(published.checkout))
    assert all(one.refusal is None for one in taken)
    assert {pins.state(entry) for entry in names.entries().values()} == {"computed", "at hand"}


def test_a_list_is_known_by_its_digest_wherever_it_lies(published, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "whatever.txt").write_text("\r\n".join(published.lists["lists/random.txt"]))
    (folder / "notes.txt").write_text("this is no list of the catalogue\n")
    (taken,) = collect(folder)
    assert (taken.path.name, [pin.owner for pin in taken.pins]) == ("whatever.txt", ["camvid-4@random"])


def test_a_file_in_the_place_of_a_list_with_other_ids_is_refused(published):
    (published.checkout / "lists/random.txt").write_text("image01")
    (refused,) = [one for one in collect(published.checkout) if one.refusal]
    assert refused.refusal.startswith("list 'labeled' of camvid-4@random: expected 4 ids")
    assert pins.state(names.resolve("camvid-4@random")) == "to fetch"


def test_a_file_in_the_place_of_a_list_that_is_no_list_is_refused(published):
    (published.checkout / "lists/random.txt").write_text("")
    (refused,) = [one for one in collect(published.checkout) if one.refusal]
    assert "is empty" in refused.refusal


def test_a_permutation_that_wants_to_run_something_is_refused(published):
    (published.checkout / "order.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (refused,) = [one for one in collect(published.checkout) if one.refusal]
    assert "asks for os.system" in refused.refusal


def test_one_file_is_taken_for_every_protocol_that_has_its_list(published):
    taken = take_file(published.checkout / "lists/classic.txt")
    assert [pin.owner for pin in taken.pins] == ["camvid-4@classic", "camvid-4@leaky"]
    assert lists.kept(taken.pins[0].sha256)


def test_one_file_may_be_any_list_that_a_protocol_needs(published):
    taken = take_file(published.checkout / "lists/train.txt", "camvid-4@random")
    assert [pin.kind for pin in taken.pins] == ["train"]


def test_a_file_of_another_protocol_is_refused_with_what_is_expected(published):
    expected = names.resolve("camvid-4@random").table["list"]["sha256"]
    with pytest.raises(DataError, match=f"is no list of camvid-4@random.*'labeled' of camvid-4@random has 4 with {expected}"):
        take_file(published.checkout / "lists/classic.txt", "camvid-4@random")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("val0\nimage01\nimage02\nimage03", "names 1 validation images, such as 'val0'"),
        ("image00\nimage01\nimage02\nimage99", "names 1 images that are missing in the pool, such as 'image99'"),
    ],
    ids=["leak", "stranger"],
)
def test_a_file_that_cannot_be_a_training_list_says_why(published, tmp_path, content, why):
    list(collect(published.checkout))
    (tmp_path / "mine.txt").write_text(content)
    with pytest.raises(DataError, match=f"is no list of camvid-4@random; .*{why}"):
        take_file(tmp_path / "mine.txt", "camvid-4@random")


def test_a_file_of_no_protocol_is_refused_with_its_digest(published, tmp_path):
    (tmp_path / "mine.txt").write_text("a\nb")
    with pytest.raises(DataError, match=r"holds 2 ids with the digest [0-9a-f]{64}, which is no list of the catalogue"):
        take_file(tmp_path / "mine.txt")


def test_a_protocol_that_does_not_exist_is_refused(published):
    with pytest.raises(UsageError, match="not found"):
        take_file(published.checkout / "lists/classic.txt", "camvid-4@nobody")
