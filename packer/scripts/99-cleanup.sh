#!/bin/sh
# Removes what belongs to the build machine, so that a clone gets its own identity and nobody's secrets.
# Packer's SSH connection stays: nothing here touches sshd or the network, and nothing may reconnect afterwards.
# `cloud-init clean` would take the per-instance hook along, so its folders are emptied one by one:
# https://github.com/canonical/cloud-init/blob/main/cloudinit/cmd/clean.py
set -eu

: "${ECHORA_PAYLOAD:?is set by the Packer template; it is not meant for a machine that is to be kept}"
root=${ECHORA_ROOT:-}

remove() { # PATTERN...
	for pattern; do
		# shellcheck disable=SC2086  # the pattern is to be expanded
		rm -rf -- "$root"$pattern
	done
}

remove_files_below() { # FOLDER...; the folders stay, with the owners that services expect
	for folder; do
		if [ -d "$root$folder" ]; then find "$root$folder" -xdev -type f -delete; fi
	done
}

# What still writes: each would put back what is removed below.
stop_writers() {
	for unit in unattended-upgrades.service syslog.socket rsyslog.service; do
		systemctl stop "$unit" 2>/dev/null || : # not on every system
	done
	# Saves its seed when it is stopped; at power-off that would be after the clean-up.
	systemctl stop systemd-random-seed.service
	# From here on the journal is kept in memory only.
	journalctl --relinquish-var
}

# cloud-init makes the new host keys; where it fails, sshd would not start and leave nobody a way in.
# Enabled before cloud-init's network files go: the reload that comes with it makes the running network from them anew.
provide_host_keys() {
	unit=echora-ssh-host-keys.service
	cat >"$root/etc/systemd/system/$unit" <<-'END'
		[Unit]
		Description=SSH host keys, where cloud-init has made none
		After=cloud-init.service cloud-init-network.service
		Before=ssh.service
		ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key

		[Service]
		Type=oneshot
		ExecStart=/usr/bin/ssh-keygen -A

		[Install]
		WantedBy=ssh.service
	END
	chmod 0644 "$root/etc/systemd/system/$unit"
	systemctl enable "$unit"
}

# Images stay: they have tags. Docker goes on running: the last check asks it, and a new start would write a new engine id.
clean_docker() {
	docker ps --all --quiet | xargs -r docker rm --force --volumes
	docker volume ls --quiet | xargs -r docker volume rm --force
	docker system prune --force
	remove /var/lib/docker/engine-id '/var/lib/docker/swarm/*' /etc/docker/key.json \
		/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid
}

clean_packages() {
	apt-get -o DPkg::Lock::Timeout=300 clean
	remove_files_below /var/lib/apt/lists /var/lib/apt/periodic /var/cache/apt
	remove '/etc/apt/apt.conf.d/*proxy*' '/etc/apt/auth.conf.d/*' /etc/apt/auth.conf
}

# No swap in an image: it would be copied into every snapshot.
clean_swap() {
	# shellcheck disable=SC2016  # awk's fields
	is_swap_file='$1 ~ "^/" && $1 !~ "^/dev/" && $3 == "swap"'
	swapoff --all
	remove /swapfile /swap.img
	awk "$is_swap_file { print \$1 }" "$root/etc/fstab" | while read -r file; do remove "$file"; done
	kept=$(awk "!($is_swap_file)" "$root/etc/fstab")
	printf '%s\n' "$kept" >"$root/etc/fstab"
}

clean_identity() {
	: >"$root/etc/machine-id"
	printf 'localhost\n' >"$root/etc/hostname"
	sed -i '/^127\.0\.1\.1[[:space:]]/d' "$root/etc/hosts"
	if [ -f "$root/etc/iscsi/initiatorname.iscsi" ]; then printf 'GenerateName=yes\n' >"$root/etc/iscsi/initiatorname.iscsi"; fi
	remove /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret \
		'/var/lib/systemd/timers/*' '/var/lib/systemd/coredump/*' '/var/lib/systemd/network/*' '/var/crash/*' \
		/etc/nvme/hostnqn /etc/nvme/hostid /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem \
		/boot/efi/NvVars /boot/efi/loader/random-seed '/var/lib/fwupd/*' '/var/lib/ubuntu-advantage/private/*' \
		'/var/lib/dhcp/*' '/var/lib/dhcpcd/*' '/var/lib/NetworkManager/*' /etc/udev/rules.d/70-persistent-net.rules
}

clean_cloud_init() {
	remove '/var/lib/cloud/instances/*' /var/lib/cloud/instance '/var/lib/cloud/data/*' '/var/lib/cloud/sem/*' \
		/etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init '/etc/systemd/network/*-cloud-init-*' \
		'/etc/NetworkManager/system-connections/cloud-init-*' /etc/ssh/sshd_config.d/50-cloud-init.conf \
		/etc/sudoers.d/90-cloud-init-users
}

clean_app() {
	remove /opt/echora/.env /opt/echora/compose.override.yaml '/opt/echora/backups/*' '/var/lib/echora/*' \
		'/var/lib/echora/.[!.]*' /root/echora-credentials /etc/echora/config.toml
	printf '%s\n' "${ECHORA_REMOVE_PATHS:-}" | tr ' ' '\n' | while read -r path; do
		if [ -n "$path" ]; then remove "$path"; fi
	done
}

homes() {
	{
		printf '/root\n'
		cut -d : -f 6 "$root/etc/passwd"
		for home in "$root"/home/*; do printf '%s\n' "${home#"$root"}"; done
	} | sed 's#^/$##' | sort -u
}

clean_users() {
	homes | while read -r home; do
		remove "$home/.*history" "$home/.histfile" "$home/.*hst" "$home/.*hsts" "$home/.viminfo" "$home/.cache" "$home/.gnupg" \
			"$home/.gitconfig" "$home/.netrc" "$home/.docker" "$home/.sudo_as_admin_successful"
	done
	# Exactly `*`: marketplaces' own checks take it, but not the `!*` that passwd -l makes of it.
	sed -i 's/^\([^:]*\):[^:]*:/\1:*:/' "$root/etc/shadow"
	remove '/etc/passwd-' '/etc/shadow-' '/etc/group-' '/etc/gshadow-' '/etc/subuid-' '/etc/subgid-' '/var/backups/*'
	remove_files_below /var/mail /var/spool/cron /var/lib/sudo
}

clean_logs() {
	remove_files_below /var/log /var/lib/logrotate /var/lib/wtmpdb /var/lib/lastlog
	remove '/var/log/journal/*' /var/lib/plocate/plocate.db
}

# Not Packer's own script, and not the private folders of running services, which systemd removes itself.
clean_temporary() {
	remove "$ECHORA_PAYLOAD"
	for folder in /tmp /var/tmp; do
		find "$root$folder" -xdev -mindepth 1 -maxdepth 1 ! -path "$0" ! -name 'systemd-private-*' -exec rm -rf {} +
	done
}

close_the_door() {
	remove '/etc/ssh/ssh_host_*'
	homes | while read -r home; do
		if [ -d "$root$home/.ssh" ]; then find "$root$home/.ssh" -mindepth 1 -delete; fi
	done
}

shrink() {
	if [ "${ECHORA_ZERO_FILL:-0}" = 1 ]; then
		# Ends when the disk is full, which is the aim.
		dd if=/dev/zero of="$root/var/tmp/zeros" bs=1M 2>/dev/null || :
		sync
		rm -f "$root/var/tmp/zeros"
	fi
	if [ "${ECHORA_TRIM:-0}" = 1 ]; then
		fstrim --all || printf 'fstrim: this disk does not take it; the snapshot is only larger\n' >&2
	fi
	sync
}

stop_writers
provide_host_keys
clean_docker
clean_packages
clean_swap
clean_identity
clean_cloud_init
clean_app
clean_users
clean_logs
clean_temporary
close_the_door
shrink
