"""hivemind's DHT behaviour, checked among real hivemind 1.1.12 nodes with petald in one of four positions.

Run by `cargo test --test conformance` (main.rs), which sets PETALD (the program under test) and PEER_SOCKETS (a short
folder for p2pd's sockets), and starts pytest as the leader of a process group. All Python nodes live in this process, each with a p2pd of its own; their event loop has a thread
of its own, so that they answer whatever the tests do meanwhile. Test functions may be coroutines: they run in that loop.
"""

import asyncio
import functools
import inspect
import itertools
import os
import signal
import sys
import threading
import time

import loopback  # noqa: F401  hivemind without port mapping, before anything starts a node
import pytest
import uvloop
from hivemind.dht import DHTID, DHTNode
from hivemind.utils import get_dht_time

from daemon import MODEL, Petald

TEST_LIMIT = 60.0  # seconds for one test, beside the long forms, which say their own
CALL_TIMEOUT = 10.0  # seconds for one call of a Python node
TTL = 120.0  # seconds; longer than any test that does not say otherwise


class Loop:
    """One event loop in a thread of its own, for all Python nodes of the run."""

    def __init__(self):
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="nodes", daemon=True)
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine, limit=TEST_LIMIT):
        async def limited():
            return await asyncio.wait_for(coroutine, limit)

        return asyncio.run_coroutine_threadsafe(limited(), self.loop).result()


NODES = Loop()
NUMBERS = itertools.count()


def end_with(parent):
    """Ends this process and all that it started when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


if "PEER_SOCKETS" in os.environ:
    threading.Thread(target=end_with, args=[os.getppid()], name="parent", daemon=True).start()


def pytest_addoption(parser):
    parser.addoption("--name", action="append", help="only cases whose name contains it; may be given again")
    parser.addoption("--mixed", default="8+4", help="petald and Python nodes of the mixed swarm")
    parser.addoption("--churn", default="8+4", help="petald and Python nodes under churn")
    parser.addoption("--churn-seconds", type=float, default=10.0, help="how long nodes are replaced")
    parser.addoption("--churn-interval", type=float, default=3.0, help="seconds until a tenth is replaced again")
    parser.addoption("--seed", type=int, default=1, help="of what is left to chance")


def pytest_collection_modifyitems(config, items):
    names = config.getoption("--name")
    if names:
        left = [item for item in items if not any(name in item.nodeid for name in names)]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    mark = pyfuncitem.get_closest_marker("limit")
    NODES.run(pyfuncitem.obj(**arguments), mark.args[0] if mark else TEST_LIMIT)
    return True


def pytest_sessionfinish(session, exitstatus):
    session.config.verdict = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Ends at once: an interpreter with torch and uvloop in it may crash while it ends, after the last verdict."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(config, "verdict", 1))


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.session.petald_failed = True


async def python_node(initial_peers=(), **options):
    """A hivemind node that listens on a free port of 127.0.0.1, as p2pd does by itself.

    Its calls have more time than hivemind's 3 s: one that a busy machine does not answer in time costs a peer its place.
    """
    options = {"wait_timeout": CALL_TIMEOUT, **options}
    return await DHTNode.create(initial_peers=[str(peer) for peer in initial_peers], **options)


class Stage:
    """Starts nodes and ends them all."""

    def __init__(self, folder, session):
        self.folder, self.session = folder, session
        self.python, self.petalds = [], []

    async def node(self, initial_peers=(), **options):
        node = await python_node(initial_peers, **options)
        self.python.append(node)
        return node

    def spawn(self, initial_peers=(), **settings):
        """A petald that does not listen yet."""
        petald = Petald(self.folder / f"petald-{next(NUMBERS)}", initial_peers, **settings)
        self.petalds.append(petald)
        return petald

    async def petald(self, initial_peers=(), **settings):
        return await asyncio.to_thread(self.spawn(initial_peers, **settings).ready)

    async def many(self, count, initial_peers=(), **settings):
        started = [self.spawn(initial_peers, **settings) for _ in range(count)]
        return await asyncio.to_thread(lambda: [petald.ready() for petald in started])

    async def announcing(self, initial_peers=(), **settings):
        """A petald with a model to announce, every two seconds."""
        return await self.petald(initial_peers, **{**MODEL, **settings})

    async def stop(self, node):
        self.python.remove(node)
        await node.shutdown()

    async def close(self):
        await asyncio.gather(*(node.shutdown() for node in self.python), return_exceptions=True)
        for petald in self.petalds:
            petald.close(show=getattr(self.session, "petald_failed", False))


async def addresses(node):
    """Where others join through a node of either kind."""
    if isinstance(node, Petald):
        return node.addresses
    return [str(address) for address in await node.get_visible_maddrs()]


class Swarm:
    """A swarm with one petald in it. `writer` and `reader` are Python nodes; `members` are all Python full nodes.

    The reader keeps nothing and hands nothing on, so that what it reads is what the swarm holds.
    """

    def __init__(self, stage):
        self.stage = stage

    async def begin(self, position, keys):
        stage = self.stage
        quiet = {"cache_locally": False, "cache_nearest": 0, "cache_on_store": False}
        rsa = {"identity_path": str(keys / f"writer-{position}")}
        self.position, self.members = position, []
        if position == "only":
            # Clients are in nobody's table: petald is all there is.
            self.petald = await stage.petald()
            self.writer = await stage.node(self.petald.addresses, client_mode=True, **rsa)
            self.reader = await stage.node(self.petald.addresses, client_mode=True, **quiet)
            for client in (self.writer, self.reader):
                # A client takes itself for a replica, and would read its own copy instead of petald's.
                client.store_many = functools.partial(client.store_many, exclude_self=True)
            return self
        if position == "first":
            self.petald = await stage.petald()
            self.writer = await stage.node(self.petald.addresses, **rsa)
            self.reader = await stage.node(self.petald.addresses, **quiet)
            third = await stage.node(await addresses(self.writer))
        elif position == "middle":
            # The writer's side knows nothing of the reader's but through petald.
            self.writer = await stage.node(**rsa)
            third = await stage.node(await addresses(self.writer))
            self.petald = await stage.petald(await addresses(third))
            self.reader = await stage.node(self.petald.addresses, **quiet)
        elif position == "last":
            self.writer = await stage.node(**rsa)
            third = await stage.node(await addresses(self.writer))
            self.reader = await stage.node(await addresses(third), **quiet)
            self.petald = await stage.petald(await addresses(self.reader))
        self.members = [self.writer, self.reader, third]
        await self.met()
        return self

    async def met(self):
        """Everybody has everybody in the table: what follows is about behaviour, not about acquaintance."""

        def strangers():
            known = [node.protocol.routing_table.uid_to_peer_id for node in self.members]
            everybody = {node.node_id for node in self.members} | {self.petald.node_id}
            missing = [everybody - set(table) - {node.node_id} for node, table in zip(self.members, known)]
            count = sum(map(len, missing)) + len(self.members) - self.petald.report("dht")["known_nodes"]
            return None if count == 0 else f"{count} acquaintances are missing"

        for node in self.members:
            await node.find_nearest_nodes([node.node_id])
        await eventually(20, "everybody knows everybody", strangers)

    async def held(self, key):
        """What petald itself holds for the key, asked directly: a value with its expiration, or None."""
        return await asked(self.reader, self.petald.peer_id, key)


class Fifty:
    """A swarm in which two nodes know everybody; `asker` is a Python client that joined through the first petald."""

    # A handshake costs a p2pd 1 ms, and a petald that was built for debugging 30: so most of them are Python's.
    PETALDS, PYTHON = 6, 44
    WAVE = 8  # started together: a machine of two cores has others to serve meanwhile

    def __init__(self, stage):
        self.stage = stage

    async def begin(self):
        stage = self.stage
        self.petald = await stage.petald()
        self.python = await stage.node(self.petald.addresses)
        doors = self.petald.addresses + await addresses(self.python)
        self.petalds = [self.petald, *await stage.many(self.PETALDS - 2, doors)]
        self.nodes = [self.python]
        while (missing := self.PYTHON - len(self.nodes)) > 0:
            self.nodes += await asyncio.gather(*(stage.node(doors) for _ in range(min(missing, self.WAVE))))
        # Joins last: what it announces goes to its place at once.
        self.announcing = await stage.announcing(doors, announce__period="60s", announce__ttl="300s")
        self.petalds.append(self.announcing)
        self.peers = {node.node_id: node.peer_id for node in self.petalds + self.nodes}
        assert len(self.peers) == self.PETALDS + self.PYTHON
        everybody = len(self.peers) - 1

        async def strangers():
            known = self.petald.report("dht")["known_nodes"], len(self.python.protocol.routing_table.uid_to_peer_id)
            if known == (everybody, everybody):
                return None
            # One call that a busy machine did not answer in time costs a node its place, until it calls again.
            for door in (self.petald.peer_id, self.python.peer_id):
                await asyncio.gather(*(node.protocol.call_ping(door) for node in self.nodes if node.peer_id != door))
            return f"{known} of {everybody} are known"

        await eventually(60, "two nodes know everybody", strangers)
        self.asker = await stage.node(self.petald.addresses, client_mode=True, cache_locally=False, cache_nearest=0)
        return self

    def nearest(self, key_id, count=20, without=()):
        """The nodes nearest to a key, as whoever knows all of them would list them."""
        return sorted(self.peers.keys() - set(without), key=key_id.xor_distance)[:count]


async def asked(node, peer_id, key):
    """What a peer answers to rpc_find for one key: a value with its expiration, or None."""
    key_id = DHTID.generate(source=key)
    answer = await node.protocol.call_find(peer_id, [key_id])
    assert answer is not None, f"{peer_id} does not answer rpc_find"
    return answer[key_id][0]


async def eventually(limit, what, look):
    """Looks until `look` returns None; what it returns before tells why it is not so yet."""
    until = time.monotonic() + limit
    while True:
        why = look()
        if inspect.isawaitable(why):
            why = await why
        if why is None:
            return
        assert time.monotonic() < until, f"not within {limit} s: {what}; last seen: {why}"
        await asyncio.sleep(0.05)


async def met(node, *peers):
    """Waits until a Python node has these in its table: who has just started may not have joined yet."""
    table = node.protocol.routing_table
    def missing():
        return [peer.peer_id for peer in peers if peer.peer_id not in table]

    await eventually(20, "they have met", lambda: f"{missing()} unknown" if missing() else None)


def in_seconds(seconds):
    """An expiration as hivemind gives it: Unix time."""
    return get_dht_time() + seconds


def fresh(name):
    """A key that no other test has."""
    return f"{name}-{next(NUMBERS)}"


@pytest.fixture(scope="session", params=["first", "middle", "last", "only"])
def swarm(request, tmp_path_factory):
    """petald as first, middle and last peer, and as the only full one."""
    stage = Stage(tmp_path_factory.mktemp(request.param), request.session)
    try:
        yield NODES.run(Swarm(stage).begin(request.param, stage.folder))
    finally:
        NODES.run(stage.close())


@pytest.fixture(scope="session")
def fifty(request, tmp_path_factory):
    """Fifty nodes, six of them petald's, all in the tables of the first petald and of the first Python node."""
    stage = Stage(tmp_path_factory.mktemp("fifty"), request.session)
    try:
        yield NODES.run(Fifty(stage).begin(), limit=3 * TEST_LIMIT)
    finally:
        NODES.run(stage.close())


@pytest.fixture
def figure(request):
    """Prints a line past pytest's capture: a figure must be seen also if all is well."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def figure(text):
        with capture.global_and_fixture_disabled():
            print(f"\nfigure: {text}", flush=True)

    return figure


@pytest.fixture
def stage(request, tmp_path):
    """For a test that needs nodes of its own."""
    stage = Stage(tmp_path, request.session)
    try:
        yield stage
    finally:
        NODES.run(stage.close())
