#!/bin/sh
# Looks at the machine as it will be copied, and names everything that must not be in an image or is missing from it.
# It repeats what the clean-up promises in its own words: a line that is forgotten there is found here.
# ECHORA_ROOT: a folder to look at in place of the running machine.
set -eu

root=${ECHORA_ROOT:-}
checks=0
findings=0

finding() { # WHAT PATH
	printf 'verify: %s: %s\n' "$1" "$2" >&2
	findings=$((findings + 1))
}

absent() { # WHAT PATTERN...
	what=$1
	shift
	checks=$((checks + 1))
	for pattern; do
		# shellcheck disable=SC2086  # the pattern is to be expanded
		for path in "$root"$pattern; do
			if [ -e "$path" ] || [ -L "$path" ]; then finding "$what" "${path#"$root"}"; fi
		done
	done
}

listed() { # WHAT, one path a line on stdin; none is expected
	checks=$((checks + 1))
	while read -r path; do
		if [ -n "$path" ]; then finding "$1" "${path#"$root"}"; fi
	done
}

holds() { # WHAT PATH COMMAND...
	what=$1
	path=$2
	shift 2
	checks=$((checks + 1))
	"$@" >/dev/null 2>&1 || finding "$what" "$path"
}

filled_files() { # FOLDER...
	for folder; do
		if [ -d "$root$folder" ]; then find "$root$folder" -xdev -type f -size +0; fi
	done
}

homes() {
	{
		printf '/root\n'
		cut -d : -f 6 "$root/etc/passwd"
		for home in "$root"/home/*; do printf '%s\n' "${home#"$root"}"; done
	} | sed 's#^/$##' | sort -u
}

words() { printf '%s' "$1" | tr -s ' ' '\n'; }

has_mode() { [ "$(stat -c %a "$root$2")" = "$1" ]; }

is_empty_file() { [ -f "$root$1" ] && [ ! -s "$root$1" ]; }

has_line() { grep -qx "$1" "$root$2"; }

is_enabled() { systemctl --root="${root:-/}" is-enabled "$1"; }

check_identity() {
	while IFS='|' read -r what patterns; do
		# shellcheck disable=SC2046  # a list of patterns, which are expanded below the root only
		(set -f; words "$patterns") >/dev/null
		set -f
		# shellcheck disable=SC2086
		set -- $patterns
		set +f
		absent "$what" "$@"
	done <<-'END'
	END
}
