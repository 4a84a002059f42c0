"""Reasons put into words, English and Korean, in the currency of the reader.

A template is a format string over the reason's values; the format `money` prints USD in the reader's currency.
"""

from __future__ import annotations

from collections.abc import Callable
from string import Formatter
from typing import Any

from models.reason import Reason
from simulator.wording import Language

MoneyText = Callable[[float], str]

_TEMPLATES: dict[str, tuple[str, str]] = {
    "asked_marginal": (
        "The scenario asks for what one more server costs against the AWS it saves: {working} working nodes and {spare} spare make {nodes}.",
        "서버 한 대를 더 살 때의 비용과 그만큼 줄어드는 AWS 비용을 비교합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_average": (
        "The scenario asks for the average cost of a server against the AWS it saves: {working} working nodes and {spare} spare make {nodes}.",
        "서버의 평균 비용과 줄어드는 AWS 비용을 비교합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_by_users": (
        "The scenario asks for {share:.0%} of the users: {working} working nodes and {spare} spare make {nodes}.",
        "사용자의 {share:.0%}를 기준으로 합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_by_peak": (
        "The scenario asks for {share:.0%} of the peak: {working} working nodes and {spare} spare make {nodes}.",
        "피크의 {share:.0%}를 기준으로 합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_by_worker_hours": (
        "The scenario asks for {share:.0%} of the worker hours: {working} working nodes and {spare} spare make {nodes}.",
        "워커 시간의 {share:.0%}를 기준으로 합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "busy": (
        "Each of the first {k} nodes works in more than the break-even {breakeven:.1%} of hours: node {k} works in {last:.1%}, "
        "node {next} would work in {beyond:.1%}.",
        "처음 {k}대는 모두 손익분기({breakeven:.1%})보다 많은 시간 동안 일합니다: {k}번째 노드는 {last:.1%}, {next}번째 노드는 {beyond:.1%}입니다.",
    ),
    "valley": (
        "Anything from {low} to {high} nodes costs within 1 % of the least.",
        "{low}대에서 {high}대까지는 비용이 최솟값의 1 % 이내입니다.",
    ),
    "nothing_pays": (
        "Nothing is worth building: the best hybrid costs {best:money} a year, AWS alone {alone:money}.",
        "구축할 가치가 없습니다: 가장 나은 하이브리드는 연 {best:money}, AWS만 쓰면 연 {alone:money}입니다.",
    ),
    "zone_stays_closed": (
        "Zone {name} is not worth opening: what its first node needs besides costs more than the zone would save.",
        "{name} 존은 열 가치가 없습니다: 첫 노드에 딸린 고정비가 그 존이 줄일 비용보다 큽니다.",
    ),
    "hybrid_less": (
        "Hybrid costs {hybrid:money} a year, {gap:money} less than AWS alone at the opponent's price ({alone:money}); "
        "fixed items decide whether to build, the cost of one more server decides how many.",
        "하이브리드는 연 {hybrid:money}로 비교 가격의 AWS({alone:money})보다 {gap:money} 적습니다. "
        "지을지 말지는 고정비가, 몇 대를 지을지는 서버 한 대의 추가 비용이 정합니다.",
    ),
    "hybrid_more": (
        "Hybrid costs {hybrid:money} a year, {gap:money} more than AWS alone at the opponent's price ({alone:money}); "
        "fixed items decide whether to build, the cost of one more server decides how many.",
        "하이브리드는 연 {hybrid:money}로 비교 가격의 AWS({alone:money})보다 {gap:money} 많습니다. "
        "지을지 말지는 고정비가, 몇 대를 지을지는 서버 한 대의 추가 비용이 정합니다.",
    ),
    "differ": (
        "A server costs {marginal:money} a year at the margin, {plain:money} on average without staff and {staffed:money} with it; against "
        "AWS at {off:.0%} off, {best_marginal}, {best_plain} and {best_staffed} nodes cost least, and against list price {list_marginal}, "
        "{list_plain} and {list_staffed}.",
        "서버 한 대의 연 비용은 한계 {marginal:money}, 인건비를 뺀 평균 {plain:money}, 인건비를 넣은 평균 {staffed:money}입니다. {off:.0%} 할인된 "
        "AWS와 비교하면 각각 {best_marginal}, {best_plain}, {best_staffed}대가, 정가와 비교하면 {list_marginal}, {list_plain}, {list_staffed}대가 "
        "가장 저렴합니다.",
    ),
    "halves": (
        "{users} nodes carry {share:.0%} of the users, {peak} carry {share:.0%} of the peak and {hours} serve {share:.0%} of the worker hours: "
        "these are rules about a share, not about cost, and answer other questions.",
        "사용자의 {share:.0%}는 {users}대, 피크의 {share:.0%}는 {peak}대, 워커 시간의 {share:.0%}는 {hours}대가 맡습니다. "
        "이는 비용이 아니라 비율에 대한 규칙이며 서로 다른 질문의 답입니다.",
    ),
    "halves_without_users": (
        "{peak} nodes carry {share:.0%} of the peak and {hours} serve {share:.0%} of the worker hours: these are rules about a share, not about "
        "cost, and answer other questions.",
        "피크의 {share:.0%}는 {peak}대, 워커 시간의 {share:.0%}는 {hours}대가 맡습니다. 이는 비용이 아니라 비율에 대한 규칙이며 서로 다른 질문의 답입니다.",
    ),
    "implied": (
        "{share:.0%} of the peak would be right only if AWS cost {implied:.1f} times the own node; here it costs {best:.1f} times at the best "
        "commitment and {list:.1f} times on demand.",
        "피크의 {share:.0%}는 AWS가 자체 노드의 {implied:.1f}배일 때만 맞는 답입니다. 여기서는 약정가로 {best:.1f}배, 온디맨드로 {list:.1f}배입니다.",
    ),
    "limit_binds": ("The limit {name} binds.", "제약 {name}에 걸립니다."),
    "limit_binds_priced": (
        "The limit {name} binds: one more would save {price:money} a year.",
        "제약 {name}에 걸립니다: 하나만 늘려도 연 {price:money}를 아낍니다.",
    ),
    "first_order": (
        "{nodes} nodes ordered on {ordered} are ready on {ready}; until then AWS serves everything.",
        "{ordered}에 주문한 {nodes}대는 {ready}에 가동하며, 그때까지는 AWS가 모두 처리합니다.",
    ),
    "later_orders": (
        "{orders} later orders add {nodes} nodes as demand grows.",
        "수요 증가에 따라 이후 {orders}번의 발주로 {nodes}대를 더합니다.",
    ),
    "unverified": (
        "{count} values are unverified (one claim or general knowledge): replace them before the money is relied on.",
        "확인되지 않은 값이 {count}개 있습니다(단일 출처 또는 일반 지식): 금액을 근거로 쓰기 전에 바꾸십시오.",
    ),
    "pinned_half": (
        "Simulated without burst and with {down} nodes down, the private half holds at {holds} nodes and fails at {fails}; the rule says {rule} "
        "because it assumes that pods fill {assumed:.2f} of a node, while the simulation measures {measured:.3f}.",
        "버스트 없이 노드 {down}대가 멈춘 상태로 시뮬레이션하면 사설 절반은 {holds}대에서 견디고 {fails}대에서 실패합니다. 규칙이 {rule}대라고 하는 것은 "
        "파드가 노드의 {assumed:.2f}를 채운다고 가정하기 때문이며, 시뮬레이션의 실측은 {measured:.3f}입니다.",
    ),
    "at_measured_packing": (
        "At the measured packing the same question gives {nodes} nodes.",
        "실측 패킹으로는 같은 질문의 답이 {nodes}대입니다.",
    ),
    "slo_met": (
        "Over {runs} simulated replications pods that find room start at once; those that wait for a new node wait {wait:.0f} s (p95, "
        "{allowed:.0f} s allowed): the service level is met.",
        "{runs}회 시뮬레이션에서 자리가 있는 파드는 즉시 시작하고, 새 노드를 기다리는 파드는 {wait:.0f}초(p95, 허용 {allowed:.0f}초) 기다립니다: "
        "서비스 수준을 만족합니다.",
    ),
    "slo_missed": (
        "Over {runs} simulated replications pods that find room start at once; those that wait for a new node wait {wait:.0f} s (p95, "
        "{allowed:.0f} s allowed): the service level is missed.",
        "{runs}회 시뮬레이션에서 자리가 있는 파드는 즉시 시작하고, 새 노드를 기다리는 파드는 {wait:.0f}초(p95, 허용 {allowed:.0f}초) 기다립니다: "
        "서비스 수준을 만족하지 못합니다.",
    ),
}  # fmt: skip


class _Words(Formatter):
    """Format strings with the extra format `money`."""

    def __init__(self, money: MoneyText) -> None:
        self._money = money

    def format_field(self, value: Any, format_spec: str) -> str:
        """One value; `money` goes to the reader's currency."""
        return self._money(float(value)) if format_spec == "money" else str(super().format_field(value, format_spec))


def sentence(reason: Reason, language: Language, money: MoneyText) -> str:
    """The reason as a sentence.

    >>> sentence(Reason("valley", {"low": 50, "high": 60}), "en", str)
    'Anything from 50 to 60 nodes costs within 1 % of the least.'
    """
    return _Words(money).format(_TEMPLATES[reason.key][0 if language == "en" else 1], **reason.values)
