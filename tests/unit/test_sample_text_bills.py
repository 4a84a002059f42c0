"""The company's bill as legacy CUR and as CUR 2.0 text: the same money, hours and rows as the parquet export."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from bill_rows import load, near, only
from models.bill import BillPeriod
from simulator.cli.sample import EXTRA_NAMES
from simulator.ingest.synthetic.company import EXTRAS, Company, Extra
from simulator.ingest.synthetic.files import write_company

TEXTS: frozenset[Extra] = frozenset({"legacy-cur", "cur2-csv"})
FORMS: dict[str, frozenset[Extra]] = {
    "plain": frozenset({"split", "marketplace"}),
    "lines": frozenset({"edp-lines"}),
    "net": frozenset({"edp-net"}),
    "map": frozenset({"edp-map", "split"}),
}


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A day and a half of the company in every form of its discount."""
    found = {}
    for name, extras in FORMS.items():
        found[name] = tmp_path_factory.mktemp("texts") / name
        write_company(found[name], Company(hours=36, extras=extras | TEXTS))
    return found


def same(one: object, other: object) -> bool:
    if isinstance(one, Decimal | float):
        return near(other, float(one), 1e-6)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "format"), [("legacy-cur", "aws_cur_legacy"), ("cur2-csv", "aws_cur2")])
def test_text_bills_import_as_the_parquet_export_does(bills: dict[str, Path], form: str, kind: str, format: str) -> None:
    parquet, text = (only(load(bills[form] / "bill" / name)) for name in ("cur2", kind))
    assert text.format == format
    assert text.discount_form == ("none" if form == "plain" else form)
    names = [field.name for field in fields(BillPeriod) if field.name not in ("format", "place", "commitments")]
    assert {name: getattr(text, name) for name in names if not same(getattr(parquet, name), getattr(text, name))} == {}
    assert [cost.name for cost in text.commitments] == [cost.name for cost in parquet.commitments]
    assert all(near(cost.residual, 0, 1e-6) for cost in text.commitments)


def test_the_command_offers_every_extra() -> None:
    assert EXTRA_NAMES == EXTRAS


def header(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().splitlines()[0].replace('"', "").split(",")


def test_the_legacy_report_has_slash_names_and_a_manifest(bills: dict[str, Path]) -> None:
    month = bills["net"] / "bill" / "legacy-cur" / "20250101-20250201"
    manifest = json.loads((month / "workspaces-Manifest.json").read_text(encoding="utf-8"))
    (part,) = (month / manifest["assemblyId"]).glob("*.csv.gz")
    assert manifest["reportKeys"][0].endswith(f"{month.name}/{manifest['assemblyId']}/{part.name}")
    names = header(part)
    assert names == [f"{column['category']}/{column['name']}" for column in manifest["columns"]]
    for name in ("identity/LineItemId", "lineItem/UnblendedCost", "lineItem/NetUnblendedCost", "product/instanceType", "pricing/term"):
        assert name in names
    assert {"savingsPlan/SavingsPlanARN", "resourceTags/user:environment", "resourceTags/aws:eks:cluster-name"} < set(names)


def test_legacy_columns_come_with_what_the_month_holds(bills: dict[str, Path]) -> None:
    files = {form: next(iter((bills[form] / "bill" / "legacy-cur").rglob("*.csv.gz"))) for form in FORMS}
    names = {form: set(header(file)) for form, file in files.items()}
    assert [form for form in FORMS if "lineItem/NetUnblendedCost" in names[form]] == ["net"]
    assert [form for form in FORMS if "discount/EdpDiscount" in names[form]] == ["map"]
    assert [form for form in FORMS if "splitLineItem/SplitCost" in names[form]] == ["plain", "map"]


def test_maps_are_json_text_and_bytes_repeat(bills: dict[str, Path], tmp_path: Path) -> None:
    write_company(tmp_path / "again", Company(hours=36, extras=FORMS["map"] | TEXTS))
    text = next(iter((bills["map"] / "bill" / "cur2-csv").rglob("*.csv.gz")))
    assert '{""edp_discount"":-' in gzip.decompress(text.read_bytes()).decode()
    for file in sorted((bills["map"] / "bill").rglob("*.gz")):
        assert (tmp_path / "again" / file.relative_to(bills["map"])).read_bytes() == file.read_bytes()
