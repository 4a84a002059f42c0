"""Public demand series as hourly arrays, for the back-test protocols: growth (three years) and short (days to months)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

HOUR_S = 3600


def growth(data: Path) -> dict[str, np.ndarray]:
    """Shaved Ice: normalised demand of four regions, 26,280 hours each."""
    table = pd.read_parquet(data / "billing" / "commitment-demand-shavedice" / "hourly_normalized.parquet")
    summed = table.groupby(["REGION_NUM", "USAGE_HOUR"])["NORM_USAGE"].sum()
    return {f"shaved-ice-{int(region)}": summed[region].sort_index().to_numpy(dtype=float) for region in (1, 2, 3, 4)}


def short(data: Path) -> dict[str, np.ndarray]:
    """Every shared trace that holds a demand of at least four days; hourly means, NaN where nothing was recorded."""
    traces = data / "traces"
    series = growth(data)
    for read in (_fleets, _cloudwatch, _virtual_machines, _gpus, _batch, _serving, _web):
        series |= read(traces)
    return {name: values for name, values in series.items() if np.count_nonzero(~np.isnan(values)) >= 96 and np.nanmax(values) > 0}


def _hourly(seconds: pd.Series, values: pd.Series) -> np.ndarray:
    hour = ((seconds - seconds.min()) // HOUR_S).astype(int)
    means = values.astype(float).groupby(hour).mean()
    return means.reindex(range(int(hour.max()) + 1)).to_numpy()


def _seconds(times: pd.Series) -> pd.Series:
    return pd.to_datetime(times).astype("datetime64[s]").astype("int64")


def _fleets(traces: Path) -> dict[str, np.ndarray]:
    columns = {"alibaba-2018-machines/machines": "cpu_util_percent", "azure-vm-2019-fleet/fleet": "cpu_pct_cores",
               "google-borg-2019-cell/cell": "avg_cpu"}  # fmt: skip
    found = {}
    for name, column in columns.items():
        table = pd.read_csv(traces / f"{name}_5min.csv.gz")
        found[name.split("/")[0]] = _hourly(table["t_s"], table[column])
    return found


def _cloudwatch(traces: Path) -> dict[str, np.ndarray]:
    table = pd.read_csv(traces / "aws-cloudwatch-nab" / "series.csv.gz")
    return {f"cloudwatch-{name}": _hourly(_seconds(part["timestamp"]), part["value"]) for name, part in table.groupby("series")}


def _virtual_machines(traces: Path) -> dict[str, np.ndarray]:
    table = pd.read_parquet(traces / "bitbrains-2013-vms" / "vm_cpu_5min.parquet")
    seconds = _seconds(table["t_s"]) if not np.issubdtype(table["t_s"].dtype, np.number) else table["t_s"]
    hour = ((seconds - seconds.min()) // HOUR_S).astype(int)
    per_vm = table["cpu_usage_mhz"].groupby([hour, table["vm"]]).mean()
    return {"bitbrains": per_vm.groupby(level=0).sum().to_numpy()}


def _gpus(traces: Path) -> dict[str, np.ndarray]:
    table = pd.read_parquet(traces / "helios-earth-2020-gpu" / "vc_gpu_1min.parquet")
    demand = (table["running_gpu"] + table["pending_gpu"]).groupby([table["vc"], table["time"]]).sum().unstack(0)
    seconds = pd.Series(_seconds(pd.Series(demand.index)))
    found = {f"helios-{name}": _hourly(seconds, pd.Series(demand[name].to_numpy())) for name in demand}
    nodes = pd.read_csv(traces / "philly-2017-gpu" / "active_nodes_1min.csv.gz")
    jobs = pd.read_csv(traces / "philly-2017-gpu" / "jobs.csv.gz")
    return found | {
        "helios-all": _hourly(seconds, pd.Series(demand.sum(axis=1).to_numpy())),
        "philly-nodes": _hourly(_seconds(nodes["time"]), nodes["active"]),
        "philly-gpus": _held(_seconds(jobs["submit"]).to_numpy(), jobs["duration_s"].to_numpy(), jobs["gpus"].to_numpy()),
    }


def _batch(traces: Path) -> dict[str, np.ndarray]:
    tasks = pd.read_parquet(traces / "surf-lisa-2022-batch" / "tasks_jul-sep.parquet")
    first = tasks["submit_unix_ms"].to_numpy() // 1000
    return {"surf-lisa": _held(first, tasks["duration_ms"].to_numpy() / 1000, np.ones(len(tasks)))}


def _serving(traces: Path) -> dict[str, np.ndarray]:
    found = {}
    for model in ("m-small", "m-large"):
        table = pd.read_parquet(traces / "servegen-2025-llm-rates" / f"{model}_clients_10min.parquet")
        total = table.groupby("t_s")["rate_rps"].sum()
        found[f"servegen-{model}"] = _hourly(pd.Series(total.index.to_numpy()), pd.Series(total.to_numpy()))
    lora = pd.read_csv(traces / "alibaba-genai-2026-serving" / "lora_requests.csv.gz")
    start, seconds = _seconds(lora["gmt_create"]).to_numpy(), lora["exec_time_seconds"].to_numpy(dtype=float)
    found["genai-lora"] = _held(start[~np.isnan(seconds)], seconds[~np.isnan(seconds)], np.ones(int((~np.isnan(seconds)).sum())))
    return found


def _web(traces: Path) -> dict[str, np.ndarray]:
    folder = traces / "web-requests"
    nasa, twitter = pd.read_csv(folder / "nasa_1995_per_min.csv.gz"), pd.read_csv(folder / "twitter_2021_per_min.csv.gz")
    taxi = pd.read_csv(folder / "nyc_taxi_30min_proxy.csv.gz")
    return {
        "nasa": _hourly(nasa["t_s"], nasa["requests"]),
        "twitter": _hourly(twitter["t_s"], twitter["tweets"]),
        "taxi": _hourly(_seconds(taxi["timestamp"]), taxi["passengers"]),
    }


def _held(start: np.ndarray, seconds: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Mean amount in use per hour, of intervals [start, start + seconds), up to the last start."""
    origin, last = start.min(), start.max()
    hours = int((last - origin) // HOUR_S) + 1
    edges = np.arange(hours + 1) * HOUR_S
    held: Callable[[np.ndarray], np.ndarray] = lambda times: _integral(times - origin, amount, edges)  # noqa: E731
    return (held(start) - held(start + seconds)) / HOUR_S


def _integral(times: np.ndarray, amount: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Integral over each hour of the sum of amounts whose time has passed."""
    order = np.argsort(times, kind="stable")
    t, a = times[order].astype(float), amount[order].astype(float)
    count = np.concatenate([[0.0], np.cumsum(a)])
    weighted = np.concatenate([[0.0], np.cumsum(a * t)])
    place = np.searchsorted(t, edges, side="right")
    area = count[place] * edges - weighted[place]
    return np.diff(area)
