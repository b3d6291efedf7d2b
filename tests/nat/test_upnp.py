"""petald behind a router that forwards ports to whoever asks it to: a real one, miniupnpd."""

import time

import pytest

from internet import PORT, Gateway
from world import figure

# The router is asked every 20 s, and may be looked for as long: `actors/src/network/reach/port_mapping`.
ASKED_AGAIN = 60.0  # seconds

NEIGHBOUR = "192.168.7.3"  # in the same network at home

pytestmark = pytest.mark.skipif(Gateway.program is None, reason="there is no miniupnpd here")


def at(gateway, port=PORT):
    return f"/ip4/{gateway.router.v4}/tcp/{port}"


def behind(world, name, **settings):
    """A petald behind a router whose service is not running yet."""
    space = world.internet.behind("port_restricted")
    return world.petald(space, name, network__upnp=True, **settings), Gateway(space.router)


async def reached(world, petald, gateway, since):
    """Waits until a reader outside reaches it at the router's address; gives the seconds since then."""
    reach = await petald.until(f"it announces {at(gateway)}", lambda reach: reach["direct"] == [at(gateway)], ASKED_AGAIN)
    assert reach["verdict"] == "public" and reach["relayed"] == [], reach
    # A reader that knows no other way from before.
    reader = await world.node(world.internet.host(), client_mode=True)
    took = await world.visible(petald, reader, since=since, limit=ASKED_AGAIN)
    ways = await world.ways(petald, reader)
    assert not any("p2p-circuit" in way for way in ways), ways
    assert petald.record["using_relay"] is False and petald.info["dht_client_mode"] is False
    return took


@pytest.fixture(scope="module")
def homes(world):
    """Three of them behind routers that speak UPnP when they start, and one whose router does so only later."""
    homes = {name: behind(world, f"upnp_{name}") for name in ("at_once", "moving", "second", "later")}
    for name in ("at_once", "moving", "second"):
        homes[name][1].start()
    homes["second"][1].forward(PORT, NEIGHBOUR)
    return homes


async def test_visible_behind_a_router_that_forwards(world, homes):
    petald, gateway = homes["at_once"]
    took = await reached(world, petald, gateway, petald.began)
    figure(f"start to visible, a router that speaks UPnP: {took:.1f} s, {gateway.forwarded()}")
    assert len(gateway.forwarded()) == 1, gateway.forwarded()


async def test_a_port_that_the_router_forwards_to_somebody_else(world, homes):
    petald, gateway = homes["second"]

    def elsewhere(reach):
        return len(reach["direct"]) == 1 and reach["direct"][0].startswith(at(gateway, ""))

    reach = await petald.until("it announces another port", elsewhere, ASKED_AGAIN)
    took = await world.visible(petald)
    assert reach["direct"] != [at(gateway)], reach
    assert not any("p2p-circuit" in way for way in await world.ways(petald)), await world.ways(petald)
    figure(f"a router whose port is taken: visible at {reach['direct'][0]} after {took:.1f} s, {gateway.forwarded()}")


async def test_a_router_that_forgets_is_asked_again(world, homes):
    petald, gateway = homes["at_once"]
    await reached(world, petald, gateway, petald.began)
    gateway.stop()
    gateway.start()
    assert gateway.forwarded() == []
    began = time.monotonic()
    while not gateway.forwarded():
        assert time.monotonic() - began < ASKED_AGAIN, gateway.output()
        await petald.status()
    took = await reached(world, petald, gateway, began)
    figure(f"a router that was started anew forwards again, and we are visible, after {took:.1f} s")


async def test_a_router_that_gets_another_address(world, homes):
    petald, gateway = homes["moving"]
    await reached(world, petald, gateway, petald.began)
    old = at(gateway)
    world.internet.move(gateway.router)
    took = await reached(world, petald, gateway, time.monotonic())
    figure(f"a router's address changed from {old} to {at(gateway)}: visible there after {took:.1f} s")


async def test_a_router_that_speaks_upnp_only_later(world, homes):
    petald, gateway = homes["later"]
    await petald.until("it takes places at relays", lambda reach: reach["relays"] != [])
    gateway.start()
    took = await reached(world, petald, gateway, time.monotonic())
    figure(f"a router began to speak UPnP: visible directly after {took:.1f} s")


async def test_a_router_that_stops_forwarding_is_not_announced(world, homes):
    petald, gateway = homes["at_once"]
    await reached(world, petald, gateway, petald.began)
    gateway.stop()
    began = time.monotonic()
    reach = await petald.until("it uses relays", lambda reach: reach["direct"] == [] and reach["relayed"] != [], ASKED_AGAIN)
    figure(f"a router that forwards no more: announced through relays after {time.monotonic() - began:.1f} s")
    assert reach["verdict"] != "public", reach
    await world.visible(petald, since=began, limit=ASKED_AGAIN)
