"""Record validators: protected records and schemas, checked by Python readers and writers with petald between them."""

from conftest import TTL, asked, fresh, in_seconds
from hivemind.dht import DHTID
from hivemind.dht.crypto import RSASignatureValidator
from hivemind.dht.schema import SchemaValidator
from hivemind.dht.validation import CompositeValidator
from hivemind.utils.crypto import RSAPrivateKey
from pydantic.v1 import BaseModel, StrictInt


def signing():
    """A validator with a key of its own: by default all in a process share one."""
    return RSASignatureValidator(RSAPrivateKey())


async def clients(petald, stage, *validators, **options):
    options = {"client_mode": True, "cache_locally": False, "cache_nearest": 0, **options}
    nodes = [await stage.node(petald.addresses, record_validator=validator, **options) for validator in validators]
    return nodes


async def test_signed_entries_come_through_unchanged_but_for_the_signature(swarm):
    owner_key, reader_key = signing(), signing()
    owner, reader = await clients(swarm.petald, swarm.stage, owner_key, reader_key)
    key, expiration, mine = fresh("signed"), in_seconds(TTL), b"mine" + owner_key.local_public_key
    assert await owner.store(key, {"loss": 1.5}, expiration, subkey=mine, exclude_self=True)
    assert await owner.store(key, "free", expiration + 1, subkey="unprotected", exclude_self=True)
    found = await reader.get(key, latest=True)
    assert {subkey: entry.value for subkey, entry in found.value.items()} == {mine: {"loss": 1.5}, "unprotected": "free"}
    # petald holds the bytes with their signature, as any replica must.
    held = (await asked(reader, swarm.petald.peer_id, key)).value
    assert b"[signature:" in held.get(mine).value and b"[signature:" not in held.get("unprotected").value
    for node in (owner, reader):
        await swarm.stage.stop(node)


async def test_a_python_replica_that_petald_hands_a_forgery_refuses_it(stage):
    """A reader with the validator takes its own checks; what petald passes on must not have lost what they need."""
    petald, owner_key, thief_key = await stage.petald(), signing(), signing()
    replica = await stage.node(petald.addresses, record_validator=signing())
    owner, thief = await clients(petald, stage, owner_key, thief_key)
    key, expiration, owned = fresh("forged"), in_seconds(TTL), b"owned" + owner_key.local_public_key
    assert await owner.store(key, "true", expiration, subkey=owned, exclude_self=True)
    key_id, packed = DHTID.generate(source=key), thief.protocol.serializer.dumps("false")
    stored = await thief.protocol.call_store(replica.peer_id, [key_id], [packed], [expiration + 5], subkeys=[owned])
    assert stored == [False]
    assert replica.protocol.storage.get(key_id).value.get(owned).expiration_time == expiration


class Metrics(BaseModel):
    """What the schema of the test allows under its key."""

    count: StrictInt


async def test_schemas_are_the_clients_own_affair(swarm):
    validator = CompositeValidator([SchemaValidator(Metrics, allow_extra_keys=True)])
    writer, reader = await clients(swarm.petald, swarm.stage, validator, validator)
    free = (await clients(swarm.petald, swarm.stage, None))[0]
    expiration = in_seconds(TTL + float(DHTID.generate() % 1000) / 1000)
    assert await writer.store("count", 7, expiration, exclude_self=True)
    assert (await reader.get("count", latest=True)).value == 7
    # Whoever checks no schema may store anything: petald knows none.
    assert await free.store(fresh("count"), "seven", expiration, exclude_self=True)
    for node in (writer, reader, free):
        await swarm.stage.stop(node)
