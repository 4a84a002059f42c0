"""Scenario: the whole what-if as one frozen model; unknown fields are refused, every problem is reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.control import AwsPoolPart, DataPart, DeschedulerPart, KarpenterPart, UpgradePart, WaitPart
from models.errors import Problem, ScenarioError, UnknownName
from models.scenario_workloads import WORKLOAD_KINDS, PlatformPart, RegistryPart, WorkloadPart
from models.scheduling import SchedulingPart
from models.site import Site
from models.workload import WorkloadClass

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """Base of every part of a scenario: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Data(Part):
    """Where demand and charges come from. All empty: the shipped company, generated from `seed`."""

    bills: tuple[str, ...] = Field((), description="bill files or folders, any supported format")
    usage: str | None = Field(None, description="a usage file (parquet, exposition text), or an http(s) Prometheus URL")
    store: str | None = Field(None, description="a store written by `burstline bill` and `burstline usage`")


class DemandPart(Part):
    """How the future differs from the measured past."""

    measured: bool = Field(True, description="false: the measured workloads are left out, `workloads` of the scenario stand alone")
    growth_share_per_year: float = Field(0.0, ge=-0.9, le=10.0, description="yearly growth of demand")
    history: Literal["requests", "bill"] = Field("requests", description="which view rebuilds demand: cluster requests or the bill alone")
    build_share: Share = Field(0.5, description="the share behind the three readings of 'half'")
    assumed_pod_cpu_m: int = Field(1000, ge=1, description="pod size to simulate with where a bill is all we know, millicores")
    assumed_pod_memory_mib: int = Field(2048, ge=0, description="the same, MiB")
    forecast_weeks: int = Field(52, ge=1, le=260, description="how far the forecast looks ahead")
    cpu_quantile: Share = Field(0.95, description="right-sizing: quantile of CPU use per pod, services and ml")
    batch_cpu_quantile: Share = Field(0.75, description="right-sizing: the same for batch")
    memory_headroom: float = Field(1.15, ge=1.0, le=3.0, description="right-sizing: request per largest memory use")


class AwsPart(Part):
    """The AWS side: which worker the burst uses and on which terms."""

    region: str = "ap-northeast-2"
    worker: str = Field("m5.4xlarge", description="instance type of the burst worker, a name in the catalog")
    daemonset_cpu_m: int = Field(350, ge=0)
    daemonset_memory_mib: int = Field(512, ge=0)
    commitment_discount_share: Share = Field(0.28, lt=1.0, description="AWS at its best: discount of the best commitment on list price")
    max_nodes: int = Field(400, ge=0, description="most burst nodes at one time")
    pools: tuple[AwsPoolPart, ...] = Field((), description="burst pools of several instance types; none: one pool of `worker`")


class ServerPart(Part):
    """A server that the catalog does not hold, as bought; what is left out is what the catalog's servers have."""

    name: str = Field(min_length=1)
    threads: int = Field(ge=1)
    memory_gib: float = Field(gt=0.0)
    max_pods: int = Field(110, ge=1)
    extended: dict[str, int] = Field(default_factory=dict, description="extended resources, for instance nvidia.com/gpu: 8")
    speed: float = Field(1.0, gt=0.0, description="work per thread against c64m512")
    watts_idle: float = Field(0.0, ge=0.0)
    watts_peak: float = Field(0.0, ge=0.0)
    system_reserved_cpu_m: int = Field(500, ge=0)
    system_reserved_memory_mib: int = Field(1024, ge=0)
    daemonset_cpu_m: int = Field(450, ge=0)
    daemonset_memory_mib: int = Field(670, ge=0)


class ZonePart(Part):
    """One private zone."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    kind: str = Field("baremetal", description="a registered zone kind: baremetal, openstack_vm, ironic")
    server: str = Field("c64m512", description="a server of the catalog")
    own_server: ServerPart | None = Field(None, description="another server than the catalog's; `server` then only names the price")
    vm: str | None = Field(None, description="VM worker of the catalog (openstack_vm only)")
    overcommit: float = Field(1.0, ge=1.0, le=16.0, description="vCPU per physical thread (openstack_vm only)")
    spare_nodes: int = Field(2, ge=0, description="nodes that may be down while demand is still met")
    max_nodes: int | None = Field(None, ge=0, description="most nodes that racks, power or budget allow")
    racks: int | None = Field(None, ge=0, description="racks that may be filled; with their power they limit the nodes")
    rack_kw: float | None = Field(None, gt=0.0, description="power of one rack; empty: the parameter rack_kw")
    lead_time_weeks: float = Field(8.0, ge=0.0, le=104.0, description="order to ready for pods")
    tenants: int = Field(1, ge=1, description="businesses that want a cluster of their own")
    tenancy: Literal["shared", "own_nodes", "own_cluster"] | None = Field(
        None,
        description="shared by tenants: all, all but nodes, nothing; empty: a cluster each in the money, all nodes in a run",
    )
    existing_nodes: int = Field(0, ge=0, description="nodes already owned")
    age_years: float = Field(0.0, ge=0.0, le=30.0, description="age of the servers: old ones fail more often")
    server_price_usd: float | None = Field(None, ge=0.0, description="price of one server, 0 for written-off ones; empty: the catalog's")
    supported: bool = Field(True, description="operating-system support for the workers; false: third-party hardware maintenance instead")
    min_nodes: int | None = Field(
        None, ge=0, description="nodes that stay while idle, the others are returned and ordered; empty: all stay"
    )

    @property
    def clusters(self) -> int:
        """Clusters, each with masters of its own."""
        return 1 if self.tenancy in ("shared", "own_nodes") else self.tenants

    @property
    def own_nodes(self) -> bool:
        """Whether a node serves one tenant only."""
        return self.tenancy in ("own_nodes", "own_cluster")


class PlannerPart(Part):
    """Which question the recommendation answers."""

    objective: Literal["marginal", "average", "by_users", "by_peak", "by_worker_hours"] = "marginal"
    opponent: Literal["best_commitment", "on_demand"] = Field("best_commitment", description="the AWS price that a server must beat")
    dispatch: Literal["private_first", "pinned"] = "private_first"
    packing: Literal["assumed", "measured"] = Field("assumed", description="size with packing_share, or with what the simulation measured")
    packing_share: Share = Field(0.85, gt=0.0, description="schedulable CPU that pods really fill")
    staff_fte: float = Field(1.0, ge=0.0, description="full-time staff the private side needs")


class EnginePart(Part):
    """How the simulation runs."""

    replications: int = Field(3, ge=1, le=1000)
    policy: str = Field("default", description="a registered scheduler policy")
    autoscaler: Literal["karpenter", "cluster_autoscaler"] = "karpenter"
    ties: Literal["lowest", "random"] = "random"
    horizon_hours: int | None = Field(None, ge=1, description="simulate only the first hours; all by default")
    failures: bool = True
    rules: Literal["auto", "simple", "real"] = Field(
        "auto", description="the autoscaler's own rules, or one simple process; auto: real where a setting below needs them"
    )
    karpenter: KarpenterPart = KarpenterPart()
    flags: dict[str, str | int | float | bool] = Field(default_factory=dict, description="Cluster Autoscaler's flags by name")
    return_to_private: Literal["none", "consolidation", "descheduler"] = Field(
        "none", description="what brings pods back from burst nodes once private nodes have room"
    )
    descheduler: DeschedulerPart = DeschedulerPart()
    wait: dict[WorkloadClass, WaitPart] = Field(default_factory=dict, description="waiting before bursting, by workload class")
    data: tuple[DataPart, ...] = Field((), description="data of workloads; the first entry that names a workload counts")
    data_stays_above_gb_per_pod_h: float | None = Field(
        None, ge=0.0, description="workloads whose pods would move more than this an hour stay with their data"
    )
    upgrades: tuple[UpgradePart, ...] = ()
    procurement: Literal["standing", "lead_time"] = Field(
        "standing", description="lead_time: nodes beyond existing_nodes stand only after the zone's lead time"
    )
    spot_interruptions_per_h: float = Field(0.02, ge=0.0, description="times an hour that a spot pool is wanted back")
    scheduling: tuple[SchedulingPart, ...] = Field((), description="constraints of workloads; the first entry that names a workload counts")
    preemption: bool = Field(False, description="pods of higher priority that find no node evict lower ones, as kube-scheduler does")
    percentage_of_nodes_to_score: int = Field(100, ge=0, le=100, description="percentageOfNodesToScore; 0 adapts to the cluster's size")
    start_latency_s: dict[str, Annotated[float, Field(ge=0.0)]] = Field(
        default_factory=dict, description="by zone: seconds a job holds its place before its work begins (image pull, driver)"
    )


class SloPart(Part):
    """Service levels that a plan must hold."""

    pending_p95_s: float = Field(30.0, gt=0.0)
    pending_p99_s: float = Field(180.0, gt=0.0)
    batch_pending_p95_s: float = Field(900.0, gt=0.0)
    burst_start_p95_s: float = Field(240.0, gt=0.0)
    nodes_down: int = Field(2, ge=0, description="service demand is met with this many private nodes down")


class MoneyPart(Part):
    """Horizon and view of the money; rates are parameters."""

    years: int = Field(5, ge=1, le=15)
    currency: Literal["USD", "KRW"] = "USD"


class ExportPart(Part):
    """Names that exported objects carry."""

    burst_mode: Literal["karpenter", "cluster-autoscaler"] = "karpenter"
    label_prefix: str = Field("placement.burstline.dev", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    namespace: str = Field("capacity", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    cluster: str = Field("prod", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    site: Site = Field(default_factory=Site, description="images, flavours, roles and tags that exported objects refer to")


class Scenario(Part):
    """One what-if. `parameters` overrides catalog values by name; `overrides` are named variants of this file."""

    scenario: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$", description="name of the scenario")
    title: dict[Literal["en", "ko"], str] = Field(default_factory=dict)
    as_of: date = Field(date(2026, 1, 5), description="'today' for every date in the results")
    seed: int = Field(40, ge=0)
    language: Literal["en", "ko"] = "en"
    kubernetes_version: str = Field(
        "1.36", pattern=r"^1\.(2[89]|3[0-7])$", description="1.28 to 1.37; it picks the scheduler's score formulas"
    )
    data: Data = Data()
    demand: DemandPart = DemandPart()
    aws: AwsPart = AwsPart()
    zones: tuple[ZonePart, ...] = (ZonePart(name="prod-bm"),)
    workloads: tuple[WorkloadPart, ...] = Field((), description="workloads beyond the measured ones, each run by its controller")
    registry: RegistryPart = RegistryPart()
    platform: PlatformPart = PlatformPart()
    planner: PlannerPart = PlannerPart()
    engine: EnginePart = EnginePart()
    slo: SloPart = SloPart()
    money: MoneyPart = MoneyPart()
    export: ExportPart = ExportPart()
    parameters: dict[str, float] = Field(default_factory=dict)
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict, description="name -> {dotted.path: value}")

    def varied(self, changes: Mapping[str, Any]) -> Scenario:
        """A copy with dotted paths replaced, validated again: {"aws.worker": "m6i.4xlarge", "zones.0.spare_nodes": 3}."""
        document = self.model_dump(mode="json")
        problems = [problem for path, value in changes.items() if (problem := _put(document, path, value))]
        if problems:
            raise ScenarioError(problems)
        return parse_scenario(document, self.scenario)

    def override(self, name: str) -> Scenario:
        """The named variant of this scenario."""
        if name not in self.overrides:
            raise UnknownName("override", name, list(self.overrides))
        return self.varied(self.overrides[name])


def parse_scenario(document: object, place: str) -> Scenario:
    """Validate a parsed YAML document; `place` names the file in messages."""
    if not isinstance(document, Mapping):
        raise ScenarioError(Problem(place, f"a {type(document).__name__}", "write a mapping of scenario fields"))
    try:
        parsed = Scenario.model_validate(dict(document))
    except ValidationError as error:
        raise ScenarioError([_problem(place, item) for item in error.errors()]) from None
    if not parsed.zones:
        raise ScenarioError(Problem(f"{place}: zones", "an empty list", "name at least one private zone"))
    names = [zone.name for zone in parsed.zones]
    if len(set(names)) != len(names):
        raise ScenarioError(Problem(f"{place}: zones", f"names {names}", "give every zone its own name"))
    return parsed


def _problem(place: str, item: Any) -> Problem:
    path = ".".join(str(step) for step in item["loc"])
    if item["type"] == "extra_forbidden":
        known = sorted(_known_fields(item["loc"][:-1]))
        return Problem(
            f"{place}: {path}", f"unknown field {item['loc'][-1]!r}", UnknownName("", str(item["loc"][-1]), known).problems[0].mend
        )
    found = "nothing" if item["type"] == "missing" else repr(item["input"])
    if item["type"] == "value_error" and isinstance(item["input"], Mapping):
        found = f"the fields {', '.join(map(str, item['input']))}"
    message = item["msg"].removeprefix("Value error, ")
    return Problem(f"{place}: {path}", found, message[:1].lower() + message[1:])


def _known_fields(location: tuple[str | int, ...]) -> list[str]:
    model: type[BaseModel] = Scenario
    for step in location:
        if isinstance(step, int):
            continue
        inner = WORKLOAD_KINDS.get(step) or (_model_in(model.model_fields[step].annotation) if step in model.model_fields else None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, alone, optional or in a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)


def _put(document: Any, path: str, value: Any) -> Problem | None:
    *parents, last = path.split(".")
    here: Any = document
    for step in parents:
        here = _step(here, step)
        if here is None:
            return Problem(f"override {path}", f"no field {step!r}", "use dotted paths of the scenario schema")
    if isinstance(here, list):
        if not last.isdigit() or int(last) >= len(here):
            return Problem(f"override {path}", f"no element {last!r}", f"the list has {len(here)} elements")
        here[int(last)] = value
    else:
        here[last] = value
    return None


def _step(here: Any, step: str) -> Any:
    if isinstance(here, list):
        return here[int(step)] if step.isdigit() and int(step) < len(here) else None
    return here.get(step) if isinstance(here, dict) else None
