"""The house keeps its own rules: layers, types, lint, a lock without addresses, a console script that is ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("pandas", "scipy", "numba", "streamlit", "plotly", "duckdb", "kubernetes", "boto3", "simpy")


def _run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@pytest.mark.parametrize(
    "command",
    [("lint-imports",), ("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=["layers", "lint", "format", "types"],
)
def test_the_tools_find_nothing(command: tuple[str, ...]) -> None:
    done = _run(_tool(command[0]), *command[1:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_lock_pins_everything_and_holds_no_address() -> None:
    lines = [
        line for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line and not line.lstrip().startswith("#")
    ]
    assert lines
    assert all("==" in line for line in lines)
    assert not any("://" in line or line.startswith("-") for line in lines)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['burstline', '--help']\n"
        "from simulator.cli import group\n"
        "try: group.main(standalone_mode=False)\n"
        f"finally: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = _run(sys.executable, "-c", code)
    assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr


def test_the_wheel_ships_two_packages_and_the_script_survives_a_decoy(tmp_path: Path) -> None:
    built = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"models", "simulator"}
    assert "simulator/_data/catalog/parameters.yaml" in names
    decoy = tmp_path / "decoy"
    (decoy / "models").mkdir(parents=True)
    (decoy / "models" / "__init__.py").write_text("raise SystemExit('the stranger was imported')", encoding="utf-8")
    done = _run(_tool("burstline"), "--version", cwd=decoy)
    assert done.returncode == 0
    assert "burstline" in done.stdout
