"""The only maker of random generators.

Every draw comes from ``SeedSequence(seed, spawn_key=(replication, stream, entity, day + 1, block))``. Streams
split by purpose, so a policy cannot shift travel; the entity splits by car or region, so a fleet of 10 is the
first 10 of a fleet of 1,000; nothing depends on iteration order, process count or another library's generator.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Stream(IntEnum):
    """Purposes that draw chance, each with generators of its own."""

    TRAVEL = 0
    VEHICLE = 1
    WEATHER = 2
    FORECAST = 3
    DESIGN = 4
    BOOTSTRAP = 5
    WEATHER_PAST = 6
    CHAIN_STATISTICS = 7
    CHAIN_POPULATION = 8
    DRIVER = 9


def generator(
    seed: int, replication: int, stream: Stream, entity: int, day: int, block: int = 0
) -> np.random.Generator:
    """Generator of one entity, day and purpose.

    Parameters
    ----------
    seed, replication
        Of the run; non-negative.
    stream
        The purpose.
    entity
        vehicle_id, region index or another non-negative identity within the stream.
    day
        Day of the run, from -1 on (shifted by one in the key, which cannot be negative).
    block
        Which block of that day: 0 first, 1.. when a redraw has used up the block before.

    >>> a = generator(1, 0, Stream.TRAVEL, 7, -1).random()
    >>> a == generator(1, 0, Stream.TRAVEL, 7, -1).random()
    True
    >>> a == generator(1, 0, Stream.TRAVEL, 8, -1).random()
    False
    """
    key = (replication, int(stream), entity, day + 1, block)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def uniform_block(
    seed: int, replication: int, stream: Stream, entity: int, day: int, size: int, block: int = 0
) -> NDArray[np.float64]:
    """Uniforms in [0, 1) of one entity, day and block.

    >>> uniform_block(1, 0, Stream.VEHICLE, 3, -1, 4).shape
    (4,)
    """
    return generator(seed, replication, stream, entity, day, block).random(size)
