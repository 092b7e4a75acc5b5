#!/bin/sh
# Entry point of the PostgreSQL image, with the contract of docker.io/library/postgres: POSTGRES_USER, _PASSWORD, _DB,
# _INITDB_ARGS (these also as *_FILE) and _HOST_AUTH_METHOD, PGDATA, /docker-entrypoint-initdb.d.
set -eu

fail() {
	printf 'error: %s\n' "$1" >&2
	exit 1
}

# The value of variable $1, or of the file that $1_FILE names, or $2.
setting() {
	eval "value=\${$1:-} file=\${$1_FILE:-}"
	if [ -n "$value" ] && [ -n "$file" ]; then
		fail "both $1 and $1_FILE are set: set one of them"
	fi
	if [ -n "$file" ]; then
		value=$(cat "$file")
	fi
	printf '%s' "${value:-$2}"
}

case ${1:-} in
-* | '') set -- postgres "$@" ;;
esac
[ "$1" = postgres ] || exec "$@"
# Questions need no database.
for word in "$@"; do
	case $word in
	-\? | --help | --describe-config | -V | --version) exec "$@" ;;
	esac
done

# As root only the folders are prepared; PostgreSQL itself refuses to run as root.
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA" /var/run/postgresql
	chown -R postgres "$PGDATA"
	chown postgres:postgres /var/run/postgresql
	chmod 0700 "$PGDATA"
	chmod 03777 /var/run/postgresql
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	user=$(setting POSTGRES_USER postgres)
	password=$(setting POSTGRES_PASSWORD '')
	database=$(setting POSTGRES_DB "$user")
	arguments=$(setting POSTGRES_INITDB_ARGS '')
	method=${POSTGRES_HOST_AUTH_METHOD:-}
	if [ -z "$password" ] && [ "$method" != trust ]; then
		fail 'the database is new and has no superuser password: set POSTGRES_PASSWORD'
	fi
	# initdb takes the password from a file, never from its arguments; without one it makes none.
	secret=$(mktemp)
	trap 'rm -f "$secret"' EXIT
	printf '%s\n' "$password" >"$secret"
	pwfile=${password:+--pwfile=$secret}
	# POSTGRES_INITDB_ARGS is a list of words by contract.
	# shellcheck disable=SC2086
	initdb --username="$user" $pwfile $arguments
	printf 'host all all all %s\n' "${method:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

	# A server that only this script can reach: no TCP, a socket in a folder of its own.
	private=$(mktemp -d)
	pg_ctl --wait --options="-c listen_addresses='' -c unix_socket_directories='$private'" start >&2
	PGHOST=$private PGUSER=$user PGPASSWORD=$password
	export PGHOST PGUSER PGPASSWORD
	if [ "$database" != postgres ]; then
		printf 'CREATE DATABASE :"name";\n' | psql --no-psqlrc -q -v ON_ERROR_STOP=1 -v name="$database" -d postgres
	fi
	for file in /docker-entrypoint-initdb.d/*; do
		# A script that is not executable is sourced, by contract.
		# shellcheck disable=SC1090
		case $file in
		*.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
		*.sql) psql --no-psqlrc -q -v ON_ERROR_STOP=1 -d "$database" -f "$file" ;;
		*.sql.gz) gzip -dc "$file" | psql --no-psqlrc -q -v ON_ERROR_STOP=1 -d "$database" ;;
		esac
	done
	unset PGHOST PGUSER PGPASSWORD
	pg_ctl --mode=fast --wait stop >&2
	rm -rf "$secret" "$private"
	trap - EXIT
fi
exec "$@"
