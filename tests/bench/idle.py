"""What petald costs when nothing happens: joined to a swarm, 32 blocks announced, and everything on.

Run by `cargo test --release --test bench -- idle`. The swarm is one hivemind node and one petald that is its bootstrap.
CPU is that of all threads over a minute, as the scheduler counts it; memory is what is resident (RSS), and which part of it
is the program itself, its threads' stacks and the heap.
"""

import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import uvloop

HERE = Path(__file__).resolve().parents[1] / "conformance"
sys.path.insert(0, str(HERE))

import loopback  # noqa: E402, F401
from daemon import Petald  # noqa: E402
from hivemind.dht import DHTNode  # noqa: E402

BLOCKS = 32
SETTINGS = {
    "model__dht_prefix": "idle",
    "model__num_blocks": BLOCKS,
    "server__blocks": f"0:{BLOCKS}",
    "server__state": "online",
    "server__throughput": 12.5,
    "supervisor__probe_period": "5s",  # the default
}
SETTLE, MEASURED = 30, 60  # seconds
MIB = 1 << 20
MEMORY_AT_MOST = 16.0
CPU_AT_MOST = 0.2  # percent of a core


def cpu(pid):
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory(pid):
    """Resident bytes by kind of mapping."""
    kinds, kind = {}, ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            fields = line.split()
            name = fields[5] if len(fields) > 5 else ""
            if name.endswith("petald"):
                kind = "program text and constants" if "w" not in fields[1] else "program data"
            elif name == "[heap]":
                kind = "heap of the first thread"
            elif name.startswith("/"):
                kind = "libraries"
            elif name.startswith("["):
                kind = "stack of the first thread and such"
            else:
                kind = "other threads' heaps and stacks, large allocations"
        elif line.startswith("Rss:"):
            kinds[kind] = kinds.get(kind, 0) + int(line.split()[1]) * 1024
    return {kind: size for kind, size in kinds.items() if size}


async def main():
    folder = Path(tempfile.mkdtemp(dir=os.environ["PEER_SOCKETS"]))
    bootstrap = Petald(folder / "bootstrap").ready()
    doors = [str(address) for address in bootstrap.addresses]
    hivemind = await DHTNode.create(initial_peers=doors)
    node = Petald(folder / "node", doors, **SETTINGS).ready()
    try:
        await asyncio.sleep(SETTLE)
        assert (await hivemind.get(f"idle.{BLOCKS - 1}", latest=True)) is not None, "it is not announced"
        pid, before, began = node.process.pid, cpu(node.process.pid), time.monotonic()
        await asyncio.sleep(MEASURED)
        share = 100 * (cpu(pid) - before) / (time.monotonic() - began)
        kinds = memory(pid)
        total = sum(kinds.values()) / MIB
    finally:
        await hivemind.shutdown()
        node.close()
        bootstrap.close()
    late = "" if share <= CPU_AT_MOST else "  <-- NOT REACHED"
    print(f"figure: idle, joined, {BLOCKS} blocks announced: {share:.3f} % of a core (at most {CPU_AT_MOST} %){late}")
    large = "" if total <= MEMORY_AT_MOST else "  <-- NOT REACHED"
    print(f"figure: its memory (RSS): {total:.1f} MiB (at most {MEMORY_AT_MOST:.0f} MiB){large}")
    for kind, size in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"        {size / MIB:6.2f} MiB {kind}")


if __name__ == "__main__":
    uvloop.install()
    sys.exit(asyncio.run(main()))
