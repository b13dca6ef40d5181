"""Fetching an archive from a server of this machine that breaks, lies and moves things on request."""

import hashlib
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from semibench.errors import DataError, RunFailedError
from semibench.protocols.archive import Archive
from semibench.protocols.download import download

CONTENT = hashlib.shake_256(b"an archive").digest(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every path that is not in ``absent``; keeps what was asked for and how much was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.knows_ranges = True
        self.breaks_at: list[int] = []  # bytes after which the next connections end
        self.absent: set[str] = set()
        self.requests: list[tuple[str, str | None]] = []  # path and range
        self.sent = 0

    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that went away."""

    def url(self, path: str = "/set.tar") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        if self.path in server.absent:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.knows_ranges else 0
        total = len(server.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = start + server.breaks_at.pop(0) if server.breaks_at else total
        server.sent += len(server.content[start:end])  # before the client can go on
        self.wfile.write(server.content[start:end])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(*urls: str, **fields: object) -> Archive:
    values = {"name": "set.tar", "about": "a set", "terms": "free", "page": "https://example.org", "holds": ["set"]}
    values |= {"urls": urls, "size": len(CONTENT), "sha256": SHA256}
    return Archive.parse(values | fields, "a test")


def get(wanted: Archive, folder: Path) -> Path:
    return download(wanted, folder, lambda done, total: None)


def test_a_file_is_fetched_and_checked(server, tmp_path):
    path = get(archive(server.url()), tmp_path / "new")
    assert (path.name, path.read_bytes()) == ("set.tar", CONTENT)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set.tar"]


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    for _ in range(2):
        get(archive(server.url()), tmp_path)
    assert server.sent == len(CONTENT)


def test_progress_is_told_in_bytes_of_the_whole_file(server, tmp_path):
    told = []
    download(archive(server.url()), tmp_path, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(told) == told


def test_an_interrupted_transfer_resumes(server, tmp_path):
    server.breaks_at = [1_000_000, 500_000]
    assert get(archive(server.url()), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert server.sent == len(CONTENT)


def test_what_a_killed_call_has_fetched_is_kept(server, tmp_path):
    def kill(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(archive(server.url()), tmp_path, kill)
    have = (tmp_path / "set.tar.part").stat().st_size
    assert 0 < have < len(CONTENT)
    server.sent = 0
    assert get(archive(server.url()), tmp_path).read_bytes() == CONTENT
    assert server.sent == len(CONTENT) - have


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    server.knows_ranges = False
    (tmp_path / "set.tar.part").write_bytes(b"something else" * 1000)
    assert get(archive(server.url()), tmp_path).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_a_server_without_ranges_that_always_breaks_is_given_up(server, tmp_path):
    server.knows_ranges = False
    server.breaks_at = [1000] * 9
    with pytest.raises(RunFailedError, match=r"ended at 1000 of 3000000 bytes.*0\.00 MB of it are kept"):
        get(archive(server.url()), tmp_path)
    assert len(server.requests) == 2


@pytest.mark.parametrize("size", [None, len(CONTENT)], ids=["unknown size", "known size"])
def test_a_file_that_was_whole_but_for_its_name_is_taken(server, tmp_path, size):
    (tmp_path / "set.tar.part").write_bytes(CONTENT)
    assert get(archive(server.url(), size=size), tmp_path).read_bytes() == CONTENT
    assert server.sent == 0


def test_a_mirror_without_the_file_is_passed_over(server, tmp_path):
    server.absent = {"/old.tar"}
    assert get(archive(server.url("/old.tar"), server.url("/new.tar")), tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/old.tar", "/new.tar"]


def test_a_mirror_that_does_not_answer_is_passed_over(server, tmp_path):
    dead = f"http://127.0.0.1:{unused_port()}/set.tar"
    assert get(archive(dead, server.url()), tmp_path).read_bytes() == CONTENT


def test_the_next_mirror_continues_what_the_first_began(server, tmp_path, monkeypatch):
    server.breaks_at = [1_000_000, 0]
    get(archive(server.url("/first.tar"), server.url("/second.tar")), tmp_path)
    assert server.requests[-1] == ("/second.tar", "bytes=1000000-")
    assert server.sent == len(CONTENT)


def test_when_every_mirror_fails_each_is_named_with_its_reason(server, tmp_path):
    server.absent = {"/a.tar", "/b.tar"}
    with pytest.raises(RunFailedError) as caught:
        get(archive(server.url("/a.tar"), server.url("/b.tar")), tmp_path)
    assert caught.value.what.count("404 Not Found") == 2
    assert "/a.tar" in caught.value.what
    assert "the same command again" in caught.value.next_step


def test_a_wrong_file_is_set_aside_and_refused_with_both_digests(server, tmp_path):
    server.content = bytes(len(CONTENT))
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(DataError, match=rf"sha256 {found}.*expected were 3000000 bytes with {SHA256}") as caught:
        get(archive(server.url()), tmp_path)
    (aside,) = tmp_path.iterdir()
    assert aside.name == f"set.tar.wrong-{found[:12]}"
    assert aside.name in str(caught.value)


def test_after_a_wrong_file_the_right_one_is_fetched(server, tmp_path):
    server.content = bytes(len(CONTENT))
    with pytest.raises(DataError):
        get(archive(server.url()), tmp_path)
    server.content = CONTENT
    assert get(archive(server.url()), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["sha1", "md5"])
def test_an_older_digest_does_where_no_better_one_is_known(server, tmp_path, algorithm):
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    assert get(archive(server.url(), sha256=None, **{algorithm: digest}), tmp_path).exists()
    server.content = bytes(len(CONTENT))
    with pytest.raises(DataError, match=f"{algorithm} .*expected.*{digest}"):
        get(archive(server.url(), sha256=None, **{algorithm: digest}), tmp_path / "again")


def test_a_file_of_another_size_is_not_even_fetched(server, tmp_path):
    server.content = CONTENT[:-1]
    with pytest.raises(RunFailedError, match="offers 2999999 bytes instead of 3000000"):
        get(archive(server.url()), tmp_path)
    assert not list(tmp_path.iterdir())


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("size", [None, len(CONTENT)], ids=["unknown size", "known size"])
def test_too_little_space_is_said_before_the_first_byte(server, tmp_path, monkeypatch, size):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 5_000_000))
    with pytest.raises(RunFailedError, match=r"3\.00 MB, unpacked 4\.00 MB.*needs 7\.00 MB, 5\.00 MB are free"):
        get(archive(server.url(), size=size, unpacked=4_000_000), tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(server.requests) == (0 if size else 1)


def test_what_is_there_needs_no_space_again(server, tmp_path, monkeypatch):
    (tmp_path / "set.tar.part").write_bytes(CONTENT[:2_500_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 5_000_000))
    assert get(archive(server.url(), unpacked=4_000_000), tmp_path).exists()


def test_a_disk_that_refuses_is_not_the_mirrors_fault(server, tmp_path):
    (tmp_path / "set.tar.part").mkdir()
    with pytest.raises(RunFailedError, match=r"set\.tar\.part could not be written"):
        get(archive(server.url(), size=None), tmp_path)


def test_an_archive_without_digest_cannot_be_declared_with_urls():
    with pytest.raises(DataError, match="needs sha256, sha1 or md5"):
        Archive.parse(archive().model_dump() | {"urls": ["https://example.org/a.tar"], "sha256": None}, "a test", DataError)


def unused_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port
