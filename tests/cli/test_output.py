from __future__ import annotations

import pytest

from ftcore.cli._output import print_line, print_table


def test_names_out_of_data_are_no_markup_and_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("[/title]", ["id", "[b]"], [["[/red]", "\x1b[2J"], [None, 3]])
    print_line("a\x1b[31mb\u202e\tc\n")
    shown = capsys.readouterr().out
    assert "[/title]" in shown and "[/red]" in shown and "[b]" in shown
    assert "\x1b" not in shown and "\u202e" not in shown
    assert "a\ufffd[31mb\ufffd\tc\n" in shown
