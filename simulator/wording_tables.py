"""Korean of what the commands print in tables and lines: English text -> Korean text, both with the same named values.

The English stands where it is printed, so that a page of code reads as what it prints; what is missing here is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.wording import Language

Say = Callable[..., str]

_KO: dict[str, str] = {
    # simulate
    "{pods:,} pods on {built} private nodes, {replications} replications, {wall_s:.1f} s": (
        "사설 노드 {built}에 파드 {pods:,}개, 반복 {replications}회, {wall_s:.1f}초"
    ),
    "Means over replications": "반복 평균",
    "zone": "존",
    "node hours": "노드 시간",
    "utilisation": "사용률",
    "pods placed": "배치된 파드",
    "failures": "장애",
    "energy, kWh": "전력량, kWh",
    "Seconds until a pod runs": "파드가 실행되기까지의 대기 시간(초)",
    "class": "등급",
    "half of the pods": "절반",
    "95 %": "95 %",
    "99 %": "99 %",
    "all": "전체",
    "service": "서비스",
    "batch": "배치",
    "ml": "ML",
    "burst: {mean:,.0f} node hours +- {half_width:,.0f} (95 %)": "버스트: {mean:,.0f} 노드 시간 ± {half_width:,.0f} (95 %)",
    "failures: {failures:.1f}, pods moved by them: {evictions:.1f}": "장애: {failures:.1f}건, 이로 인해 옮겨진 파드: {evictions:.1f}개",
    "pods moved by {cause}: {count:,.0f}": "{cause}(으)로 옮겨진 파드: {count:,.0f}개",
    "data between the sides: {gb:,.0f} GB": "양쪽 사이를 오간 데이터: {gb:,.0f} GB",
    "rolling upgrade of {zone}: {hours:.1f} h": "{zone} 순차 업그레이드: {hours:.1f}시간",
    "never placed: {unplaced:.0f}; conservation error: {error:.1e}": "배치되지 못한 파드: {unplaced:.0f}개; 보존 오차: {error:.1e}",
    "wrote {path}": "저장: {path}",
    "The fleet in its busiest week": "가장 바쁜 주의 플릿",
    # workloads of a scenario
    "Workloads of the scenario": "시나리오 워크로드",
    "pods": "파드",
    "most at once": "동시 최대",
    "ready p95, s": "준비 완료 p95(초)",
    "wait for a node p95, s": "노드 대기 p95(초)",
    "image p95, s": "이미지 p95(초)",
    "mesh {mesh}: proxies of {pods:,.0f} pods take {memory_gb:,.1f} GB and {cores:,.1f} cores; {nodes} nodes of {node} at the peak": (
        "메시 {mesh}: 파드 {pods:,.0f}개의 프록시가 {memory_gb:,.1f} GB와 {cores:,.1f}코어를 사용; 가장 붐비는 시간에 {node} {nodes}대"
    ),
    "DaemonSets {names}: {more:+d} nodes": "DaemonSet {names}: 노드 {more:+d}대",
    "{before} to {after} replicas at {at_s:,.0f} s, never all ready": (
        "{at_s:,.0f}초에 레플리카 {before}개에서 {after}개로, 모두 준비되지 못함"
    ),
    "{before} to {after} replicas at {at_s:,.0f} s, all ready {ready:,.0f} s after the load changed": (
        "{at_s:,.0f}초에 레플리카 {before}개에서 {after}개로, 부하 변화 후 {ready:,.0f}초에 모두 준비됨"
    ),
    "and {count} more growths": "그 밖의 확장 {count}회",
    "a new version took {seconds:,.0f} s": "새 버전 전환에 {seconds:,.0f}초",
    "new versions need room for {pods} more pods, in nodes: {nodes}": "새 버전 전환에 파드 {pods}개의 여유가 더 필요, 노드로는: {nodes}",
    "warm head-room in {pool}: {nodes} nodes for {pods} pods within {seconds:,.0f} s": (
        "{pool}의 대기 여유: {seconds:,.0f}초 안에 늘어나는 파드 {pods}개를 위한 노드 {nodes}대"
    ),
    (
        "runs: {completed:,.0f} completed, {running:,.0f} running, {waiting:,.0f} waiting, {failed:,.0f} failed, {timed_out:,.0f} gave up, "
        "{skipped:,.0f} skipped, {restarts:,.0f} started over; 95 % began within {delay} s"
    ): (
        "실행: 완료 {completed:,.0f}, 실행 중 {running:,.0f}, 대기 {waiting:,.0f}, 실패 {failed:,.0f}, 포기 {timed_out:,.0f}, "
        "건너뜀 {skipped:,.0f}, 재시작 {restarts:,.0f}; 95 %가 {delay}초 안에 시작"
    ),
    # demand
    "{name}: {hours:,} hours from {start:%Y-%m-%d %H:%M} UTC": "{name}: {start:%Y-%m-%d %H:%M} UTC부터 {hours:,}시간",
    "note: {text}": "참고: {text}",
    "Requests": "요청량",
    "resource": "자원",
    "peak": "피크",
    "mean": "평균",
    "load factor": "부하율",
    "binds": "제약됨",
    "Private nodes, three readings of {share:.0%} (spares included)": "사설 노드, {share:.0%}의 세 가지 해석(예비 포함)",
    "reading": "해석",
    "nodes": "노드",
    "of the users": "사용자 기준",
    "of the peak": "피크 기준",
    "of the worker hours, filled first": "워커 시간 기준(사설 우선)",
    "no users known": "사용자 정보 없음",
    "{worker} worker hours": "{worker} 워커 시간",
    "view": "관점",
    "hours": "시간",
    "at list price, USD": "정가 기준, USD",
    "all on AWS": "모두 AWS",
    "beside {nodes} private, private first": "사설 {nodes}대 외, 사설 우선",
    "beside {nodes} private, pinned": "사설 {nodes}대 외, 사용자 고정",
    "Right-sizing (advice; nodes are counted from requests)": "적정 요청량(권고; 노드 수는 요청량으로 계산)",
    "workload": "워크로드",
    "cpu m": "CPU(m)",
    "advised": "권고",
    "memory MiB": "메모리(MiB)",
    "Capacity for the next {weeks:.0f} weeks": "앞으로 {weeks:.0f}주의 용량",
    "AWS / private price": "AWS/사설 가격비",
    "back-tested regret": "과거 검증 손실",
    "not tested": "검증 안 됨",
    # compare
    "measure": "항목",
    "unit": "단위",
    "what it shows": "의미",
    "{scenario}: no column for {placement}: a node {node} offers no {lacks}": "{scenario}: {placement} 열 없음: 노드 {node}에 {lacks} 없음",
    "cheapest private placement, {line}": "가장 저렴한 사설 배치, {line}",
    "unverified values used: {names}": "확인이 필요한 가정값: {names}",
    "none": "없음",
    "workers": "워커",
    "worker_servers": "워커 서버",
    "spare_servers": "예비 서버",
    "master_servers": "마스터 서버",
    "servers": "서버",
    "l4_appliances": "L4 장비",
    "capex_usd": "초기 투자비",
    "opex_usd_per_year": "연간 운영비",
    "cost_usd_per_year": "연간 비용",
    "scale_out_p95_s": "확장 시간 p95",
    "order_to_ready_weeks": "발주부터 가동까지",
    "utilisation_share": "사용률",
    "cpu_overhead_share": "CPU 오버헤드",
    "steal_share": "CPU 스틸",
    "move_one_server_s": "서버 1대 이동 시간",
    "appliances": "대",
    "USD": "USD",
    "USD a year": "USD/년",
    "s": "초",
    "weeks": "주",
    "share": "비율",
    "worker separation by VM": "VM으로 워커 분리",
    "overhead: VMs need more hosts than metal": "오버헤드: VM은 베어메탈보다 호스트가 더 필요",
    "split by business, bare metal keeps spares for each": "사업부별로 나누면 베어메탈은 각각 예비가 필요",
    "bare metal buys three separate masters for every cluster": "베어메탈은 클러스터마다 마스터 3대를 별도로 구매",
    "minimum configuration": "최소 구성",
    "only bare metal buys an L4 switch": "베어메탈만 L4 스위치를 구매",
    "opex and the annuity of capex": "운영비와 투자비의 연금액",
    "expansion in minutes: VM and Ironic, once hardware stands in the rack": "수 분 내 확장: 장비가 랙에 있을 때 VM과 Ironic",
    "a bought server takes weeks": "서버 구매에는 몇 주가 걸림",
    "performance issue of VMs; Ironic is as fast as metal": "VM의 성능 문제; Ironic은 베어메탈과 같은 속도",
    "overcommit costs throughput": "오버커밋은 처리량을 낮춤",
    "Ironic shares servers between clusters by clean and deploy": "Ironic은 정리와 배포로 클러스터 간 서버를 공유",
    # finance
    "way": "방식",
    "{currency} a year": "{currency}/년",
    "to buy": "구매액",
    "cash over {years} years": "{years}년 현금",
    "{name} (list price, no bill)": "{name} (정가, 청구서 없음)",
    "aws_as_billed": "현재 AWS 청구",
    "aws_best": "최적 약정 AWS",
    "aws_on_demand": "온디맨드 AWS",
    "private": "사설",
    "hybrid": "하이브리드",
    "average_no_staff": "평균, 인건비 제외",
    "average_with_staff": "평균, 인건비 포함",
    "marginal": "한계",
    "as expected": "예상대로",
    "demand 20% lower": "수요 20% 감소",
    "demand 20% higher": "수요 20% 증가",
    "AWS 20% lower": "AWS 20% 인하",
    "AWS 20% higher": "AWS 20% 인상",
    "servers 20% lower": "서버 20% 인하",
    "servers 20% higher": "서버 20% 인상",
    "stay on AWS": "AWS 유지",
    "rule of half": "절반 규칙",
    "least cost, average_no_staff": "최소 비용, 평균, 인건비 제외",
    "least cost, average_with_staff": "최소 비용, 평균, 인건비 포함",
    "least cost, marginal": "최소 비용, 한계",
    "the plan": "이 계획",
    "the plan stays the same over the whole range": "전 범위에서 계획이 같음",
    "NPV against AWS at its best: {currency} {npv:,.0f}; {irr}": "최적 약정 AWS 대비 NPV: {currency} {npv:,.0f}; {irr}",
    "IRR {value:.1f} %": "IRR {value:.1f} %",
    "no IRR: {reason}": "IRR 없음: {reason}",
    "payback after {value:.1f} months": "{value:.1f}개월 후 회수",
    "no payback: {reason}": "회수 없음: {reason}",
    "break-even at {value:.0f} nodes": "손익분기 {value:.0f}노드",
    "no break-even: {reason}": "손익분기 없음: {reason}",
    "one more server pays when it works in more than {share:.1%} of hours": "서버 한 대는 {share:.1%} 넘는 시간에 일하면 이득",
    "what moves the cost most": "비용에 가장 큰 영향",
    "{currency} a year at low": "낮을 때 {currency}/년",
    "at high": "높을 때",
    "nodes at low": "낮을 때 노드",
    "plan changes at": "계획이 바뀌는 값",
    "regret of owning": "소유의 손실",
    " (smallest worst)": " (최악이 가장 작음)",
    "knowing which of these futures comes would be worth {currency} {usd:,.0f} a year": (
        "어느 미래가 올지 아는 가치: 연 {currency} {usd:,.0f}"
    ),
    "private cost of the rule's {nodes} nodes ({half}): {plain} a year without staff, {staffed} with": (
        "규칙의 {nodes}노드({half}) 사설 비용: 인건비 제외 연 {plain}, 포함 {staffed}"
    ),
    "{share:.0%} of the users": "사용자의 {share:.0%}",
    "{share:.0%} of the peak": "피크의 {share:.0%}",
    "the bill's rate": "청구서 요율",
    "{share:.0%} off": "{share:.0%} 할인",
    "dispatch of these nodes": "이 노드의 배치 방식",
    "AWS left, {currency} a year": "남는 AWS, {currency}/년",
    "avoided at list price": "정가 기준 절감",
    "avoided at {off}": "{off} 기준 절감",
    "saving at {off}": "{off} 기준 순절감",
    "private_first": "사설 우선",
    "pinned": "사용자 고정",
    "cost of a server": "서버 비용",
    "nodes that cost least on demand": "온디맨드 대비 최소 비용 노드",
    "at {off}": "{off} 대비",
    "old servers against new": "구형 서버와 신형 서버",
    "age": "연식",
    "old": "구형",
    "new": "신형",
    "power, kWh a year": "전력, kWh/년",
    "failures a year": "연간 장애",
    "{zone}: new servers cost less from an age of {age:g} years on": "{zone}: {age:g}년부터 신형 서버가 더 저렴",
    "{zone}: new servers never cost less: {reason}": "{zone}: 신형 서버가 더 저렴해지지 않음: {reason}",
    "the old servers cost less at every age up to {age:g} years": "{age:g}년까지 모든 연식에서 구형 서버가 더 저렴",
}


def speaker(language: Language) -> Say:
    """A function that says an English text in a language, its named values put in.

    >>> speaker("ko")("beside {nodes} private, pinned", nodes=38), speaker("en")("{share:.0%} off", share=0.28)
    ('사설 38대 외, 사용자 고정', '28% off')
    """

    def say(english: str, /, **values: Any) -> str:
        text = english if language == "en" else _KO[english]
        return text.format(**values) if values else text

    return say


def say_known(say: Say, text: str) -> str:
    """The text in the speaker's language where it is known, as it is otherwise: names, notes and reasons made elsewhere."""
    try:
        return say(text)
    except KeyError:
        return text
