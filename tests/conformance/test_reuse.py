"""Concurrent reads of one key share a search, and do not disturb each other."""

import asyncio
from collections import Counter

import pytest
from conftest import TTL, fresh, in_seconds
from hivemind.dht import DHTID


@pytest.fixture
def calls(swarm, monkeypatch):
    """How often the reader asked petald for each key."""
    calls, call_find = Counter(), swarm.reader.protocol.call_find

    async def counted(peer_id, keys):
        if peer_id == swarm.petald.peer_id:
            calls.update(keys)
        return await call_find(peer_id, keys)

    monkeypatch.setattr(swarm.reader.protocol, "call_find", counted)
    return calls


async def test_reads_at_once_get_the_same(swarm, calls):
    key, expiration = fresh("shared"), in_seconds(TTL)
    assert await swarm.writer.store(key, "value", expiration)
    found = await asyncio.gather(*(swarm.reader.get(key, latest=True) for _ in range(20)))
    assert found == [("value", expiration)] * 20
    assert calls[DHTID.generate(source=key)] <= 20

    # Any value will do: the first answer ends all searches, and petald is asked by each at most once.
    calls.clear()
    found = await asyncio.gather(*(swarm.reader.get(key) for _ in range(20)))
    assert found == [("value", expiration)] * 20
    assert calls[DHTID.generate(source=key)] <= 20


async def test_waiting_reads_are_answered_by_the_first_that_ends(swarm):
    one, two, three = fresh("one"), fresh("two"), fresh("three")
    assert all((await swarm.writer.store_many([one, two], [123, 567], in_seconds(TTL))).values())
    first = await swarm.reader.get_many([one, two], return_futures=True)
    second = await swarm.reader.get_many([two, three], return_futures=True)
    pending = swarm.reader.pending_get_requests
    assert [len(pending[DHTID.generate(source=key)]) for key in (one, two, three)] == [1, 2, 1]
    assert (await first[one]).value == 123
    assert (await first[two]) == (await second[two]) and (await first[two]).value == 567
    assert await second[three] is None


async def test_one_that_gives_up_takes_nobody_with_it(swarm):
    key = fresh("cancelled")
    assert await swarm.writer.store(key, "value", in_seconds(TTL))
    latest = {"sufficient_expiration_time": float("inf"), "return_futures": True}
    futures = [(await swarm.reader.get_many([key], **latest))[key] for _ in range(3)]
    futures[0].cancel()
    assert [found.value for found in await asyncio.gather(*futures[1:])] == ["value"] * 2
    assert futures[0].cancelled()
