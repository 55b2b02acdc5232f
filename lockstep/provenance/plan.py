"""Which stages a run of others needs."""

from collections.abc import Iterable, Mapping

from lockstep.kernel.lock_file import LockedStage, outputs


def needed(targets: Iterable[str], stages: Mapping[str, LockedStage]) -> dict[str, LockedStage]:
    """The stages that ``dvc repro TARGET`` looks at: the targets and all that they need, in the order of ``stages``."""
    producers = {path: owner for path, (_, owner) in outputs(stages.values()).items()}
    wanted, todo = set(), list(targets)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += [producers[file.path] for file in stages[name].deps if file.path in producers]
    return {name: stage for name, stage in stages.items() if name in wanted}
