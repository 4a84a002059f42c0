"""Placements: what each needs besides workers, how they share between tenants, and when the ranking flips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.case import room_of
from models.errors import ScenarioError
from models.parameter import Parameters
from models.scenario import ZonePart
from models.zones import ZONES, Provisioning
from models.zones.openstack_vm import kvm_overhead_share, steal_share
from money_builders import company_demand_m, shipped_case, with_zone
from simulator import catalog
from simulator.finance.zones import cheapest, compare_zones, measures, own_clusters, shared_pool, tenants_demand

SERVER = catalog.server("c64m512")
VM16 = catalog.vm("k8s.16c64g")
PARAMETERS = catalog.parameters()


def part(**changes):
    return ZonePart(name="zone", **changes)


def bought(kind, workers, **changes):
    zone = part(kind=kind, **changes)
    lines = ZONES[kind].bill_of_materials(zone, workers, SERVER, 12_000.0, PARAMETERS)
    return {line.item: line.quantity for line in lines}


def rows_of(case):
    return {row.kind: row for row in compare_zones(case, case.demand)}


def test_bare_metal_buys_three_masters_and_an_l4_pair_for_one_business():
    found = bought("baremetal", 40)
    assert found["worker server c64m512"] + found["master server"] == 40 + 3
    assert found["L4 appliance"] == 2


@pytest.mark.parametrize("tenants", [1, 2, 5, 12])
def test_k_businesses_on_bare_metal_need_3k_masters(tenants):
    assert bought("baremetal", 40, tenants=tenants)["master server"] == 3 * tenants


def test_vms_and_ironic_need_no_l4_and_no_master_servers():
    for kind in ("openstack_vm", "ironic"):
        found = bought(kind, 40, tenants=4)
        assert "L4 appliance" not in found
        assert "master server" not in found
        assert found["OpenStack controller"] == 3
    assert bought("openstack_vm", 40)["Ceph node"] == 3
    assert bought("ironic", 40)["Ironic conductor"] == 2
    assert bought("ironic", 601)["Ironic conductor"] == 3  # 300 servers a conductor


def test_split_businesses_never_need_fewer_workers_than_one_pool():
    rng = np.random.default_rng(3)
    for _ in range(20):
        demand = rng.uniform(0, 100, (48, 4))
        split, _ = own_clusters(demand, 10.0, 0)
        assert split >= shared_pool(demand, 10.0) >= math.ceil(demand.sum(axis=1).max() / 10.0)


def test_split_is_strictly_larger_when_peaks_are_not_simultaneous():
    in_turn = np.array([[100.0, 10.0], [10.0, 100.0]])
    assert own_clusters(in_turn, 10.0, 2) == (20, 4)
    assert shared_pool(in_turn, 10.0) == 11
    together = np.array([[100.0, 100.0], [10.0, 10.0]])
    assert own_clusters(together, 10.0, 0)[0] == shared_pool(together, 10.0) == 20


def test_kvm_overhead_grows_with_the_vm_and_meets_the_measured_points():
    points = [kvm_overhead_share(threads, 32, PARAMETERS) for threads in (8, 16, 32)]
    assert points == pytest.approx([0.078, 0.16, 0.204])
    assert kvm_overhead_share(0, 32, PARAMETERS) == pytest.approx(0.05)
    assert kvm_overhead_share(12, 32, PARAMETERS) == pytest.approx((0.078 + 0.16) / 2)
    tuned = PARAMETERS.with_value("kvm_tuned", 1.0)
    assert kvm_overhead_share(32, 32, tuned) == pytest.approx(0.05)


@pytest.mark.parametrize("flavour", ["k8s.8c32g", "k8s.16c64g", "k8s.32c128g"])
def test_vms_need_more_hosts_than_metal_by_the_configured_overhead(flavour):
    """At ratio 1.0 the hosts exceed bare metal by KVM's overhead and the VMs' own reservations, within one node."""
    case = with_zone(shipped_case(), vm=flavour)
    rows = rows_of(case)
    vm = catalog.vm(flavour)
    kvm = kvm_overhead_share(vm.cpu_m, SERVER.cpu_m, case.parameters)
    per_host = SERVER.cpu_m // vm.cpu_m
    reserved = 1 - per_host * vm.schedulable_cpu_m / SERVER.schedulable_cpu_m
    wanted = 2_000_000 / (62_820 * 0.85) / ((1 - kvm) * (1 - reserved))
    assert rows["openstack_vm"].cpu_overhead_share == pytest.approx(kvm)
    assert rows["openstack_vm"].worker_servers > rows["baremetal"].worker_servers
    assert abs(rows["openstack_vm"].worker_servers - wanted) <= 1


def test_half_a_host_of_memory_does_not_fit_twice_beside_the_reservation():
    assert ZONES["openstack_vm"].workers_per_server(part(), SERVER, catalog.vm("k8s.32c256g"), PARAMETERS) == 1
    assert ZONES["openstack_vm"].workers_per_server(part(), SERVER, catalog.vm("k8s.32c128g"), PARAMETERS) == 2


def test_steal_appears_at_overcommit_4_and_slows_the_node():
    assert steal_share(4.0, 0.4) == pytest.approx(0.375)  # 1 - 1 / (4 x 0.4)
    assert steal_share(2.0, 0.4) == 0.0
    kind = ZONES["openstack_vm"]
    calm = kind.node(part(kind="openstack_vm"), SERVER, VM16, PARAMETERS)
    crowded = kind.node(part(kind="openstack_vm", overcommit=4.0), SERVER, VM16, PARAMETERS)
    assert crowded.speed == pytest.approx(calm.speed * 0.625)
    row = rows_of(with_zone(shipped_case(), overcommit=4.0))["openstack_vm"]
    assert row.steal_share == pytest.approx(0.375)


def test_vm_memory_pays_the_hypervisor_and_hosts_keep_their_reservation():
    kind = ZONES["openstack_vm"]
    assert kind.node(part(), SERVER, VM16, PARAMETERS).memory_mib == int(65_536 * 0.925)
    assert kind.workers_per_server(part(), SERVER, VM16, PARAMETERS) == 4  # 64 threads / 16
    # overcommit 4 offers 256 vCPU, but 508 GiB / 64.5 GiB holds 7 VMs
    assert kind.workers_per_server(part(overcommit=4.0), SERVER, VM16, PARAMETERS) == 7


def test_a_vm_that_fits_no_host_is_refused():
    with pytest.raises(ScenarioError, match=r"k8s\.32c256g on server"):
        small = catalog.vm("k8s.8c32g")
        ZONES["openstack_vm"].workers_per_server(part(), small, catalog.vm("k8s.32c256g"), PARAMETERS)
    with pytest.raises(ScenarioError, match="no `vm`"):
        ZONES["openstack_vm"].node(part(), SERVER, None, PARAMETERS)


def test_ironic_is_as_fast_as_bare_metal_at_equal_workers():
    rows = rows_of(shipped_case())
    assert rows["ironic"].workers == rows["baremetal"].workers
    assert ZONES["ironic"].node(part(), SERVER, None, PARAMETERS) == ZONES["baremetal"].node(part(), SERVER, None, PARAMETERS)


def test_moving_servers_between_clusters_takes_clean_and_deploy_in_waves():
    start = ZONES["ironic"].provisioning(PARAMETERS)
    assert start.move_s(1) == 300 + 720  # clean 5 min, deploy 12 min
    assert start.move_s(50) == 1020
    assert start.move_s(51) == 2 * 300 + 720  # 50 cleans at one time
    assert start.move_s(251) == 6 * 300 + 2 * 720  # 250 deploys at one time
    assert Provisioning(60.0, 90.0, 10).move_s(25) == 3 * 60  # nothing is cleaned


def test_expansion_is_minutes_for_vms_and_ironic_and_hours_by_hand():
    p95 = {kind: ZONES[kind].provisioning(PARAMETERS).p95_s for kind in ZONES}
    assert p95["openstack_vm"] < 5 * 60
    assert 8 * 60 <= p95["ironic"] <= 25 * 60
    assert p95["baremetal"] > 3600
    assert p95["aws"] <= 120


def test_table_has_servers_capex_opex_scale_out_and_utilisation_for_all_placements():
    case = shipped_case()
    rows = compare_zones(case, case.demand)
    table = {m.measure: m.values for m in measures(rows)}
    assert [row.kind for row in rows] == ["baremetal", "openstack_vm", "ironic", "aws"]
    assert table["servers"][0] == 40 + 3 + 2  # workers with spares, masters, DNS pair
    assert table["capex_usd"][0] == 612_800
    assert table["opex_usd_per_year"][0] == pytest.approx(379_673.45 - 153_479.72, abs=0.01)
    assert table["capex_usd"][3] == 0
    assert all(0 < share < 1 for share in table["utilisation_share"])
    assert table["l4_appliances"] == (2, 0, 0, 0)


@pytest.mark.parametrize(("tenants", "build_share", "winner"), [(1, 0.5, "baremetal"), (40, 0.125, "openstack_vm"), (10, 1.0, "ironic")])
def test_ranking_flips_with_the_number_and_size_of_tenants(tenants, build_share, winner):
    """One business: bare metal. Many small ones: VMs. Many large ones: Ironic."""
    case = with_zone(shipped_case(demand__build_share=build_share, planner__staff_fte=0), tenants=tenants)
    assert cheapest(compare_zones(case, case.demand)).kind == winner


def test_spare_is_kept_by_every_business_on_metal_and_shared_elsewhere():
    rows = rows_of(with_zone(shipped_case(), tenants=5))
    assert rows["baremetal"].spare_servers == 10
    assert rows["openstack_vm"].spare_servers == rows["ironic"].spare_servers == 2


def test_classes_become_tenants_when_there_are_enough():
    classes = np.outer(company_demand_m(), [0.1, 0.2, 0.3, 0.4])
    assert np.allclose(tenants_demand(classes, 2), np.stack([classes[:, 0] + classes[:, 2], classes[:, 1] + classes[:, 3]], axis=1))
    assert np.allclose(tenants_demand(classes, 8).sum(axis=1), company_demand_m())


@pytest.mark.parametrize("name", sorted(ZONES))
def test_every_kind_keeps_the_contract_of_its_family(name):
    kind = ZONES[name]
    vm = VM16 if name == "openstack_vm" else None
    zone = part(kind=name)
    node = kind.node(zone, SERVER, vm, PARAMETERS)
    assert node.schedulable_cpu_m > 0
    assert 0 < node.speed <= SERVER.speed
    assert kind.workers_per_server(zone, SERVER, vm, PARAMETERS) >= 1
    lines = kind.bill_of_materials(zone, 10, SERVER, 12_000.0, PARAMETERS)
    assert bool(lines) == kind.private
    assert all(line.quantity >= 0 and line.unit_usd >= 0 for line in lines)
    start = kind.provisioning(PARAMETERS)
    assert 0 < start.p50_s <= start.p95_s
    assert set(kind.parameter_names()) <= set(PARAMETERS.by_name)


@pytest.mark.parametrize("name", sorted(ZONES))
def test_a_kind_reads_only_the_parameters_it_names(name):
    kind = ZONES[name]
    vm = VM16 if name == "openstack_vm" else None
    narrow = Parameters({key: PARAMETERS.by_name[key] for key in kind.parameter_names()})
    zone = part(kind=name)
    kind.node(zone, SERVER, vm, narrow)
    kind.bill_of_materials(zone, 10, SERVER, 12_000.0, narrow)
    assert kind.provisioning(narrow).concurrent >= 1


def test_every_catalog_value_lies_in_its_range_and_names_its_source():
    for row in PARAMETERS.by_name.values():
        assert row.low <= row.value <= row.high, row.name
        assert len(row.source) > 10, row.name
        assert row.confidence in "ABCDM"


def test_a_node_without_what_the_pods_ask_for_is_refused_by_the_name_of_that_resource():
    """Not by the resource the demand is counted in, which the node has."""
    with pytest.raises(ScenarioError) as refused:
        room_of(VM16, "memory_mib", {"cpu_m": 0.1, "nvidia.com/gpu": 1e-5}, "zones: farm")
    [problem] = refused.value.problems
    assert problem.place == "zones: farm"
    assert problem.found == "k8s.16c64g, which leaves no nvidia.com/gpu to workloads that ask for it"
    assert problem.mend.startswith("choose a server, VM or instance type with nvidia.com/gpu")
