#!/bin/sh
# timed.sh NAME COMMAND...: runs the commands one after another and says where the time went.
set -eu

name=$1
shift
began=$(date +%s)
summary=
for command in "$@"; do
	start=$(date +%s)
	sh -c "$command"
	summary="$summary  $(($(date +%s) - start)) s  $command
"
done
printf '\nmake %s took %s s:\n%s' "$name" "$(($(date +%s) - began))" "$summary"
