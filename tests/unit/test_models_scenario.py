from __future__ import annotations

import pytest

from models.errors import ScenarioError, UnknownName
from models.scenario import parse_scenario
from simulator import catalog

MINIMAL = {"scenario": "one"}


def test_a_scenario_needs_only_a_name() -> None:
    scenario = parse_scenario(MINIMAL, "one.yaml")
    assert (scenario.aws.worker, scenario.planner.packing_share, scenario.zones[0].kind) == ("m5.4xlarge", 0.85, "baremetal")


def test_every_problem_is_reported_at_once_with_place_finding_and_mend() -> None:
    document = {"scenario": "Two Words", "aws": {"commitment_discount_share": 1.5, "wroker": "m5"}, "zones": [{"name": "bm", "kinds": "x"}]}
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(document, "two.yaml")
    places = [problem.place for problem in caught.value.problems]
    assert places == [
        "two.yaml: scenario",
        "two.yaml: aws.commitment_discount_share",
        "two.yaml: aws.wroker",
        "two.yaml: zones.0.kinds",
    ]
    mends = {problem.place: problem.mend for problem in caught.value.problems}
    assert mends["two.yaml: aws.wroker"] == "did you mean worker?"
    assert mends["two.yaml: zones.0.kinds"] == "did you mean kind, min_nodes?"


def test_an_override_changes_dotted_paths_and_is_validated_again() -> None:
    scenario = parse_scenario({**MINIMAL, "overrides": {"spare": {"zones.0.spare_nodes": 3}, "bad": {"aws.nothing.here": 1}}}, "o.yaml")
    assert scenario.override("spare").zones[0].spare_nodes == 3
    assert scenario.zones[0].spare_nodes == 2
    with pytest.raises(ScenarioError, match="no field 'nothing'"):
        scenario.override("bad")
    with pytest.raises(UnknownName, match="did you mean spare"):
        scenario.override("spar")


def test_two_zones_of_one_name_are_refused() -> None:
    with pytest.raises(ScenarioError, match="its own name"):
        parse_scenario({**MINIMAL, "zones": [{"name": "bm"}, {"name": "bm"}]}, "z.yaml")


def test_a_list_is_no_scenario() -> None:
    with pytest.raises(ScenarioError, match="write a mapping"):
        parse_scenario([1], "l.yaml")


@pytest.mark.parametrize("name", catalog.scenario_names())
def test_every_shipped_scenario_and_override_is_valid(name: str) -> None:
    scenario = catalog.load_scenario(name)
    assert scenario.scenario == name
    assert all(scenario.override(key).scenario == name for key in scenario.overrides)


def test_broken_yaml_names_the_line(tmp_path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("scenario: one\naws: {region: [}\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"broken\.yaml: line 2"):
        catalog.load_scenario(str(path))


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("scenario: one\nzones: [{name: bm}]\nseed: 1\nzones: [{name: vm}]\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"twice\.yaml: line 4: found key 'zones' stands already in line 2"):
        catalog.load_scenario(str(path))


def test_a_date_that_cannot_be_is_an_input_error(tmp_path) -> None:
    path = tmp_path / "date.yaml"
    path.write_text("scenario: one\nas_of: 2026-13-45\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match="month must be in 1"):
        catalog.load_scenario(str(path))


def test_a_misspelt_scenario_gets_a_near_miss() -> None:
    with pytest.raises(UnknownName, match="half-private-40"):
        catalog.load_scenario("half-privat-40")
