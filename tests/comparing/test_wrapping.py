"""Sentences on a terminal: whole words, whole commands."""

import io

from lockstep.comparing.wrapping import for_stream, wrapped


def test_lines_break_between_words_and_continue_with_an_indent():
    assert wrapped("one two three four", 9) == "one two\n  three\n  four"
    assert wrapped("  one two three", 9) == "  one two\n    three"
    assert wrapped("one two\nthree", 80) == "one two\nthree"
    assert wrapped("a  b   c", 80) == "a  b   c"  # what fits stays as it is
    assert wrapped("日本 日本", 8) == "日本\n  日本"


def test_a_command_in_quotes_stays_on_one_line():
    text = "It's not in DVC's cache: type 'dvc fetch --all-commits FILE', then go on."
    assert wrapped(text, 30) == ("It's not in DVC's cache: type\n  'dvc fetch --all-commits FILE',\n  then go on.")


def test_what_is_no_terminal_gets_the_text_as_it_is():
    assert for_stream("word " * 100, io.StringIO()) == "word " * 100
