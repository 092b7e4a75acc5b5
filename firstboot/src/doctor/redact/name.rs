//! Names whose values are secrets, as this project, the app and operators choose them.

/// A name that ends so has a secret for a value.
const ENDINGS: [&str; 21] = [
    "password",
    "passwordhash",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authkey",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "privatekey",
    "signature",
    "credential",
    "authorization",
    "cookie",
    "sessionid",
    "invitecode",
    "dsn",
];
/// The same where the name has a `_` in it. Without one these are words as they stand in any sentence.
const ENDINGS_OF_VARIABLES: [&str; 8] =
    ["connectionstring", "cred", "pepper", "psk", "pw", "salt", "webhook", "webhookurl"];
/// What ends so has none.
const HARMLESS: [&str; 3] = ["bypass", "compass", "maxtoken"];
/// Of a variable that has the word in it, these say where a secret is, and what it is called.
const ABOUT_SECRETS: [&str; 4] = ["dir", "file", "name", "path"];
/// Keys that everybody may see, or that open nothing.
const OPEN_KEYS: [&str; 10] = [
    "cachekey",
    "foreignkey",
    "hostkey",
    "idempotencykey",
    "primarykey",
    "pubkey",
    "public",
    "publishable",
    "sitekey",
    "sshhost",
];
/// Their values have spaces in them.
const HEADERS: [&str; 2] = ["authorization", "cookie"];

/// Whether what has this name is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = without_number(name);
    let is_variable = name.contains('_');
    // `API_KEYS`, but not the step that is called `secrets`.
    let one = name.strip_suffix(['s', 'S']).filter(|_| is_variable);
    [Some(name), one].into_iter().flatten().any(|name| is_secret(name, is_variable))
}

/// Whether a header's value goes to the end of its line.
pub(super) fn is_header(name: &str) -> bool {
    ends_with_one_of(&plain(without_number(name)), &HEADERS)
}

fn is_secret(name: &str, is_variable: bool) -> bool {
    let plain = plain(name);
    if ends_with_one_of(&plain, &HARMLESS) {
        return false;
    }
    let is_about_secrets = || plain.contains("secret") && !ends_with_one_of(&plain, &ABOUT_SECRETS);
    ends_with_one_of(&plain, &ENDINGS)
        || is_variable && (ends_with_one_of(&plain, &ENDINGS_OF_VARIABLES) || is_about_secrets())
        || is_key(name) && !OPEN_KEYS.iter().any(|open| plain.contains(open))
}

/// Whether the last of several words is `key`: `SIGNING_KEY`, `signing-key`, `signingKey`.
fn is_key(name: &str) -> bool {
    let (before, word) = name.split_at_checked(name.len().saturating_sub(3)).unwrap_or_default();
    match word {
        "key" | "KEY" => before.ends_with(['_', '-']),
        "Key" => before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'),
        _ => false,
    }
}

/// `API_KEY_2` is one of several.
fn without_number(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | '-'))
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn ends_with_one_of(plain: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| plain.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_operators_give_to_secrets_are_known() {
        for name in [
            "SMTP_PASS",
            "smtpPass",
            "MYSQL_PWD",
            "ADMIN_PW",
            "BACKUP_PASSPHRASE",
            "PASSWORD_HASH",
            "JWT_SIGNING_KEY",
            "signing-key",
            "signingKey",
            "ENCRYPTION_KEY",
            "API_KEY",
            "API_KEY_2",
            "API_KEYS",
            "X-Api-Key",
            "TS_AUTHKEY",
            "BOT_TOKEN",
            "BOT_TOKENS",
            "SECRET_KEY_BASE",
            "CLIENT_SECRET_OLD",
            "GOOGLE_CREDENTIALS",
            "DB_CREDS",
            "SENTRY_DSN",
            "SLACK_WEBHOOK_URL",
            "PASSWORD_SALT",
            "AZURE_CONNECTION_STRING",
            "AccountKey",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn what_tells_nothing_is_left_to_whoever_helps() {
        for name in [
            "SMTP_HOST",
            "SMTP_USER",
            "VAPID_PUBLIC_KEY",
            "STRIPE_PUBLISHABLE_KEY",
            "ssh_host_ed25519_key",
            "RECAPTCHA_SITE_KEY",
            "CACHE_KEY",
            "KEY",
            "key",
            "monkey",
            "PROXY_BYPASS",
            "MAX_TOKENS",
            "JWT_SECRET_FILE",
            "SECRET_NAME",
            "KEY_TYPE",
            "TOKEN_LIFETIME",
            "secrets",
            "tokens",
            "echora-credentials",
            "webhook",
            "example.org.key",
            "",
            "ключ",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
