"""What the registry's tags say of a problem: its versions, what is in each stage, and what was there before."""

from collections.abc import Iterable
from typing import NamedTuple

from lockstep.deployment.registry.tags import RegistryTag
from lockstep.kernel.errors import did_you_mean, some
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.settings import read_problems


class Held(NamedTuple):
    """A model in a stage, by the tag that put it there."""

    commit: str
    tag: RegistryTag


class Registered(NamedTuple):
    """The models of a problem in the registry.

    Attributes:
        versions: the tag that registers each, by its name; not those that were taken back.
        taken_back: versions that were, and the commits that they were of.
        stages: the models in each stage, the newest last: that one is in it for GTO and DVC. Those before it are there
            where another program left them.
        before: what was in each stage before, the commits, the newest last. A model that went back there ends what came
            after it.
        counter: the highest number of its tags.
        time: of its newest tag; 0 without any.
    """

    versions: dict[str, RegistryTag]
    taken_back: dict[str, str]
    stages: dict[str, list[Held]]
    before: dict[str, list[str]]
    counter: int
    time: int

    def version_of(self, commit: str) -> str | None:
        """The version of a commit; None where it has none."""
        return next((version for version, tag in self.versions.items() if tag.commit == commit), None)

    def name_of(self, commit: str) -> str:
        """For messages: its version, or the beginning of its hash."""
        return self.version_of(commit) or commit[:7]

    def held(self, stage: str) -> Held | None:
        """The model that is in a stage; None where there is none."""
        return self.stages[stage][-1] if self.stages.get(stage) else None


def find_registered(artifact: str, tags: Iterable[RegistryTag]) -> Registered:
    """Find what the tags, in their order, say of a problem, by its name in them."""
    own = [tag for tag in tags if tag.artifact == artifact]
    versions: dict[str, RegistryTag] = {}
    taken_back: dict[str, str] = {}
    stages: dict[str, list[Held]] = {}
    before: dict[str, list[str]] = {}
    for tag in own:
        if tag.version and tag.cancels:
            versions.pop(tag.version, None)
            taken_back[tag.version] = tag.commit
        elif tag.version:
            taken_back.pop(tag.version, None)
            versions[tag.version] = tag
        elif tag.stage:
            others = [held for held in stages.get(tag.stage, []) if held.commit != tag.commit]
            stages[tag.stage] = others if tag.cancels else [*others, Held(tag.commit, tag)]
            if not tag.cancels:
                past = before.setdefault(tag.stage, [])
                if tag.commit in past:
                    del past[past.index(tag.commit) :]
                past.append(tag.commit)
    hidden = set(taken_back.values()) - {tag.commit for tag in versions.values()}
    return Registered(
        versions=versions,
        taken_back=taken_back,
        stages={stage: [one for one in held if one.commit not in hidden] for stage, held in stages.items()},
        before={
            stage: [one for one in past if one not in hidden and one not in _newest(stages[stage])]
            for stage, past in before.items()
        },
        counter=max((tag.counter for tag in own), default=0),
        time=max((tag.time for tag in own), default=0),
    )


def nothing_in(stage: str, problem: str, found: Registered) -> str:
    """What to say where a stage has no model of a problem."""
    occupied = [name for name, held in found.stages.items() if held]
    if not occupied:
        known = list(read_problems(PARAMS)) if PARAMS.exists() else []
        hint = did_you_mean(problem, known) if problem not in known else ""
        return (
            f"no model of '{problem}' is in any stage.{hint} 'python -m lockstep models' shows those that are; 'git "
            "fetch --tags' brings those that others have promoted."
        )
    return (
        f"nothing is in '{stage}' of {problem}. Stages with a model: {some(occupied)}.{did_you_mean(stage, occupied)}"
    )


def _newest(held: list[Held]) -> list[str]:
    return [one.commit for one in held[-1:]]
