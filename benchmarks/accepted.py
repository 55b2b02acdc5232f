"""How many real CSV files ``add`` accepts as they are, and why it refuses the others.

    python -m benchmarks.accepted ~/tables              # every file below the folder
    python -m benchmarks.accepted ~/tables --each       # a line a file: target, task, what was decided
    python -m benchmarks.accepted ~/tables --last       # with --target for the last column: what the reader accepts

Looks at each file as ``add --dry-run`` does, and tries it out as that does.
Files of fewer than 100 lines are no tables to learn from, and are left out.
"""

import argparse
import logging
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

from lockstep.intake.choosing.setting_choices import make_choices
from lockstep.intake.detecting.file_format import look
from lockstep.intake.problems.adding import describe_problem, try_out
from lockstep.kernel.errors import LockstepError
from lockstep.reading.loading import MINIMUM_ROWS


def main() -> int:
    """Print the counts; 1 if a file ended in another error than a message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="a line for each file")
    parser.add_argument("--last", action="store_true", help="give the last column as the target")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    counts, reasons = Counter[str](), Counter[str]()
    for path in sorted(path for path in args.folder.rglob("*") if path.is_file()):
        outcome, words = judge(path, last=args.last)
        counts[outcome] += 1
        if args.each and outcome != "short":
            print(f"{outcome:8} {path.relative_to(args.folder)}: {words}", flush=True)
        if outcome in ("refused", "crashed"):
            reasons[re.sub(r"'[^']*'|[0-9][0-9,.]*", "_", words.replace(str(path), "FILE"))[:70]] += 1
    judged = sum(counts.values()) - counts["short"]
    print(f"{judged} files: {counts['accepted']} accepted ({counts['accepted'] / max(judged, 1):.1%}), ", end="")
    print(f"{counts['refused']} refused, {counts['crashed']} crashed; {counts['short']} more are too short")
    for reason, count in reasons.most_common(25):
        print(f"{count:5} {reason}")
    return int(counts["crashed"] > 0)


def judge(path: Path, *, last: bool) -> tuple[str, str]:
    """("accepted", what was decided), ("refused", the message), ("crashed", the error) or ("short", "")"""
    with path.open("rb") as file:
        if sum(1 for _ in file) <= MINIMUM_ROWS:
            return "short", ""
    try:
        facts = look(path, {})
        columns = [str(name) for name in facts.frame if name not in facts.unneeded]
        choices = make_choices(facts, {"load.target": columns[-1]} if last else {})
        try_out(path, *describe_problem(facts, choices, path))
    except LockstepError as error:
        return "refused", str(error)
    except Exception as error:  # what a user would see as a traceback
        return "crashed", repr(error)
    decided = {choice.key: choice.value for choice in choices.file_format}
    return "accepted", f"{choices.task.value} of '{choices.target.value}', drop {choices.drop.value}, {decided}"


if __name__ == "__main__":
    sys.exit(main())
