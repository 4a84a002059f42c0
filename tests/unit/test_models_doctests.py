"""Every worked example in a docstring is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import models
import simulator


def _modules() -> list[str]:
    found = []
    for package in (models, simulator):
        found += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in found if not name.startswith("simulator.ui")]


@pytest.mark.parametrize("name", _modules())
def test_docstring_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
