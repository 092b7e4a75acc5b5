#!/bin/sh
# setup.sh [--check]: installs what `make` needs and this machine lacks, after naming it. --check only names it (exit 3).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# Debian leaves the system programs off a user's PATH, and a Rust that was installed a moment ago is not on it yet.
PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"
export PATH RUSTUP_AUTO_INSTALL=0

# A package, and the program or file that tells whether it is there.
packages='
ca-certificates         /etc/ssl/certs/ca-certificates.crt
curl                    curl
debian-archive-keyring  /usr/share/keyrings/debian-archive-keyring.gpg
dnsmasq-base            dnsmasq
e2fsprogs               mkfs.ext4
fdisk                   sfdisk
gcc                     gcc
gpg                     gpg
grub-common             grub-mkimage
grub-pc-bin             /usr/lib/grub/i386-pc/boot.img
iproute2                ip
libc6-dev               /usr/include/stdlib.h
mmdebstrap              mmdebstrap
openssh-client          ssh-keygen
python3                 python3
qemu-system-x86         qemu-system-x86_64
qemu-utils              qemu-img
shellcheck              shellcheck
xorriso                 xorriso
'

# usage: fail STATUS WHAT HINT
fail() {
	printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

there() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# usage: value FILE TABLE KEY: the value in a TOML file, without quotes and brackets.
value() {
	awk -v table="[$2]" -v key="$3" '
		/^\[/ { inside = $0 == table }
		inside && $1 == key { sub(/^[^=]*= */, ""); gsub(/["\[\],]/, ""); print }' "$root/$1"
}

# usage: at_least VERSION MINIMUM
at_least() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# usage: each PREFIX WORDS: the words, each with the prefix.
each() {
	for word in $2; do
		echo "$1$word"
	done
}

missing_packages() {
	echo "$packages" | while read -r package proof; do
		[ -z "$package" ] || there "$proof" || echo "$package"
	done
}

channel=$(value rust-toolchain.toml toolchain channel)
components=$(value rust-toolchain.toml toolchain components)
targets=$(value rust-toolchain.toml toolchain targets)

# What is missing of the pinned Rust: rustup itself, the toolchain, or parts of it.
missing_rust() {
	there rustup || {
		echo rustup
		return
	}
	installed=$(rustup component list --installed --toolchain "$channel" 2>/dev/null | tr '\n' ' ')
	[ -n "$installed" ] || {
		echo "toolchain-$channel"
		return
	}
	for part in $components $(each rust-std- "$targets"); do
		case " $installed" in
		*" $part "* | *" $part-"*) ;;
		*) echo "$part" ;;
		esac
	done
}

# Whether the program $1 of tools/tools.toml can be had without building it: the order of ways stands there.
to_be_had() {
	if [ "$(value tools/tools.toml "$1" on_path)" = true ] && there "$1"; then
		# Some say "v1.16.0", some "Packer v1.16.0".
		version=$("$1" version 2>/dev/null | sed -n '1s/^[^0-9]*\([0-9.]*\).*/\1/p')
		at_least "${version:-0}" "$(value tools/tools.toml "$1" minimum)" && return 0
	fi
	arch=$(dpkg --print-architecture)
	[ -n "$(value tools/tools.toml "$1.sha256" "$arch")" ] && there curl || return 1
	version=$(value tools/tools.toml "$1" version)
	url=$(value tools/tools.toml "$1" url | sed "s/{version}/$version/g; s/{arch}/$arch/g")
	curl -fsIL --connect-timeout 5 --max-time 15 -o /dev/null "$url"
}

# Go, when something has to be built. From 1.21 on it fetches by itself the version that a module asks for.
missing_go() {
	version=$(go env GOVERSION 2>/dev/null) || version=go0
	at_least "${version#go}" 1.21 && return
	for tool in packer caddy; do
		to_be_had "$tool" || {
			echo golang-go
			return
		}
	done
}

missing() {
	missing_packages
	missing_rust
	missing_go
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		there sudo || fail 3 'installing needs root' 'run it as root, or install sudo'
		sudo "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

# Nothing that is installed is taken away for what is missing.
install() {
	apt install --no-install-recommends --no-remove "$@"
}

install_go() {
	if [ "$VERSION_ID" != 12 ]; then
		install golang-go
		return
	fi
	# Debian 12's own Go is too old; backports are only used where they are asked for.
	echo 'deb http://deb.debian.org/debian bookworm-backports main' |
		as_root tee /etc/apt/sources.list.d/echora-images-backports.list >/dev/null
	apt update
	install --target-release=bookworm-backports golang-go
}

install_rustup() {
	if [ "$VERSION_ID" != 12 ]; then
		install rustup
		return
	fi
	# Debian 12 has no package: the publisher's installer, checked against the digest beside it.
	url=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	curl -fsS --connect-timeout 10 --remote-name-all --output-dir "$folder" "$url/rustup-init" "$url/rustup-init.sha256"
	digest=$(sha256sum "$folder/rustup-init")
	[ "${digest%% *}" = "$(cut -d ' ' -f 1 "$folder/rustup-init.sha256")" ] ||
		fail 1 "$url/rustup-init is not what its digest says" 'try again later'
	chmod +x "$folder/rustup-init"
	"$folder/rustup-init" -y -q --no-modify-path --profile minimal --default-toolchain none
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0
printf 'missing: %s\n' "$(echo "$wanted" | tr '\n' ' ')" >&2
if [ "${1:-}" = --check ]; then
	exit 3
fi

# shellcheck source=/dev/null
. "${OS_RELEASE:-/etc/os-release}"
case $ID-${VERSION_ID:-} in
debian-12 | debian-13 | ubuntu-24.04) ;;
*) fail 3 "${PRETTY_NAME:-this system} is not one that this script can install on" \
	'install the above yourself, or use Debian 12, Debian 13 or Ubuntu 24.04' ;;
esac

echo 'installing it' >&2
debs=$(missing_packages)
if [ -n "$debs$(missing_go)" ] || ! there rustup; then
	apt update
fi
# A list of words.
# shellcheck disable=SC2086
[ -z "$debs" ] || install $debs
[ -z "$(missing_go)" ] || install_go
there rustup || install_rustup
if [ -n "$(missing_rust)" ]; then
	# shellcheck disable=SC2046
	rustup toolchain install "$channel" --profile minimal $(each --component= "$components") $(each --target= "$targets")
fi
wanted=$(missing)
[ -z "$wanted" ] || fail 1 "still missing: $(echo "$wanted" | tr '\n' ' ')" 'see above for what could not be installed'
