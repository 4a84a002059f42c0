"""AWS: rented workers; nothing to buy, an hourly price instead, ready in about a minute."""

from __future__ import annotations

from models.node import NodeShape
from models.parameter import Parameters
from models.scenario import ZonePart
from models.zones import ZONES, BomLine, Provisioning, Tenancy


class Aws:
    """EKS workers; the node is the instance of the catalog."""

    title = "AWS"
    private = False
    masters_are_servers = False
    needs_l4_pair = False
    tenancy: Tenancy = "own_servers"

    def node(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> NodeShape:
        """The instance as the catalog describes it."""
        return server

    def workers_per_server(self, part: ZonePart, server: NodeShape, vm: NodeShape | None, parameters: Parameters) -> int:
        """One."""
        return 1

    def bill_of_materials(
        self, part: ZonePart, servers: int, server: NodeShape, server_usd: float, parameters: Parameters
    ) -> tuple[BomLine, ...]:
        """Nothing is bought."""
        return ()

    def provisioning(self, parameters: Parameters) -> Provisioning:
        """Launch to Ready; the autoscaler's decision comes before it."""
        p = parameters
        return Provisioning(p["ec2_ready_p50_s"], p["ec2_ready_p95_s"], int(p["aws_concurrent_launches"]))

    def parameter_names(self) -> tuple[str, ...]:
        """Parameters read here."""
        return ("aws_concurrent_launches", "ec2_ready_p50_s", "ec2_ready_p95_s")


ZONES.register("aws", Aws())
