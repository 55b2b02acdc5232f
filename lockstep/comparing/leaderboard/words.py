"""Writes the models of a leaderboard in words: a table for each problem, and what must be known to read it."""

from collections.abc import Sequence

from lockstep.comparing.leaderboard.ranking import MOST_PAIRS, NOT_EVALUATED, Entry, Leaderboard, Leaderboards, NoModels
from lockstep.comparing.model_revisions import Failed
from lockstep.comparing.recorded_evaluations import Interval
from lockstep.comparing.rendering import Quote, Report, ReportBlock, metric_value, p_value
from lockstep.comparing.run_changes import FileChange, RunChanges, ValueChange
from lockstep.comparing.verdicts import BETTER, NO_DIFFERENCE, WORSE
from lockstep.kernel.errors import plural, some
from lockstep.learning.metrics import qualified
from lockstep.steps.evaluating.intervals import CONFIDENCE
from lockstep.steps.reporting.wording import size

_UNBROKEN = ("cross-validation", "test", "size")
_NAMES, _CHANGES = 3, 3
"""How many names of a model, and changes of a kind, stand in its row; --json has all."""
NOTE = (
    "[ ]: {level:.0%} intervals. =: cannot be told from that one on the test rows, beyond chance: paired tests at "
    "{alpha:.0%}, p is Holm's over the pairs. The order is that of the cross-validation alone. docs/leaderboard.md "
    "explains it."
)


def report(found: Leaderboards, quote: Quote) -> Report:
    """Write the models of every problem in words."""
    shown = [board for board in found.problems.values() if isinstance(board, Leaderboard)]
    where = ", ".join(map(quote, found.revisions)) or "the workspace, commits, branches, tags and experiments"
    return Report(
        title=f"Models of {where}",
        lines=[] if found.problems else ["There is no problem."],
        blocks=[_block(name, board, quote) for name, board in found.problems.items()],
        note=note(found) if any(board.pairs for board in shown) else "",
    )


def note(found: Leaderboards) -> str:
    """How to read the tables."""
    return NOTE.format(level=CONFIDENCE, alpha=found.alpha)


def _block(name: str, board: Leaderboard | NoModels | Failed, quote: Quote) -> ReportBlock:
    if isinstance(board, Failed):
        return ReportBlock(f"{quote(name)}: not read", [f"{quote(board.message)}."])
    if isinstance(board, NoModels):
        return ReportBlock(f"{quote(name)}: no model", [f"'{quote(f'dvc repro evaluate@{name}')}' makes one."])
    rows = [list(cells(entry, board, quote)) for entry in board.entries]
    title = f"{quote(name)}: {plural(len(board.entries), 'model')} by {title_of(board)}"
    return ReportBlock(title, notes(board, quote), headings(board), rows, _UNBROKEN, listed=True)


def title_of(board: Leaderboard) -> str:
    """The metric, and which way is better."""
    better = "lower" if board.lower_is_better else "higher"
    return f"{qualified(board.metric, board.average)}, the {better} the better"


def headings(board: Leaderboard) -> tuple[str, ...]:
    """The headings of the table."""
    return "model", *_UNBROKEN[:2], f"against {board.compared_with}" if board.compared_with else "test rows", "size"


def cells(entry: Entry, board: Leaderboard, quote: Quote) -> tuple[str, ...]:
    """The cells of a row, below ``headings``; some have a second line."""
    place = "\N{EN DASH}" if entry.place is None else str(entry.place)
    group = " =" if entry.is_best and board.pairs else ""
    changes = made_as(entry, quote)
    return (
        f"{place}{group} {names(entry, quote)}" + (f"\n{changes}" if changes else ""),
        cross_validation(entry, quote),
        interval_text(entry.test),
        verdict(entry),
        "" if entry.model_size is None else size(entry.model_size),
    )


def notes(board: Leaderboard, quote: Quote) -> list[str]:
    """What must be known to read the table."""
    found = []
    ranked = (entry for entry in board.entries if entry.place is not None)
    judged = next((entry for entry in ranked if entry.place == board.compared_with), None)
    if judged and judged.evaluated_models is not None and judged.evaluated_models > 1:
        found.append(
            f"{judged.evaluated_models} models that are on record were evaluated on the test rows of model "
            f"{board.compared_with}. The best of so many looks better there than it is: choose by cross-validation."
        )
    if board.compared_with and board.compared_with > 1:
        above = "model 1 has" if board.compared_with == 2 else f"models 1 to {board.compared_with - 1} have"
        found.append(
            f"All are compared with model {board.compared_with}, since {above} no predictions of test rows here."
        )
    if any(entry.tuned for entry in board.entries):
        found.append(
            "(tuned): a search chose the hyperparameters on these folds, so its cross-validation is optimistic."
        )
    if any(entry.why == NOT_EVALUATED for entry in board.entries):
        found.append(
            f"{NOT_EVALUATED}: the test rows have not judged it, or with other settings. For an experiment, "
            f"'{quote('dvc exp apply NAME && dvc repro')}' does that."
        )
    if len(board.entries) > MOST_PAIRS:
        found.append(f"Only the first {MOST_PAIRS} are compared on the test rows.")
    return [*found, *_first(board.messages, quote)]


def _first(messages: Sequence[str], quote: Quote) -> list[str]:
    """One message, and how many more there are: of many commits, most say the same."""
    more = [f"{plural(len(messages) - 1, 'more message')}: --json has them all."] if len(messages) > 1 else []
    return [*map(quote, messages[:1]), *more]


def names(entry: Entry, quote: Quote) -> str:
    """What the revisions with a model are called, and the commit that recorded it."""
    commit = entry.commit[:7] if entry.commit else ""
    if not entry.names:
        return quote(commit)
    more = f" +{len(entry.names) - _NAMES}" if len(entry.names) > _NAMES else ""
    return ", ".join(map(quote, entry.names[:_NAMES])) + more + (f" ({quote(commit)})" if commit else "")


def made_as(entry: Entry, quote: Quote) -> str:
    """The model type of the first model; of the others what differs from it."""
    if entry.changes is None:
        return f"model {quote(entry.model_type)}" if entry.model_type else ""
    return _differences(entry.changes, quote)


def _differences(changes: RunChanges, quote: Quote) -> str:
    """How a model differs from the first one, in a few words: its own value of a setting, by the last part of the
    setting's name."""
    settings = (one for change in (*changes.parameters, *changes.hyperparameters) for one in _parts(change))
    changed = [one for one in settings if one.before != one.after]
    both = sorted(
        (one for one in changed if None not in (one.before, one.after)), key=lambda one: one.key != "train.model"
    )
    others = [one for one in changed if one not in both]
    parts = []
    if changed:
        parts.append(some([_setting(one, quote) for one in (*both, *others)], _CHANGES))
    for kind, files in (("data", changes.data), ("code", changes.code)):
        if files:
            parts.append(f"{kind}: {_files(files, quote)}")
    if changes.libraries:
        parts.append(f"libraries: {some([quote(one.key) for one in changes.libraries], _CHANGES)}")
    return "; ".join(parts)


def _parts(change: ValueChange) -> list[ValueChange]:
    """A change of each key, where a whole mapping is set on one side alone."""
    before, after = change.before, change.after
    if not (isinstance(before, dict) and after is None) and not (isinstance(after, dict) and before is None):
        return [change]
    old, new = before or {}, after or {}
    return [ValueChange(key, old.get(key), new.get(key)) for key in {**old, **new}]


def _setting(change: ValueChange, quote: Quote) -> str:
    value = "not set" if change.after is None else quote(change.after)
    return f"{quote(change.key.rpartition('.')[2])} {value}"


def _files(files: Sequence[FileChange], quote: Quote) -> str:
    return some([quote(one.path) for one in files], 1) if len(files) <= _CHANGES else f"{len(files)} files or folders"


def interval_text(found: Interval | None) -> str:
    """A metric with its interval, where it has one."""
    if found is None or found.value is None:
        return ""
    value = metric_value(found.value)
    if found.low is None or found.high is None:
        return value
    return f"{value} [{metric_value(found.low)}, {metric_value(found.high)}]"


def cross_validation(entry: Entry, quote: Quote) -> str:
    """The cross-validation, and why it gives no place, where it gives none."""
    note = quote(entry.unranked) if entry.unranked else "tuned" if entry.tuned else ""
    return (
        f"{interval_text(entry.cross_validation)}\n({note})".strip() if note else interval_text(entry.cross_validation)
    )


def verdict(entry: Entry) -> str:
    """The verdict on the test rows."""
    if entry.verdict is None:
        return ""
    if entry.verdict in (BETTER, WORSE, NO_DIFFERENCE) and entry.p_holm is not None:
        word = "no difference" if entry.verdict == NO_DIFFERENCE else entry.verdict
        return f"{word}\n(p {p_value(entry.p_holm)})"
    return entry.why or entry.verdict
