"""Results that a process remembers, for functions that are sent to the workers of a sweep."""

import functools
import uuid
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")
_RESULTS: dict[tuple[Any, ...], Any] = {}


def cache(function: Callable[P, T]) -> Callable[P, T]:
    """Remember each result in this process, as ``functools.cache`` does; arguments must be hashable.

    Unlike it, the function may be pickled: a worker gets the function without the results, and makes its own. Running
    the definition again forgets. torch's random numbers go on as if nothing had been drawn, so that what follows does
    not depend on whether this process, or the one before it was killed, had the result already.
    """
    token = uuid.uuid4().hex

    @functools.wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> T:
        from transferlib.runs.memory import _RESULTS  # by name: a copy in a worker must find that process's own results

        key = (token, args, tuple(sorted(kwargs.items())))
        if key not in _RESULTS:
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                _RESULTS[key] = function(*args, **kwargs)
        return _RESULTS[key]

    return remembered
