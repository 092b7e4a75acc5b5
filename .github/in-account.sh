#!/bin/sh
# build | prune: builds an image in an account, or removes what a build left there. Hands the credential SECRET over as the variable TOKEN, or as the path of a file with it where the
# provider HOLDS a key-file, and the ACCOUNT's settings out of VARIABLES, a JSON object.
set -eu
umask 077

if [ "$HOLDS" = key-file ] && [ -n "$SECRET" ]; then
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	printf '%s\n' "$SECRET" >"$folder/key"
	SECRET=$folder/key
fi
export "$TOKEN=$SECRET"
for name in $ACCOUNT; do
	value=$(printf '%s' "$VARIABLES" | jq -r --arg name "$name" '.[$name] // ""')
	export "$name=$value"
done
# The plugin needs none of them by these names.
unset SECRET VARIABLES
case $1 in
build) set -- build "$PROVIDER" --arch "$ARCHITECTURE" --images "$IMAGES" --frontend "$FRONTEND" --out "$OUT" ;;
prune) set -- prune --provider "$PROVIDER" ;;
esac
target/release/echora-images "$@"
