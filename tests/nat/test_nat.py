"""petald behind each kind of NAT: from start to visible, and by which way."""

import asyncio
import time

import pytest

from internet import PORT
from world import figure

# Whether others reach a node there directly, and how it is started.
KINDS = {"open": True, "full_cone": True, "forward": True, "port_restricted": False, "symmetric": False}

HOLE_LIMIT = 40.0  # seconds from the first call, through a relay, to a direct connection
HOLE_PATIENCE = 5.0  # seconds until another connection through a relay is made


@pytest.fixture(scope="session")
def started(world):
    """All of them start at the same time."""
    spaces = {kind: world.internet.host() if kind == "open" else world.internet.behind(kind) for kind in KINDS}
    return {kind: world.petald(space, kind) for kind, space in spaces.items()}


@pytest.mark.parametrize("kind", KINDS)
async def test_visible_behind(world, started, kind):
    petald = started[kind]
    took = await world.visible(petald)
    ways = await world.ways(petald)
    reach = await petald.reach()
    figure(f"start to visible, {kind}: {took:.1f} s, {reach['verdict']}, reader connected at {ways}")
    public = (petald.space.v4 if kind == "open" else petald.space.router.v4)
    if KINDS[kind]:
        assert reach["verdict"] == "public" and reach["relayed"] == [], reach
        assert reach["direct"] == [f"/ip4/{public}/tcp/{PORT}"], reach
        assert not any("p2p-circuit" in way for way in ways), ways
        assert petald.record["using_relay"] is False and petald.info["dht_client_mode"] is False
    else:
        # Relays are asked for before that is certain.
        reach = await petald.until("it knows where it is", lambda reach: reach["verdict"] == "private")
        assert reach["direct"] == [], reach
        assert reach["relayed"], reach
        assert petald.record["using_relay"] is True and petald.info["dht_client_mode"] is True


async def test_a_direct_connection_takes_the_relays_place(world, started):
    """DCUtR: a reader that reaches petald through a relay is directly connected with it soon after."""
    petald = started["port_restricted"]
    await world.visible(petald)
    reader = await world.node(world.internet.host(), client_mode=True)
    # p2pd punches holes once four others have told it where they see it (go-libp2p identify, ActivationThresh).
    for other in ("open", "full_cone", "forward"):
        await world.visible(started[other], reader)
    peer_id = await petald.peer_id()
    began = called = time.monotonic()
    await world.visible(petald, reader)
    while True:
        ways = await world.ways(petald, reader)
        if any("p2p-circuit" not in way for way in ways):
            break
        took = time.monotonic() - began
        assert took < HOLE_LIMIT, f"only {ways}; {await petald.reach()}\n{petald.output()}"
        if time.monotonic() - called > HOLE_PATIENCE:
            # It may not have been ready for it yet, and a hole is tried once for each relayed connection.
            await reader.p2p._client.disconnect(peer_id)
            await world.rpc_info(peer_id, reader)
            called = time.monotonic()
        await asyncio.sleep(0.2)
    figure(f"from a reader's first call, through a relay, to a direct connection: {time.monotonic() - began:.1f} s, {ways}")
    assert (await world.rpc_info(peer_id, reader))["spans"]
    await petald.until("the hole is counted", lambda reach: reach["holes_punched"] >= 1)


async def test_ipv6_only(world):
    petald = world.petald(world.internet.host(v4=False, v6=True), "ipv6", listen=[f"/ip6/::/tcp/{PORT}"])
    took = await world.visible(petald)
    reach = await petald.reach()
    figure(f"start to visible, IPv6 only: {took:.1f} s, reader connected at {await world.ways(petald)}")
    assert reach["direct"] == [f"/ip6/{petald.space.v6}/tcp/{PORT}"], reach


async def test_quic_beside_tcp(world):
    listen = [f"/ip4/0.0.0.0/tcp/{PORT}", f"/ip4/0.0.0.0/udp/{PORT}/quic-v1"]
    petald = world.petald(world.internet.host(), "quic", listen=listen)
    await world.visible(petald)
    reach = await petald.reach()
    host = f"/ip4/{petald.space.v4}"
    assert sorted(reach["direct"]) == [f"{host}/tcp/{PORT}", f"{host}/udp/{PORT}/quic-v1"], reach
    space = world.internet.host()
    reader = await world.node(space, client_mode=True, host_maddrs=[f"/ip4/{space.v4}/udp/4001/quic-v1"])
    await world.visible(petald, reader)
    ways = await world.ways(petald, reader)
    figure(f"a reader that speaks QUIC is connected at {ways}")
    assert any("quic-v1" in way for way in ways), ways


@pytest.mark.parametrize("kind", ["open", "forward"])
async def test_an_address_change_while_it_runs(world, started, kind):
    petald = started[kind]
    await world.visible(petald)
    outer = petald.space if kind == "open" else petald.space.router
    old = outer.v4
    world.internet.move(outer)
    began = time.monotonic()
    new = f"/ip4/{outer.v4}/tcp/{PORT}"
    reach = await petald.until("it announces its new address", lambda reach: reach["direct"] == [new], 120)
    announced = time.monotonic() - began
    # A reader that does not know the old address from before.
    reader = await world.node(world.internet.host(), client_mode=True)
    took = await world.visible(petald, reader, since=began, limit=120)
    figure(f"another address, {kind}: {old} to {outer.v4}, announced after {announced:.1f} s, visible after {took:.1f} s")
    assert reach["verdict"] == "public"


async def test_p2pd_behind_a_nat_is_reached_through_petald_as_a_relay(world):
    relay = world.petald(world.internet.host(), "relay", network__relay_service=True)
    await world.visible(relay)
    at = f"/ip4/{relay.space.v4}/tcp/{PORT}/p2p/{await relay.peer_id()}"
    space = world.internet.behind("symmetric")
    hidden = await world.node(
        space,
        host_maddrs=["/ip4/0.0.0.0/tcp/4001"],
        use_auto_relay=True,
        force_reachability="private",
        trusted_relays=[at],
        # It would wait for three minutes for relays to turn up, and takes the named ones at once.
        flags=["-relayDiscovery=0"],
        initial_peers=[at],
    )
    await relay.until("it holds a place", lambda reach: reach["reservations_given"] >= 1)
    circuit = f"{at}/p2p-circuit/p2p/{hidden.peer_id}"
    # It joins through the hidden node alone, which it can ping over the relay alone.
    reader = await world.node(world.internet.host(), client_mode=True, initial_peers=[circuit])
    peers = await reader.p2p.list_peers()
    ways = [str(address) for peer in peers if peer.peer_id == hidden.peer_id for address in peer.addrs]
    reach = await relay.until("it relays a connection", lambda reach: reach["circuits_relayed"] >= 1)
    figure(f"a p2pd behind a symmetric NAT is reached at {ways}; places given: {reach['reservations_given']}")
