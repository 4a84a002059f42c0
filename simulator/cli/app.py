"""`burstline app`: the Streamlit app."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--port", default=8501, show_default=True, help="Port on the loopback address.")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
def command(port: int, headless: bool) -> None:
    """Open the what-if app in the browser.

    Example: burstline app --port 8600
    """
    from streamlit.web import cli as streamlit

    from simulator.catalog import app_file

    sys.argv = [
        "streamlit", "run", str(app_file()), "--server.port", str(port), "--server.address", "127.0.0.1",
        "--server.headless", str(headless).lower(), "--browser.gatherUsageStats", "false",
        "--server.fileWatcherType", "none", "--client.toolbarMode", "viewer",
    ]  # fmt: skip
    streamlit.main()
