"""How the test rows were drawn: single rows, whole groups, blocks of time; within classes or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lockstep.tables.table import Table

import numpy as np

LEAST_UNITS = 10
"""Fewer independent rows, groups or blocks than that say nothing about how another draw would look."""
SUBSET, SUBSETS = 5_000, 20
"""Units of a subset, about, and how many subsets there are at most."""
WHOLE = 1_000
"""A stratum has at least so many units in every subset, if there are so many."""
_WEIGHTS_AT_ONCE = 1_000_000
"""Weights held at once (8 MB)."""


@dataclass(frozen=True)
class Design:
    """How the test rows were drawn, hence how they are resampled.

    Attributes:
        units: (n_rows,) the unit that each row belongs to, numbered from 0: itself, its group, its block of time.
        strata: (n_units,) the stratum of each unit, numbered from 0: units are resampled within it.
        kind: "rows", "groups" or "blocks".
        weights: (n_rows,) how much each row counts in every metric; None: all alike. Rows are drawn alike all the same:
            they were.
        drawn: (n_strata,) how many units of each stratum a resample has; None: as many as there are.
    """

    units: np.ndarray
    strata: np.ndarray
    kind: str
    weights: np.ndarray | None = None
    drawn: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        y: np.ndarray,
        *,
        stratified: bool,
        groups: np.ndarray | None,
        in_time: bool,
        weights: np.ndarray | None = None,
    ) -> "Design":
        """The design of test rows, in the order of the test table.

        Args:
            y: (n_rows,) the target.
            stratified: whether the split kept the classes' shares.
            groups: (n_rows,) what each row belongs to, or None.
            in_time: whether the rows are ordered in time. Blocks of n^(1/3) consecutive rows are then taken as
                independent (E. Carlstein, Annals of Statistics 14 (1986) 1171-1179; the length: P. Hall, J. Horowitz,
                B. Jing, Biometrika 82 (1995) 561-574).
            weights: see Design.
        """
        n = len(y)
        if groups is not None:
            units = np.unique(groups, return_inverse=True)[1]
            return cls(units, np.zeros(int(units.max(initial=-1)) + 1, dtype=np.intp), "groups", weights)
        if in_time:
            units = np.arange(n) // max(1, round(n ** (1 / 3)))
            return cls(units, np.zeros(int(units.max(initial=-1)) + 1, dtype=np.intp), "blocks", weights)
        strata = np.unique(y, return_inverse=True)[1] if stratified else np.zeros(n, dtype=np.intp)
        return cls(np.arange(n), strata, "rows", weights)

    @classmethod
    def of_table(cls, test: Table) -> "Design":
        """The design of a table's rows, which were drawn as it says."""
        groups = None if test.group is None else test.frame[test.group].to_numpy()
        in_time = test.time is not None
        return cls.of(test.labels, stratified=test.stratified, groups=groups, in_time=in_time, weights=test.weights)

    @property
    def n_units(self) -> int:
        return len(self.strata)

    @cached_property
    def degrees_of_freedom(self) -> int:
        """Units less strata: each stratum's mean is estimated from its own units."""
        return self.n_units - len(np.unique(self.strata))

    @property
    def widening(self) -> float:
        """By how much a bootstrap's standard error is too small: it divides by n where n - 1 is right."""
        return float(np.sqrt(self.n_units / self.degrees_of_freedom))

    @property
    def enough(self) -> bool:
        """Whether there are enough units for an interval or a test."""
        return self.n_units >= self.needed

    @property
    def needed(self) -> int:
        """The units that an interval or a test needs: for the mean of each stratum, one more."""
        return max(LEAST_UNITS, self.n_units - self.degrees_of_freedom + LEAST_UNITS // 2)

    @property
    def shares(self) -> bool:
        """Whether the mean over the rows of what is true or false of each is a share of independent rows that count
        alike, which has an interval, and a test, in closed form."""
        return self.kind == "rows" and self.weights is None

    @property
    def all_rows(self) -> np.ndarray:
        """(1, n_rows) the weights of the rows themselves, each once, or as often as it is drawn on average."""
        counts = np.ones(len(self.units))
        if self.drawn is not None:
            counts = (self.drawn / np.bincount(self.strata))[self.strata][self.units]
        return (counts if self.weights is None else counts * self.weights)[None, :]

    def subsets(self, random: np.random.Generator) -> Iterator[tuple[np.ndarray, "Design"]]:
        """Random subsets of the units, in turn, so that none is in two of them unless its stratum is small: the rows of
        each, (n_subset,), and the design whose resamples of them are as large as those of all rows."""
        count = min(SUBSETS, self.n_units // SUBSET)
        strata = np.unique(self.strata, return_inverse=True)[1]
        sizes = np.bincount(strata)
        inside = np.zeros((count, self.n_units), dtype=bool)
        for stratum, size in enumerate(sizes):
            shuffled = random.permutation(np.flatnonzero(strata == stratum))
            taken = min(size, max(WHOLE, size * SUBSET // self.n_units))
            for number in range(count):
                inside[number, shuffled[(number * taken + np.arange(taken)) % size]] = True
        for units in inside:
            rows = np.flatnonzero(units[self.units])
            places = (np.cumsum(units) - 1)[self.units[rows]]
            weights = None if self.weights is None else self.weights[rows]
            yield rows, Design(places, strata[units], self.kind, weights, sizes)

    def resamples(self, count: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        """``count`` resamples in chunks of (n_chunk, n_rows): how often each row is in each resample, times its own
        weight."""
        for counts in self.draws(count, random):
            yield counts if self.weights is None else counts * self.weights

    def draws(self, count: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        """``count`` resamples in chunks of (n_chunk, n_rows): how often each row is in each resample."""
        members = [np.flatnonzero(self.strata == stratum) for stratum in np.unique(self.strata)]
        for size in chunks(count, len(self.units)):
            if self.drawn is None:
                drawn = [own[random.integers(0, len(own), (size, len(own)))] for own in members]
                places = np.concatenate(drawn, axis=1) + self.n_units * np.arange(size)[:, None]
                counts = np.bincount(places.ravel(), minlength=size * self.n_units).reshape(size, self.n_units)
            else:  # many times as often as there are units
                counts = np.zeros((size, self.n_units), dtype=np.int64)
                for own, times in zip(members, self.drawn.tolist(), strict=True):
                    counts[:, own] = random.multinomial(times, np.full(len(own), 1 / len(own)), size)
            yield counts[:, self.units].astype(float)


def chunks(count: int, width: int) -> Iterator[int]:
    step = max(1, _WEIGHTS_AT_ONCE // max(1, width))
    for start in range(0, count, step):
        yield min(step, count - start)
