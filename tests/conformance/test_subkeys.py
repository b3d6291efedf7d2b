"""Dictionaries: an expiration for each entry, and what becomes of plain values beside them."""

import asyncio

import pytest
from conftest import TTL, asked, fresh, in_seconds
from hivemind.dht import DHTID
from hivemind.dht.storage import DictionaryDHTValue

SUBKEYS = ["text", "", b"\x00\xff", b"", 0, 7, -1, True, 2.5, (), ("expert", 3), ("nested", (b"1", None))]


def entries(found):
    return {subkey: tuple(entry) for subkey, entry in found.value.items()}


@pytest.mark.parametrize("subkey", SUBKEYS, ids=repr)
async def test_a_subkey_comes_back_as_it_was(swarm, subkey):
    key, expiration = fresh("subkey"), in_seconds(TTL)
    assert await swarm.writer.store(key, "value", expiration, subkey=subkey)
    found = await swarm.reader.get(key)
    assert entries(found) == {subkey: ("value", expiration)}
    assert type(next(iter(found.value))) is type(subkey)
    assert found.expiration_time == expiration


async def test_all_kinds_in_one_dictionary(swarm):
    # Python compares subkeys that expire at the same time, and raises where their types cannot be compared.
    key, expirations = fresh("kinds"), [in_seconds(TTL + number) for number in range(len(SUBKEYS))]
    stored = await swarm.writer.store_many([key] * len(SUBKEYS), SUBKEYS, expirations, subkeys=SUBKEYS)
    assert all(stored.values())
    found = entries(await swarm.reader.get(key, latest=True))
    assert found == {subkey: (subkey, expiration) for subkey, expiration in zip(SUBKEYS, expirations)}


async def test_every_entry_expires_for_itself(swarm):
    key, now = fresh("entries"), in_seconds(0)
    assert await swarm.writer.store(key, 123, now + 100, subkey="a")
    assert await swarm.writer.store(key, 456, now + 200, subkey="b")
    for node in (swarm.writer, swarm.reader):
        found = await node.get(key, latest=True)
        assert (entries(found), found.expiration_time) == ({"a": (123, now + 100), "b": (456, now + 200)}, now + 200)
    assert not await swarm.writer.store(key, 345, now + 100, subkey="b")
    assert await swarm.reader.store(key, 567, now + 300, subkey="b")
    assert await swarm.writer.store(key, 890, now + 500, subkey="c")
    for node in (swarm.writer, swarm.reader):
        found = await node.get(key, latest=True)
        assert found.expiration_time == now + 500
        assert entries(found) == {"a": (123, now + 100), "b": (567, now + 300), "c": (890, now + 500)}


async def test_an_entry_may_expire_before_the_dictionary(swarm):
    key = fresh("shorter")
    assert await swarm.writer.store(key, "long", in_seconds(TTL), subkey="long")
    assert await swarm.writer.store(key, "short", in_seconds(1.0), subkey="short")
    assert set(entries(await swarm.reader.get(key, latest=True))) == {"long", "short"}
    await asyncio.sleep(1.1)
    assert set(entries(await swarm.reader.get(key, latest=True))) == {"long"}


async def test_a_later_entry_turns_a_plain_value_into_a_dictionary(swarm):
    key, now = fresh("becomes"), in_seconds(0)
    assert await swarm.writer.store(key, "plain", now + 100)
    assert not await swarm.writer.store(key, "early", now + 50, subkey="a")
    assert not await swarm.writer.store(key, "same", now + 100, subkey="a")
    assert (await swarm.held(key)).expiration_time == now + 100
    assert await swarm.writer.store(key, "late", now + 150, subkey="a")
    assert entries(await swarm.reader.get(key, latest=True)) == {"a": ("late", now + 150)}
    assert isinstance((await swarm.held(key)).value, DictionaryDHTValue)


async def test_a_plain_value_replaces_a_dictionary_only_if_it_expires_later(swarm):
    key, now = fresh("replaces"), in_seconds(0)
    assert await swarm.writer.store(key, 1, now + 50, subkey="a")
    assert await swarm.writer.store(key, 2, now + 100, subkey="b")
    assert not await swarm.writer.store(key, "between", now + 75)
    assert not await swarm.writer.store(key, "same", now + 100)
    assert set(entries(await swarm.reader.get(key, latest=True))) == {"a", "b"}
    assert await swarm.writer.store(key, "later", now + 150)
    assert await swarm.reader.get(key, latest=True) == ("later", now + 150)
    assert isinstance((await swarm.held(key)).value, bytes)


async def test_parts_at_several_nodes_are_read_as_one(swarm):
    if swarm.position == "only":
        holders = [swarm.petald.peer_id] * 2
    else:
        holders = [swarm.petald.peer_id, swarm.writer.peer_id]
    key, expiration, protocol = fresh("parts"), in_seconds(TTL), swarm.reader.protocol
    for holder, subkey in zip(holders, ("here", "there")):
        value = protocol.serializer.dumps(subkey)
        key_id = DHTID.generate(source=key)
        assert await protocol.call_store(holder, [key_id], [value], [expiration], subkeys=[subkey]) == [True]
    found = entries(await swarm.reader.get(key, latest=True))
    assert found == {"here": ("here", expiration), "there": ("there", expiration)}


async def test_a_whole_dictionary_is_merged(swarm):
    key, expiration, protocol = fresh("whole"), in_seconds(TTL), swarm.reader.protocol
    assert await swarm.writer.store(key, "kept", expiration, subkey="kept")
    whole = DictionaryDHTValue()
    for number, subkey in enumerate(("kept", b"bytes", 5)):
        # The first expires as late as the entry that is there, which stays.
        whole.store(subkey, protocol.serializer.dumps("new"), expiration + number)
    stored = await protocol.call_store(
        swarm.petald.peer_id, [DHTID.generate(source=key)], [whole], [whole.latest_expiration_time]
    )
    assert stored == [False], "not every entry was taken"
    held = (await asked(swarm.reader, swarm.petald.peer_id, key)).value
    assert held.get("kept") == (protocol.serializer.dumps("kept"), expiration)
    assert set(dict(held.items())) == {"kept", b"bytes", 5}
