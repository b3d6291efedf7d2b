"""Faults of the original that petald does not copy: the same probe fails a hivemind node and not petald.

Each probe tells whether the fault shows. It is held against a Python node first, so that a probe that finds nothing
anywhere is noticed. The rest of the table is where time can be simulated: the cap of the blacklist in
`proto/src/dht/blacklist.rs`, the refresh of buckets in `proto/src/dht/node`; here only the original's side of them.
"""

import asyncio
import math

import pytest
from conftest import TTL, addresses, asked, eventually, fresh, in_seconds, met
from hivemind.dht import DHTID
from hivemind.dht.node import Blacklist
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2
from test_start_up import closed_port


class Probed:
    """A Python client and whom it probes: `petald`, or `hivemind`."""

    def __init__(self, client, node, kind):
        self.client, self.node, self.kind = client, node, kind
        self.faulty = kind == "hivemind"

    def pack(self, value):
        return self.client.protocol.serializer.dumps(value)

    async def store(self, key, value, expiration, **options):
        """One row at the probed node alone: whether it says that it holds it."""
        key_id = DHTID.generate(source=key)
        value = value if isinstance(value, DictionaryDHTValue) else self.pack(value)
        answer = await self.client.protocol.call_store(self.node.peer_id, [key_id], [value], [expiration], **options)
        return answer[0]

    async def find(self, key):
        return await asked(self.client, self.node.peer_id, key)

    async def raw_store(self, **fields):
        stub = self.client.protocol.get_stub(self.node.peer_id)
        return await stub.rpc_store(dht_pb2.StoreRequest(**fields), timeout=5)


@pytest.fixture(params=["hivemind", "petald"])
def probed(request, stage):
    from conftest import NODES

    async def begin():
        node = await (stage.node() if request.param == "hivemind" else stage.petald())
        return Probed(await stage.node(await addresses(node), client_mode=True), node, request.param)

    return NODES.run(begin())


async def test_a_refused_store_takes_nothing_from_the_good_record(probed):
    key, expiration = fresh("evicted"), in_seconds(TTL)
    assert await probed.store(key, "good", expiration)
    assert not await probed.store(key, "refused", in_seconds(1.0))
    await asyncio.sleep(1.2)
    lost = await probed.find(key) is None
    assert lost == probed.faulty


@pytest.mark.parametrize("never", [math.inf, math.nan], ids=str)
async def test_nothing_is_held_for_ever(probed, never):
    key = fresh("for-ever")
    taken = await probed.store(key, "eternal", never)
    replaced = await probed.store(key, "mortal", in_seconds(TTL))
    assert (taken, replaced) == ((True, False) if probed.faulty else (False, True))


async def test_every_entry_of_a_whole_dictionary_is_tried(probed):
    key, expiration = fresh("whole"), in_seconds(TTL)
    assert await probed.store(key, "old", expiration, subkeys=["first"])
    whole = DictionaryDHTValue()
    whole.store("first", probed.pack("older"), expiration - 10)
    whole.store("second", probed.pack("new"), expiration)
    assert not await probed.store(key, whole, expiration), "one entry is refused, and with it the row"
    held = set(dict((await probed.find(key)).value.items()))
    assert held == ({"first"} if probed.faulty else {"first", "second"})


@pytest.mark.parametrize("length", [0, 3, 19])
async def test_a_key_has_twenty_bytes(probed, length):
    fields = {"keys": [b"k" * length], "subkeys": [probed.pack(None)], "values": [probed.pack("value")]}
    answer = await probed.raw_store(**fields, expiration_time=[in_seconds(TTL)], in_cache=[False])
    assert list(answer.store_ok) == [probed.faulty]


async def test_refused_stores_cost_no_memory(probed):
    """50,000 refused rows of one key: what the node keeps for them."""
    rows, calls = 1000, 50
    key, expiration = fresh("heap"), in_seconds(TTL)
    assert await probed.store(key, "held", expiration)
    key_id, value = DHTID.generate(source=key), probed.pack("refused")
    fields = {"keys": [key_id.to_bytes()] * rows, "subkeys": [probed.pack(None)] * rows, "values": [value] * rows}
    times = [in_seconds(TTL / 2)] * rows

    async def refused():
        answer = await probed.raw_store(**fields, expiration_time=times, in_cache=[False] * rows)
        assert not any(answer.store_ok)

    await refused()  # buffers have their size from here on
    if probed.faulty:
        before = len(probed.node.protocol.storage.expiration_heap)
        for _ in range(calls):
            await refused()
        assert len(probed.node.protocol.storage.expiration_heap) - before == rows * calls
        return

    before, resident = probed.node.report("dht"), probed.node.resident()
    for _ in range(calls):
        await refused()

    def counted():
        refusals = probed.node.report("dht")["rows_refused"]["stale"] - before["rows_refused"]["stale"]
        return None if refusals >= rows * calls else f"{refusals} refusals"

    await eventually(5, "the refusals are counted", counted)
    now = probed.node.report("dht")
    assert (now["stored_entries"], now["cached_entries"]) == (1, 0)
    # An entry of the heap costs the original some 200 bytes: 10 MB in all. petald does other things meanwhile, too.
    assert probed.node.resident() - resident < rows * calls * 200 / 3


async def test_petald_holds_no_more_than_it_may(stage):
    """A value beyond the bound is refused and counted; the original takes it."""
    petald, python = await stage.petald(), await stage.node()
    client = await stage.node(petald.addresses + await addresses(python), client_mode=True)
    value = b"x" * (1 << 20)
    for node, taken in ((python, True), (petald, False)):
        assert await Probed(client, node, "").store(fresh("huge"), value, in_seconds(TTL)) == taken

    def counted():
        refusals = petald.report("dht")["rows_refused"]
        return None if refusals["too_large"] == 1 else f"{refusals}"

    await eventually(5, "the refusal is counted", counted)


async def bootstrap(stage, port, identity):
    """A Python node that can come back: always at one port, under one identity."""
    return await stage.node(identity_path=identity, host_maddrs=[f"/ip4/127.0.0.1/tcp/{port}"])


async def test_python_forgets_its_bootstrap_and_calls_its_own_copy_a_success(stage, tmp_path):
    port, identity = closed_port(), str(tmp_path / "identity")
    root = await bootstrap(stage, port, identity)
    node = await stage.node(await addresses(root), blacklist_time=0.2)
    await met(root, node)
    await stage.stop(root)
    assert await node.store("record", 1, in_seconds(TTL)), "nobody else is there, and it says True"
    root = await bootstrap(stage, port, identity)
    await asyncio.sleep(1.0)
    assert await node.store("record", 2, in_seconds(TTL + 1))
    assert not node.protocol.routing_table.uid_to_peer_id, "its table stays empty"
    assert root.protocol.storage.get(DHTID.generate("record")) is None


async def test_petald_knows_that_nobody_holds_its_records_and_returns_to_its_bootstrap(stage, tmp_path):
    port, identity = closed_port(), str(tmp_path / "identity")
    root = await bootstrap(stage, port, identity)
    petald = await stage.announcing(await addresses(root), announce__ttl="30s")

    def replicas(least, verdicts):
        def look():
            report = petald.report("announcer")
            fits = report["least_replicas"] >= least and (report["verdict"] in verdicts or not verdicts)
            return None if fits else f"{report}"

        return look

    await eventually(20, "the bootstrap holds the records", replicas(1, ()))
    good = petald.report("announcer")
    await stage.stop(root)

    def noticed():
        report = petald.report("announcer")
        if report["failed_attempts"] > good["failed_attempts"] and report["verdict"] != good["verdict"]:
            return None
        return f"{report}"

    await eventually(30, "an announcement that nobody took is a failure", noticed)
    root = await bootstrap(stage, port, identity)

    async def held():
        block = root.protocol.storage.get(DHTID.generate(source="conformance.0"))
        return None if block else "the bootstrap holds nothing"

    await eventually(45, "the bootstrap that came back holds the records", held)
    assert petald.peer_id in root.protocol.routing_table
    await eventually(10, "and petald knows", lambda: None if petald.report("announcer")["verdict"] == good["verdict"] else "not yet")


async def test_pythons_blacklist_doubles_without_end(monkeypatch):
    clock = [0.0]
    for module in ("hivemind.dht.node", "hivemind.utils.timed_storage"):
        monkeypatch.setattr(f"{module}.get_dht_time", lambda: clock[0])
    blacklist, peer = Blacklist(base_time=5.0, backoff_rate=2.0), PeerID(b"somebody")
    for failure in range(20):
        blacklist.register_failure(peer)
        ban = blacklist.banned_peers.get(peer).expiration_time - clock[0]
        assert ban == 5.0 * 2**failure
        clock[0] += ban + 1
    assert ban > 30 * 24 * 3600, "a month"


async def test_pythons_bucket_refresh_dies_when_it_is_switched_on(stage):
    node = await stage.node()
    node.protocol.routing_table.buckets[0].last_updated = 0.0
    with pytest.raises(TypeError):
        await asyncio.wait_for(node._refresh_routing_table(period=0.1), 5)
