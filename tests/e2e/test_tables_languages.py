"""Tables of the commands in both languages: Korean where the scenario says so, English unchanged by default."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from simulator import wording_tables
from simulator.cli import group
from simulator.wording_tables import speaker

HANGUL = re.compile("[가-힣]")
CLI = Path(wording_tables.__file__).parent / "cli"
VIEWS = ("_money.py", "_simulate_view.py", "demand.py")


def told(*arguments: str) -> str:
    result = CliRunner().invoke(group, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("arguments", "english", "korean"),
    [
        (("demand", "half-private-40"), ("of the users", "all on AWS", "load factor"), ("사용자 기준", "모두 AWS", "부하율", "978,374")),
        (("compare", "half-private-40"), ("worker_servers", "minimum configuration"), ("워커 서버", "최소 구성", "612,800")),
        (
            ("finance", "half-private-40"),
            ("NPV against AWS at its best", "to buy", "as expected"),
            ("최적 약정 AWS 대비 NPV", "384,656", "예상대로", "하이브리드"),
        ),
        (
            ("finance", "placement", "--override", "reused-2019"),
            ("old servers against new", "new servers never cost less"),
            ("구형 서버와 신형 서버", "신형 서버가 더 저렴해지지 않음"),
        ),
    ],
)
def test_a_command_speaks_the_language_it_is_asked_for(
    arguments: tuple[str, ...], english: tuple[str, ...], korean: tuple[str, ...]
) -> None:
    plain = told(*arguments)
    assert all(text in plain for text in english)
    assert not HANGUL.search(plain)
    translated = told(*arguments, "--language", "ko")
    assert all(text in translated for text in korean)
    assert not any(text in translated for text in english if text)


def test_a_simulation_is_told_in_the_scenario_s_language_with_its_figure_and_series(tmp_path: Path) -> None:
    scenario = tmp_path / "case.yaml"
    scenario.write_text("scenario: case\nlanguage: ko\nengine: {horizon_hours: 48, replications: 1}\n")
    figure, series, out = tmp_path / "run.html", tmp_path / "run.om", tmp_path / "out"
    text = told("simulate", str(scenario), "--out", str(out), "--figure", str(figure), "--series", str(series))
    for expected in ("반복 평균", "전력량, kWh", "파드가 실행되기까지", "버스트:", "저장:"):
        assert expected in text
    page = figure.read_text(encoding="utf-8")
    assert json.dumps("가장 바쁜 주의 플릿") in page or "가장 바쁜 주의 플릿" in page
    lines = series.read_text().splitlines()
    assert lines[-1] == "# EOF"
    assert any(line.startswith("kube_pod_container_resource_requests{") for line in lines)
    english = told("simulate", str(scenario), "--out", str(out), "--language", "en")
    assert "node hours" in english
    assert not HANGUL.search(english)


def test_every_text_that_the_views_print_has_a_korean_one_with_the_same_values() -> None:
    said = {
        node.args[0].value
        for view in VIEWS
        for node in ast.walk(ast.parse((CLI / view).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
        and node.args and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    assert len(said) > 30
    missing = {text for text in said if text not in wording_tables._KO}
    assert missing == set()
    for english, korean in wording_tables._KO.items():
        assert sorted(re.findall(r"\{[^}]*\}", english)) == sorted(re.findall(r"\{[^}]*\}", korean)), english
    with pytest.raises(KeyError):
        speaker("ko")("a text nobody translated")
