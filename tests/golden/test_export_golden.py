"""The exported text of both burst modes, reviewed once and compared byte for byte.

After a wanted change: python tests/golden/test_export_golden.py, then read the diff.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from plans import plan, pool  # noqa: E402
from simulator.export import MODES  # noqa: E402
from simulator.export.bundle import export_bundle  # noqa: E402


def exported_text(mode: str) -> str:
    pools = (
        pool("prod-bm", "baremetal", nodes=36, max_nodes=40),
        pool("dev-vm", "openstack_vm", priority=80, nodes=4, max_nodes=24, provision_p95_s=240.0),
        pool("aws-burst", "aws"),
    )
    of = plan(*pools, burst_mode=mode).model_copy(update={"digest": "sha256:of-the-plan"})  # new fields of a plan change no manifest
    bundle = export_bundle(of)
    files = "".join(f"===== {file.path}\n{file.text}" for file in bundle.files if file.path != "export.json")
    return files + "===== warnings\n" + "".join(f"{line}\n" for line in bundle.warnings)


@pytest.mark.parametrize("mode", MODES)
def test_export_text_is_the_reviewed_one(mode: str) -> None:
    assert exported_text(mode) == (HERE / f"export-{mode}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    for name in MODES:
        (HERE / f"export-{name}.txt").write_text(exported_text(name), encoding="utf-8")
