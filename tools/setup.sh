#!/bin/sh
# setup.sh [--check]: installs what building and rehearsing need, after naming it. Runs again in a moment when nothing
# is missing. For Debian 12, Debian 13 and Ubuntu 24.04, as root or with sudo.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml")
targets=$(sed -n 's/^targets = \[\(.*\)\]/\1/p' "$root/rust-toolchain.toml" | tr -d '",')
PATH=$PATH:$HOME/.cargo/bin

fail() { # CODE WHAT HINT
	printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A program and the package that brings it; programs for root may not be on a user's PATH.
programs() {
	cat <<-'END'
		cc gcc
		curl curl
		debugfs e2fsprogs
		dnsmasq dnsmasq-base
		git git
		gpg gpg
		grub-mkimage grub-common
		ip iproute2
		jq jq
		make make
		mkfs.btrfs btrfs-progs
		mmdebstrap mmdebstrap
		nmap nmap
		python3 python3
		qemu-aarch64 qemu-user
		qemu-img qemu-utils
		qemu-system-x86_64 qemu-system-x86
		sfdisk fdisk
		shellcheck shellcheck
		ssh openssh-client
		systemd-nspawn systemd-container
		xorriso xorriso
	END
	# Ubuntu has it as a snap only; there the test that takes pictures says that it does not.
	if grep -q '^ID=debian' /etc/os-release; then printf 'chromium chromium\n'; fi
}

files() {
	cat <<-'END'
		/etc/ssl/certs/ca-certificates.crt ca-certificates
		/usr/include/stdio.h libc6-dev
		/usr/lib/grub/i386-pc/boot.img grub-pc-bin
		/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
	END
}

missing_packages() {
	programs | while read -r program package; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null 2>&1 || printf '%s\n' "$package"
	done
	files | while read -r file package; do
		[ -e "$file" ] || printf '%s\n' "$package"
	done
}

# Rust: the toolchain, its parts and the targets of the guest binary.
missing_rust() {
	command -v rustup >/dev/null 2>&1 || {
		printf 'rustup\n'
		return
	}
	library=$(rustup run "$toolchain" rustc --print sysroot 2>/dev/null || true)/lib/rustlib
	[ -d "$library" ] || printf 'rust-%s\n' "$toolchain"
	for target in $targets; do
		[ -d "$library/$target" ] || printf 'rust-std-%s\n' "$target"
	done
	for part in cargo-clippy cargo-fmt; do
		[ -x "$library/../../bin/$part" ] || printf '%s\n' "$part"
	done
}

# Go builds what has no release that is pinned and runs the providers' own clients; from 1.21 on it fetches the version
# that a module asks for itself.
missing_go() {
	version=$(go env GOVERSION 2>/dev/null || true)
	oldest=$(printf 'go1.21\n%s\n' "${version:-go0}" | sort -V | head -n 1)
	if [ "$oldest" != go1.21 ]; then printf 'golang-go\n'; fi
}

check_system() {
	system=$(
		# shellcheck source=/dev/null
		. /etc/os-release
		printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}"
	)
	case $system in
	'debian 12' | 'debian 13' | 'ubuntu 24.04') ;;
	*) fail 3 "this system is $system" 'use Debian 12, Debian 13 or Ubuntu 24.04; a build in an account only needs Rust and Packer' ;;
	esac
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 || fail 3 'neither root nor sudo' 'run it as root'
}

install() {
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

install_go() {
	if [ "$system" = 'debian 12' ]; then
		# Its own Go is too old to fetch a newer one.
		printf 'deb http://deb.debian.org/debian bookworm-backports main\n' |
			as_root tee /etc/apt/sources.list.d/bookworm-backports.list >/dev/null
		as_root apt-get update -q
		set -- --target-release=bookworm-backports
	fi
	install "$@" golang-go
}

# Debian 12 has no package of it: the publisher's installer, whole by the digest beside it.
install_rustup() {
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	url=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init
	curl -fsS --fail-early --connect-timeout 10 -o "$folder/rustup-init" "$url" -o "$folder/sha256" "$url.sha256" ||
		fail 3 'rustup cannot be fetched' 'install it by hand: https://rustup.rs'
	digest=$(sha256sum "$folder/rustup-init")
	case $(cat "$folder/sha256") in
	"${digest%% *}"*) ;;
	*) fail 1 "$url is not what its digest says" 'try again later' ;;
	esac
	chmod +x "$folder/rustup-init"
	"$folder/rustup-init" -y -q --no-modify-path --profile minimal --default-toolchain none
}

install_rust() {
	if ! command -v rustup >/dev/null 2>&1; then
		if [ "$system" = 'debian 12' ]; then
			install_rustup
		else
			install rustup
		fi
	fi
	# A distribution's rustup cannot update itself, and some fail for trying.
	rustup toolchain install "$toolchain" --profile minimal --no-self-update --component rustfmt,clippy
	# shellcheck disable=SC2086  # a list
	rustup target add --toolchain "$toolchain" $targets
}

packages=$(missing_packages)
go=$(missing_go)
rust=$(missing_rust)
if [ -z "$packages$go$rust" ]; then exit 0; fi
check_system
printf 'missing here:\n'
# shellcheck disable=SC2086  # lists
printf '  %s\n' $packages $go $rust
if [ "${1:-}" = --check ]; then exit 3; fi
if [ "$packages$go" ] || ! command -v rustup >/dev/null 2>&1; then as_root apt-get update -q; fi
# shellcheck disable=SC2086  # a list
[ -z "$packages" ] || install $packages
[ -z "$go" ] || install_go
[ -z "$rust" ] || install_rust
left=$(missing_packages && missing_go && missing_rust)
[ -z "$left" ] || fail 1 "still missing: $(printf '%s' "$left" | tr '\n' ' ')" 'look above for what could not be installed'
