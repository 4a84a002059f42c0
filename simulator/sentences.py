"""Reasons put into words, English and Korean, in the currency of the reader.

A template is a format string over the reason's values. Three formats are its own: `money` prints USD in the reader's currency,
`count node` prints a number with its noun ("1 node", "2 nodes"), `either is|are` prints one of two words by the number.
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
        "The scenario asks for what one more server costs against the AWS it saves: {working:count working node} and {spare} spare make {nodes}.",
        "서버 한 대를 더 살 때의 비용과 그만큼 줄어드는 AWS 비용을 비교합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_average": (
        "The scenario asks for the average cost of a server against the AWS it saves: {working:count working node} and {spare} spare make {nodes}.",
        "서버의 평균 비용과 줄어드는 AWS 비용을 비교합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_by_users": (
        "The scenario asks for {share:.0%} of the users: {working:count working node} and {spare} spare make {nodes}.",
        "사용자의 {share:.0%}를 기준으로 합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_by_peak": (
        "The scenario asks for {share:.0%} of the peak: {working:count working node} and {spare} spare make {nodes}.",
        "피크의 {share:.0%}를 기준으로 합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "asked_by_worker_hours": (
        "The scenario asks for {share:.0%} of the worker hours: {working:count working node} and {spare} spare make {nodes}.",
        "워커 시간의 {share:.0%}를 기준으로 합니다: 작업 노드 {working}대와 예비 {spare}대, 모두 {nodes}대입니다.",
    ),
    "busy": (
        "Each of the first {k} nodes works in more than the break-even {breakeven:.1%} of hours: node {k} works in {last:.1%}, "
        "node {next} would work in {beyond:.1%}.",
        "처음 {k}대는 모두 손익분기({breakeven:.1%})보다 많은 시간 동안 일합니다: {k}번째 노드는 {last:.1%}, {next}번째 노드는 {beyond:.1%}입니다.",
    ),
    "busy_one": (
        "The first node works in {last:.1%} of hours, more than the break-even {breakeven:.1%}; a second would work in {beyond:.1%}.",
        "첫 번째 노드는 손익분기({breakeven:.1%})보다 많은 {last:.1%}의 시간 동안 일하고, 두 번째 노드는 {beyond:.1%}에 그칩니다.",
    ),
    "valley": (
        "Anything from {low} to {high} nodes costs within 1 % of the least.",
        "{low}대에서 {high}대까지는 비용이 최솟값의 1 % 이내입니다.",
    ),
    "valley_point": (
        "Every other possible number of nodes near {low} costs more than 1 % above the least.",
        "{low}대와 가까운 다른 가능한 대수는 모두 비용이 최솟값보다 1 % 넘게 많습니다.",
    ),
    "valley_also": (
        "So close to the least are also, past a step of racks or fixed items: {others} nodes.",
        "랙이나 고정비의 계단 너머에서 최솟값에 그만큼 가까운 대수: {others}대.",
    ),
    "nothing_pays": (
        "Nothing is worth building, because of the fixed items (racks, network, spares, staff, link): the best hybrid costs {best:money} a year, "
        "{gap:money} above AWS alone ({alone:money}); at the margin {nodes:count working node} would pay for {nodes:either itself|themselves}, "
        "but not for the fixed items.",
        "고정비(랙, 네트워크, 예비, 인력, 회선) 때문에 구축할 가치가 없습니다: 가장 나은 하이브리드는 연 {best:money}로 AWS만 쓸 때({alone:money})보다 "
        "{gap:money} 많습니다. 추가 비용만 보면 작업 노드 {nodes}대가 제값을 하지만 고정비까지 갚지는 못합니다.",
    ),
    "nothing_pays_first": (
        "Nothing is worth building: even the first node would work in {first:.1%} of hours, its break-even is {breakeven:.1%}; the best hybrid "
        "costs {best:money} a year, {gap:money} above AWS alone ({alone:money}).",
        "구축할 가치가 없습니다: 첫 노드조차 {first:.1%}의 시간만 일하는데 손익분기는 {breakeven:.1%}입니다. 가장 나은 하이브리드는 연 {best:money}로 "
        "AWS만 쓸 때({alone:money})보다 {gap:money} 많습니다.",
    ),
    "nothing_pays_ever": (
        "Nothing is worth building: a node costs more than the AWS that it replaces even when it works in every hour; the best hybrid costs "
        "{best:money} a year, {gap:money} above AWS alone ({alone:money}).",
        "구축할 가치가 없습니다: 노드가 매시간 일해도 그만큼의 AWS보다 비쌉니다. 가장 나은 하이브리드는 연 {best:money}로 "
        "AWS만 쓸 때({alone:money})보다 {gap:money} 많습니다.",
    ),
    "nothing_asked": (
        "No private node answers the question that the scenario asks; the best hybrid costs {best:money} a year, AWS alone {alone:money}.",
        "시나리오의 질문에 대한 답은 사설 노드 0대입니다. 가장 나은 하이브리드는 연 {best:money}, AWS만 쓰면 연 {alone:money}입니다.",
    ),
    "nothing_allowed": (
        "The zones allow no working node beside their spares; AWS alone costs {alone:money} a year.",
        "존의 한도 안에서는 예비를 빼면 작업 노드를 둘 수 없습니다. AWS만 쓰면 연 {alone:money}입니다.",
    ),
    "declines": (
        "Demand is expected to shrink by {share:.0%} a year and nothing that is bought can be given back: the hours of all "
        "{years:count year} that a node serves decide, not those of the day it arrives, and the yearly costs above are their mean.",
        "수요가 해마다 {share:.0%} 줄 것으로 보고 산 것은 되돌릴 수 없으므로, 도착하는 날이 아니라 노드가 일하는 {years}년 전체의 시간으로 판단하며, 위의 연 비용은 그 평균입니다.",
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
        "A server costs {marginal:money} a year at the margin, {plain:money} on average without staff and {staffed:money} with {fte:g} FTE; "
        "against AWS at {off:.0%} off, {best_marginal}, {best_plain} and {best_staffed} nodes cost least, and against list price {list_marginal}, "
        "{list_plain} and {list_staffed}.",
        "서버 한 대의 연 비용은 한계 {marginal:money}, 인건비를 뺀 평균 {plain:money}, {fte:g} FTE의 인건비를 넣은 평균 {staffed:money}입니다. "
        "{off:.0%} 할인된 AWS와 비교하면 각각 {best_marginal}, {best_plain}, {best_staffed}대가, 정가와 비교하면 {list_marginal}, {list_plain}, "
        "{list_staffed}대가 가장 저렴합니다.",
    ),
    "differ_unbuilt": (
        "Whoever counts only a server's own cost gets other answers: {marginal:money} a year at the margin, {plain:money} on average without "
        "staff and {staffed:money} with {fte:g} FTE would mean {best_marginal}, {best_plain} and {best_staffed} nodes against AWS at {off:.0%} "
        "off, and {list_marginal}, {list_plain} and {list_staffed} against list price; none of them asks whether the whole is worth building.",
        "서버 자체의 비용만 보면 답이 달라집니다: 연 비용이 한계 {marginal:money}, 인건비를 뺀 평균 {plain:money}, {fte:g} FTE의 인건비를 넣은 평균 "
        "{staffed:money}이면 {off:.0%} 할인된 AWS 대비 {best_marginal}, {best_plain}, {best_staffed}대, 정가 대비 {list_marginal}, {list_plain}, "
        "{list_staffed}대입니다. 그러나 어느 것도 전체를 지을 가치가 있는지는 묻지 않습니다.",
    ),
    "halves": (
        "{users:count node} {users:either carries|carry} {share:.0%} of the users, {peak} {peak:either carries|carry} {share:.0%} of the peak "
        "and {hours} {hours:either serves|serve} {share:.0%} of the worker hours: these are rules about a share, not about cost, and answer other questions.",
        "사용자의 {share:.0%}는 {users}대, 피크의 {share:.0%}는 {peak}대, 워커 시간의 {share:.0%}는 {hours}대가 맡습니다. "
        "이는 비용이 아니라 비율에 대한 규칙이며 서로 다른 질문의 답입니다.",
    ),
    "halves_without_users": (
        "{peak:count node} {peak:either carries|carry} {share:.0%} of the peak and {hours} {hours:either serves|serve} {share:.0%} of the "
        "worker hours: these are rules about a share, not about cost, and answer other questions.",
        "피크의 {share:.0%}는 {peak}대, 워커 시간의 {share:.0%}는 {hours}대가 맡습니다. 이는 비용이 아니라 비율에 대한 규칙이며 서로 다른 질문의 답입니다.",
    ),
    "implied": (
        "{share:.0%} of the peak would be right only if AWS cost {implied:.1f} times the own node; here it costs {best:.1f} times at the best "
        "commitment and {list:.1f} times on demand.",
        "피크의 {share:.0%}는 AWS가 자체 노드의 {implied:.1f}배일 때만 맞는 답입니다. 여기서는 약정가로 {best:.1f}배, 온디맨드로 {list:.1f}배입니다.",
    ),
    "limit_binds": ("The limit {name} binds.", "제약 {name}에 걸립니다."),
    "limit_binds_priced": (
        "The limit {name} binds: more nodes would save up to {price:money} a year each.",
        "제약 {name}에 걸립니다: 더 늘리면 한 대마다 연 {price:money}까지 아낍니다.",
    ),
    "first_order": (
        "{nodes:count node} ordered on {ordered} {nodes:either is|are} ready on {ready}; until then AWS serves everything.",
        "{ordered}에 주문한 {nodes}대는 {ready}에 가동하며, 그때까지는 AWS가 모두 처리합니다.",
    ),
    "later_orders": (
        "{orders:count later order} {orders:either adds|add} {nodes:count node} as demand grows.",
        "수요 증가에 따라 이후 {orders}번의 발주로 {nodes}대를 더합니다.",
    ),
    "unverified": (
        "{count:count value} {count:either is|are} unverified (one claim or general knowledge): replace {count:either it|them} before the money is relied on.",
        "확인되지 않은 값이 {count}개 있습니다(단일 출처 또는 일반 지식): 금액을 근거로 쓰기 전에 바꾸십시오.",
    ),
    "pinned_half_agrees": (
        "Simulated without burst and with {down:count node} down, the private half holds at {holds} and fails at {fails}, as the rule of {rule} "
        "says; pods fill {measured:.3f} of a node.",
        "버스트 없이 노드 {down}대가 멈춘 상태로 시뮬레이션하면 사설 절반은 규칙의 {rule}대와 같이 {holds}대에서 견디고 {fails}대에서 실패합니다. "
        "파드는 노드의 {measured:.3f}를 채웁니다.",
    ),
    "pinned_half": (
        "Simulated without burst and with {down:count node} down, the private half holds at {holds:count node} and fails at {fails}; the rule "
        "says {rule} because it assumes that pods fill {assumed:.2f} of a node, while the simulation measures {measured:.3f}.",
        "버스트 없이 노드 {down}대가 멈춘 상태로 시뮬레이션하면 사설 절반은 {holds}대에서 견디고 {fails}대에서 실패합니다. 규칙이 {rule}대라고 하는 것은 "
        "파드가 노드의 {assumed:.2f}를 채운다고 가정하기 때문이며, 시뮬레이션의 실측은 {measured:.3f}입니다.",
    ),
    "at_measured_packing": (
        "At the measured packing the same question gives {nodes:count node}.",
        "실측 패킹으로는 같은 질문의 답이 {nodes}대입니다.",
    ),
    "slo_met": (
        "Over {runs:count simulated replication} pods that find room start at once; those that wait for a new node wait {wait:.0f} s (p95, "
        "{allowed:.0f} s allowed), and all pods {all_wait:.0f} s (p99, {all_allowed:.0f} s allowed): the service level is met.",
        "{runs}회 시뮬레이션에서 자리가 있는 파드는 즉시 시작하고, 새 노드를 기다리는 파드는 {wait:.0f}초(p95, 허용 {allowed:.0f}초), 전체 파드는 {all_wait:.0f}초(p99, 허용 {all_allowed:.0f}초) 기다립니다: "
        "서비스 수준을 만족합니다.",
    ),
    "slo_missed": (
        "Over {runs:count simulated replication} pods that find room start at once; those that wait for a new node wait {wait:.0f} s (p95, "
        "{allowed:.0f} s allowed), and all pods {all_wait:.0f} s (p99, {all_allowed:.0f} s allowed): the service level is missed.",
        "{runs}회 시뮬레이션에서 자리가 있는 파드는 즉시 시작하고, 새 노드를 기다리는 파드는 {wait:.0f}초(p95, 허용 {allowed:.0f}초), 전체 파드는 {all_wait:.0f}초(p99, 허용 {all_allowed:.0f}초) 기다립니다: "
        "서비스 수준을 만족하지 못합니다.",
    ),
}  # fmt: skip


class _Words(Formatter):
    """Format strings with the extra formats `money`, `count` and `either`."""

    def __init__(self, money: MoneyText) -> None:
        self._money = money

    def format_field(self, value: Any, format_spec: str) -> str:
        """One value in the template's format."""
        kind, _, rest = format_spec.partition(" ")
        if kind == "money":
            return self._money(float(value))
        if kind == "count":
            return f"{value} {rest}" if value == 1 else f"{value} {rest}s"
        if kind == "either":
            one, many = rest.split("|")
            return one if value == 1 else many
        return str(super().format_field(value, format_spec))


def sentence(reason: Reason, language: Language, money: MoneyText) -> str:
    """The reason as a sentence.

    >>> sentence(Reason("valley", {"low": 50, "high": 60}), "en", str)
    'Anything from 50 to 60 nodes costs within 1 % of the least.'
    """
    return _Words(money).format(_TEMPLATES[reason.key][0 if language == "en" else 1], **reason.values)
