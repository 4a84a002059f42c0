"""YAML as people write it: a key that stands twice is refused, never silently overwritten."""

from __future__ import annotations

from typing import Any

import yaml

from models.errors import Problem, ScenarioError

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_Base):  # type: ignore[misc]
    """The safe loader, refusing duplicate keys of one mapping."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Build a mapping whose keys are all different."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                line = key_node.start_mark.line + 1
                if key_node.value in seen:
                    raise yaml.MarkedYAMLError(
                        None, None, f"key {key_node.value!r} stands already in line {seen[key_node.value]}", key_node.start_mark
                    )
                seen[key_node.value] = line
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str, place: str) -> Any:
    """The one document of a text. Raises `ScenarioError` with file and line for what is no YAML and for duplicate keys."""
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except (yaml.YAMLError, ValueError) as error:
        raise _refusal(place, error) from None


def parse_yaml_documents(text: str, place: str) -> list[Any]:
    """Every document of a text, `---` between them; errors as `parse_yaml`."""
    try:
        return list(yaml.load_all(text, Loader=_UniqueKeys))
    except (yaml.YAMLError, ValueError) as error:
        raise _refusal(place, error) from None


def _refusal(place: str, error: yaml.YAMLError | ValueError) -> ScenarioError:
    """What the reader said, with its line where it gave one; a `ValueError` is a value of no such type, such as a 13th month."""
    if isinstance(error, ValueError):
        return ScenarioError(Problem(place, "a value that cannot be read", str(error)))
    mark = getattr(error, "problem_mark", None)
    where = f"{place}: line {mark.line + 1}" if mark else place
    problem = str(getattr(error, "problem", None) or error)
    if problem.startswith("key "):
        return ScenarioError(Problem(where, problem, "keep one of the two, or put `---` between two documents"))
    return ScenarioError(Problem(where, "text that is not YAML", problem))
