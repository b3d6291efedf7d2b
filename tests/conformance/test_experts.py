"""hivemind.moe over petald: experts are declared, looked up, and found by beam search."""

import random
import time

import numpy as np
import pytest
from conftest import TTL, in_seconds
from hivemind.dht import DHT
from hivemind.moe.client.beam_search import MoEBeamSearcher
from hivemind.moe.client.expert import RemoteExpert
from hivemind.moe.expert_uid import ExpertInfo
from hivemind.moe.server.dht_handler import declare_experts, get_experts

SEED = 20
GRID = (8, 8, 8)


@pytest.fixture(scope="module")
def peers(swarm):
    """Two nodes in processes of their own, as hivemind.moe wants them; both know only petald."""
    client_mode = swarm.position == "only"
    options = {"initial_peers": swarm.petald.addresses, "client_mode": client_mode, "start": True}
    server = DHT(**options)
    client = DHT(**options, cache_locally=False)
    try:
        yield server, client
    finally:
        client.shutdown()
        server.shutdown()


def test_declared_experts_are_found(swarm, peers):
    server, client = peers
    name = f"declared_{swarm.position}"
    uids = [f"{name}.{number}" for number in range(50)]
    for begin in range(0, len(uids), 10):
        assert all(declare_experts(server, uids[begin : begin + 10], in_seconds(TTL)).values())
    *found, missing = get_experts(client, random.Random(SEED).sample(uids, 10) + [f"{name}.999"])
    assert all(isinstance(expert, RemoteExpert) and expert.peer_id == server.peer_id for expert in found)
    assert missing is None
    # And the other way round.
    assert all(declare_experts(client, [f"{name}_other.1337"], in_seconds(TTL)).values())
    assert get_experts(server, [f"{name}_other.1337"])[0].peer_id == client.peer_id


def test_the_best_experts_are_found_by_beam_search(swarm, peers):
    server, client = peers
    name, chance = f"beam_{swarm.position}", np.random.default_rng(SEED)
    uids = sorted({".".join([name, *map(str, chance.integers(0, GRID))]) for _ in range(40)})
    for begin in range(0, len(uids), 20):
        assert all(declare_experts(server, uids[begin : begin + 20], in_seconds(TTL)).values())
    search = MoEBeamSearcher(client, f"{name}.", GRID, negative_caching=False)

    def score(uid, scores):
        return sum(row[int(coordinate)] for row, coordinate in zip(scores, uid.split(".")[1:]))

    for _ in range(3):
        scores = [chance.standard_normal(size) for size in GRID]
        # A beam as wide as the grid leaves nothing out: what it finds is the best there is.
        found = search.find_best_experts(scores, beam_size=len(uids))
        best = sorted(uids, key=lambda uid: -score(uid, scores))
        assert [expert.uid for expert in found] == best
        assert all(expert.peer_id == server.peer_id for expert in found)
    batch = search.batch_find_best_experts([chance.standard_normal((6, size)) for size in GRID], beam_size=4)
    assert [len(experts) for experts in batch] == [4] * 6


def test_successors_and_the_first_beam(swarm, peers):
    server, client = peers
    name = f"s_{swarm.position}"
    assert len(declare_experts(server, [f"{name}.1", f"{name}.2"], in_seconds(TTL))) == 4
    assert len(declare_experts(server, [f"{name}.3.2.3", f"{name}.3.2.5", f"{name}.4.0"], in_seconds(TTL))) == 7
    search = MoEBeamSearcher(client, f"{name}.", (5,))
    successors = search.get_active_successors([f"{name}.3.2.", f"{name}.4.", f"{name}.0.1."])
    assert successors[f"{name}.3.2."] == {
        3: ExpertInfo(f"{name}.3.2.3", server.peer_id),
        5: ExpertInfo(f"{name}.3.2.5", server.peer_id),
    }
    assert successors[f"{name}.4."] == {0: ExpertInfo(f"{name}.4.0", server.peer_id)}
    assert successors[f"{name}.0.1."] == {}
    beam = search.get_initial_beam((3, 2, 1, 0, -1), beam_size=2)
    assert [(score, prefix) for score, prefix, _ in beam] == [(2, f"{name}.1."), (1, f"{name}.2.")]


def test_what_is_missing_is_remembered_as_missing(swarm, peers):
    """Negative caching: the searcher stores, through petald, that there is nothing under a prefix."""
    server, client = peers
    name = f"n_{swarm.position}"
    assert all(declare_experts(server, [f"{name}.1.2", f"{name}.3.4"], in_seconds(TTL)).values())
    search = MoEBeamSearcher(client, f"{name}.", (6, 6), negative_caching=True)
    assert len(search.get_initial_beam([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], beam_size=3)) == 2
    prefixes = [f"{name}.{number}." for number in range(6)]
    until = time.monotonic() + 10
    # The searcher does not wait for these stores.
    while missing := [prefix for prefix in prefixes if server.get(prefix, latest=True) is None]:
        assert time.monotonic() < until, f"nobody remembers {missing}"
