#!/bin/bash
# First boot as 1-Click images of the field have it, written for this stack with what the clearest of them do. It closes no
# door, proves nothing and cannot go on after a power cut. Each habit with where it is from:
# https://github.com/digitalocean/droplet-1-clicks, files/var/lib/cloud/scripts/per-instance/001_onboot of an app's folder.
set -euo pipefail
cd /opt/echora

# The machine's first address (strapi-24-04), without asking the provider.
address=$(hostname -I | awk '{print $1}')

# Placeholders of a template are replaced by random values (strapi-24-04, buzz-24-04).
umask 077
printf '%s=PLACEHOLDER\n' POSTGRES_PASSWORD JWT_SECRET HMAC_SECRET ANNOUNCED_IP >.env
for name in POSTGRES_PASSWORD JWT_SECRET HMAC_SECRET; do
	sed -i "s|^$name=.*|$name=$(openssl rand -base64 32 | tr -d '=+/' | cut -c1-32)|" .env
done
sed -i "s|^ANNOUNCED_IP=.*|ANNOUNCED_IP=$address|" .env

# The web server's configuration with the address in it (buzz-24-04).
install -d -o 10001 -g 10001 -m 0700 /var/lib/echora/uploads
install -d -o 10002 -g 10002 -m 0700 /var/lib/echora/caddy-data
chmod 0755 /var/lib/echora
install -d -m 0755 /var/lib/echora/caddy
umask 022
printf 'default_sni PLACEHOLDER_DOMAIN\n' >/var/lib/echora/caddy/echora.options
printf 'https://PLACEHOLDER_DOMAIN {\n\ttls internal\n\timport site\n}\n' >/var/lib/echora/caddy/echora.sites
sed -i "s/PLACEHOLDER_DOMAIN/$address/" /var/lib/echora/caddy/echora.options /var/lib/echora/caddy/echora.sites

# Everything at once (supabase-24-04), then a pause "for services to be ready" (strapi-24-04: sleep 10).
docker compose up -d
sleep 10

# What comes after needs the app: it is asked until it answers.
until curl -fsSk "https://$address/api/health" >/dev/null; do
	sleep 2
done

password=$(openssl rand -base64 12)
until curl -fsSk -H 'Content-Type: application/json' "https://$address/api/auth/register" \
	-d "{\"username\":\"admin\",\"email\":\"admin@example.org\",\"password\":\"$password\"}" >/dev/null; do
	sleep 2
done
printf 'URL: https://%s\nUsername: admin\nPassword: %s\n' "$address" "$password" | tee /root/echora-credentials >/dev/ttyS0
