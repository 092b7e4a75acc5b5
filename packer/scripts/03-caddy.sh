#!/bin/sh
# Installs Caddy's configuration, and lets the Caddy of the image judge it: a typo must not wait for a buyer.
set -eu

: "${ECHORA_PAYLOAD:?is set by the Packer template; it is not meant for a machine that is to be kept}"
root=${ECHORA_ROOT:-}
home=$root/opt/echora
image=echora/caddy:installed

fail() { # CODE WHAT HINT
	printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

install_configuration() {
	install -d -m 0755 "$home"
	install -m 0644 "$ECHORA_PAYLOAD/stack/Caddyfile" "$home/Caddyfile"
}

# First boot writes the sites; without any, the snippets that they import would go unread.
# --rm takes the volumes that the image declares along.
validate() {
	trial=$(mktemp -d)
	trap 'rm -rf "$trial"' EXIT
	chmod 0755 "$trial"
	for snippet in fence proof site; do
		printf 'http://%s.invalid {\n\timport %s\n}\n' "$snippet" "$snippet" >"$trial/$snippet.sites"
	done
	docker run --rm --network none --volume "$home/Caddyfile:/etc/caddy/Caddyfile:ro" --volume "$trial:/etc/caddy/instance:ro" \
		"$image" caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile ||
		fail 1 "$image refuses the Caddyfile" 'the lines above name the line of firstboot/stack/Caddyfile'
}

install_configuration
validate
