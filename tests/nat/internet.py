"""A small Internet: network namespaces on one bridge, some of them behind a NAT that the kernel's nftables make.

Each namespace belongs to a process that does nothing, and is gone with it, as are its cables; the kernel ends such a
process when the one that started it ends. Public hosts are in 11.0.0.0/16 and 2a01:4f8:77::/64, which are
addresses like any other to those who ask whether they are public, and lead nowhere from here: no namespace has a way out.

Needs root, iproute2 and nftables. Python's standard library only.
"""

import ctypes
import itertools
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
PREFIX_V4, PREFIX_V6 = "11.0.0", "2a01:4f8:77:"
HOME_NETWORK, HOME = "192.168.7", "192.168.7.2"
PORT = 31330

# What a router lets in. `mapped` holds the ports from which something has gone out: a full cone lets anybody in there.
RULES = """
table ip nat {{
    set mapped {{ type inet_service; flags timeout, dynamic; timeout 10m; }}
    chain incoming {{
        type nat hook prerouting priority dstnat;
        {incoming}
    }}
    chain outgoing {{
        type nat hook postrouting priority srcnat;
        oifname "outside" {outgoing}
    }}
}}
table ip firewall {{
    chain through {{
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "inside" accept
        ct status dnat accept
    }}
    chain here {{
        type filter hook input priority filter; policy drop;
        iifname != "outside" accept
        ct state established,related accept
        icmp type echo-request accept
    }}
}}
"""

# How each kind of NAT maps what goes out, and what it lets in.
KINDS = {
    "full_cone": (
        f'iifname "outside" tcp dport @mapped dnat to {HOME}',
        "tcp sport >= 1024 update @mapped { tcp sport } masquerade",
    ),
    "port_restricted": ("", "masquerade"),
    "symmetric": ("", "masquerade fully-random"),
    "forward": (f'iifname "outside" tcp dport {PORT} dnat to {HOME}', "masquerade"),
}


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*command, text=None):
    done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


class Namespace:
    """A network namespace with a loopback device."""

    def __init__(self):
        command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        if self.holder.stdout.readline() != b"up\n":
            raise RuntimeError("no network namespace can be made here")
        self.enter = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    def run(self, *command, text=None):
        return run(*self.enter, *command, text=text)

    def sysctl(self, name, value):
        self.run("sh", "-c", f"echo {value} > /proc/sys/{name}")

    def close(self):
        self.holder.kill()
        self.holder.wait()


# Nothing that is sent to this address arrives.
GONE = """
table ip gone {{
  chain before_tracking {{ type filter hook prerouting priority raw; ip daddr {address} drop; }}
}}
"""


class Internet:
    def __init__(self):
        self.spaces = []
        self.numbers = itertools.count(10)
        self.hub = self.space()
        self.hub.run("ip", "link", "add", "hub", "type", "bridge")
        self.hub.run("ip", "link", "set", "hub", "up")

    def space(self):
        space = Namespace()
        self.spaces.append(space)
        return space

    def cable(self, space, name):
        """A cable from the bridge to a device `name` in a namespace."""
        end = f"port{next(self.numbers)}"
        self.hub.run("ip", "link", "add", end, "type", "veth", "peer", "name", name, "netns", str(space.holder.pid))
        self.hub.run("ip", "link", "set", end, "master", "hub", "up")

    def host(self, v4=True, v6=False):
        """A namespace with public addresses."""
        space, number = self.space(), next(self.numbers)
        self.cable(space, "outside")
        space.sysctl("net/ipv6/conf/all/accept_dad", 0)
        space.sysctl("net/ipv6/conf/outside/accept_dad", 0)
        space.v4 = f"{PREFIX_V4}.{number}" if v4 else None
        space.v6 = f"{PREFIX_V6}:{number:x}" if v6 else None
        if v4:
            space.run("ip", "address", "add", f"{space.v4}/16", "dev", "outside")
        if v6:
            space.run("ip", "address", "add", f"{space.v6}/64", "dev", "outside", "nodad")
        space.run("ip", "link", "set", "outside", "up")
        return space

    def move(self, space):
        """Another public IPv4 address in the place of the one that a namespace has."""
        old, space.v4 = space.v4, f"{PREFIX_V4}.{next(self.numbers)}"
        # The other way round the second address would go with the first.
        space.run("ip", "address", "del", f"{old}/16", "dev", "outside")
        space.run("ip", "address", "add", f"{space.v4}/16", "dev", "outside")
        # What a router has tracked it would still translate, whomever the address belongs to.
        space.run("nft", "-f", "-", text=GONE.format(address=old))

    def behind(self, kind):
        """A namespace at 192.168.7.2 behind a router of this kind, which is its `router`."""
        router, space = self.host(), self.space()
        space.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "inside", "netns", str(router.holder.pid))
        space.run("ip", "address", "add", f"{HOME}/24", "dev", "eth0")
        space.run("ip", "link", "set", "eth0", "up")
        router.run("ip", "address", "add", f"{HOME_NETWORK}.1/24", "dev", "inside")
        router.run("ip", "link", "set", "inside", "up")
        space.run("ip", "route", "add", "default", "via", f"{HOME_NETWORK}.1")
        router.sysctl("net/ipv4/ip_forward", 1)
        incoming, outgoing = KINDS[kind]
        router.run("nft", "-f", "-", text=RULES.format(incoming=incoming, outgoing=outgoing))
        space.router = router
        return space

    def close(self):
        for space in self.spaces:
            space.close()


def missing():
    """What this machine lacks for all of it, or None."""
    internet = None
    try:
        internet = Internet()
        internet.behind("full_cone")
    except (OSError, RuntimeError) as error:
        return str(error)
    finally:
        if internet is not None:
            internet.close()


if __name__ == "__main__":
    lacking = missing()
    if lacking:
        sys.exit(f"{lacking} (user {os.geteuid()})")
