"""petald behind a router that forwards ports to whoever asks it to: a real one, miniupnpd."""

import asyncio
import time

import pytest

from internet import PORT, Gateway
from world import figure

# The router is asked every 20 s, and may be looked for as long: `actors/src/network/reach/port_mapping`.
ASKED_AGAIN = 60.0  # seconds
NEIGHBOUR = "192.168.7.3"  # in the same network at home

pytestmark = pytest.mark.skipif(Gateway.program is None, reason="there is no miniupnpd here")


class Home:
    """A petald behind a router whose service is not running yet."""

    def __init__(self, world, name):
        space = world.internet.behind("port_restricted")
        self.world = world
        self.gateway = Gateway(space.router)
        self.petald = world.petald(space, f"upnp_{name}", network__upnp=True)

    def at(self, port=PORT):
        return f"/ip4/{self.gateway.router.v4}/tcp/{port}"

    async def announces(self):
        reach = await self.petald.until(
            f"it announces {self.at()}", lambda reach: reach["direct"] == [self.at()], ASKED_AGAIN
        )
        assert reach["verdict"] == "public" and reach["relayed"] == [], reach

    async def reached(self, since):
        """Waits until a reader outside reaches it at the router's address; gives the seconds since then."""
        await self.announces()
        # A reader that knows no other way from before.
        reader = await self.world.node(self.world.internet.host(), client_mode=True)
        took = await self.world.visible(self.petald, reader, since=since, limit=ASKED_AGAIN)
        ways = await self.world.ways(self.petald, reader)
        assert not any("p2p-circuit" in way for way in ways), ways
        assert self.petald.record["using_relay"] is False and self.petald.info["dht_client_mode"] is False
        return took


class Homes:
    """All of them start at the same time, and what happens to them happens at the same time."""

    def __init__(self, world):
        for name in ("at_once", "taken", "forgetful", "moving", "leaving", "later"):
            home = Home(world, name)
            setattr(self, name, home)
            if name != "later":
                home.gateway.start([(PORT, NEIGHBOUR)] if name == "taken" else [])
        self.changed = None

    async def change(self):
        """When it all happened; the first who asks lets it happen."""
        if self.changed is None:
            await asyncio.gather(*(home.announces() for home in (self.forgetful, self.moving, self.leaving)))
            await self.later.petald.until("it takes places at relays", lambda reach: reach["relays"] != [])
            self.forgetful.gateway.stop()
            assert self.forgetful.gateway.forwarded() == []
            self.forgetful.gateway.start()
            self.moving.world.internet.move(self.moving.gateway.router)
            self.leaving.gateway.stop()
            self.later.gateway.start()
            self.changed = time.monotonic()
        return self.changed


@pytest.fixture(scope="module")
def homes(world):
    return Homes(world)


async def test_visible_behind_a_router_that_forwards(homes):
    home = homes.at_once
    took = await home.reached(home.petald.began)
    figure(f"start to visible, a router that speaks UPnP: {took:.1f} s, {home.gateway.forwarded()}")
    assert len(home.gateway.forwarded()) == 1, home.gateway.forwarded()


async def test_a_port_that_the_router_forwards_to_somebody_else(world, homes):
    home = homes.taken

    def elsewhere(reach):
        return len(reach["direct"]) == 1 and reach["direct"][0].startswith(home.at("")) and reach["direct"] != [home.at()]

    reach = await home.petald.until("it announces another port", elsewhere, ASKED_AGAIN)
    took = await world.visible(home.petald)
    ways = await world.ways(home.petald)
    assert not any("p2p-circuit" in way for way in ways), ways
    figure(f"a router whose port is taken: visible at {reach['direct'][0]} after {took:.1f} s, {home.gateway.forwarded()}")


async def test_a_router_that_forgets_is_asked_again(homes):
    changed, gateway = await homes.change(), homes.forgetful.gateway
    while not gateway.forwarded():
        assert time.monotonic() - changed < ASKED_AGAIN, gateway.output()
        await asyncio.sleep(0.1)
    took = await homes.forgetful.reached(changed)
    figure(f"a router that was started anew forwards again, and we are visible, after {took:.1f} s")


async def test_a_router_that_gets_another_address(homes):
    took = await homes.moving.reached(await homes.change())
    figure(f"a router's address changed: visible at {homes.moving.at()} after {took:.1f} s")


async def test_a_router_that_speaks_upnp_only_later(homes):
    took = await homes.later.reached(await homes.change())
    figure(f"a router began to speak UPnP: visible directly after {took:.1f} s")


async def test_a_router_that_stops_forwarding_is_not_announced(world, homes):
    changed, petald = await homes.change(), homes.leaving.petald

    def relayed(reach):
        return reach["direct"] == [] and reach["relayed"] != []

    reach = await petald.until("it uses relays", relayed, ASKED_AGAIN)
    assert reach["verdict"] != "public", reach
    took = await world.visible(petald, since=changed, limit=2 * ASKED_AGAIN)
    figure(f"a router that forwards no more: visible through relays after {took:.1f} s at most")
