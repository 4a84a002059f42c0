"""Damaged objects: an InputError that names the place, or an answer; never another exception."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError, Problem
from scheduler_cases import Generator
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import place

WRONG = [None, "", "text", "1e99", "-3", -1, 0, 3.5, True, [], {}, [None], [[]], {"a": None}, {1: 2}, ["x", 5], {"key": "x"}, 10**30]


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(spot for key, child in children for spot in spots(child, (*path, key)))]


def damage(document: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    """The document with `wrong` at `path`."""
    if not path:
        return wrong
    found = copy.deepcopy(document)
    at = found
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = wrong
    return found


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), hits=st.integers(1, 3))
def test_any_damage_gives_an_answer_or_an_input_error(seed: int, hits: int) -> None:
    case = Generator(seed, "f").case(nodes=2, pods=3)
    documents = [*case.nodes, *case.services, *case.owners[:2], *case.pods]
    draw = np.random.Generator(np.random.PCG64(seed))
    for _ in range(hits):
        at = int(draw.integers(len(documents)))
        paths = spots(documents[at])
        documents[at] = damage(documents[at], paths[int(draw.integers(len(paths)))], WRONG[int(draw.integers(len(WRONG)))])
    problems = answered(documents)
    assert all(problem.place and problem.mend for problem in problems)


def answered(documents: list[Any]) -> tuple[Problem, ...]:
    """Problems of the input, none when every pod got an answer."""
    try:
        placement = place(read_objects(documents))
    except InputError as error:
        return error.problems
    return () if len(placement.pods) <= 3 else (Problem("", "more answers than pods", ""),)


@pytest.mark.parametrize("wrong", [10**30, "1e40", 2**63])
def test_amounts_beyond_64_bits_are_refused(wrong: Any) -> None:
    node = Generator(1, "f").node(0)
    node["status"]["allocatable"]["memory"] = wrong
    with pytest.raises(InputError, match="memory"):
        read_objects([node])
