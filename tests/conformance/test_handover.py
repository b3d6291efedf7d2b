"""Who is new and near to a key is given what it should hold."""

from conftest import TTL, addresses, asked, eventually, fresh, in_seconds, met

KEYS = 30


async def test_petald_is_given_what_a_lone_python_node_holds(stage):
    root = await stage.node()
    keys, expiration = [fresh("given") for _ in range(KEYS)], in_seconds(TTL)
    assert all((await root.store_many(keys, range(KEYS), expiration)).values())
    petald = await stage.petald(await addresses(root))
    await met(root, petald)

    async def given():
        held = [await asked(root, petald.peer_id, key) for key in keys]
        missing = sum(item is None or item.expiration_time != expiration for item in held)
        return None if missing == 0 else f"{missing} of {KEYS} are missing"

    await eventually(10, "petald holds all", given)
