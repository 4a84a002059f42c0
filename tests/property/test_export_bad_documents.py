"""Damaged manifests are findings, never tracebacks: any part of an export may be replaced by anything."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError, Problem
from plans import plan, pool
from simulator.export.apply_documents import load_folder
from simulator.export.bundle import export_bundle
from simulator.export.checks import check_manifests

_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just([{}]),
    st.just({"a": None}),
    st.just("cpu=1,x"),
    st.just("1: [a]"),
)
_EXPORTS = {
    mode: [
        dict(m.document)
        for m in export_bundle(
            plan(pool("bm", "baremetal"), pool("vm", "openstack_vm", priority=50), pool("aws", "aws"), burst_mode=mode)
        ).manifests
        if m.is_object
    ]
    for mode in ("karpenter", "cluster-autoscaler")
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, item in children for below in _paths(item, (*path, key)))]


def _put(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    made = copy.copy(value)
    made[path[0]] = _put(made[path[0]], path[1:], junk)
    return made


@st.composite
def damaged(draw: st.DrawFn) -> list[Any]:
    documents: list[Any] = copy.deepcopy(draw(st.sampled_from(list(_EXPORTS.values()))))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([p for p in _paths(documents) if p]))
        if draw(st.booleans()):
            documents = _put(documents, path, draw(_JUNK))
    return documents


@settings(deadline=None, max_examples=400)
@given(damaged())
def test_checks_answer_with_problems_whatever_they_are_given(documents: list[Any]) -> None:
    assert all(isinstance(problem, Problem) for problem in check_manifests(documents))


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), damaged().map(lambda d: yaml.safe_dump_all(d).encode())))
def test_any_bytes_in_a_folder_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "a.yaml").write_bytes(content)
    objects: tuple[Any, ...] = ()
    problems: tuple[Problem, ...] = ()
    try:
        objects = load_folder(folder).objects
    except InputError as error:
        problems = error.problems
    assert bool(objects) != bool(problems)
