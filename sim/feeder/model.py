"""A radial feeder as data: buses, branches that feed them, and how they hang together.

Everything electrical is in per unit of ``BASE_KVA`` and of each bus's rated voltage, so that transformers are
branches like lines. ``N`` is the number of buses, ``M = N - 1`` of branches in service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import networkx as nx
import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray, freeze

BASE_KVA: Final = 1000.0  # of all per-unit values; a choice without effect on results


@dataclass(frozen=True, kw_only=True, eq=False)
class Feeder:
    """What never changes about a feeder.

    Branch m carries power from bus ``parent_index[m]`` to ``child_index[m]``, away from the source. Ratings that
    do not exist are ``inf``.
    """

    bus_names: tuple[str, ...]
    load_kw: FloatArray  # (N,), as the table of buses has it; a scenario may scale or replace it
    load_kvar: FloatArray  # (N,)
    source_index: int
    branch_names: tuple[str, ...]
    parent_index: IntArray  # (M,)
    child_index: IntArray  # (M,)
    r_pu: FloatArray  # (M,), series resistance
    x_pu: FloatArray  # (M,), series reactance
    b_pu: FloatArray  # (M,), charging susceptance, half at each end
    rating_kva: FloatArray  # (M,), of a line sqrt(3) x rated voltage x ampacity; its current is what binds
    is_transformer: BoolArray  # (M,), rated by apparent power, not by current
    xy: FloatArray | None = None  # (N, 2), where the buses are on a map, in any unit; none: not known

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n_buses(self) -> int:
        """Number of buses N."""
        return len(self.bus_names)

    @property
    def n_branches(self) -> int:
        """Number of branches M."""
        return len(self.branch_names)

    def ordered(self, bus_names: tuple[str, ...]) -> Feeder:
        """The same feeder with its buses in another order."""
        old = np.array([self.bus_names.index(name) for name in bus_names], dtype=np.int64)
        new = np.empty_like(old)
        new[old] = np.arange(len(old))
        return replace(
            self,
            bus_names=bus_names,
            load_kw=self.load_kw[old],
            load_kvar=self.load_kvar[old],
            source_index=int(new[self.source_index]),
            parent_index=new[self.parent_index],
            child_index=new[self.child_index],
            xy=None if self.xy is None else self.xy[old],
        )

    @cached_property
    def charging_kvar(self) -> FloatArray:
        """Reactive power that the branches give at each bus at rated voltage, shape (N,)."""
        given = np.zeros(self.n_buses)
        for ends in (self.parent_index, self.child_index):
            np.add.at(given, ends, self.b_pu / 2.0 * BASE_KVA)
        given.setflags(write=False)
        return given

    def branch_charging_kvar(self, voltage_pu: FloatArray) -> FloatArray:
        """Reactive power that each branch gives at both its ends at given voltages, shapes (K, N) to (K, M)."""
        squared = voltage_pu**2
        at_ends = squared[:, self.parent_index] + squared[:, self.child_index]
        given: FloatArray = BASE_KVA * self.b_pu / 2.0 * at_ends
        return given

    @cached_property
    def feeds(self) -> BoolArray:
        """Which buses are fed through each branch, shape (M, N)."""
        through = np.zeros((self.n_branches, self.n_buses), dtype=np.bool_)
        branch_into = {int(child): m for m, child in enumerate(self.child_index)}
        for bus in range(self.n_buses):
            at = bus
            while at != self.source_index:
                through[branch_into[at], bus] = True
                at = int(self.parent_index[branch_into[at]])
        through.setflags(write=False)
        return through

    @cached_property
    def below(self) -> FloatArray:
        """`feeds` as factors of sums: 1 where the demand of a bus (second axis) flows through a branch."""
        factors = self.feeds.astype(np.float64)
        factors.setflags(write=False)
        return factors

    @cached_property
    def above(self) -> FloatArray:
        """1 where a branch feeds the loss of another one (second axis): those do that feed its parent, (M, M)."""
        factors = self.below[:, self.parent_index]
        factors.setflags(write=False)
        return factors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A feeder between the regions of a site: bus r is that of region r, branch m is tie m."""

    feeder: Feeder
    source_pu: float
    voltage_min_pu: float
    voltage_max_pu: float
    load_kvar_per_kw: FloatArray  # (R,), of the regions' loads; everything else takes active power only

    def __post_init__(self) -> None:
        freeze(self)


def orient(
    n_buses: int, ends: Sequence[tuple[int, int]], source_index: int
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Turn branches away from the source.

    Parameters
    ----------
    n_buses
        Buses are 0 ... n_buses - 1.
    ends
        The two buses of each branch, different ones.
    source_index
        The bus that feeds all others.

    Returns
    -------
    oriented : list of (parent, child)
        Of each branch; as given where it is in no reach of the source or closes a loop.
    closing : list of int
        Branches that close a loop (the last of each loop's in the order given); empty on a radial feeder.
    unreached : list of int
        Buses that the source does not feed.

    >>> orient(4, [(1, 0), (1, 2), (2, 0)], 0)
    ([(0, 1), (1, 2), (2, 0)], [2], [3])
    """
    tree: nx.Graph[int] = nx.Graph()
    tree.add_nodes_from(range(n_buses))
    closing = []
    sets = nx.utils.UnionFind(range(n_buses))
    for number, (one, other) in enumerate(ends):
        if sets[one] == sets[other]:
            closing.append(number)
        else:
            sets.union(one, other)
            tree.add_edge(one, other)
    parent_of = dict(nx.bfs_predecessors(tree, source_index))
    unreached = [bus for bus in range(n_buses) if bus != source_index and bus not in parent_of]
    oriented = [
        (other, one) if parent_of.get(one) == other and number not in closing else (one, other)
        for number, (one, other) in enumerate(ends)
    ]
    return oriented, closing, unreached
