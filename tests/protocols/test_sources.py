import functools
import http.server
import threading

import pytest

from semibench.errors import DataError, RunFailedError
from semibench.hashing import digest_ids
from semibench.protocols import lists, pins, sources


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(published, tmp_path):
    """Serve the checkout as the public host would; return the address."""
    site = tmp_path / "site"
    (site / "owner" / "lists").mkdir(parents=True)
    (site / "owner" / "lists" / ("c" * 40)).symlink_to(published.checkout)
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def pin_of(owner, kind="labeled"):
    return next(pin for pin in pins.everything() if (pin.owner, pin.kind) == (owner, kind))


def test_a_source_names_a_file_of_a_repository_at_a_commit():
    source = sources.locate(f"owner/name@{'a' * 40}:folder/list.txt")
    assert [file.url("https://host/") for file in source.files] == [f"https://host/owner/name/{'a' * 40}/folder/list.txt"]


@pytest.mark.parametrize("rule", ["shuffled with seed 0", "numbered ADE_train_00000001", "owner/name@main:list.txt", "", None])
def test_a_rule_names_no_file(rule):
    assert sources.locate(rule) is None


def test_every_published_list_of_the_catalogue_can_be_located():
    published = [pin for pin in pins.everything() if pins.is_published(pin)]
    assert len(published) > 70
    assert all(sources.locate(pin.source) for pin in published)


def test_a_fetched_list_is_kept(server):
    pin = pin_of("camvid-4@random")
    sources.fetch(pin, server)
    assert lists.kept(pin.sha256) == ("image03", "image04", "image05", "image06")


def test_a_permuted_list_is_put_together_from_both_of_its_files(server):
    pin = pin_of("camvid-5@permuted")
    sources.fetch(pin, server)
    assert digest_ids(lists.kept(pin.sha256)) == pin.sha256


def test_the_environment_may_name_a_mirror(server, monkeypatch):
    monkeypatch.setenv("SEMIBENCH_LISTS_URL", server)
    assert sources.fetch(pin_of("camvid", "val")).is_file()


def test_another_list_at_the_source_is_refused_with_both_digests(server, published):
    (published.checkout / "lists" / "random.txt").write_text("image01")
    pin = pin_of("camvid-4@random")
    with pytest.raises(DataError, match=rf"1 ids with the digest {digest_ids(['image01'])}, expected 4 with {pin.sha256}"):
        sources.fetch(pin, server)
    assert lists.kept(pin.sha256) is None


def test_a_permutation_of_another_length_is_refused(server, published):
    (published.checkout / "lists" / "train.txt").write_text("image01\nimage02")
    with pytest.raises(DataError, match="has 20 places for 2 ids"):
        sources.fetch(pin_of("camvid-5@permuted"), server)


def test_a_file_that_is_gone_is_named_with_what_to_do(server, published):
    (published.checkout / "lists" / "random.txt").unlink()
    with pytest.raises(RunFailedError, match=r"random\.txt cannot be had: HTTP Error 404: .*import a checkout"):
        sources.fetch(pin_of("camvid-4@random"), server)


def test_a_host_that_does_not_answer_is_named(published):
    with pytest.raises(RunFailedError, match=r"cannot be had: .*refused"):
        sources.fetch(pin_of("camvid-4@random"), "http://127.0.0.1:1")


def test_an_answer_that_is_too_long_for_a_list_is_cut_off(server, published):
    (published.checkout / "lists" / "random.txt").write_bytes(b"a" * (lists.MAX_BYTES + 10))
    with pytest.raises(RunFailedError, match="larger than 16 MiB"):
        sources.fetch(pin_of("camvid-4@random"), server)


def test_a_list_without_public_source_cannot_be_fetched(published):
    with pytest.raises(DataError, match="no public source"):
        sources.fetch(pin_of("camvid", "val")._replace(source=None))
