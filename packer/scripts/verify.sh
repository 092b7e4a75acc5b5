#!/bin/sh
# Looks at the machine as it will be copied, and names everything that must not be in an image or is missing from it.
# It repeats what the clean-up promises in its own words: a line that is forgotten there is found here.
# ECHORA_ROOT: a folder to look at in place of the running machine.
set -euf # patterns are expanded in one place only, below that folder

root=${ECHORA_ROOT:-}
checks=0
findings=0

finding() { # WHAT PATH
	printf 'verify: %s: %s\n' "$1" "$2" >&2
	findings=$((findings + 1))
}

none() { # WHAT LIST, one path a line
	checks=$((checks + 1))
	while read -r path; do
		if [ -n "$path" ]; then finding "$1" "${path#"$root"}"; fi
	done <<-END
		$2
	END
}

expand() { # PATTERN...; prints what there is
	set +f
	for pattern; do
		# shellcheck disable=SC2086  # the pattern is to be expanded
		for path in "$root"$pattern; do
			if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
		done
	done
	set -f
}

holds() { # WHAT PATH COMMAND...
	what=$1
	path=$2
	shift 2
	checks=$((checks + 1))
	"$@" >/dev/null 2>&1 || finding "$what" "$path"
}

homes() {
	{
		printf '/root\n'
		cut -d : -f 6 "$root/etc/passwd"
		expand '/home/*' | sed "s#^$root##"
	} | sed 's#^/$##' | sort -u
}

has_mode() { [ "$(stat -c %a "$root$2")" = "$1" ]; }
is_same_file() { [ "$(stat -L -c %i "$root$1")" = "$(stat -L -c %i "$root$2")" ]; }
is_empty_file() { [ -f "$root$1" ] && [ ! -s "$root$1" ]; }
has_once() { [ "$(grep -cx "$1" "$root$2")" = 1 ]; }
has_line() { grep -qx "$1" "$root$2"; }
is_enabled() { systemctl --root="${root:-/}" is-enabled "$1"; }
is_image() { docker image inspect "$1"; }

# Not the recovery entries: update-grub leaves the default arguments out of them.
every_kernel_has_once() { # ARGUMENT
	awk -v argument="$1" '
		$1 == "linux" && !/ (single|recovery)( |$)/ { kernels++; n = 0; for (i = 2; i <= NF; i++) n += $i == argument; if (n != 1) wrong = 1 }
		END { exit wrong || !kernels }' "$root/boot/grub/grub.cfg"
}

installed() { # PATTERN
	# shellcheck disable=SC2016  # dpkg-query's own notation
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$1" 2>/dev/null | sed -n 's/^installed //p'
}

check_absent() {
	while IFS='|' read -r what patterns; do
		# shellcheck disable=SC2086  # a list
		none "$what" "$(expand $patterns)"
	done <<-'END'
		SSH host key left|/etc/ssh/ssh_host_*
		D-Bus machine id left|/var/lib/dbus/machine-id
		random seed left|/var/lib/systemd/random-seed /boot/efi/loader/random-seed
		credential secret left|/var/lib/systemd/credential.secret
		timer stamp left|/var/lib/systemd/timers/*
		core dump left|/var/lib/systemd/coredump/* /var/crash/*
		DHCP state left|/var/lib/dhcp/* /var/lib/dhcpcd/* /var/lib/NetworkManager/* /var/lib/systemd/network/*
		network name rule left|/etc/udev/rules.d/70-persistent-net.rules
		NVMe host id left|/etc/nvme/hostnqn /etc/nvme/hostid
		EFI variables left|/boot/efi/NvVars
		shared TLS key left|/etc/ssl/private/ssl-cert-snakeoil.key
		firmware history left|/var/lib/fwupd/*
		subscription token left|/var/lib/ubuntu-advantage/private/*
		cloud-init instance left|/var/lib/cloud/instances/* /var/lib/cloud/instance /var/lib/cloud/data/* /var/lib/cloud/sem/*
		network of the build machine left|/etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init /etc/systemd/network/*-cloud-init-* /etc/NetworkManager/system-connections/cloud-init-*
		sshd settings of the build machine left|/etc/ssh/sshd_config.d/50-cloud-init.conf
		sudo rule of the build machine left|/etc/sudoers.d/90-cloud-init-users
		package proxy left|/etc/apt/apt.conf.d/*proxy*
		package archive login left|/etc/apt/auth.conf /etc/apt/auth.conf.d/*
		password file backup left|/etc/passwd- /etc/shadow- /etc/group- /etc/gshadow- /etc/subuid- /etc/subgid- /var/backups/*
		journal left|/var/log/journal/*
		swap file left|/swapfile /swap.img
		Docker identity left|/var/lib/docker/engine-id /etc/docker/key.json /var/lib/containerd/io.containerd.grpc.v1.introspection/uuid
		Docker swarm left|/var/lib/docker/swarm/*
		secrets left|/opt/echora/.env /etc/echora/config.toml /root/echora-credentials
		first boot state left|/var/lib/echora/* /var/lib/echora/.[!.]*
		backup left|/opt/echora/backups/*
		override left|/opt/echora/compose.override.yaml
	END
	# shellcheck disable=SC2086  # a list
	none 'unwanted file left' "$(expand ${ECHORA_REMOVE_PATHS:-})"
}

check_files() {
	while IFS='|' read -r what folder; do
		none "$what" "$(if [ -d "$root$folder" ]; then find "$root$folder" -xdev -type f -size +0 ! -path "$root/var/log/journal/*"; fi)"
	done <<-'END'
		log left|/var/log
		package list left|/var/lib/apt/lists
		package list stamp left|/var/lib/apt/periodic
		downloaded package left|/var/cache/apt
		mail left|/var/mail
		cron job left|/var/spool/cron
	END
	# Running services have private folders there, which systemd removes with them.
	none 'temporary file left' "$(find "$root/tmp" "$root/var/tmp" -xdev -mindepth 1 -maxdepth 1 \
		! -path "$0" ! -name 'systemd-private-*')"
}

check_users() {
	while IFS='|' read -r what names; do
		none "$what" "$(homes | while read -r home; do for name in $names; do expand "$home/$name"; done; done)"
	done <<-'END'
		SSH file left|.ssh/* .ssh/.[!.]*
		history left|.*history .*hst .*hsts .histfile .viminfo
		settings of a person left|.docker .netrc .gnupg .gitconfig .cache
	END
	none 'password not locked' "$(awk -F : '$2 != "*" { print "/etc/shadow (" $1 ")" }' "$root/etc/shadow")"
}

check_host() {
	holds 'machine id is not empty' /etc/machine-id is_empty_file /etc/machine-id
	holds 'host name of the build machine' /etc/hostname has_line localhost /etc/hostname
	none 'host name of the build machine' "$(grep -l '^127\.0\.1\.1[[:space:]]' "$root/etc/hosts")"
	none 'iSCSI name left' "$(grep -ls '^InitiatorName=' "$root/etc/iscsi/initiatorname.iscsi")"
	none 'swap file in fstab' "$(awk '$1 ~ "^/" && $1 !~ "^/dev/" && $3 == "swap" { print $1 }' "$root/etc/fstab")"
	holds 'firewall is off' /etc/ufw/ufw.conf has_line ENABLED=yes /etc/ufw/ufw.conf
	for part in before before6 after after6; do
		holds 'rules are missing, or there twice' "/etc/ufw/$part.rules" has_once '# BEGIN echora' "/etc/ufw/$part.rules"
	done
	holds 'security updates are off' /etc/apt/apt.conf.d/20auto-upgrades \
		has_line 'APT::Periodic::Unattended-Upgrade "1";' /etc/apt/apt.conf.d/20auto-upgrades
	for argument in ${ECHORA_KERNEL_ARGUMENTS:-}; do
		holds "kernel argument $argument not there once" /boot/grub/grub.cfg every_kernel_has_once "$argument"
	done
	for package in ${ECHORA_PURGE_PACKAGES:-}; do
		none 'unwanted package left' "$(installed "$package")"
	done
}

check_docker() {
	holds 'Docker does not answer' docker docker info
	none 'container left' "$(docker ps --all --quiet 2>&1)"
	none 'volume left' "$(docker volume ls --quiet 2>&1)"
	none 'network left' "$(docker network ls --filter type=custom --quiet 2>&1)"
	images=$(sed -n 's/^[[:space:]]*image:[[:space:]]*//p' "$root/opt/echora/compose.yaml" 2>/dev/null | tr -d '"'"'" | sort -u)
	holds 'no image named' /opt/echora/compose.yaml [ -n "$images" ]
	for image in $images; do holds 'image missing' "$image" is_image "$image"; done
}

check_present() {
	while read -r mode path; do
		holds "missing, or its mode is not $mode" "$path" has_mode "$mode" "$path"
	done <<-'END'
		755 /usr/local/bin/echora-firstboot
		755 /var/lib/cloud/scripts/per-instance/001_onboot
		755 /etc/update-motd.d/90-echora
		644 /etc/systemd/system/echora-firstboot.service
		644 /etc/systemd/system/echora-climb.service
		644 /etc/echora/provider.toml
		644 /etc/sysctl.d/50-echora-ports.conf
		644 /opt/echora/compose.yaml
		644 /opt/echora/Caddyfile
		755 /opt/echora/frontend
		700 /opt/echora/backups
		700 /var/lib/echora
	END
	for name in echora-doctor echora-domain; do
		holds 'command missing' "$name" is_same_file "/usr/local/bin/$name" /usr/local/bin/echora-firstboot
	done
	for unit in echora-firstboot.service echora-climb.service echora-ssh-host-keys.service docker.service; do
		holds 'unit not enabled' "$unit" is_enabled "$unit"
	done
}

check_absent
check_files
check_users
check_host
check_docker
check_present
if [ "$findings" -gt 0 ]; then
	printf 'error: %s of the promises of this image do not hold\nhint: each line above names one\n' "$findings" >&2
	exit 5
fi
printf 'verify: %s checks passed\n' "$checks"
