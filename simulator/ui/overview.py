"""Overview: pick a case or drop a bill, move what matters, see the answer and why."""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import streamlit as st

from models.errors import CapacityError
from models.scenario import Scenario
from simulator import catalog
from simulator.export.report import Table
from simulator.pipeline import documents
from simulator.pipeline.inputs import Inputs, inputs_key
from simulator.pipeline.planning import Planned, make_plan
from simulator.record import to_json
from simulator.ui import state
from simulator.ui.state import Currency, WhatIf
from simulator.wording import Language, words

_LANGUAGES = {"en": "English", "ko": "한국어"}
KEPT = 32
"""Plans kept in memory."""


class _Bar:
    """Progress in the page; drawn at most once per hundredth."""

    def __init__(self, text: str) -> None:
        self._text, self._total, self._done, self._shown = text, 1, 0, 0
        self._name = text
        self._bar = st.progress(0, text)

    def stage(self, name: str, total: int) -> None:
        """A new stage begins."""
        self._total, self._done, self._shown, self._name = max(total, 1), 0, 0, f"{self._text}: {name}"
        self._bar.progress(0, self._name)

    def advance(self, steps: int = 1) -> None:
        """Move on; streamlit stops the script here when the reader changes something."""
        self._done += steps
        percent = min(100 * self._done // self._total, 100)
        if percent > self._shown:
            self._shown = percent
            self._bar.progress(percent, self._name)

    def done(self) -> None:
        """Take the bar away."""
        self._bar.empty()


@st.cache_resource(show_spinner=False)
def _answers() -> OrderedDict[str, Planned]:
    """Plans by the JSON of their scenario, newest last, shared by all sessions of the server."""
    return OrderedDict()


def _planned(scenario: Scenario) -> Planned:
    """The plan of a scenario, from memory or worked out with a bar."""
    answers, key = _answers(), scenario.model_dump_json()
    if key not in answers:
        bar = _Bar(words(scenario.language)["running"])
        try:
            answers[key] = make_plan(scenario, _same_inputs(answers, scenario), bar)
        finally:
            bar.done()
        while len(answers) > KEPT:
            answers.popitem(last=False)
    return answers[key]


def _same_inputs(answers: OrderedDict[str, Planned], scenario: Scenario) -> Inputs | None:
    """Inputs that another plan has read already, when this one reads the same."""
    same = (item.inputs for item in answers.values() if inputs_key(item.scenario) == inputs_key(scenario))
    return next(same, None)


def page() -> None:
    """Draw the page."""
    before = state.read()
    what_if, bills = _sidebar(before)
    if what_if != before:  # widgets are named by their labels and defaults: draw them again from what was chosen
        state.write(what_if, only_case=what_if.case != before.case)
        st.rerun()
    state.write(what_if)
    w = words(what_if.language)
    st.title(w["app_title"])
    st.caption(w["app_claim"])
    try:
        planned = _planned(what_if.scenario(bills))
    except CapacityError as error:
        st.error(str(error))
        return
    _answer(planned, what_if.language)


def _sidebar(before: WhatIf) -> tuple[WhatIf, tuple[str, ...]]:
    w = words(before.language)
    with st.sidebar:
        language = st.segmented_control(w["language"], ["en", "ko"], default=before.language, format_func=lambda code: _LANGUAGES[code])
        w = words(cast(Language, language or before.language))
        names = catalog.scenario_names()
        case = st.selectbox(w["case"], names, index=names.index(before.case))
        upload = st.file_uploader(w["bill_upload"], accept_multiple_files=True, key="bills")
        with st.form("what-if"):
            st.subheader(w["what_if"])
            growth = st.slider(w["growth"], -50, 100, round(before.growth_share * 100), format="%d %%")
            discount = st.slider(w["discount"], 0, 72, round(before.discount_share * 100), format="%d %%")
            share = st.slider(w["share"], 0, 100, round(before.build_share * 100), format="%d %%")
            lead = st.slider(w["lead_time"], 0, 52, round(before.lead_time_weeks))
            staff = st.slider(w["staff"], 0.0, 5.0, before.staff_fte, 0.5)
            objective = _select(w, "objective", state.OBJECTIVES, before.objective)
            dispatch = _select(w, "dispatch", state.DISPATCHES, before.dispatch)
            currency = st.segmented_control(w["currency"], ["USD", "KRW"], default=before.currency)
            st.form_submit_button(w["apply"], type="primary", width="stretch")
    what_if = WhatIf(
        case=case,
        language=cast(Language, language or before.language),
        currency=cast(Currency, currency or before.currency),
        growth_share=growth / 100,
        discount_share=discount / 100,
        build_share=share / 100,
        lead_time_weeks=float(lead),
        staff_fte=staff,
        objective=objective,
        dispatch=dispatch,
    )
    return what_if, tuple(_kept(file.name, file.getvalue()) for file in upload)


def _select(w: Mapping[str, str], label: str, names: Sequence[str], before: str) -> str:
    return str(st.selectbox(w[label], list(names), index=list(names).index(before), format_func=lambda name: w[name]))


def _kept(name: str, content: bytes) -> str:
    """Keep an uploaded bill under a name made of its content, so that the same bill is planned once."""
    folder = Path(tempfile.gettempdir()) / f"burstline-{hashlib.sha256(content).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / Path(name).name
    path.write_bytes(content)
    return str(path)


def _answer(planned: Planned, language: Language) -> None:
    w = words(language)
    for column, tile in zip(st.columns(6), documents.tiles(planned, language), strict=True):
        column.metric(tile.label, tile.value, help=tile.note or None)
    st.plotly_chart(documents.cost_curve(planned, language), width="stretch", key="cost-curve")
    left, right = st.columns([3, 2])
    with left:
        st.subheader(w["why"])
        st.markdown("\n".join(f"- {_plain(reason)}" for reason in planned.plan.reasons))
        for note in documents.notes(planned, language):
            st.caption(_plain(note))
    with right:
        st.subheader(w["alternatives"])
        _table(documents.answers(planned, language))
    views = ["timeline", "load_duration", "cash_flow", "money", "steps", "unverified"]
    bill = documents.bill_table(planned, language)
    chosen = st.segmented_control(
        w["overview"], [*views, *(["reconciliation"] if bill else [])], default="timeline", format_func=lambda name: w[name]
    )
    match chosen:
        case "timeline":
            st.plotly_chart(documents.timeline(planned, language), width="stretch", key="timeline")
        case "load_duration":
            st.plotly_chart(documents.load_duration(planned, language), width="stretch", key="load-duration")
        case "cash_flow":
            st.plotly_chart(documents.cash_flow(planned, language), width="stretch", key="cash-flow")
        case "money":
            _table(documents.money_table(planned, language))
        case "steps":
            _table(documents.steps_table(planned, language))
        case "unverified":
            _table(documents.unverified_table(planned, language))
        case "reconciliation" if bill:
            _table(bill)
    st.download_button(w["download_plan"], to_json(planned.plan) + "\n", "plan.json", "application/json")
    st.caption(f"{w['digest']}: `{planned.plan.digest}`")


def _table(table: Table) -> None:
    st.table({header or " ": [row[i] for row in table.rows] for i, header in enumerate(table.header)})


def _plain(text: str) -> str:
    """Text that markdown shows as it is: dollar signs and the like mean nothing special."""
    return text.replace("$", "\\$").replace("~", "\\~")
