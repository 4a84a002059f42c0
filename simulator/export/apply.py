"""The cluster: the only file that talks to one. Server-side apply with strict validation and bounded waiting.

Every write names its field manager and is strict about fields; nothing is forced unless the caller says so; every call
has a connect and a read time-out; the discovery cache is private to the run. The Kubernetes client is imported inside
functions, so that listing export targets does not pay for it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.errors import ApplyError, InputError, Problem
from simulator.export.apply_report import Conflict
from simulator.export.kubeconfig import choose_context, kubeconfigs
from simulator.export.objects import where

CONNECT_S, READ_S = 5.0, 30.0
BUSY_RETRIES, BUSY_PAUSE_S = 5, 1.0
Raw = dict[str, Any]


class Refusal(ApplyError):
    """A request that the server refused: status, message, per-field causes, and conflicts with other managers."""

    def __init__(self, status: int, message: str, causes: tuple[str, ...] = (), conflicts: tuple[Conflict, ...] = ()) -> None:
        self.status, self.causes, self.conflicts = status, causes, conflicts
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Access:
    """One right to ask for."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where_ = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{where_}"


class Cluster:
    """One API server, one user. Use as a context manager."""

    def __init__(self, api_client: Any, context: str) -> None:
        self.context = context
        self.server = str(api_client.configuration.host)
        self._folder = tempfile.mkdtemp(prefix="burstline-discovery-")
        self._api_client = api_client
        try:
            self._dynamic = _timed_client(api_client, str(Path(self._folder) / "cache.json"))
            self.user = self._who()
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(AttributeError):
            self._api_client.close()

    def serves(self, api_version: str, kind: str) -> bool:
        """True when the API server knows this version of this kind."""
        return self._resource(api_version, kind) is not None

    def plural(self, api_version: str, kind: str) -> str:
        """Resource name of a served kind."""
        return str(self._known(api_version, kind).name)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Raw | None:
        """The live object, or None."""
        try:
            return self._call("get", api_version, kind, name=name, namespace=namespace or None)
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise

    def members(self, group_kind: str, label: str, value: str, namespaces: Iterable[str]) -> list[Raw]:
        """Objects of a group-kind that carry a label: in these namespaces, or cluster-wide for cluster-scoped kinds."""
        kind, _, group = group_kind.partition(".")
        resource = self._preferred(group, kind)
        if resource is None:
            return []
        found = []
        for namespace in sorted(namespaces) if resource.namespaced else [None]:
            answer = self._request(
                partial(self._dynamic.get, resource, namespace=namespace, label_selector=f"{label}={value}", serializer=_raw)
            )
            found += [{**item, "apiVersion": resource.group_version, "kind": kind} for item in answer.get("items", [])]
        return found

    def apply(self, document: Mapping[str, Any], manager: str, *, dry_run: bool, force: bool = False) -> Raw:
        """Server-side apply, strict about fields; the object as it is afterwards, or would be."""
        metadata = document["metadata"]
        return self._call(
            "server_side_apply",
            document["apiVersion"],
            document["kind"],
            body=dict(document),
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            field_manager=manager,
            force_conflicts=True if force else None,
            dry_run="All" if dry_run else None,
            query_params=[("fieldValidation", "Strict")],
        )

    def merge(self, live: Mapping[str, Any], patch: Mapping[str, Any], manager: str, *, dry_run: bool) -> Raw:
        """A merge patch on one live object, only while it is the very object that was read."""
        metadata = live["metadata"]
        body = {**patch, "metadata": {**patch.get("metadata", {}), "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}
        return self._call(
            "patch",
            live["apiVersion"],
            live["kind"],
            body=body,
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            content_type="application/merge-patch+json",
            field_manager=manager,
            dry_run="All" if dry_run else None,
            query_params=[("fieldValidation", "Strict")],
        )

    def delete(self, live: Mapping[str, Any], *, dry_run: bool) -> Raw:
        """Delete the very object that was read: another uid or resourceVersion is refused by the server."""
        metadata = live["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        body: Raw = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions, "propagationPolicy": "Background"}
        if dry_run:
            body["dryRun"] = ["All"]
        return self._call("delete", live["apiVersion"], live["kind"], body=body, name=metadata["name"], namespace=metadata.get("namespace"))

    def allowed(self, access: Access) -> bool:
        """Ask the server whether this user may do this."""
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "resource": access.resource,
            **({"namespace": access.namespace} if access.namespace else {}),
            **({"name": access.name} if access.name else {}),
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
        answer = self._call("create", "authorization.k8s.io/v1", "SelfSubjectAccessReview", body=review)
        return bool(answer["status"]["allowed"])

    def _who(self) -> str:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self._call("create", "authentication.k8s.io/v1", "SelfSubjectReview", body=review)
        return str(answer["status"]["userInfo"].get("username", "unknown"))

    def _resource(self, api_version: str, kind: str) -> Any | None:
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            return self._request(lambda: self._dynamic.resources.get(api_version=api_version, kind=kind))
        except ResourceNotFoundError:
            return None

    def _preferred(self, group: str, kind: str) -> Any | None:
        """The resource of a group-kind in the server's preferred version; None when it is not served."""
        found = self._request(lambda: self._dynamic.resources.search(group=group, kind=kind))
        served = [resource for resource in found if "/" not in resource.name and not resource.kind.endswith("List")]
        return next((r for r in served if r.preferred), served[0] if served else None)

    def _known(self, api_version: str, kind: str) -> Any:
        resource = self._resource(api_version, kind)
        if resource is None:
            raise Refusal(404, f"the cluster serves no {kind} of {api_version}")
        return resource

    def _call(self, verb: str, api_version: str, kind: str, **arguments: Any) -> Raw:
        resource = self._known(api_version, kind)
        result: Raw = self._request(lambda: getattr(self._dynamic, verb)(resource, serializer=_raw, **arguments))
        return result

    def _request(self, call: Callable[[], Any]) -> Any:
        """One request; a server that is busy (429: it did nothing) is asked again a few times."""
        for attempt in range(1 + BUSY_RETRIES):
            try:
                return self._once(call)
            except Refusal as refusal:
                if refusal.status != 429 or attempt == BUSY_RETRIES:
                    raise
                time.sleep(BUSY_PAUSE_S)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, call: Callable[[], Any]) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return call()
        except ApiException as error:
            raise _refusal(error) from None
        except (HTTPError, OSError) as error:
            raise unreachable(self.server, error) from None


def _raw(_: Any, data: Raw) -> Raw:
    return data


def _timed_client(api_client: Any, cache_file: str) -> Any:
    """A dynamic client whose every request, discovery included, has a time-out."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.dynamic import DynamicClient
    from urllib3.exceptions import HTTPError

    class TimedClient(DynamicClient):
        def request(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
            parameters.setdefault("_request_timeout", (CONNECT_S, READ_S))
            return super().request(method, path, body=body, **parameters)

    try:
        return TimedClient(api_client, cache_file=cache_file)  # type: ignore[no-untyped-call]
    except ApiException as error:
        raise ApplyError(f"{api_client.configuration.host}: {_refusal(error)}; check the user of this context") from None
    except (HTTPError, OSError) as error:
        raise unreachable(str(api_client.configuration.host), error) from None


def unreachable(server: str, error: Exception) -> ApplyError:
    """One clear message for a cluster that does not answer."""
    reason = getattr(error, "reason", None) or error
    text = str(reason).rpartition(": ")[2] or type(reason).__name__
    return ApplyError(
        f"{server}: the cluster does not answer ({text}); nothing was written by this request; check the context, VPN or server"
    )


def _refusal(error: Any) -> Refusal:
    """A server's Status as a refusal."""
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        status = {}
    causes = (status.get("details") or {}).get("causes") or []
    conflicts = tuple(
        Conflict(str(cause.get("field", "")), _manager(str(cause.get("message", ""))), str(cause.get("message", "")))
        for cause in causes
        if cause.get("reason") == "FieldManagerConflict"
    )
    texts = tuple(f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in causes)
    message = str(status.get("message") or error.reason or "refused")
    return Refusal(int(error.status or 0), message, texts, conflicts)


def _manager(message: str) -> str:
    """The manager in `conflict with "kubectl" using v1`."""
    parts = message.split('"')
    return parts[1] if len(parts) > 2 else message


def connect(context: str | None = None, kubeconfig: Path | None = None) -> Cluster:
    """The cluster of a kubeconfig context, or the one this process runs in. Several contexts and none named: refused."""
    from kubernetes import client, config

    paths = kubeconfigs(kubeconfig)
    settings = client.Configuration()
    if not any(path.exists() for path in paths) and "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        name = "in-cluster"
    else:
        name = choose_context(paths, context)
        joined = os.pathsep.join(str(path) for path in paths if path.exists())
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=joined, context=name, client_configuration=settings, persist_config=False
            )
        except (config.ConfigException, OSError, ValueError) as error:
            raise InputError(Problem(f"{joined}: context {name}", str(error), "mend the kubeconfig")) from None
    settings.retries = 0  # a request is sent once; the next apply repeats what is missing
    return Cluster(client.ApiClient(settings), name)


def describe(document: Mapping[str, Any]) -> str:
    """`apiVersion/Kind namespace/name` of a live object."""
    return f"{document['apiVersion']}/{where(document)}"
