"""The catalog of EC2: every type is a node that holds pods, every price has a type and a dated source."""

from __future__ import annotations

import csv
from datetime import date

import pytest

from models.errors import UnknownName
from simulator.catalog import data_folder, instance, instance_names, on_demand_usd_per_h, read_yaml


def rows(name: str) -> list[dict[str, str]]:
    with (data_folder() / "catalog" / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_every_type_is_a_node_less_its_reservations() -> None:
    # EKS: 255 MiB and 11 MiB for each pod reserved, 100 MiB kept from eviction
    for name in instance_names():
        node = instance(name)
        assert node.allocatable_cpu_m > 0.9 * node.cpu_m, name
        assert node.allocatable_memory_mib == node.memory_mib - 355 - 11 * node.max_pods, name
        assert node.arch in ("amd64", "arm64")
        assert all(resource.count("/") == 1 and count > 0 for resource, count in node.extended.items()), name


def test_every_price_is_positive_of_a_known_type_and_of_a_dated_source_and_stated_once() -> None:
    sources = read_yaml(data_folder() / "catalog" / "aws_price_sources.yaml")
    assert all(isinstance(source["as_of"], date) and source["source"] for source in sources.values())
    known, listed = set(instance_names()), rows("aws_on_demand.csv")
    assert {row["source"] for row in listed} == set(sources)
    assert all(row["instance_type"] in known and float(row["usd_per_h"]) > 0 for row in listed)
    keys = [(row["region"], row["instance_type"]) for row in listed]
    assert keys == sorted(set(keys))


def test_figures_of_aws() -> None:
    # AWS's own pages: m5.4xlarge 16 vCPU, 64 GiB, 234 pods; p5.48xlarge 8 H100; trn1.32xlarge 16 chips; c7g is Graviton
    worker = instance("m5.4xlarge")
    assert (worker.cpu_m, worker.memory_mib, worker.max_pods, worker.arch) == (16000, 65536, 234, "amd64")
    assert instance("p5.48xlarge").extended == {"nvidia.com/gpu": 8}
    assert instance("trn1.32xlarge").extended == {"aws.amazon.com/neuron": 16}
    assert instance("c7g.large").arch == "arm64"
    assert on_demand_usd_per_h("m5.4xlarge", "ap-northeast-2") == 0.944
    assert on_demand_usd_per_h("m5.4xlarge", "us-east-1") == 0.768


def test_an_unknown_type_region_or_price_names_what_is_near() -> None:
    with pytest.raises(UnknownName, match=r"m5\.4xlarge"):
        instance("m5.4xlrage")
    with pytest.raises(UnknownName, match="ap-northeast-2"):
        on_demand_usd_per_h("m5.4xlarge", "ap-northeast-9")
    with pytest.raises(UnknownName, match=r"price of p5\.48xlarge in region"):
        on_demand_usd_per_h("p5.48xlarge", "af-south-1")
