"""`burstline usage`: requests, use, nodes, autoscalers and GPUs from a Prometheus server or from files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.unknown import Unknown
from simulator.cli import json_option, print_json

if TYPE_CHECKING:
    from models.usage import GpuShare, GpuUse
    from simulator.ingest.metric_names import Matcher
    from simulator.ingest.usage_store import Imported

SHOWN_GAPS = 20
PEAK_UNITS = {"cpu": ("cores", 1000.0), "memory": ("GiB", 1024.0)}


class Instant(click.ParamType[datetime]):
    """A UTC time: ISO 8601, or seconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware UTC datetime; a time without a zone is taken as UTC."""
        try:
            if str(value).lstrip("-").isdigit() and len(str(value)) > 8:
                return datetime.fromtimestamp(int(value), UTC)
            when = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is not a time; examples: 2026-03-02, 2026-03-02T05:00Z, 1772409600", param, ctx)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


@click.command()
@click.option("--prometheus", metavar="URL", help="Prometheus, Thanos or Mimir; the URL where /api/v1 begins.")
@click.option("--file", "files", type=click.Path(path_type=Path), multiple=True, help="A usage file of any known kind; may be repeated.")
@click.option("--cloudwatch", metavar="REGION", help="CloudWatch: Container Insights and EC2, with the usual AWS credentials.")
@click.option("--inventory", type=click.Path(path_type=Path), help="Servers that are already there: YAML or CSV.")
@click.option("--openstack", metavar="CLOUD", help="Nova and Ironic inventory of a cloud of clouds.yaml (extra openstack).")
@click.option("--scenario", metavar="NAME_OR_FILE", help="With --write: the scenario to which the inventory's servers are added.")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Scenario file to write, for `burstline plan`.")
@click.option("--from", "start", type=Instant(), help="First hour, UTC.  [default: 30 days before --to]")
@click.option("--to", "end", type=Instant(), help="End, UTC, exclusive.  [default: the server's last whole hour]")
@click.option("--step", default="5m", show_default=True, help="Distance of the points asked for; must divide an hour.")
@click.option("--preset", default="kube-state-metrics", show_default=True, help="Metric names: a shipped preset or a YAML file.")
@click.option("--select", multiple=True, metavar="MATCHER", help="Only series with this label, for instance 'cluster=\"prod\"'.")
@click.option("--cluster", default="", help="Name under which the rows are kept, when a store holds several clusters.")
@click.option("--clusters-by", metavar="LABEL", help="Import every value of this label as a cluster of its own, for instance cluster.")
@click.option("--token-env", metavar="VARIABLE", help="Environment variable with a bearer token.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with a bearer token.")
@click.option("--user", help="User of basic authentication.")
@click.option("--password-env", metavar="VARIABLE", help="Environment variable with the password of --user.")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the certificate authority to trust.")
@click.option("--tenant", help="Tenant, sent as X-Scope-OrgID (Mimir, Cortex, Thanos receive).")
@click.option("--timeout", default="60s", show_default=True, help="Longest wait for one answer.")
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Requests at a time.")
@click.option("--samples-per-page", default=250_000, show_default=True, type=click.IntRange(1), help="Most samples in one answer.")
@click.option("--store", type=click.Path(dir_okay=False, path_type=Path), help="Store to keep the rows in; without it nothing is kept.")
@json_option
def command(prometheus: str | None, files: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Import what clusters asked for and used, hour by hour.

    An import replaces what the store had for the same cluster and hours. One that was interrupted goes on where it stopped.

    \b
    Example:
      burstline usage --prometheus http://localhost:9090 --from 2026-03-01 --to 2026-04-01 --store case.duckdb
      burstline usage --file usage.parquet --store case.duckdb
      burstline usage --file kube-state-metrics.prom --file cadvisor.prom --from 2026-03-02T05:00Z
      burstline usage --inventory servers.yaml --scenario half-private-40 --write with-ours.yaml
    """
    from simulator.cli._bar import progress_bar
    from simulator.cli._inventory import inventory_command
    from simulator.ingest.usage_gpu import load_gpu_shares, load_gpus
    from simulator.ingest.usage_store import open_usage

    sources = (prometheus, files, options["cloudwatch"], options["inventory"], options["openstack"])
    if sum(bool(source) for source in sources) != 1:
        raise click.UsageError("give one of --prometheus, --file, --cloudwatch, --inventory and --openstack")
    if options["clusters_by"] and (options["cluster"] or not prometheus):
        raise click.UsageError("--clusters-by goes with --prometheus and names the clusters itself: leave --cluster out")
    if options["inventory"] or options["openstack"]:
        inventory_command(options, as_json)
        return
    if options["scenario"] or options["write"]:
        raise click.UsageError("--scenario and --write go with --inventory or --openstack")
    select = _matchers(options["select"])
    with progress_bar() as progress, open_usage(options["store"]) as connection:
        if options["cloudwatch"]:
            imported = _from_cloudwatch(connection, options, progress)
        elif prometheus is None:
            from simulator.ingest.usage_file import import_files
            from simulator.ingest.usage_files import FileOptions

            how = FileOptions(options["start"], options["end"], options["preset"], select, options["cluster"])
            imported = import_files(connection, files, how, progress)
        else:
            imported = _from_server(connection, prometheus, select, options, progress)
        gpus = load_gpus(connection) if imported.tables.get("gpu_usage") else ()
        workloads, teams = load_gpu_shares(connection) if gpus else ((), ())
    if as_json:
        print_json({**document(imported), "gpus": gpus, "gpu_workloads": workloads, "gpu_teams": teams})
    else:
        _show(imported, options["store"])
        _show_gpus(gpus)
        _show_shares(workloads, teams)


def _from_server(connection: Any, url: str, select: tuple[Matcher, ...], options: dict[str, Any], progress: Any) -> Imported:
    from simulator.ingest.prometheus import import_prometheus
    from simulator.ingest.prometheus_clusters import import_clusters, together
    from simulator.ingest.prometheus_http import Access, Server
    from simulator.ingest.prometheus_task import Request

    access = Access(
        url,
        token=_token(options["token_env"], options["token_file"]),
        user=options["user"],
        password=_secret("--password-env", options["password_env"]),
        ca=options["ca"],
        tenant=options["tenant"],
        timeout_s=_seconds("--timeout", options["timeout"]),
    )
    request = Request(
        start=options["start"],
        end=options["end"],
        step_s=round(_seconds("--step", options["step"])),
        preset=options["preset"],
        select=select,
        cluster=options["cluster"],
        workers=options["workers"],
        samples_per_page=options["samples_per_page"],
    )
    with Server(access) as server:
        if options["clusters_by"]:
            return together(import_clusters(connection, server, request, options["clusters_by"], progress))
        return import_prometheus(connection, server, request, progress)


def _from_cloudwatch(connection: Any, options: dict[str, Any], progress: Any) -> Imported:
    import boto3

    from simulator.ingest.cloudwatch import import_cloudwatch

    client = boto3.client("cloudwatch", region_name=options["cloudwatch"])
    try:
        return import_cloudwatch(
            connection, client, start=options["start"], end=options["end"], cluster=options["cluster"], progress=progress
        )
    finally:
        client.close()


def _matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    from simulator.ingest.metric_names import Matcher

    try:
        return tuple(Matcher.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--select") from None


def _seconds(option: str, text: str) -> float:
    from models.units import duration_s

    try:
        return duration_s(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _secret(option: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise click.BadParameter(f"the environment variable {variable} is not set", param_hint=option)
    return os.environ[variable].strip()


def _token(variable: str | None, file: Path | None) -> str | None:
    if file is None:
        return _secret("--token-env", variable)
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{file} cannot be read ({type(error).__name__})", param_hint="--token-file") from None


def document(imported: Imported) -> dict[str, Any]:
    """What --json prints."""
    return {
        "series": imported.series,
        "samples": imported.samples,
        "from": imported.start,
        "to": imported.end,
        "gaps": [{"measure": gap.measure, "from": gap.start, "to": gap.end, "reason": gap.reason} for gap in imported.gaps],
        "warnings": list(imported.warnings),
        "source": imported.source,
        "peaks": imported.peaks,
        "rows": imported.tables,
    }


def _show(imported: Imported, store: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    hours = round((imported.end - imported.start).total_seconds() / 3600)
    console.print(f"{imported.source}: {imported.start:%Y-%m-%d %H:%M} to {imported.end:%Y-%m-%d %H:%M} UTC, {hours:,} hours")
    console.print(
        f"{imported.series:,} series, {imported.samples:,} samples" + (f", kept in {store}" if store else ", not kept (no --store)")
    )
    if imported.peaks:
        table = Table("measure", "peak of all workloads", "unit")
        for name, value in imported.peaks.items():
            unit, divisor = PEAK_UNITS.get(name.split("_")[0], ("", 1.0))
            table.add_row(name, f"{value / divisor:,.2f}", unit)
        console.print(table)
    together: dict[tuple[str, str, str], list[str]] = {}
    for gap in imported.gaps:
        together.setdefault((f"{gap.start:%Y-%m-%d %H:%M}", f"{gap.end:%Y-%m-%d %H:%M}", gap.reason), []).append(gap.measure)
    for (start, end, reason), measures in list(together.items())[:SHOWN_GAPS]:
        console.print(f"gap: {start} to {end} UTC, {reason}: {', '.join(measures)}", markup=False)
    if len(together) > SHOWN_GAPS:
        console.print(f"and {len(together) - SHOWN_GAPS} more gaps; --json lists all")
    for text in imported.warnings:
        click.echo(f"warning: {text}", err=True)


def _show_gpus(gpus: tuple[GpuUse, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not gpus:
        return
    table = Table("hours", "busy %", "kWh", "free MiB", "throttled %", "fan %", "GPU")
    for one in gpus:
        cells = (_percent(one.utilisation_share), one.energy_kwh, one.headroom_mib, _percent(one.throttled_share), one.fan_percent)
        numbers = ["?" if isinstance(cell, Unknown) else f"{cell:,.1f}" for cell in cells]
        table.add_row(str(one.hours), *numbers, f"{one.gpu} ({one.model}, {one.node})")
    table.columns[-1].overflow = "fold"
    Console(soft_wrap=True).print(table)


def _show_shares(workloads: tuple[GpuShare, ...], teams: tuple[GpuShare, ...]) -> None:
    """Who held the GPUs: teams where namespaces name them, then workloads."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    for title, shares in (("team", teams if any(one.team for one in teams) else ()), ("workload", workloads)):
        if not shares:
            continue
        table = Table("GPU hours", "share %", "busy %", "kWh", "MiB used", title)
        for one in shares:
            cells = (one.gpu_hours, 100 * one.share_of_hours, _percent(one.busy_share), one.energy_kwh, one.memory_mib)
            name = one.team if title == "team" else f"{one.namespace}/{one.workload}" if one.workload else ""
            table.add_row(*("?" if isinstance(cell, Unknown) else f"{cell:,.1f}" for cell in cells), name or "(nobody's)")
        console.print(table)


def _percent(share: float | Unknown) -> float | Unknown:
    return share if isinstance(share, Unknown) else 100 * share
