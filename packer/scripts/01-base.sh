#!/bin/sh
# Brings the base system up to date and installs what the stack runs on, all from the distribution's own archive.
set -eu

: "${ECHORA_PAYLOAD:?is set by the Packer template; it is not meant for a machine that is to be kept}"
root=${ECHORA_ROOT:-}

fail() { # CODE WHAT HINT
	printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

seconds() { # since power-on: not moved by the clock being set during the first boot
	read -r up _ </proc/uptime
	printf '%s' "${up%.*}"
}

retry() { # SECONDS COMMAND...: until it succeeds or the time is over
	deadline=$(($(seconds) + $1))
	shift
	until "$@"; do
		[ "$(seconds)" -lt "$deadline" ] || return 1
		sleep 2
	done
}

apt() {
	apt-get -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 -o APT::Update::Error-Mode=any \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

choose_packages() {
	os=$(
		# shellcheck source=/dev/null
		. "$root/etc/os-release"
		printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}"
	)
	case $os in
	'debian 13') engine='docker.io docker-cli docker-compose' ;;
	'ubuntu 24.04') engine='docker.io docker-compose-v2' ;;
	*) fail 3 "this system is $os" 'build on Debian 13 or Ubuntu 24.04: choose another base image' ;;
	esac
	# apparmor is only recommended by docker.io, and without its parser containers run unconfined.
	packages="$engine apparmor ufw unattended-upgrades curl ca-certificates"
}

wait_for_cloud_init() {
	command -v cloud-init >/dev/null || fail 3 'the base image has no cloud-init' 'choose a cloud image: the buyer gets in through it'
	code=0
	timeout 600 cloud-init status --wait || code=$?
	case $code in
	# 2: done, with warnings. https://docs.cloud-init.io/en/latest/explanation/return_codes.html
	0 | 2) ;;
	124) fail 1 'cloud-init was not done after 600 s' 'look at the console of the build machine' ;;
	*) fail 1 "cloud-init failed (exit $code)" 'cloud-init status --long on the build machine says why' ;;
	esac
}

install_packages() {
	# Until the next boot: they would take the locks in the middle of the build.
	systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service
	retry 300 apt update || fail 1 'the package lists cannot be fetched' 'does the build machine reach its mirror?'
	retry 900 apt full-upgrade || fail 1 'the system cannot be upgraded' 'the lines above name the package'
	# shellcheck disable=SC2086  # a list
	retry 900 apt install --no-install-recommends $packages || fail 1 "cannot install $packages" 'the lines above name the package'
	for pattern in ${ECHORA_PURGE_PACKAGES:-}; do
		# shellcheck disable=SC2016  # dpkg-query's own notation
		unwanted=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$pattern" 2>/dev/null | sed -n 's/^\(installed\|config-files\) //p')
		# shellcheck disable=SC2086  # a list
		[ -z "$unwanted" ] || apt purge $unwanted
	done
	apt autoremove --purge
}

write() { # PATH, content on stdin
	mkdir -p "$(dirname "$root$1")"
	cat >"$root$1"
	chmod 0644 "$root$1"
}

configure_upgrades() {
	write /etc/apt/apt.conf.d/20auto-upgrades <<-'END'
		APT::Periodic::Update-Package-Lists "1";
		APT::Periodic::Unattended-Upgrade "1";
		APT::Periodic::AutocleanInterval "7";
	END
}

configure_logs() {
	write /etc/systemd/journald.conf.d/50-echora.conf <<-'END'
		[Journal]
		SystemMaxUse=200M
	END
}

# No live-restore: it would leave Postgres to systemd at shutdown, without the stop signal that its image asks for.
# No proxy for published ports: over IPv6 it would answer for a container in the range that is open for voice, and each costs a process.
# No storage driver: a choice made here would hide the loaded images when the distribution's engine changes its own.
configure_docker() {
	before=$(cat "$root/etc/docker/daemon.json" 2>/dev/null || :)
	write /etc/docker/daemon.json <<-'END'
		{
		  "userland-proxy": false,
		  "log-driver": "local",
		  "log-opts": { "max-size": "10m", "max-file": "3" }
		}
	END
	systemctl enable docker.service
	if [ "$before" != "$(cat "$root/etc/docker/daemon.json")" ]; then systemctl restart docker.service; fi
	retry 120 docker info >/dev/null 2>&1 || fail 1 'Docker did not answer within 120 s' 'journalctl -u docker says why'
	docker compose version || fail 1 'docker compose does not run' "it comes with one of: $engine"
}

configure_firewall() {
	ufw default deny incoming
	ufw default allow outgoing
	ufw limit 22/tcp
	for port in 80/tcp 443/tcp 443/udp 10000:59999/udp; do ufw allow "$port"; done
	# Its lines would push the login off the console that the buyer reads it from.
	ufw logging off
	ufw --force enable
}

# update-grub reads the drop-in as shell, after the base image's own: an argument that is there already is not repeated.
configure_kernel() {
	[ -n "${ECHORA_KERNEL_ARGUMENTS:-}" ] || return 0
	write /etc/default/grub.d/90-echora.cfg <<-END
		for argument in $ECHORA_KERNEL_ARGUMENTS; do
		  case " \$GRUB_CMDLINE_LINUX \$GRUB_CMDLINE_LINUX_DEFAULT " in
		  *" \$argument "*) ;;
		  *) GRUB_CMDLINE_LINUX_DEFAULT="\$GRUB_CMDLINE_LINUX_DEFAULT \$argument" ;;
		  esac
		done
	END
	update-grub || fail 1 'update-grub failed' "the image needs the kernel arguments $ECHORA_KERNEL_ARGUMENTS"
}

choose_packages
wait_for_cloud_init
install_packages
configure_upgrades
configure_logs
configure_docker
configure_firewall
configure_kernel
