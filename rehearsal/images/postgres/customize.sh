#!/bin/sh
# customize.sh TREE ENTRYPOINT: turns a Debian tree with PostgreSQL into the image's content.
set -eu

tree=$1
install -m 0755 "$2" "$tree/usr/local/bin/docker-entrypoint.sh"
mkdir -p "$tree/docker-entrypoint-initdb.d" "$tree/var/lib/postgresql/data"

# The official images have this id; volumes that they wrote must stay readable.
chroot "$tree" usermod --uid 999 postgres
chroot "$tree" groupmod --gid 999 postgres
chroot "$tree" chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
# A key pair that the packages make: nobody's, and another one in each build.
find "$tree/etc" \( -name '*.ucf-dist' -o -name 'ssl-cert-snakeoil.*' -o -lname 'ssl-cert-snakeoil.*' \) -delete

# The official image listens on all addresses unless it is told otherwise: whoever forgets to must not be safe here.
sed -i "s/^#*listen_addresses = [^#]*/listen_addresses = '*'	/" "$tree/usr/share/postgresql/17/postgresql.conf.sample"

# Just-in-time compilation is two thirds of the size; a chat server's queries never cost enough to start it.
rm -rf "$tree"/usr/lib/*/libLLVM* "$tree"/usr/lib/*/libz3.so* "$tree"/usr/lib/postgresql/17/lib/llvmjit* "$tree/usr/lib/postgresql/17/lib/bitcode"
rm -rf "$tree"/usr/share/doc "$tree"/usr/share/man "$tree"/usr/share/info "$tree"/usr/share/locale \
	"$tree"/usr/share/i18n "$tree"/var/lib/apt/lists/* \
	"$tree"/var/cache/* "$tree"/var/log/* "$tree"/etc/postgresql
find "$tree/var/lib/postgresql" -mindepth 1 ! -name data -delete
