#!/bin/sh
# Puts the container images into Docker under their local tags, and the stack into /opt/echora.
set -eu

: "${ECHORA_PAYLOAD:?is set by the Packer template; it is not meant for a machine that is to be kept}"
root=${ECHORA_ROOT:-}
home=$root/opt/echora

fail() { # CODE WHAT HINT
	printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

seconds() { # since power-on: not moved by the clock being set during the first boot
	read -r up _ </proc/uptime
	printf '%s' "${up%.*}"
}

# One line per image, "TAG archive|reference SOURCE", after checking what can be checked before Docker sees it.
# An archive is known by the digest of its configuration: what Docker calls the image's id depends on its image store.
list_images() {
	python3 - "$ECHORA_PAYLOAD" <<-'END'
		import hashlib, json, pathlib, sys, tarfile

		payload = pathlib.Path(sys.argv[1])

		def config_digest(path):
		    with tarfile.open(path) as archive:
		        manifest = json.load(archive.extractfile("manifest.json"))
		        config = archive.extractfile(manifest[0]["Config"]).read()
		    return "sha256:" + hashlib.sha256(config).hexdigest()

		for image in json.loads((payload / "images.json").read_text()):
		    name, reference, archive = image["name"], image.get("reference"), image.get("archive")
		    if archive:
		        found = config_digest(payload / archive)
		        if image.get("digest") not in (None, found):
		            sys.exit(f"{name}: {archive} holds {found}, images.json says {image['digest']}")
		        print(image["tag"], "archive", payload / archive)
		    elif reference and "@sha256:" in reference:
		        print(image["tag"], "reference", reference)
		    else:
		        sys.exit(f"{name}: neither an archive nor a reference with a digest")
	END
}

pull() { # REFERENCE; Docker itself checks what it gets against the digest in it
	deadline=$(($(seconds) + 900))
	until docker pull --quiet "$1" >/dev/null; do
		[ "$(seconds)" -lt "$deadline" ] || fail 1 "cannot pull $1" 'does the build machine reach that registry?'
		sleep 5
	done
	printf '%s' "$1"
}

load() { # ARCHIVE; prints the name or id that Docker gives it
	docker load --input "$1" | sed -n 's/^Loaded image\( ID\)\{0,1\}: //p' | head -n 1
}

install_images() {
	list=$(list_images) || fail 1 'images.json and the archives do not fit together' 'build the payload again'
	[ -n "$list" ] || fail 1 'images.json names no image' 'build the payload again'
	while read -r tag kind source; do
		case $kind in
		archive) loaded=$(load "$source") ;;
		*) loaded=$(pull "$source") ;;
		esac
		[ -n "$loaded" ] || fail 1 "Docker did not load $source" 'is it an archive as docker save writes it?'
		[ "$loaded" = "$tag" ] || docker tag "$loaded" "$tag"
		docker image inspect --format "$tag {{.Id}}" "$tag"
	done <<-END
		$list
	END
}

# Modes are set here: what an upload keeps of them depends on the maintainer's checkout.
install_stack() {
	install -d -m 0755 "$home"
	install -d -m 0700 "$home/backups" "$root/var/lib/echora"
	install -m 0644 "$ECHORA_PAYLOAD/stack/compose.yaml" "$home/compose.yaml"
	rm -rf "$home/frontend"
	cp -R "$ECHORA_PAYLOAD/frontend" "$home/frontend"
	find "$home/frontend" -type d -exec chmod 0755 {} +
	find "$home/frontend" -type f -exec chmod 0644 {} +
}

install_images
install_stack
