#!/bin/sh
# Installs what runs at the buyer's first boot: the guest binary with its names, its units, cloud-init's hook, the message of
# the day, and what keeps containers in their place.
set -eu

: "${ECHORA_PAYLOAD:?is set by the Packer template; it is not meant for a machine that is to be kept}"
root=${ECHORA_ROOT:-}
stack=$ECHORA_PAYLOAD/stack

fail() { # CODE WHAT HINT
	printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

install_file() { # MODE FROM TO
	install -d -m 0755 "$(dirname "$root$3")"
	install -m "$1" "$2" "$root$3"
}

install_files() {
	install_file 0755 "$ECHORA_PAYLOAD/bin/echora-firstboot" /usr/local/bin/echora-firstboot
	for name in echora-doctor echora-domain; do
		ln -sf echora-firstboot "$root/usr/local/bin/$name"
	done
	install_file 0644 "$ECHORA_PAYLOAD/provider.toml" /etc/echora/provider.toml
	for unit in firstboot climb; do
		install_file 0644 "$stack/echora-$unit.service" "/etc/systemd/system/echora-$unit.service"
	done
	install_file 0755 "$stack/001_onboot" /var/lib/cloud/scripts/per-instance/001_onboot
	install_file 0755 "$stack/90-echora" /etc/update-motd.d/90-echora
	systemctl daemon-reload
	systemctl enable echora-firstboot.service echora-climb.service
}

# Each file of rules ends up once at the end of ufw's own, whatever stood there from an earlier run.
install_firewall() {
	for part in before before6 after after6; do
		rules=$root/etc/ufw/$part.rules
		sed -i '/^# BEGIN echora$/,/^# END echora$/d' "$rules"
		{
			printf '# BEGIN echora\n'
			cat "$stack/firewall/$part.rules"
			printf '# END echora\n'
		} >>"$rules"
	done
	ufw reload || fail 1 'ufw refuses the rules' 'the lines above name the place in firstboot/stack/firewall'
}

# The web server is nobody special: it needs no privilege for the ports that it lives on.
install_ports() {
	install_file 0644 "$stack/50-echora-ports.conf" /etc/sysctl.d/50-echora-ports.conf
}

check_binary() {
	"$root/usr/local/bin/echora-firstboot" --version ||
		fail 1 'echora-firstboot does not run here' "was it built for $(uname -m)? make guest builds both architectures"
}

# Reads the file as first boot will, every variable that it insists on set to something.
check_compose() {
	trial=$(mktemp -d)
	trap 'rm -rf "$trial"' EXIT
	cp "$root/opt/echora/compose.yaml" "$trial/compose.yaml"
	# shellcheck disable=SC2016  # compose's notation, not the shell's
	grep -o '\${[A-Za-z0-9_]*:\{0,1\}?' "$trial/compose.yaml" | sed 's/^..//; s/:\{0,1\}?$/=trial/' | sort -u >"$trial/.env"
	docker compose --project-directory "$trial" --file "$trial/compose.yaml" config --quiet ||
		fail 1 'docker compose refuses compose.yaml' 'the lines above name the place in firstboot/stack/compose.yaml'
}

# For the build's record; Packer fetches it before the clean-up.
list_packages() {
	# shellcheck disable=SC2016  # dpkg-query's own notation
	dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' | sed -n 's/^installed //p' >"$ECHORA_PAYLOAD/packages.txt"
}

install_files
install_firewall
install_ports
check_binary
check_compose
list_packages
