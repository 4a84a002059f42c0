"""Streamlit entry: page settings and navigation over simulator.ui, nothing else."""

from __future__ import annotations

import streamlit as st

from simulator.ui import overview

st.set_page_config(page_title="Burstline", page_icon="📐", layout="wide")
st.navigation([st.Page(overview.page, title="Overview · 개요", url_path="overview", default=True)]).run()
