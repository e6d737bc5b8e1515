from ftcore.data.leakage.evidence import align, as_line


def test_an_edit_is_shown_in_place() -> None:
    line = as_line(align("My card was Declined yesterday", "my card was declined today"))
    assert line == "my card was declined [-yesterday-] {+today+}"


def test_long_runs_are_cut_and_control_characters_never_reach_a_terminal() -> None:
    text = " ".join(f"w{number}" for number in range(40))
    assert as_line(align(text, text)) == "w0 w1 w2 w3 … w36 w37 w38 w39"
    assert "\x1b" not in as_line(align("a \x1b[31m b", "a b"))
