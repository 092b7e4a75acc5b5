#!/bin/sh
# customize.sh TREE: makes a freshly unpacked Debian tree look like a provider's cloud image.
set -eu

tree=$1

# Root may log in with a key, as on the images of all providers that this project knows.
cat >"$tree/etc/cloud/cloud.cfg.d/95-root.cfg" <<'EOF'
disable_root: false
EOF

# Both consoles that providers show; the last one is /dev/console.
cat >"$tree/etc/default/grub" <<'EOF'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=tty1 console=ttyS0"
EOF

printf 'LABEL=%s / ext4 defaults,discard 0 1\n' "$ROOT_LABEL" >"$tree/etc/fstab"
printf 'localhost\n' >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$tree/etc/hosts"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$tree/etc/resolv.conf"

# The first grub.cfg; update-grub in the machine replaces it, with the modules that lie beside it.
mkdir -p "$tree/boot/grub"
cp -r "$tree/usr/lib/grub/i386-pc" "$tree/boot/grub/i386-pc"
kernel=$(basename "$(find "$tree/boot" -name 'vmlinuz-*')")
cat >"$tree/boot/grub/grub.cfg" <<EOF
set timeout=0
linux /boot/$kernel root=LABEL=$ROOT_LABEL ro console=tty1 console=ttyS0
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
EOF

# cloud-init sets static addresses on a link that it has brought up before networkd runs. Without a link-local address
# the link stays "configuring" and the wait for it uses up its two minutes; any usable address is enough to go on.
mkdir -p "$tree/etc/systemd/system/systemd-networkd-wait-online.service.d"
cat >"$tree/etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf" <<'EOF'
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=30
EOF

rm -f "$tree"/etc/ssh/ssh_host_* "$tree/var/lib/dbus/machine-id"
: >"$tree/etc/machine-id"
