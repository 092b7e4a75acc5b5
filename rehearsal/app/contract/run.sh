#!/bin/sh
# run.sh APP: runs app_contract.py against APP with a throw-away PostgreSQL on loopback, from the file system tree that
# POSTGRES_ROOT names (an unpacked image). Needs root, for chroot and for a network of its own: two runs at once, or a server
# of the user's, never share a port.
set -eu

: "${POSTGRES_ROOT:?names the unpacked image of PostgreSQL}"
if [ -z "${CONTRACT_NETWORK:-}" ]; then
	CONTRACT_NETWORK=own exec unshare --net sh "$0" "$@"
fi
ip link set lo up
app=$1
port=5467
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
data=/tmp/contract

inside() {
	chroot --userspec=postgres "$POSTGRES_ROOT" /usr/bin/env PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin "$@"
}

# Runs to its end whatever fails: an EXIT trap under set -e stops at its first failure.
clean() {
	set +e
	inside pg_ctl --pgdata="$data" --mode=immediate stop >/dev/null 2>&1
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

mkdir -p "$POSTGRES_ROOT/dev" "$POSTGRES_ROOT/tmp"
chmod 1777 "$POSTGRES_ROOT/tmp"
# PostgreSQL reads random numbers by a system call, but its tools write to /dev/null.
[ -c "$POSTGRES_ROOT/dev/null" ] || mknod -m 666 "$POSTGRES_ROOT/dev/null" c 1 3
inside initdb --pgdata="$data" --username=postgres --auth=trust >"$work/initdb.log" 2>&1 || {
	cat "$work/initdb.log" >&2
	exit 1
}
inside pg_ctl --pgdata="$data" --log="$data/log" --wait \
	--options="-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c dynamic_shared_memory_type=mmap" start >&2

# The contract calls psql: the one of the image, as nothing else need be installed.
cat >"$work/psql" <<EOF
#!/bin/sh
exec chroot "$POSTGRES_ROOT" /usr/lib/postgresql/17/bin/psql "\$@"
EOF
chmod +x "$work/psql"
PATH="$work:$PATH" TMPDIR="$work" python3 "$here/app_contract.py" --app "$app" --pg "postgresql://postgres@127.0.0.1:$port"
