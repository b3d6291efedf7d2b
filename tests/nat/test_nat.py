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

LEARNT_LIMIT = 60.0  # seconds; an answer that is no takes the time of a dial
REPLACED_LIMIT = 60.0  # seconds until another relay has taken the place of one that is gone
MOVED_LIMIT = 20.0  # seconds until a reader outside calls a machine that has got another address
REFUSED_FOR = 15.0  # seconds in which a relay that refuses is not asked again and again


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
    limit = MOVED_LIMIT if kind == "open" else 120
    took = await world.visible(petald, reader, since=began, limit=limit)
    figure(f"another address, {kind}: {old} to {outer.v4}, announced after {announced:.1f} s, visible after {took:.1f} s")
    assert reach["verdict"] == "public"


async def test_another_address_at_home(world):
    petald = world.petald(world.internet.behind("port_restricted"), "leased")
    await petald.until("it has two places", lambda reach: len(reach["relays"]) == 2)
    await world.visible(petald)
    world.internet.move_home(petald.space)
    began = time.monotonic()
    reader = await world.node(world.internet.host(), client_mode=True)
    # Nobody has the address any more from which p2pd could be told that its old connection is dead.
    took = await world.visible(petald, reader, since=began)
    figure(f"another address behind a NAT: reached through a relay again after {took:.1f} s")


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


async def test_p2pd_learns_from_petald_whether_it_can_be_reached(world):
    """Two p2pds that are not told where they are, and know nobody but a petald who dials them when they ask.

    One that is reached becomes a server of libp2p's Kademlia, one that is not takes a place at a relay.
    """
    petald = world.petald(
        world.internet.host(), "asked", initial_peers=[], network__swarm="seed", network__relay_service=True
    )
    at = f"/ip4/{petald.space.v4}/tcp/{PORT}/p2p/{await petald.peer_id()}"

    async def routes(node):
        peers = (await petald.status())["reports"]["network"]["peers"]
        return any(peer["peer_id"] == str(node.peer_id) and peer["kad"] for peer in peers)

    began = time.monotonic()
    seen = await world.node(world.internet.host(), dht_mode="auto", initial_peers=[at])
    assert not await routes(seen), f"it knew it {time.monotonic() - began:.1f} s after its start"
    hidden = await world.node(
        world.internet.behind("port_restricted"),
        host_maddrs=["/ip4/0.0.0.0/tcp/4001"],
        dht_mode="auto",
        use_auto_relay=True,
        trusted_relays=[at],
        flags=["-relayDiscovery=0"],
        initial_peers=[at],
    )
    assert (await petald.reach())["reservations_given"] == 0, "it takes a place before it can know"
    while not await routes(seen):
        assert time.monotonic() - began < LEARNT_LIMIT, f"{await petald.status()}\n{petald.output()}"
        await asyncio.sleep(0.2)
    figure(f"a p2pd that petald reaches knows it {time.monotonic() - began:.1f} s after its start")
    await petald.until("it gives a place", lambda reach: reach["reservations_given"] >= 1, LEARNT_LIMIT)
    figure(f"a p2pd that petald does not reach takes a place {time.monotonic() - began:.1f} s after its start")
    assert not await routes(hidden)


async def test_a_relay_that_goes_away_is_replaced(world):
    relay = await world.node(world.internet.host(), force_reachability="public")
    named = [relay.addresses[0], world.boots[0].addresses[0]]
    petald = world.petald(world.internet.behind("symmetric"), "moving", network__relays=named)

    def holds_two(with_it):
        return lambda reach: len(reach["relays"]) == 2 and (str(relay.peer_id) in reach["relays"]) == with_it

    await petald.until("it has a place at both", holds_two(with_it=True))
    await world.visible(petald)
    world.nodes.remove(relay)
    began = time.monotonic()
    await relay.shutdown()
    reach = await petald.until("another takes its place", holds_two(with_it=False), REPLACED_LIMIT)
    figure(f"a relay that went away is replaced after {time.monotonic() - began:.1f} s")
    assert not any(str(relay.peer_id) in way for way in reach["relayed"]), reach
    reader = await world.node(world.internet.host(), client_mode=True)
    await world.visible(petald, reader, since=began)


async def test_a_relay_that_refuses_is_left_in_peace(world):
    settings = {"network__relay_service": True, "network__relay_reservations": 1}
    full = world.petald(world.internet.host(), "full", **settings)
    at = f"/ip4/{full.space.v4}/tcp/{PORT}/p2p/{await full.peer_id()}"
    await world.visible(full)
    lucky = world.petald(world.internet.behind("symmetric"), "lucky", network__relays=[at])
    await full.until("its one place is taken", lambda reach: reach["reservations_given"] == 1)
    late = world.petald(world.internet.behind("symmetric"), "late", network__relays=[at])
    reach = await late.until("it has two places", lambda reach: len(reach["relays"]) == 2)
    await world.visible(late)
    assert str(await full.peer_id()) not in reach["relays"], reach
    await asyncio.sleep(REFUSED_FOR)
    refusals = (await full.reach())["relay_refusals"]
    figure(f"a relay without a place left was asked {refusals} times within {time.monotonic() - late.began:.0f} s")
    assert 1 <= refusals <= 3, refusals
    assert str(await full.peer_id()) in (await lucky.reach())["relays"]
