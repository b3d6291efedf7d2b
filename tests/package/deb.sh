#!/usr/bin/env bash
# The .deb's whole life under a systemd of its own: installed, refused unconfigured, edited, started, visible, reloaded,
# stopped, two more nodes of the template, upgraded while it runs, removed, purged.
#
#     tests/package/deb.sh target/debug/petald
#
# It needs root, unshare, Debian's dpkg and systemd, and cargo-deb (cargo install cargo-deb --locked). The machine is left
# as it is: an overlay over its own root, in mount, process and network namespaces, takes all changes, and is thrown away.
# Exit code 77 tells that something is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=${1:?the program to pack}

lacks() { echo "$1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || lacks "it needs root"
for tool in unshare nsenter dpkg-deb deb-systemd-helper systemd-analyze curl; do
    command -v "$tool" > /dev/null || lacks "it needs $tool"
done
[ -x /lib/systemd/systemd ] || lacks "it needs systemd"
cargo deb --version > /dev/null 2>&1 || lacks "it needs cargo-deb: cargo install cargo-deb --locked"

work=$(mktemp -d /tmp/petald-deb.XXXXXX)
machine=
finish() {
    [ -z "$machine" ] || kill -KILL "$machine" 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT

case $binary in */release/*) profile=release ;; *) profile=dev ;; esac
for version in 0.0.1 0.0.2; do
    cargo deb --quiet --offline --no-build --strip --fast --profile "$profile" --deb-version "$version" \
        --output "$work/petald_$version.deb" > "$work/cargo-deb.log" 2>&1 || { cat "$work/cargo-deb.log" >&2; exit 1; }
done

# A machine of our own: this one's files below, ours above.
cat > "$work/boot" <<'BOOT'
set -e
mkdir "$1/machine"
mount -t tmpfs tmpfs "$1/machine"
mkdir "$1/machine/"{up,work,root}
root=$1/machine/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/machine/up,workdir=$1/machine/work" "$root"
mkdir -p "$root/debs"
cp "$1"/*.deb "$root/debs/"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run tmp dev; do mount -t tmpfs tmpfs "$root/$folder"; done
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ip link set lo up
# None of the machine's own services is started, but for those that every machine starts first.
cat > "$root/etc/systemd/system/bench.target" <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service systemd-tmpfiles-setup.service
UNIT
for unit in sysinit.target basic.target; do
    printf '[Unit]\nDefaultDependencies=no\n' > "$root/etc/systemd/system/$unit"
done
cd "$root"
mkdir -p below
pivot_root . below
umount -l /below
echo $$ > /run/booted
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=bench.target
BOOT
unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child --propagation private \
    bash "$work/boot" "$work" < /dev/null > "$work/boot.log" 2>&1 &
unshared=$!

fail() {
    echo "FAILED: $*" >&2
    cat "$work/boot.log" >&2
    [ -z "$machine" ] || inside journalctl --no-pager -n 40 -u 'petald*' -u seed >&2 || true
    exit 1
}
# Looks for up to half a minute.
eventually() {
    local what=$1 try
    shift
    for try in $(seq 150); do
        if "$@" > "$work/said" 2>&1; then return 0; fi
        sleep 0.2
    done
    cat "$work/said" >&2
    fail "not within 30 s: $what"
}
inside() { nsenter --target "$machine" --all --wd timeout 90 "$@"; }
told() { echo "deb: $*"; }

find_machine() { machine=$(pgrep -P "$unshared" | head -1) && [ -n "$machine" ]; }
eventually "the machine's first process" find_machine
booted() { [ "$(inside systemctl is-active bench.target)" = active ]; }
eventually "systemd runs" booted

inside apt-get install -y /debs/petald_0.0.1.deb > "$work/said" 2>&1 || { cat "$work/said" >&2; fail "apt install"; }
grep -q 'edit /etc/petald/petald.toml' "$work/said" || fail "the package does not say what is next: $(cat "$work/said")"
inside getent passwd petald > /dev/null || fail "no user petald"
[ "$(inside systemctl is-enabled petald)" = enabled ] || fail "not enabled"
[ "$(inside systemctl is-active petald)" = inactive ] || fail "started before it is configured"
for unit in petald.service petald@.service; do
    inside systemd-analyze verify "/usr/lib/systemd/system/$unit" 2> "$work/said" || fail "verify: $(cat "$work/said")"
    [ ! -s "$work/said" ] || fail "$unit: $(cat "$work/said")"
done
inside systemd-analyze security --no-pager petald.service > "$work/said" 2>&1 || true
told "installed, enabled, not started; both units verify; $(grep -o 'exposure level.*' "$work/said" | tr -d '🙂' || true)"
inside test -s /usr/share/man/man1/petald-run.1.gz -a -s /usr/share/man/man5/petald.toml.5.gz || fail "no manual page"

# Unconfigured it is refused once, and not tried again and again.
inside systemctl start petald 2> /dev/null && fail "started without a swarm" || true
[ "$(inside systemctl show -p ExecMainStatus --value petald)" = 78 ] || fail "a wrong config is not 78"
[ "$(inside systemctl show -p NRestarts --value petald)" = 0 ] || fail "a wrong config is tried again"
told "unconfigured: refused with 78, not restarted"

# A swarm to join, then the one edit and the one command.
inside sh -c 'cat > /run/systemd/system/seed.service; systemctl daemon-reload; systemctl start seed' <<'UNIT'
[Service]
ExecStart=/usr/bin/petald run --set node.data_dir=/tmp/seed --set network.listen=/ip4/127.0.0.1/tcp/4001 --set admin.listen=127.0.0.1:4002
UNIT
eventually "the seed answers" inside curl -sf http://127.0.0.1:4002/livez
seed=$(inside petald identity show --data-dir /tmp/seed | awk '/peer id/ { print $3 }')
inside sh -c "sed -i -e 's#^initial_peers = .*#initial_peers = [\"/ip4/127.0.0.1/tcp/4001/p2p/$seed\"]\nprivate_addresses = true#' \
    -e 's#^listen = \[.*#listen = [\"/ip4/127.0.0.1/tcp/31337\"]#' \
    -e 's/^# \(\[model\]\|\[server\]\|dht_prefix\|repository\|num_blocks\|blocks\|throughput\)/\1/' /etc/petald/petald.toml"
inside petald check --config /etc/petald/petald.toml > "$work/said" 2>&1 || fail "check: $(cat "$work/said")"
started=$(date +%s%N)
inside systemctl start petald || fail "it does not start"
ready() { inside curl -sf --unix-socket "/run/$1/admin.sock" http://petald/readyz; }
eventually "visible" ready petald
told "edited and started: visible after $((($(date +%s%N) - started) / 1000000)) ms"
[ "$(inside systemctl show -p NotifyAccess -p Type --value petald | head -1)" = notify ] || fail "not of the notify kind"
[ "$(inside stat -c '%U %a' /var/lib/petald /var/lib/petald/identity | paste -sd' ')" = "petald 700 petald 600" ] \
    || fail "owner or mode: $(inside stat -c '%n %U %a' /var/lib/petald /var/lib/petald/identity)"
visible_status() { inside systemctl status --no-pager petald | grep -q 'Status: "visible'; }
eventually "systemctl status tells that it is visible" visible_status

pid() { inside systemctl show -p MainPID --value "$1"; }
before=$(pid petald)
inside systemctl reload petald || fail "reload"
sleep 1
[ "$(pid petald)" = "$before" ] && [ "$(inside systemctl is-active petald)" = active ] || fail "a reload ended it"
told "reloaded: the same process"

inside systemctl kill -s KILL petald
back() { [ "$(pid petald)" != "$before" ] && [ "$(pid petald)" != 0 ] && ready petald; }
eventually "back after a crash" back
told "killed: started again by systemd, visible"

# Two more nodes on the same host, of the template.
for node in a b; do
    port=$([ "$node" = a ] && echo 31341 || echo 31342)
    inside sh -c "sed 's#tcp/31337#tcp/$port#' /etc/petald/petald.toml > /etc/petald/$node.toml"
    inside systemctl start "petald@$node" || fail "petald@$node does not start"
done
for node in a b; do eventually "petald@$node is visible" ready "petald-$node"; done
identities=$(inside sh -c 'cat /var/lib/petald*/identity | wc -c; sha1sum /var/lib/petald*/identity | cut -d" " -f1 | sort -u | wc -l' | paste -sd' ')
[ "${identities#* }" = 3 ] || fail "three nodes have $identities identities"
for node in petald petald-a petald-b; do
    inside sh -c "test -s /var/lib/$node/lock && ls /var/log/$node/* > /dev/null" || fail "$node lacks its files"
done
inside systemctl stop petald@a || fail "stop petald@a"
ready petald > /dev/null && ready petald-b > /dev/null || fail "the stop of one node touched another"
told "three nodes on one host, each with its own files; one stopped, the others stay visible"

identity=$(inside sha1sum /var/lib/petald/identity)
before=$(pid petald)
inside apt-get install -y /debs/petald_0.0.2.deb > "$work/said" 2>&1 || { cat "$work/said" >&2; fail "upgrade"; }
upgraded() { [ "$(pid petald)" != "$before" ] && [ "$(pid petald)" != 0 ] && ready petald; }
eventually "the new version is visible" upgraded
[ "$(inside sha1sum /var/lib/petald/identity)" = "$identity" ] || fail "the upgrade changed the key"
inside grep -q 'private_addresses = true' /etc/petald/petald.toml || fail "the upgrade lost the config"
told "upgraded while it ran: same key, same config, visible again"

stopping=$(date +%s%N)
inside systemctl stop petald || fail "stop"
[ "$(inside systemctl show -p ExecMainStatus --value petald)" = 0 ] || fail "a stop is no clean exit"
told "stopped: drained with 0 after $((($(date +%s%N) - stopping) / 1000000)) ms"

inside systemctl stop seed
inside dpkg -r petald > "$work/said" 2>&1 || { cat "$work/said" >&2; fail "remove"; }
[ "$(inside systemctl is-active petald@b)" != active ] || fail "a node runs on after the package is gone"
inside test ! -e /usr/bin/petald || fail "the program is still there"
inside test -e /etc/petald/petald.toml || fail "a removal took the config"
inside dpkg -P petald > "$work/said" 2>&1 || { cat "$work/said" >&2; fail "purge"; }
inside test ! -e /etc/petald/petald.toml || fail "a purge left the config"
inside test ! -e /var/log/petald || fail "a purge left the logs"
inside test -s /var/lib/petald/identity || fail "a purge took the key"
inside test ! -e /etc/systemd/system/multi-user.target.wants/petald.service || fail "a purge left it enabled"
told "removed, then purged: the key is left"
