from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from models import units
from models.errors import Problem, ScenarioError, UnknownName
from models.horizon import Horizon
from models.parameter import Parameter, Parameters
from models.registry import Registry
from models.resources import ResourceAxes
from models.unknown import Unknown
from simulator.record import plain, write_text, writing
from simulator.streams import Streams


def _row(name: str, confidence: str = "A") -> Parameter:
    return Parameter(name, 1.0, 0.5, 2.0, "usd", "a page", date(2026, 1, 1), confidence)  # type: ignore[arg-type]


def test_an_override_replaces_a_value_and_makes_it_the_users_own() -> None:
    parameters = Parameters.of([_row("server_usd", "M")], {"server_usd": 3})
    assert parameters["server_usd"] == 3.0
    assert not parameters.by_name["server_usd"].unverified


def test_unknown_overrides_are_reported_together() -> None:
    with pytest.raises(ScenarioError) as caught:
        Parameters.of([_row("server_usd")], {"server_usdd": 1, "nothing": 2})
    assert len(caught.value.problems) == 2


def test_a_registry_refuses_unknown_names_with_near_misses() -> None:
    registry: Registry[int] = Registry("thing", "models.zones")
    registry._loaded = True
    registry.register("metal", 1)
    with pytest.raises(UnknownName, match="did you mean metal"):
        registry["mettal"]
    with pytest.raises(ValueError, match="twice"):
        registry.register("metal", 2)


def test_hours_are_inclusive_at_the_start_and_exclusive_at_the_end() -> None:
    horizon = Horizon(datetime(2025, 1, 5, 15, tzinfo=UTC), 8760)
    assert horizon.end == datetime(2026, 1, 5, 15, tzinfo=UTC)
    assert horizon.index(datetime(2025, 1, 5, 15, 59, tzinfo=UTC)) == 0
    assert horizon.times()[24] == np.datetime64("2025-01-06T15:00:00")
    with pytest.raises(ValueError, match="time zone"):
        Horizon(datetime(2025, 1, 5), 1)  # noqa: DTZ001 - the missing zone is the point


def test_axes_refuse_names_they_do_not_hold() -> None:
    axes = ResourceAxes(("cpu_m", "memory_mib", "pods", "nvidia.com/gpu"))
    assert axes.vector({"nvidia.com/gpu": 2}).tolist() == [0, 0, 0, 2]
    with pytest.raises(ValueError, match="unknown resources"):
        axes.vector({"gpu": 1})


@pytest.mark.parametrize("text", ["", "m", "1.2.3", "4 Gi", "1Zi", "--1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        units.quantity(text)


def test_quantities_round_up_to_whole_millicores() -> None:
    assert units.cpu_m("0.0001") == 1
    assert units.memory_bytes("1.5Ki") == 1536


def test_json_never_holds_nan_and_spells_unknowns() -> None:
    assert plain({"a": Unknown("no data"), "b": Decimal("1.50"), "c": np.float64(2), "d": date(2026, 1, 5)}) == {
        "a": {"unknown": "no data"},
        "b": 1.5,
        "c": 2.0,
        "d": "2026-01-05",
    }
    with pytest.raises(ValueError, match="NaN"):
        plain(float("nan"))


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path) -> None:
    path = tmp_path / "plan.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), writing(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_streams_are_independent_by_name_and_replication_and_repeat() -> None:
    draw = lambda seed, replication, name: Streams(seed, replication)(name).integers(0, 2**62)  # noqa: E731 - a table of four draws
    assert draw(1, 0, "failures") == draw(1, 0, "failures")
    assert len({draw(1, 0, "failures"), draw(1, 1, "failures"), draw(2, 0, "failures"), draw(1, 0, "boots")}) == 4


def test_problems_say_place_finding_and_mend() -> None:
    assert str(Problem("a.csv: row 3", "'x'", "write a number")) == "a.csv: row 3: found 'x'; write a number"
