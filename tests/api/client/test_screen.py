from __future__ import annotations

import io

import pytest
from rich.console import Console

from api.client.screen import Column, Screen, plain

ID = "01a2056e-664b-726d-b627-2eaa6357d2f5"
COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("TASK", folds=True),
    Column("QUEUE", rank=1),
    Column("N", rank=2, right=True),
)
ROW = [ID, "COMPLETED", "a_task_with_a_name_that_is_rather_long", "default", "7"]


def shown(width: int, rows: list[list[str]]) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    screen = Screen()
    screen.console = console
    console.print(screen.grid(COLUMNS, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_narrow_terminal_loses_columns_and_never_ids() -> None:
    lines = shown(76, [ROW])
    assert max(map(len, lines)) <= 76
    assert lines[0].split() == ["ID", "STATE", "TASK", "QUEUE"]
    assert ID in lines[1]
    assert "".join(line[49:].split("  ")[0].strip() for line in lines[1:]).startswith("a_task_with_a_name")
    assert shown(60, [ROW])[0].split() == ["ID", "STATE", "TASK"]


def test_a_wide_terminal_shows_all() -> None:
    lines = shown(140, [ROW])
    assert len(lines) == 2
    assert lines[1].split() == ROW


def test_in_a_pipe_every_row_is_one_line_and_nothing_is_left_out() -> None:
    assert list(plain(COLUMNS, [ROW, [ID, "DEAD", "two\nlines", "q", "12"]])) == [
        f"ID{' ' * 34}  STATE      TASK                                    QUEUE     N",
        f"{ID}  COMPLETED  a_task_with_a_name_that_is_rather_long  default   7",
        f"{ID}  DEAD       two lines                               q        12",
    ]


def test_json_is_ascii_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=True).json({"text": "ä\ud800\x1b"})
    assert capsys.readouterr().out == '{"text":"\\u00e4\\ud800\\u001b"}\n'
