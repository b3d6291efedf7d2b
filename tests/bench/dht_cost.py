"""What a DHT call costs petald, and what it costs hivemind-dht 1.1.12, in one run with one Python client.

Run by `cargo test --release --test bench -- dht_cost`, which sets PETALD and PEER_SOCKETS. Both nodes are alone with
the client, under identities and at ports that are known beforehand, so that both are timed alike. Prints the figures,
and ends with 1 if one of them is not what it should be.

CPU is utime and stime from /proc of the callee: of petald's one process, and of hivemind-dht's two with their p2pd.
Memory is what is resident (RSS) of all of a node's processes; beside it, with the pages that hivemind-dht's two share
counted once (PSS). Each node has the kind of key that it makes for itself.
"""

import asyncio
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

HERE = Path(__file__).resolve().parents[1] / "conformance"
sys.path.insert(0, str(HERE))

import loopback  # noqa: E402, F401
from daemon import Petald  # noqa: E402
from hivemind.dht import DHTID, DHTNode  # noqa: E402
from hivemind.dht.protocol import DHTProtocol  # noqa: E402
from hivemind.p2p import P2P, PeerID  # noqa: E402
from hivemind.proto import dht_pb2  # noqa: E402
from hivemind.utils import MSGPackSerializer, get_dht_time  # noqa: E402
from hivemind.utils.multiaddr import Multiaddr  # noqa: E402

CPU_AT_MOST = 1 / 5
MEMORY_AT_MOST = 1 / 30
START_AT_MOST = 1 / 40

ROUNDS = 3  # petald and hivemind-dht take turns, so that both meet the same machine
CALLS = 2000  # of a kind in one round
AT_ONCE = 64
STARTS = 3
IDLE = 8.0  # seconds; both have done all that a start needs
CROWD = 600  # calls at once on one connection
SLOW = 0.5  # seconds that the call-back of a slow peer takes

# As `hivemind-dht`, without asking a router for a port.
HIVEMIND_DHT = "import loopback; from hivemind.hivemind_cli.run_dht import main; main()"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def processes(root):
    """The process and all that it started."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue  # it has just ended
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


class Callee:
    """A node under test: its processes, its address, and what it uses."""

    def __init__(self, folder, name):
        self.folder, self.name = Path(folder) / f"{name}-{free_port()}", name
        self.folder.mkdir()
        self.identity, self.port = str(self.folder / "identity"), free_port()
        self.peer_id = self.make_identity()
        self.address = f"/ip4/127.0.0.1/tcp/{self.port}"
        self.full_address = f"{self.address}/p2p/{self.peer_id.to_base58()}"

    def make_identity(self):
        """Makes a key, and gives its peer id."""
        if self.name == "hivemind":
            P2P.generate_identity(self.identity)
            return PeerID.from_identity(Path(self.identity).read_bytes())
        new = ["identity", "new", "--set", f"network.identity={self.identity}"]
        made = subprocess.run([os.environ["PETALD"], *new], check=True, capture_output=True, text=True)
        return PeerID.from_base58(made.stdout.split()[2])

    def start(self):
        self.began = time.monotonic()
        if self.name == "petald":
            options = {"network.listen": [self.address], "network.identity": self.identity}
            # As it is run: probed once a second.
            self.petald = Petald(self.folder / "home", **options, **{"supervisor.probe_period": "1s"})
            self.process = self.petald.process
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-B", "-c", HIVEMIND_DHT, "--host_maddrs", self.address, "--identity_path", self.identity],
                stdin=subprocess.DEVNULL,
                stdout=open(self.folder / "output", "ab"),
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(HERE)},
            )

    async def answered(self, client):
        """Seconds from its start to the first ping that it answered."""
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            await asyncio.sleep(0.001)
            assert time.monotonic() - self.began < 60, "it does not listen"
        await client.p2p._client.connect(self.peer_id, [Multiaddr(self.address)])
        while True:
            try:
                await ping(client, self, 0)
                return time.monotonic() - self.began
            except Exception:
                assert time.monotonic() - self.began < 60, "it does not answer"
                await asyncio.sleep(0.001)

    def cpu(self):
        """Seconds used so far."""
        ticks = 0
        for pid in processes(self.process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Bytes that are resident: (RSS of all processes, the same with shared pages counted once)."""
        rss = pss = 0
        for pid in processes(self.process.pid):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss += int(line.split()[1]) * 1024
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024
        return rss, pss

    def stop(self):
        left = processes(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


KEYS = [DHTID.generate(source=number).to_bytes() for number in range(AT_ONCE)]  # one for each that stores
PLAIN = MSGPackSerializer.dumps(None)
VALUE = MSGPackSerializer.dumps((2, 12.5, {"start_block": 0, "end_block": 8, "public_name": "a name", "version": "1"}))


def stub(client, callee):
    return client.protocol.get_stub(callee.peer_id)


async def ping(client, callee, _):
    answer = await stub(client, callee).rpc_ping(dht_pb2.PingRequest(peer=client.protocol.node_info), timeout=10)
    assert len(answer.peer.node_id) == 20


async def find(client, callee, worker):
    request = dht_pb2.FindRequest(keys=[KEYS[worker]], peer=client.protocol.node_info)
    answer = await stub(client, callee).rpc_find(request, timeout=10)
    assert answer.results[0].value == VALUE


LATER = iter(range(1, 1 << 40))


async def store(client, callee, worker):
    request = dht_pb2.StoreRequest(
        keys=[KEYS[worker]],
        subkeys=[PLAIN],
        values=[VALUE],
        expiration_time=[get_dht_time() + 3600 + next(LATER) * 0.01],
        in_cache=[False],
        peer=client.protocol.node_info,
    )
    answer = await stub(client, callee).rpc_store(request, timeout=10)
    assert answer.store_ok == [True]


async def at_once(call, client, callee, count):
    async def some(worker):
        for _ in range(count // AT_ONCE):
            await call(client, callee, worker)

    await asyncio.gather(*map(some, range(AT_ONCE)))
    return count // AT_ONCE * AT_ONCE


async def one_by_one(call, client, callee, count):
    for _ in range(count):
        await call(client, callee, 0)
    return count


class Report:
    def __init__(self):
        self.failed = []

    def ratio(self, what, petald, hivemind, most, unit):
        share = petald / hivemind
        self.line(
            f"{what}: petald {petald:.4g} {unit}, hivemind-dht {hivemind:.4g} {unit}: "
            f"1/{1 / share:.1f} (at most 1/{1 / most:.0f})",
            share <= most,
        )

    def line(self, text, good):
        print(f"figure: {text}{'' if good else '  <-- FAILED'}", flush=True)
        if not good:
            self.failed.append(text)


async def starts(client_factory, folder, report):
    """Medians of some starts, in turns."""
    took = {"petald": [], "hivemind": []}
    for _ in range(STARTS):
        for name, times in took.items():
            client, callee = await client_factory(), Callee(folder, name)
            callee.start()
            times.append(await callee.answered(client))
            callee.stop()
            await client.shutdown()
    petald, hivemind = (sorted(times)[STARTS // 2] for times in took.values())
    report.ratio("from process start to the first answered ping", petald, hivemind, START_AT_MOST, "s")


async def costs(client, callees, report):
    for how in (one_by_one, at_once):
        for call in (ping, store, find):
            used, calls = dict.fromkeys(callees, 0.0), dict.fromkeys(callees, 0)
            for _ in range(ROUNDS):
                for name, callee in callees.items():
                    before = callee.cpu()
                    calls[name] += await how(call, client, callee, CALLS)
                    used[name] += callee.cpu() - before
            petald, hivemind = (used[name] / calls[name] * 1e6 for name in callees)
            what = f"CPU of one rpc_{call.__name__}, {how.__name__.replace('_', ' ')}"
            report.ratio(what, petald, hivemind, CPU_AT_MOST, "us")


async def crowd(callees, report):
    """600 calls at once on one connection, also such as take half a second."""
    for name, callee in callees.items():
        slow = await DHTNode.create(initial_peers=[callee.full_address], wait_timeout=10)
        async def one(validate):
            request = dht_pb2.PingRequest(peer=slow.protocol.node_info, validate=validate)
            try:
                return await slow.protocol.get_stub(callee.peer_id).rpc_ping(request, timeout=30)
            except Exception as error:
                return error

        for what, validate in (("quick pings", False), ("pings whose call-back takes 500 ms", True)):
            began = time.monotonic()
            CALL_BACK["pause"] = SLOW if validate else 0.0
            answers = await asyncio.gather(*(one(validate) for _ in range(CROWD)))
            CALL_BACK["pause"] = 0.0
            took = time.monotonic() - began
            wrong = [answer for answer in answers if isinstance(answer, Exception)]
            available = sum(answer.available for answer in answers if not isinstance(answer, Exception))
            text = f"{CROWD} {what} at once on one connection: {name} answered {CROWD - len(wrong)} in {took:.2f} s"
            text += f", {available} of them that it could call back" if validate else ""
            text += f"; the first failure: {wrong[0]!r}" if wrong else ""
            report.line(text, name != "petald" or not wrong)
        if name == "petald":
            peers = callee.petald.report("network")["peers"]
            connections = [peer for peer in peers if peer.get("peer_id", peer.get("peer")) == slow.peer_id.to_base58()]
            print(f"       petald's connections with the caller: {connections}")
        await slow.shutdown()


CALL_BACK = {"pause": 0.0}


def slow_call_backs():
    """Nodes of this process answer pings only after a pause."""
    rpc_ping = DHTProtocol.rpc_ping

    @functools.wraps(rpc_ping)  # its annotations tell hivemind the messages
    async def paused(self, request, context):
        await asyncio.sleep(CALL_BACK["pause"])
        return await rpc_ping(self, request, context)

    DHTProtocol.rpc_ping = paused


async def main():
    slow_call_backs()
    report, folder = Report(), tempfile.mkdtemp(dir=os.environ["PEER_SOCKETS"])
    await starts(lambda: DHTNode.create(client_mode=True), folder, report)
    client = await DHTNode.create(client_mode=True)
    callees = {name: Callee(folder, name) for name in ("petald", "hivemind")}
    try:
        for callee in callees.values():
            callee.start()
            await callee.answered(client)
        await asyncio.sleep(IDLE)
        (petald, petald_shared), (hivemind, hivemind_shared) = (callee.memory() for callee in callees.values())
        report.ratio("idle memory (RSS)", petald / 2**20, hivemind / 2**20, MEMORY_AT_MOST, "MiB")
        shared = f"petald {petald_shared / 2**20:.1f} MiB, hivemind-dht {hivemind_shared / 2**20:.0f} MiB"
        print(f"figure: idle memory with shared pages counted once (PSS): {shared}", flush=True)
        for callee in callees.values():
            await asyncio.gather(*(store(client, callee, worker) for worker in range(AT_ONCE)))
        await costs(client, callees, report)
        await crowd(callees, report)
    finally:
        await client.shutdown()
        for callee in callees.values():
            callee.stop()
    result = "FAILED" if report.failed else "ok"
    print(f"dht_cost result: {result}. {len(report.failed)} figures are not what they should be")
    return bool(report.failed)


if __name__ == "__main__":
    uvloop.install()
    sys.exit(asyncio.run(main()))
