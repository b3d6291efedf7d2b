"""A small Internet: network namespaces on one bridge, some of them behind a NAT that the kernel's nftables make.

Each namespace belongs to a process that does nothing, and is gone with it, as are its cables; the kernel ends such a
process when the one that started it ends. Public hosts are in 11.0.0.0/16 and 2a01:4f8:77::/64, which are
addresses like any other to those who ask whether they are public, and lead nowhere from here: no namespace has a way out.

Needs root, iproute2 and nftables, and miniupnpd for a router that speaks UPnP. Python's standard library only.
"""

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile

PR_SET_PDEATHSIG = 1
PREFIX_V4, PREFIX_V6 = "11.0.0", "2a01:4f8:77:"
HOME_NETWORK, HOME, OTHER_HOME = "192.168.7", "192.168.7.2", "192.168.7.9"
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

# Where a router's UPnP service puts what it is asked to forward. Made anew, as after a restart of the router.
FORWARDED = """
table inet upnp
delete table inet upnp
table inet upnp {
    chain miniupnpd {}
    chain prerouting_miniupnpd {}
    chain postrouting_miniupnpd {}
    chain forward { type filter hook forward priority filter; jump miniupnpd; }
    chain prerouting { type nat hook prerouting priority dstnat; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority srcnat; jump postrouting_miniupnpd; }
}
"""

# miniupnpd.conf(5): it serves those inside, and forwards a port to whoever asks alone.
UPNP = """
ext_ifname=outside
listening_ip=inside
port=0
enable_upnp=yes
enable_natpmp=no
secure_mode=yes
upnp_table_name=upnp
upnp_nat_table_name=upnp
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


class Gateway:
    """The UPnP service of a router: miniupnpd, as home routers have it."""

    program = shutil.which("miniupnpd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def __init__(self, router):
        self.router, self.process = router, None
        self.folder = tempfile.TemporaryDirectory()
        with open(f"{self.folder.name}/conf", "w") as conf:
            conf.write(UPNP)

    def start(self, forwarded=()):
        """Nothing is forwarded yet but these ports, to others who asked first."""
        self.router.run("nft", "-f", "-", text=FORWARDED)
        for port, to in forwarded:
            # As it would write it itself, but that nft wants to be told the protocol twice.
            rule = f'iif "outside" meta l4proto tcp @nh,72,8 0x6 @th,16,16 {port} dnat ip to {to}:{port}'
            self.router.run("nft", "add", "rule", "inet", "upnp", "prerouting_miniupnpd", rule)
        command = [self.program, "-d", "-f", f"{self.folder.name}/conf", "-P", f"{self.folder.name}/pid"]
        with open(f"{self.folder.name}/output", "ab") as output:
            self.process = subprocess.Popen(
                [*self.router.enter, *command], stdout=output, stderr=output, preexec_fn=die_with_parent
            )

    def stop(self):
        """What was forwarded is forwarded no more."""
        self.process.kill()
        self.process.wait()
        self.router.run("nft", "-f", "-", text=FORWARDED)

    def forwarded(self):
        """What it forwards, in the words of nft."""
        rules = self.router.run("nft", "list", "chain", "inet", "upnp", "prerouting_miniupnpd")
        return [line.strip() for line in rules.splitlines() if "dnat" in line]

    def output(self):
        with open(f"{self.folder.name}/output", errors="replace") as output:
            return output.read()[-3000:]


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

    def move_home(self, space):
        """Another address in the network at home, as after a new lease."""
        space.run("ip", "address", "del", f"{HOME}/24", "dev", "eth0")
        space.run("ip", "address", "add", f"{OTHER_HOME}/24", "dev", "eth0")
        space.run("ip", "route", "add", "default", "via", f"{HOME_NETWORK}.1")

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
