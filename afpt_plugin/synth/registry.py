"""The table of generated sounds and the decorator that fills it.

Authors
 * The afpt_plugin developers 2026
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sound:
    """A named generator.

    Arguments
    ---------
    name : str
        Class name with spaces, e.g. `"crackling fire"`.
    make : callable
        `make(rng, duration, sample_rate)` returns a mono signal of at most
        `int(duration * sample_rate)` samples.

    Example
    -------
    >>> Sound("dog", len).name
    'dog'
    """

    name: str
    make: Callable


SOUNDS = {}


def sound(name):
    """Register a generator under a class name.

    Arguments
    ---------
    name : str
        Class name with spaces.

    Returns
    -------
    callable
        The decorator; it hands the function back unchanged.

    Raises
    ------
    ValueError
        If the name is taken.

    Example
    -------
    >>> @sound("test click")
    ... def click(rng, duration, sample_rate):
    ...     return rng.standard_normal(50)
    >>> SOUNDS.pop("test click").make is click
    True
    """

    def register(make):
        if name in SOUNDS:
            raise ValueError(f"two generators are named '{name}'")
        SOUNDS[name] = Sound(name, make)
        return make

    return register
