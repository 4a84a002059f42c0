"""What must hold for any cluster: room is never overdrawn, nothing is lost, and the scores add up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_cases import Generator
from simulator.engine.kube.cluster_state import Cluster
from simulator.engine.kube.objects_reader import read_objects
from simulator.engine.kube.place import PlaceOptions, place
from simulator.engine.kube.scheduler import decide

SEEDS = st.integers(0, 2**32 - 1)


def objects_of(seed: int, pods: int = 30):  # type: ignore[no-untyped-def]
    generator = Generator(seed, "g")
    case = generator.case(nodes=2 + seed % 9, pods=pods)
    for document in case.pods:
        document["spec"]["priority"] = int(generator.draw.integers(0, 3))
    return read_objects([*case.nodes, *case.services, *case.pods])


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_requests_on_a_node_never_exceed_allocatable(seed: int) -> None:
    placement = place(objects_of(seed), options=PlaceOptions(ties="random", seed=seed))
    cluster = placement.cluster
    for row, node in enumerate(cluster.nodes):
        held = list(cluster.pods[row].values())
        assert len(held) <= node.allocatable["pods"]
        for name in {name for pod in held for name in pod.requests}:
            assert sum(pod.requests.get(name, 0) for pod in held) <= node.allocatable.get(name, 0)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_every_pod_is_answered_once_and_stands_where_the_answer_says(seed: int) -> None:
    objects = objects_of(seed)
    placement = place(objects)
    assert sorted(item.pod.key for item in placement.pods) == sorted(pod.key for pod in objects.pods)
    standing = {key: node.name for row, node in enumerate(placement.cluster.nodes) for key in placement.cluster.pods[row]}
    assert standing == {item.pod.key: item.node for item in placement.pods if item.node}


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_totals_are_the_sum_of_weighted_scores_and_every_node_is_scored_or_refused(seed: int) -> None:
    objects = objects_of(seed, 8)
    cluster = Cluster(objects.nodes)
    for pod in objects.pods:
        decision = decide(cluster, pod)
        refused = {row for row in range(len(cluster)) if decision.verdict.reasons(row)}
        assert refused | set(decision.rows.tolist()) == set(range(len(cluster)))
        assert not refused & set(decision.rows.tolist())
        for at in range(decision.rows.size):
            assert decision.total[at] == sum(scores[at] for scores in decision.scores.values())
        if decision.rows.size:
            cluster.add(pod.on(cluster.nodes[decision.best[0]].name), int(decision.best[0]))


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_taking_a_pod_away_leaves_the_cluster_as_it_was(seed: int) -> None:
    objects = objects_of(seed, 12)
    cluster, touched = Cluster(objects.nodes), Cluster(objects.nodes)
    for number, pod in enumerate(objects.pods[1:]):
        cluster.add(pod, number % len(cluster))
        touched.add(pod, number % len(cluster))
    touched.add(objects.pods[0], 0)
    touched.remove(objects.pods[0], 0)
    for pod in objects.pods[:1]:
        before, after = decide(cluster, pod), decide(touched, pod)
        assert before.total.tolist() == after.total.tolist()
        assert before.verdict.counts() == after.verdict.counts()
