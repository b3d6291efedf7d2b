"""Keys of every type: the swarm agrees on where they belong."""

import itertools

import pytest
from conftest import NUMBERS, TTL, asked, in_seconds
from hivemind.dht import DHTID

KEYS = ["text", "", b"bytes", b"", 0, 4555, -1, True, False, (), ("tuple", 1), (b"", ("nested", None)), 2.5]
EDGE_KEYS = [0, "", False, True, "abc", 4555, ()]
EDGE_SUBKEYS = [0, "", False, True, "abc", 4555]
EDGE_VALUES = [0, "", False, True, "abc", 4555, []]


@pytest.mark.parametrize("key", KEYS, ids=repr)
async def test_a_key_of_this_type(swarm, key):
    expiration = in_seconds(TTL + next(NUMBERS))  # later than what another position left: keys are the same there
    assert await swarm.writer.store(key, repr(key), expiration)
    assert await swarm.reader.get(key, latest=True) == (repr(key), expiration)
    assert (await asked(swarm.reader, swarm.petald.peer_id, key)).expiration_time == expiration


async def test_types_are_told_apart(swarm):
    keys = ["same", b"same", ("same",), (b"same",)]
    assert len({DHTID.generate(source=key) for key in keys}) == len(keys)
    stored = await swarm.writer.store_many(keys, range(4), in_seconds(TTL + next(NUMBERS)))
    assert all(stored.values())
    found = await swarm.reader.get_many(keys, sufficient_expiration_time=float("inf"))
    assert [found[key].value for key in keys] == [0, 1, 2, 3]


async def test_every_mixture_of_key_subkey_and_value(swarm):
    for key, subkey, value in itertools.product(EDGE_KEYS, EDGE_SUBKEYS, EDGE_VALUES):
        key = ("edge", key)
        expiration = in_seconds(TTL + 0.01 * next(NUMBERS))
        assert await swarm.writer.store(key, value, expiration, subkey=subkey)
        held = (await asked(swarm.reader, swarm.petald.peer_id, key)).value
        assert held.get(subkey) == (swarm.reader.protocol.serializer.dumps(value), expiration), (key, subkey, value)
