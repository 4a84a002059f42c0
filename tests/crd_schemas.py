"""Third-party schemas for tests: CRDs of ../shared/crds as JSON schema plus CEL, and field trees read off them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import celpy
import celpy.celtypes
import jsonschema
import yaml

CRDS = Path(__file__).resolve().parents[2] / "shared" / "crds"
FILES = {
    "NodePool": "karpenter-provider-aws/karpenter.sh_nodepools.yaml",
    "EC2NodeClass": "karpenter-provider-aws/karpenter.k8s.aws_ec2nodeclasses.yaml",
    "MachineDeployment": "cluster-api/cluster.x-k8s.io_machinedeployments.yaml",
    "MachinePool": "cluster-api/cluster.x-k8s.io_machinepools.yaml",
    "KubeadmConfigTemplate": "cluster-api/bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml",
    "Metal3MachineTemplate": "cluster-api-provider-metal3/infrastructure.cluster.x-k8s.io_metal3machinetemplates.yaml",
    "OpenStackMachineTemplate": "cluster-api-provider-openstack/infrastructure.cluster.x-k8s.io_openstackmachinetemplates.yaml",
    "AWSManagedMachinePool": "cluster-api-provider-aws/infrastructure.cluster.x-k8s.io_awsmanagedmachinepools.yaml",
    "ApplicationSet": "argo-cd/applicationset-crd.yaml",
}


@cache
def crd(kind: str) -> Mapping[str, Any]:
    """The CustomResourceDefinition of a kind that the export emits."""
    loaded: Mapping[str, Any] = yaml.load((CRDS / FILES[kind]).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return loaded


def schema_of(api_version: str, kind: str) -> Mapping[str, Any]:
    """The OpenAPI schema of one served version."""
    version = api_version.split("/")[1]
    return next(v["schema"]["openAPIV3Schema"] for v in crd(kind)["spec"]["versions"] if v["name"] == version and v["served"])


_COPIED = ("enum", "maxLength", "minLength", "maxItems", "minItems", "multipleOf", "maxProperties", "minProperties", "required")


def json_schema(schema: Mapping[str, Any], *, root: bool = False) -> dict[str, Any]:
    """A structural schema as JSON Schema 2020-12 that refuses unknown fields."""
    made: dict[str, Any] = {key: schema[key] for key in _COPIED if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    elif "type" in schema:
        made["type"] = [schema["type"], "null"] if schema.get("nullable") else schema["type"]
    if "pattern" in schema:
        made["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if bound in schema:
            made[exclusive if schema.get(exclusive) else bound] = schema[bound]
    if "items" in schema:
        made["items"] = json_schema(schema["items"])
    if "properties" in schema:
        made["properties"] = {key: json_schema(value) for key, value in schema["properties"].items()}
        if root:
            made["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), Mapping):
        made["additionalProperties"] = json_schema(schema["additionalProperties"])
    return made


def with_defaults(schema: Mapping[str, Any], value: Any) -> Any:
    """A copy of `value` with the schema's defaults filled in, as the server does before it evaluates CEL."""
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    full = dict(value)
    for key, part in schema.get("properties", {}).items():
        if key not in full and "default" in part:
            full[key] = copy.deepcopy(part["default"])
    free = schema.get("additionalProperties")
    parts = {key: schema.get("properties", {}).get(key, free if isinstance(free, Mapping) else {}) for key in full}
    return {key: with_defaults(parts[key], item) for key, item in full.items()}


def _find(text: Any, pattern: Any) -> Any:
    match = re.search(str(pattern), str(text))
    return celpy.celtypes.StringType(match.group(0) if match else "")


_FUNCTIONS = {
    "find": _find,
    "split": lambda text, mark: celpy.celtypes.ListType([celpy.celtypes.StringType(part) for part in str(text).split(str(mark))]),
}


_ENVIRONMENT = celpy.Environment()  # raises the recursion limit: at import, so that no test sees it change


@cache
def _program(rule: str) -> Any:
    return _ENVIRONMENT.program(_ENVIRONMENT.compile(rule), functions=_FUNCTIONS)


def cel_findings(schema: Mapping[str, Any], value: Any, path: str = "") -> Iterator[tuple[str, str, bool | None]]:
    """(path, rule, holds) for every rule that needs no old object; `holds` is None when this CEL engine cannot run it."""
    for entry in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in entry["rule"]:
            continue
        try:
            holds: bool | None = bool(_program(entry["rule"]).evaluate({"self": celpy.json_to_cel(value)}))
        except (celpy.CELEvalError, celpy.CELParseError, celpy.CELUnsupportedError):
            holds = None
        yield path, entry["rule"], holds
    if isinstance(value, dict):
        free = schema.get("additionalProperties")
        for key, item in value.items():
            part = schema.get("properties", {}).get(key, free if isinstance(free, Mapping) else None)
            if part is not None:
                yield from cel_findings(part, item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from cel_findings(schema.get("items", {}), item, f"{path}[{index}]")


def findings(document: Mapping[str, Any]) -> list[str]:
    """Everything that a document's CRD finds wrong with it."""
    schema = schema_of(document["apiVersion"], document["kind"])
    full = with_defaults(schema, dict(document))
    errors = jsonschema.Draft202012Validator(json_schema(schema, root=True)).iter_errors(dict(document))
    wrong = [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]
    return wrong + [f"{path}: {rule}" for path, rule, holds in cel_findings(schema, full) if holds is False]


_STRINGS = {"*": "string"}
_META = {
    "name": "string",
    "namespace": "string",
    "labels": _STRINGS,
    "annotations": _STRINGS,
    "finalizers": ["string"],
    "ownerReferences": None,
}


def field_tree(schema: Mapping[str, Any]) -> Any:
    """Names and types below a schema, in the form of simulator/export/fields.json."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return None
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "items" in schema:
        return [field_tree(schema["items"])]
    if "properties" in schema:
        required = {key for key in schema.get("required", []) if "default" not in schema["properties"][key]}
        return {key + "!" * (key in required): field_tree(part) for key, part in sorted(schema["properties"].items())}
    if isinstance(schema.get("additionalProperties"), Mapping):
        return {"*": field_tree(schema["additionalProperties"])}
    return None if schema.get("type") == "object" else schema["type"]


def crd_tree(api_version: str, kind: str) -> dict[str, Any]:
    """The tree of a custom resource; status is left out, because nobody but its controller writes it."""
    tree = field_tree(schema_of(api_version, kind)) or {}
    return {key: part for key, part in tree.items() if key.rstrip("!") not in ("apiVersion", "kind", "metadata", "status")}


BUILT_IN: dict[str, dict[str, Any]] = {
    "v1 ConfigMap": {"data": _STRINGS, "binaryData": _STRINGS, "immutable": "boolean"},
    "v1 Namespace": {"spec": {"finalizers": ["string"]}},
    "scheduling.k8s.io/v1 PriorityClass": {
        "value!": "integer",
        "globalDefault": "boolean",
        "preemptionPolicy": "string",
        "description": "string",
    },
}
CUSTOM = (
    ("karpenter.sh/v1", "NodePool"),
    ("karpenter.k8s.aws/v1", "EC2NodeClass"),
    ("cluster.x-k8s.io/v1beta2", "MachineDeployment"),
    ("cluster.x-k8s.io/v1beta2", "MachinePool"),
    ("bootstrap.cluster.x-k8s.io/v1beta2", "KubeadmConfigTemplate"),
    ("infrastructure.cluster.x-k8s.io/v1beta2", "Metal3MachineTemplate"),
    ("infrastructure.cluster.x-k8s.io/v1beta1", "OpenStackMachineTemplate"),
    ("infrastructure.cluster.x-k8s.io/v1beta2", "AWSManagedMachinePool"),
)


def all_trees() -> dict[str, Any]:
    """What simulator/export/fields.json must hold."""
    head = {"apiVersion!": "string", "kind!": "string", "metadata!": _META}
    trees = {name: head | tree for name, tree in BUILT_IN.items()}
    return trees | {f"{version} {kind}": head | crd_tree(version, kind) for version, kind in CUSTOM}
