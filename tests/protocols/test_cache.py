from pathlib import Path

from semibench.protocols.cache import cache_folder


def test_the_environment_variable_decides(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_without_it_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("SEMIBENCH_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == Path(tmp_path, "semibench")
