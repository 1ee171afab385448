"""Blocks of uniforms for many cars and days at once, bit for bit those of ``sim.randomness.uniform_block``.

One ``SeedSequence`` and one ``PCG64`` object per car and day cost about 10 microseconds; here the same
arithmetic runs on arrays: the entropy hash of O'Neill's ``seed_seq`` as numpy implements it, and the 128-bit
congruential generator with XSL-RR output (O'Neill 2014, HMC-CS-2014-0905). Both are frozen by numpy's
compatibility promise for seeded bit generators, and a test compares them with numpy's own objects.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.arrays import FloatArray, IntArray
from sim.randomness import Stream

_Words = NDArray[np.uint32]
_Longs = NDArray[np.uint64]

# Constants of numpy's SeedSequence (numpy/random/bit_generator.pyx).
_INIT_A: Final = 0x43B0D7E5
_MULT_A: Final = 0x931E8875
_INIT_B: Final = 0x8B51F9DD
_MULT_B: Final = 0x58F38DED
_MIX_L: Final = np.uint32(0xCA01F9DD)
_MIX_R: Final = np.uint32(0x4973F715)
_HALF_WORD: Final = np.uint32(16)
_WORD: Final = 0xFFFFFFFF
_POOL_SIZE: Final = 4
# Multiplier of PCG64 (numpy/random/src/pcg64/pcg64.h), as two 64-bit halves.
_PCG_HIGH: Final = np.uint64(2549297995355413924)
_PCG_LOW: Final = np.uint64(4865540595714422341)
_CHUNK: Final = 4096  # rows at a time, so that the working arrays stay in the processor's cache


def uniform_blocks(
    seed: int, replication: int, stream: Stream, entity: IntArray, day: IntArray, *, size: int, block: int = 0
) -> FloatArray:
    """Uniforms in [0, 1) of many entities and days.

    Parameters
    ----------
    seed, replication, stream, size, block
        As in ``sim.randomness.uniform_block``.
    entity, day
        Shape (n,); entities are below 2**32.

    Returns
    -------
    ndarray, shape (n, size)
        Row i equals ``uniform_block(seed, replication, stream, entity[i], day[i], size, block)``.

    >>> from sim.randomness import uniform_block
    >>> rows = uniform_blocks(5, 0, Stream.TRAVEL, np.array([3, 4]), np.array([-1, 0]), size=6)
    >>> bool((rows[1] == uniform_block(5, 0, Stream.TRAVEL, 4, 0, 6)).all())
    True
    """
    result = np.empty((len(entity), size))
    for start in range(0, len(entity), _CHUNK):
        part = slice(start, start + _CHUNK)
        constant = _words(replication) + _words(int(stream))
        key: list[int | _Words] = [
            *constant,
            entity[part].astype(np.uint32),
            (day[part] + 1).astype(np.uint32),
            *_words(block),
        ]
        result[part] = _pcg64_doubles(_seed_states(_words(seed), key, len(entity[part])), size)
    return result


def _words(value: int) -> list[int]:
    words = [value & _WORD]
    while value := value >> 32:
        words.append(value & _WORD)
    return words


class _Hash:
    """SeedSequence's hash: a multiplier that moves on with every word hashed."""

    def __init__(self, constant: int, multiplier: int) -> None:
        self._constant = constant
        self._multiplier = multiplier

    def __call__(self, value: _Words) -> _Words:
        value = value ^ np.uint32(self._constant)
        self._constant = self._constant * self._multiplier & _WORD
        value = value * np.uint32(self._constant)
        hashed: _Words = value ^ (value >> _HALF_WORD)
        return hashed


def _mix(x: _Words, y: _Words) -> _Words:
    result = x * _MIX_L - y * _MIX_R
    mixed: _Words = result ^ (result >> _HALF_WORD)
    return mixed


def _seed_states(seed_words: list[int], key: list[int | _Words], n: int) -> list[_Longs]:
    """Four 64-bit words of state per row, as ``SeedSequence.generate_state(4, uint64)``."""
    padded: list[int | _Words] = [*seed_words, *[0] * (_POOL_SIZE - len(seed_words)), *key]
    entropy = [np.broadcast_to(np.asarray(word, dtype=np.uint32), (n,)) for word in padded]
    hashed = _Hash(_INIT_A, _MULT_A)
    pool = [hashed(word) for word in entropy[:_POOL_SIZE]]
    for source in range(_POOL_SIZE):
        for target in range(_POOL_SIZE):
            if source != target:
                pool[target] = _mix(pool[target], hashed(pool[source]))
    for word in entropy[_POOL_SIZE:]:
        for target in range(_POOL_SIZE):
            pool[target] = _mix(pool[target], hashed(word))
    hashed = _Hash(_INIT_B, _MULT_B)
    words = [hashed(pool[i % _POOL_SIZE]).astype(np.uint64) for i in range(2 * _POOL_SIZE)]
    return [words[2 * i] | (words[2 * i + 1] << np.uint64(32)) for i in range(_POOL_SIZE)]


def _pcg64_doubles(words: list[_Longs], size: int) -> FloatArray:
    one, shift = np.uint64(1), np.uint64(63)
    increment = ((words[2] << one) | (words[3] >> shift), (words[3] << one) | one)
    state = _add(increment, (words[0], words[1]))  # the first step from zero leaves the increment
    state = _add(_times_multiplier(state), increment)
    result = np.empty((len(words[0]), size))
    for column in range(size):
        state = _add(_times_multiplier(state), increment)
        result[:, column] = _output(*state) >> np.uint64(11)
    return result * 2.0**-53


def _add(x: tuple[_Longs, _Longs], y: tuple[_Longs, _Longs]) -> tuple[_Longs, _Longs]:
    low = x[1] + y[1]
    carry: _Longs = (low < y[1]).astype(np.uint64)
    return x[0] + y[0] + carry, low


def _times_multiplier(x: tuple[_Longs, _Longs]) -> tuple[_Longs, _Longs]:
    high, low = x
    return high * _PCG_LOW + low * _PCG_HIGH + _high_product(low, _PCG_LOW), low * _PCG_LOW


def _high_product(x: _Longs, y: np.uint64) -> _Longs:
    """Upper 64 bits of a 64 x 64 bit product."""
    half, mask = np.uint64(32), np.uint64(_WORD)
    x_low, x_high, y_low, y_high = x & mask, x >> half, y & mask, y >> half
    middle = x_high * y_low + (x_low * y_low >> half)
    other = x_low * y_high + (middle & mask)
    upper: _Longs = x_high * y_high + (middle >> half) + (other >> half)
    return upper


def _output(high: _Longs, low: _Longs) -> _Longs:
    """XSL-RR: xor the halves, rotate right by the top six bits."""
    value: _Longs = high ^ low
    turn: _Longs = np.right_shift(high, np.uint64(58))
    back: _Longs = np.bitwise_and(np.negative(turn), np.uint64(63))
    return np.bitwise_or(np.right_shift(value, turn), np.left_shift(value, back))
