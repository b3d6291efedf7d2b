"""A value is stored by one node and read by another; the later expiration wins; what is over is gone."""

import asyncio

import pytest
from conftest import TTL, fresh, in_seconds

VALUES = [
    "text",
    b"\x00\xff",
    0,
    -(2**40),
    2.5,
    True,
    None,
    [],
    {},
    (),
    ["nested", {"key": [1, (2, b"3")]}, ("tuple", None)],
    "ü" * 1000,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
async def test_a_value_comes_back_as_it_was(swarm, value):
    key, expiration = fresh("value"), in_seconds(TTL)
    assert await swarm.writer.store(key, value, expiration)
    found = await swarm.reader.get(key)
    assert found.value == value and type(found.value) is type(value)
    assert found.expiration_time == expiration


async def test_petald_holds_it_and_says_so(swarm):
    key, expiration = fresh("held"), in_seconds(TTL)
    assert await swarm.writer.store(key, "here", expiration)
    held = await swarm.held(key)
    assert held.expiration_time == expiration
    assert swarm.reader.protocol.serializer.loads(held.value) == "here"


async def test_what_was_never_stored_is_not_found(swarm):
    assert await swarm.reader.get(fresh("never")) is None
    assert await swarm.held(fresh("never")) is None


async def test_both_ways(swarm):
    key = fresh("back")
    assert await swarm.reader.store(key, 1, in_seconds(TTL))
    assert (await swarm.writer.get(key)).value == 1


async def test_only_a_later_expiration_replaces(swarm):
    key, expiration = fresh("replace"), in_seconds(TTL)
    assert await swarm.writer.store(key, "first", expiration)
    assert not await swarm.reader.store(key, "earlier", expiration - 1)
    assert not await swarm.reader.store(key, "same", expiration)
    assert (await swarm.reader.get(key, latest=True)) == ("first", expiration)
    assert await swarm.reader.store(key, "later", expiration + 1)
    assert (await swarm.writer.get(key, latest=True)) == ("later", expiration + 1)
    assert (await swarm.held(key)).expiration_time == expiration + 1


async def test_what_has_expired_is_refused(swarm):
    key = fresh("past")
    assert not await swarm.writer.store(key, "too late", in_seconds(-1))
    assert await swarm.held(key) is None


async def test_what_expires_is_gone(swarm):
    key = fresh("short")
    assert await swarm.writer.store(key, "soon over", in_seconds(1.0))
    assert (await swarm.held(key)) is not None
    await asyncio.sleep(1.1)
    assert await swarm.held(key) is None
    assert await swarm.reader.get(key) is None


async def test_a_large_value(swarm):
    key, value = fresh("large"), bytes(range(256)) * 200
    assert await swarm.writer.store(key, value, in_seconds(TTL))
    assert (await swarm.reader.get(key)).value == value
