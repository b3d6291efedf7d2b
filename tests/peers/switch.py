"""An Ethernet in one process: network namespaces, each with one cable, and all the bad weather on the way.

Every port is a TAP device in a network namespace of its own; frames between them pass through this program, which
delays, loses and withholds them as it is told. It does what `tc netem` does, on any kernel that has TUN. Nothing has a
name outside of this process: the namespaces and devices are gone when it ends, however it ends. A process is put into
a namespace by the command that `ports` returns. One port may have a name server.

Needs root, or to be root in a user namespace (`unshare --user --map-root-user`). Python's standard library only.
"""

import asyncio
import ctypes
import fcntl
import os
import random
import socket
import struct
import sys

import json_lines
import name_server

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCSIFTXQLEN = 0x8916, 0x891C, 0x8914, 0x8943
IFF_UP, IFF_RUNNING = 0x1, 0x40
TUNSETCARRIER = 0x400454E2

LARGEST_FRAME = 65536
NETWORK = "10.77.0."  # in no namespace but ours

libc = ctypes.CDLL(None, use_errno=True)


def interface_request(name, payload):
    return struct.pack("16s24s", name.encode(), payload)


def inet(address):
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def enter(namespace):
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Port:
    def __init__(self, index):
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.address = f"{NETWORK}{index + 1}"
        self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            up = struct.pack("H", IFF_UP | IFF_RUNNING)
            fcntl.ioctl(s, SIOCSIFFLAGS, interface_request("lo", up))
            fcntl.ioctl(s, SIOCSIFADDR, interface_request("eth0", inet(self.address)))
            fcntl.ioctl(s, SIOCSIFNETMASK, interface_request("eth0", inet("255.255.255.0")))
            fcntl.ioctl(s, SIOCSIFFLAGS, interface_request("eth0", up))
        self.plugged = True
        self.delay = 0.0  # seconds, on the way out and on the way in
        self.loss = 0.0  # likewise

    def udp_socket(self, port):
        """A UDP socket in the namespace. Where a socket lives is decided when it is made."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            enter(self.namespace)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind((self.address, port))
            return udp
        finally:
            enter(home)
            os.close(home)


class Switch:
    def __init__(self):
        self.ports = {}
        self.seen = {}  # MAC address → port
        self.loop = asyncio.get_running_loop()
        self.random = random.Random()
        self.names = None

    async def do_ports(self, names, seed=0):
        """Creates a namespace with one cable for each name: where it is, and the command that runs others in it."""
        self.random.seed(seed)
        for name in names:
            port = self.ports[name] = Port(len(self.ports))
            self.loop.add_reader(port.tap, self.read, port)
        enter = ["nsenter"]
        if "SWITCH_USER_NAMESPACE" in os.environ:
            enter += [f"--user=/proc/{os.getpid()}/ns/user", "--preserve-credentials"]
        return {
            name: {"address": port.address, "enter": enter + [f"--net=/proc/{os.getpid()}/fd/{port.namespace}"]}
            for name, port in self.ports.items()
        }

    async def do_names(self, name, records):
        """A name server at a port, from the first call on; `records` are all that it knows: name → type → values."""
        if self.names is None:
            udp = self.ports[name].udp_socket(name_server.PORT)
            _, self.names = await self.loop.create_datagram_endpoint(name_server.NameServer, sock=udp)
        self.names.records = records

    async def do_names_asked(self):
        """The names that were asked for, in order."""
        return [] if self.names is None else self.names.asked

    async def do_plug(self, name, plugged):
        """Pulls the cable, as `ip link down` at the other end does, or plugs it in again."""
        port = self.ports[name]
        port.plugged = plugged
        fcntl.ioctl(port.tap, TUNSETCARRIER, struct.pack("i", int(plugged)))

    async def do_weather(self, name, delay, loss):
        """Seconds that every frame of a port takes longer, and the part of them that is lost, in both directions."""
        port = self.ports[name]
        port.delay, port.loss = delay, loss

    def read(self, port):
        for _ in range(64):
            try:
                frame = os.read(port.tap, LARGEST_FRAME)
            except (BlockingIOError, OSError):
                return
            self.seen[frame[6:12]] = port
            target = self.seen.get(frame[:6])
            targets = [target] if target else [other for other in self.ports.values() if other is not port]
            for target in targets:
                self.forward(frame, port, target)

    def forward(self, frame, source, target):
        for port in (source, target):
            if not port.plugged or self.random.random() < port.loss:
                return
        delay = source.delay + target.delay
        if delay:
            self.loop.call_later(delay, self.write, target, frame)
        else:
            self.write(target, frame)

    def write(self, port, frame):
        try:
            os.write(port.tap, frame)
        except OSError:
            pass  # its queue is full, or its cable is out: Ethernet promises nothing


async def main(answers):
    await json_lines.serve(Switch(), answers)


if __name__ == "__main__":
    asyncio.run(main(json_lines.claim_stdout()))
