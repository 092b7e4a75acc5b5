#!/bin/sh
# Writes all that Compose and Caddy need, so that `docker compose up` alone makes a working server.
set -eu
umask 077
{
	for name in POSTGRES_PASSWORD JWT_SECRET HMAC_SECRET; do
		printf '%s=%s\n' "$name" "$(openssl rand -hex 32)"
	done
	printf 'ANNOUNCED_IP=203.0.113.7\n'
	# What first boot sets for the size of this machine.
	printf '%s' "${TUNED:-}"
} >/opt/echora/.env
install -d -o 10001 -g 10001 -m 0700 /var/lib/echora/uploads
install -d -o 10002 -g 10002 -m 0700 /var/lib/echora/caddy-data
chmod 0755 /var/lib/echora
install -d -m 0755 /var/lib/echora/caddy
umask 022
printf 'default_sni 203.0.113.7\nfallback_sni echora.internal\n' >/var/lib/echora/caddy/echora.options
printf '%s {\n\ttls internal\n\timport site\n}\n' https://203.0.113.7 https://echora.internal >/var/lib/echora/caddy/echora.sites
