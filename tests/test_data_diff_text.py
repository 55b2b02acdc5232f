"""What data-diff found, in words."""

import re

from lockstep.data_diff_text import report
from lockstep.rendering import code, markdown
from lockstep.table_diff import compare


def test_any_character_stays_in_its_cell_of_the_markdown_table(make_table):
    odd = "a|b `c`\n<b> \x1b[31m"
    tables = [
        make_table({"colour": [cell] * 9 + ["red"] * 40, "y": ["no", "yes"] * 24 + ["no"]}) for cell in ("x", odd)
    ]
    problem = compare(*tables) | {"outdated": [], "not_run": [], "same_file": False}
    found = {"before": {"shown": "A"}, "after": {"shown": "B"}, "changed": True, "problems": {"p": problem}}
    lines = [line for line in markdown(report(found, code)).splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}
    assert r"a\|b `c`\n<b> \x1b[31m" in lines[-1]
