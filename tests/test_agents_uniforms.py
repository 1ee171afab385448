"""Blocks of uniforms on arrays against numpy's own generators."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.uniforms import uniform_blocks
from sim.randomness import Stream, uniform_block


@settings(max_examples=50)
@given(
    seed=st.one_of(st.integers(0, 2**32), st.integers(0, 2**200)),
    replication=st.one_of(st.integers(0, 1000), st.integers(0, 2**70)),
    stream=st.sampled_from(list(Stream)),
    key=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(-1, 4000)), min_size=1, max_size=5),
    block=st.integers(0, 20),
)
def test_blocks_against_numpy(
    seed: int, replication: int, stream: Stream, key: list[tuple[int, int]], block: int
) -> None:
    """Every row equals, bit for bit, what one SeedSequence and PCG64 per key draw."""
    entity, day = (np.array(column, dtype=np.int64) for column in zip(*key, strict=True))
    rows = uniform_blocks(seed, replication, stream, entity, day, size=64, block=block)
    for row, one, two in zip(rows, entity.tolist(), day.tolist(), strict=True):
        np.testing.assert_array_equal(row, uniform_block(seed, replication, stream, one, two, 64, block))


def test_chunks_join_seamlessly() -> None:
    """Rows do not depend on how many are asked for at once."""
    cars, days = np.arange(9000), np.zeros(9000, dtype=np.int64)
    many = uniform_blocks(1, 0, Stream.TRAVEL, cars, days, size=3)
    few = uniform_blocks(1, 0, Stream.TRAVEL, cars[4090:4100], days[:10], size=3)
    np.testing.assert_array_equal(many[4090:4100], few)
