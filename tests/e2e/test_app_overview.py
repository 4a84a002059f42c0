"""The overview page, run by streamlit's own test driver."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from simulator.wording import words

APP = str(Path(__file__).resolve().parents[2] / "app.py")
PATIENT_S = 300


def _open(**query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=PATIENT_S)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def _metric(app: AppTest, label: str) -> str:
    return next(metric.value for metric in app.metric if metric.label == label)


@pytest.fixture
def app() -> AppTest:
    return _open()


@pytest.mark.xdist_group("app")
class TestOverview:
    def test_it_shows_the_answer_its_reasons_and_the_cost_curve(self, app: AppTest) -> None:
        assert not app.exception
        assert _metric(app, "Private nodes to build") == "55"
        assert any("53 working nodes and 2 spare make 55" in item.value for item in app.markdown)
        assert len(app.get("plotly_chart")) == 2

    def test_the_link_holds_the_what_if(self, app: AppTest) -> None:
        assert app.query_params["discount"] == "0.28"
        assert app.query_params["case"] == "half-private-40"

    def test_a_deeper_discount_builds_less_and_a_slider_moves_the_answer(self, app: AppTest) -> None:
        words_en = words("en")
        slider = next(item for item in app.slider if item.label == words_en["discount"])
        slider.set_value(50)
        app.button[0].click().run()
        assert not app.exception
        assert int(_metric(app, "Private nodes to build")) < 55
        assert app.query_params["discount"] == "0.5"

    def test_a_link_in_korean_and_won_opens_in_korean_and_won(self) -> None:
        app = _open(lang="ko", currency="KRW")
        assert not app.exception
        assert _metric(app, "구축할 사설 노드") == "55"
        assert _metric(app, "초기 투자비").startswith("₩1.09 bn")  # 810,600 x 1,350 = 1,094,310,000

    def test_a_broken_link_falls_back_to_the_case(self) -> None:
        app = _open(discount="lots", lang="xx", case="no-such-case")
        assert not app.exception
        assert _metric(app, "Private nodes to build") == "55"
