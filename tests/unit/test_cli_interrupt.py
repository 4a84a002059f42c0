"""Ctrl-C ends every command with one word and exit code 130, also in the middle of a query of duckdb."""

from __future__ import annotations

from typing import NoReturn

import pytest

from simulator import cli


def test_ctrl_c_during_a_query_stops_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """duckdb turns the signal into RuntimeError("Query interrupted"); the shell tells it as any other Ctrl-C."""

    def query(**_: object) -> NoReturn:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(cli.group, "main", query)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


def test_another_runtime_error_stays_a_programming_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli.group, "main", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()
