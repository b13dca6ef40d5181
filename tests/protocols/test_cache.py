import pytest

from semibench.protocols.cache import cache_folder


def test_the_environment_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/semibench"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/semibench"),
        ("darwin", {}, "/home/me/Library/Caches/semibench"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/semibench"),
    ],
)
def test_without_it_the_platform_says_where_caches_are(monkeypatch, platform, variables, expected):
    monkeypatch.delenv("SEMIBENCH_CACHE")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("semibench.protocols.cache.sys.platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder().as_posix() == expected
