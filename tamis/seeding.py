"""The only birthplace of randomness, and the order-free kind for rows.

A generator is named by what it is for, never by arithmetic on a seed: `seed + 1` of one stage is
`seed` of another. Rows are sampled by a keyed hash of their uid, so that a sample depends neither
on shard sizes, workers nor arrival order.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def digest(*parts: object) -> bytes:
    """128-bit blake2b of `parts`, each length-prefixed so that ("a", "bc") is not ("ab", "c")."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.digest()


def generator(seed: int, *key: object) -> np.random.Generator:
    """The generator for one purpose.

    Args:
      seed: The run's seed.
      key: What the numbers are for, e.g. `("pilot", stratum, 3)`.

    >>> bool(generator(1, "a").random() == generator(1, "a").random())
    True
    """
    return np.random.default_rng([seed, int.from_bytes(digest(*key), "little")])


def priority(uids: NDArray[np.uint64], seed: int, *key: object) -> NDArray[np.uint64]:
    """A pseudo-random u64 per row, a pure function of (uid, seed, key).

    The splitmix64 finaliser (Steele et al. 2014, Fast splittable pseudorandom number generators)
    over both halves of the uid. Taking the rows with the smallest priority is a uniform sample
    without replacement.

    Args:
      uids: Shape (n, 2), the two halves of each uid.
      seed: The run's seed.
      key: What the sample is for.

    Returns:
      Shape (n,) uint64.
    """
    salt = np.frombuffer(digest(seed, *key), np.uint64)
    return mix(mix(uids[:, 0] ^ salt[0]) ^ uids[:, 1] ^ salt[1])


def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser: a bijection of u64 that makes neighbours unlike."""
    with np.errstate(over="ignore"):
        z = z + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX[0]
        z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))
