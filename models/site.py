"""Site: names that exist only at a customer's site and that exported objects must refer to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Site(BaseModel):
    """Images, flavours, roles and tags. The defaults are valid names, not promises that such a thing exists.

    `{version}` in an image name is replaced by the Kubernetes version, such as v1.36.0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    kubernetes_patch: int = Field(0, ge=0, description="patch level behind the scenario's Kubernetes minor")
    metal_image_url: str = Field("https://images.example.org/node-{version}.qcow2", description="node image of bare-metal servers")
    metal_image_checksum: str = Field("https://images.example.org/node-{version}.qcow2.sha256sum", description="checksum, or its URL")
    openstack_image: str = Field("node-{version}", description="Glance image of VM workers")
    openstack_metal_image: str = Field("node-{version}-bm", description="Glance image of Ironic workers")
    openstack_root_volume_gib: int = Field(100, ge=10, description="boot volume of VM workers")
    flavors: dict[str, str] = Field(default_factory=dict, description="node shape -> Nova flavour; the shape's own name by default")
    aws_region: str = "ap-northeast-2"
    aws_node_role: str = Field("burstline-node", description="IAM role of burst nodes")
    aws_ami_alias: str = Field("al2023@latest", description="pin a release (al2023@v20260709) to decide yourself when nodes roll")
    aws_discovery_tags: dict[str, str] = Field(
        default_factory=dict, description="tags of the subnets and security groups; {prefix/cluster: cluster} by default"
    )
    git_repository: str = Field("https://git.example.org/capacity.git", description="where exported files are kept, for Argo CD")
    git_revision: str = "main"
    git_folder: str = Field("manifests", description="folder of the export in that repository")
    aws_node_disk_gib: int = Field(100, ge=20, description="root disk of burst nodes")
