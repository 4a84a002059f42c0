"""Checks of the priority expander's ConfigMap: it parses as the autoscaler parses it, and every known group matches.

The rules of expander/priority/priority.go: a YAML mapping of integer to list of RE2 patterns, found anywhere in the
group id; the highest matching integer wins; a repeated integer keeps one list only; values below 0 never win.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from models.errors import Problem
from simulator.export.check_groups import MANAGED_BY, annotations_of, bounds, place

CONFIG_MAP = "cluster-autoscaler-priority-expander"
KEY = "priorities"
_NOT_RE2 = re.compile(r"\(\?[=!<]|\\[1-9]|\(\?P=|\(\?>|[*+?}]\+")


class _Loader(yaml.SafeLoader):
    """Refuses a repeated key instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the parent, after looking for repeated keys."""
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"priority {key} appears twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str) -> dict[int, list[str]]:
    """Priorities of a ConfigMap's text; raises ValueError with the reason when the autoscaler would refuse or ignore it.

    >>> parse("10: ['^a$']")
    {10: ['^a$']}
    """
    try:
        table = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(table, dict) or not table:
        raise ValueError("not a mapping of priority to patterns")
    for priority, patterns in table.items():
        if not isinstance(priority, int) or isinstance(priority, bool) or priority < 0:
            raise ValueError(f"priority {priority!r} is not a whole number from 0 on")
        if not isinstance(patterns, list) or not patterns or not all(isinstance(item, str) for item in patterns):
            raise ValueError(f"priority {priority} has no list of patterns")
        for pattern in patterns:
            _compile(pattern)
    return table


def _compile(pattern: str) -> re.Pattern[str]:
    if _NOT_RE2.search(pattern):
        raise ValueError(f"pattern {pattern!r} uses what RE2 does not have (look-around, back-references, possessive repeats)")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r}: {error}") from None


def priority_of(table: Mapping[int, Sequence[str]], group: str) -> int | None:
    """The priority of a group id: the highest integer with a matching pattern; None when nothing matches."""
    matching = [priority for priority, patterns in table.items() if any(re.search(pattern, group) for pattern in patterns)]
    return max(matching, default=None)


def check(documents: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Problems of the ConfigMap, if there is one, and of groups that it forgets."""
    for document in documents:
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == CONFIG_MAP:
            yield from _config_map(document, documents)


def _config_map(document: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    text = (document.get("data") or {}).get(KEY)
    if not isinstance(text, str):
        yield Problem(place(document, f"data.{KEY}"), "nothing", f"the key is {KEY}; without it every group, AWS included, may be chosen")
        return
    try:
        table = parse(text)
    except ValueError as error:
        yield Problem(place(document, f"data.{KEY}"), str(error), "priority: [patterns], whole numbers from 0 on")
        return
    if not any(pattern in (".*", "^.*$") for pattern in table[min(table)]):
        yield Problem(place(document, f"data.{KEY}"), "no catch-all", "give the lowest priority the pattern .*")
    yield from _groups(document, documents, table)


def _groups(document: Mapping[str, Any], documents: Sequence[Mapping[str, Any]], table: Mapping[int, Sequence[str]]) -> Iterator[Problem]:
    lowest = min(table)
    private, burst = [], []
    for group in documents:
        metadata = group["metadata"]
        if group["kind"] not in ("MachineDeployment", "MachinePool"):
            continue
        name = f"{group['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"
        priority = priority_of(table, name)
        if priority is None or priority == lowest:
            mend = "add a pattern for it: a group that matches nothing is passed over, or bought at random when none matches"
            yield Problem(place(document, f"data.{KEY}"), f"no pattern of its own for {name}", mend)
        elif MANAGED_BY in annotations_of(group):
            burst.append((priority, name))
        elif bounds(group)[0] is not None:
            private.append((priority, name))
    if private and burst and max(burst)[0] >= min(private)[0]:
        yield Problem(
            place(document, f"data.{KEY}"), f"{max(burst)[1]} at {max(burst)[0]}", f"below {min(private)[1]} at {min(private)[0]}"
        )
