"""Many keys in one call."""

from conftest import TTL, fresh, in_seconds


async def test_many_are_stored_and_read_at_once(swarm):
    keys = [fresh("bulk") for _ in range(100)]
    values, expirations = [{"number": number} for number in range(100)], [in_seconds(TTL + n) for n in range(100)]
    stored = await swarm.writer.store_many(keys, values, expirations)
    assert stored == {key: True for key in keys}
    found = await swarm.reader.get_many(keys)
    assert [found[key] for key in keys] == list(zip(values, expirations))


async def test_each_key_has_an_answer_of_its_own(swarm):
    known, unknown = [fresh("known") for _ in range(10)], [fresh("unknown") for _ in range(10)]
    assert all((await swarm.writer.store_many(known, range(10), in_seconds(TTL))).values())
    mixed = [key for pair in zip(unknown, known) for key in pair]
    found = await swarm.reader.get_many(mixed)
    assert list(found) == mixed
    assert [found[key].value for key in known] == list(range(10))
    assert all(found[key] is None for key in unknown)


async def test_each_row_of_a_store_is_judged_for_itself(swarm):
    keys, expiration = [fresh("row") for _ in range(4)], in_seconds(TTL)
    assert await swarm.writer.store(keys[1], "was there", expiration)
    expirations = [expiration, expiration - 5, in_seconds(-5), expiration]
    stored = await swarm.writer.store_many(keys, list("abcd"), expirations)
    assert [stored[key] for key in keys] == [True, False, False, True]


async def test_values_and_entries_in_one_store(swarm):
    plain, dictionary = fresh("plain"), fresh("dictionary")
    stored = await swarm.writer.store_many(
        [plain, dictionary, dictionary], [1, 2, 3], in_seconds(TTL), subkeys=[None, "a", "b"]
    )
    assert stored == {plain: True, (dictionary, "a"): True, (dictionary, "b"): True}
    found = await swarm.reader.get_many([plain, dictionary])
    assert found[plain].value == 1
    assert {subkey: entry.value for subkey, entry in found[dictionary].value.items()} == {"a": 2, "b": 3}


async def test_petald_answers_many_keys_in_one_call(swarm):
    from hivemind.dht import DHTID

    keys = [fresh("together") for _ in range(16)]
    assert all((await swarm.writer.store_many(keys[::2], range(8), in_seconds(TTL))).values())
    ids = [DHTID.generate(source=key) for key in keys]
    answer = await swarm.reader.protocol.call_find(swarm.petald.peer_id, ids)
    assert list(answer) == ids
    assert [answer[key][0] is not None for key in ids] == [True, False] * 8
