"""A run's own folder: one run at a time, and nothing is removed but what a demo has made."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from barque.errors import ConfigError
from barque_cli.own_folder import check_port, emptied, held


def test_a_folder_with_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "my_strategy.py"
    mine.write_text("class Mine: ...")
    with pytest.raises(ConfigError, match="holds something that is not a demo's; choose another --folder"):
        emptied(tmp_path)
    assert mine.read_text() == "class Mine: ..."


def test_what_an_earlier_demo_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    emptied(folder)
    (folder / "token").write_text("old")
    emptied(folder)
    assert not (folder / "token").exists()


def test_a_demo_of_an_older_version_is_known_by_its_place(tmp_path: Path) -> None:
    folder = tmp_path / ".barque" / "demo"
    folder.mkdir(parents=True)
    (folder / "barque.toml").touch()
    emptied(folder)
    assert not (folder / "barque.toml").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ConfigError, match="holds something"):
        emptied(tmp_path / "x")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with held(folder):
        with pytest.raises(ConfigError, match=r"a book runs in .*demo already \(process \d+\)"), held(folder):
            pass
        with held(tmp_path / "other"):
            pass
    with held(folder):
        pass


def test_a_port_that_cannot_be_is_told_before_anything_starts() -> None:
    check_port(0)
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(ConfigError, match=r"--port \d+ cannot be used \(Address already in use\)"):
        check_port(taken.getsockname()[1])
    with pytest.raises(ConfigError, match="--port 99999 is not a port"):
        check_port(99_999)
