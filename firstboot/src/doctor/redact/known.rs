//! The secrets that lie on this machine: what first boot made, what the buyer chose, what the operator added.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{is_secret_name, place};
use crate::files;
use crate::system::System;

/// A value in `.env` is a secret whatever its name, but for these.
const PUBLIC: [&str; 2] = ["ANNOUNCED_IP", "TUNED_FOR_MB"];
/// Masking less would spoil every text and protect nothing.
const SHORTEST: usize = 4;
/// A value whose name says nothing.
const SHORTEST_UNNAMED: usize = 8;
/// Nobody writes settings of more bytes than this.
const LARGEST: u64 = 1 << 20;

/// All of them.
pub(super) fn secrets(system: &System) -> Vec<String> {
    let environment = files::read(&system.environment()).ok().flatten().unwrap_or_default();
    let mut secrets: Vec<String> = environment
        .lines()
        .flat_map(assignment)
        .filter(|(name, value)| {
            let is_tuning = PUBLIC.contains(&name.as_str()) || crate::tuning::NAMES.contains(&name.as_str());
            !is_tuning && value.len() >= SHORTEST_UNNAMED
        })
        .map(|(_, value)| value)
        .collect();
    for path in places(system) {
        let Some(text) = small_text(&path) else { continue };
        let mut found: Vec<(String, String)> = text.lines().flat_map(parts).flat_map(assignment).collect();
        if let Ok(tree) = serde_json::from_str(&text) {
            walk("", &tree, &mut found);
        }
        // What is escaped in a text is known by what it means.
        if let Ok(tree) = toml::from_str(&text) {
            walk("", &tree, &mut found);
        }
        let named = found.into_iter().filter(|(name, value)| is_secret_name(name) && value.len() >= SHORTEST);
        secrets.extend(named.map(|(_, value)| value));
        // The app that is sent to the address says the password alone.
        let passwords = place::passwords(&text).flat_map(|password| [password.to_owned(), decoded(password)]);
        secrets.extend(passwords.filter(|password| password.len() >= SHORTEST));
    }
    secrets
}

/// Files that may hold one.
fn places(system: &System) -> Vec<PathBuf> {
    let mut places = vec![
        system.environment(),
        system.credentials(),
        system.stack().join("compose.override.yaml"),
        system.stack().join("compose.override.yml"),
    ];
    for folder in ["/etc/echora", "/var/lib/echora"] {
        let entries = fs::read_dir(system.path(folder)).into_iter().flatten().flatten();
        places.extend(entries.map(|entry| entry.path()).filter(|path| path.is_file()));
    }
    // What first boot keeps there is masked; the source of a password is not a password.
    places.retain(|path| *path != system.state());
    places
}

fn small_text(path: &Path) -> Option<String> {
    (fs::metadata(path).ok()?.len() <= LARGEST)
        .then(|| fs::read(path).ok())?
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A line, and what in its brackets may be an assignment of its own: `{SMTP_PASS: x, MODE: y}`.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    let inner = line.split_once(['{', '[']).map(|(_, inner)| inner.split(['{', '}', '[', ']', ',']));
    std::iter::once(line).chain(inner.into_iter().flatten())
}

/// `name=value` or `name: value`, as in settings of most kinds: the value with and without quotes and comment.
fn assignment(line: &str) -> Vec<(String, String)> {
    let line = line.trim().trim_start_matches("- ").trim_start_matches("export ").trim_start();
    let sign = line.find(['=', ':']).unwrap_or(line.len());
    let name = line[..sign].trim().trim_matches(['"', '\'']).to_owned();
    let value = line.get(sign + 1..).unwrap_or_default().trim().trim_end_matches(',');
    let bare = value.split(" #").next().unwrap_or_default().trim();
    let quoted = value.get(1..).and_then(|rest| Some(rest.split_at(rest.find(value.chars().next()?)?).0));
    let quoted = quoted.filter(|_| value.starts_with(['"', '\'']));
    // `"NAME=value"`
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''));
    let within = quote.and_then(|quote| value.split(quote).next());
    let forms = [Some(value), Some(bare), quoted, within].into_iter().flatten();
    forms.map(|form| (name.clone(), form.to_owned())).collect()
}

/// What `p%40ss` is in an address.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        bytes.extend(&part.as_bytes()[if code.is_some() { 2 } else { 0 }..]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn walk(name: &str, tree: &Value, found: &mut Vec<(String, String)>) {
    match tree {
        Value::String(text) => found.push((name.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| walk(name, item, found)),
        // `{"admin_password": {"value": "..."}}` is of that name too.
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let own = if is_secret_name(name) { name } else { key };
            walk(own, value, found);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_read_in_its_own_form() {
        let folder = tempfile::tempdir().unwrap();
        let system = System { root: folder.path().into(), ..System::default() };
        let put = |path: PathBuf, text: &str| files::write(&path, 0o600, text).unwrap();
        put(
            system.environment(),
            "JWT_SECRET=made-by-us\nMINE='with # and quotes'\nANNOUNCED_IP=203.0.113.7\nA=short\n",
        );
        put(
            system.config(),
            "domain = 'chat.example.org'\nadmin_password = \"a\\\"b c\" # mine\n[backup.s3]\nsecret_access_key = 's3cret'\n",
        );
        put(system.state(), r#"{"inputs":{"admin_password":{"value":"***","source":"config.toml"}}}"#);
        put(system.owner(), r#"{"username":"admin","password":"own\\er"}"#);
        put(system.credentials(), "Username: admin\nPassword: abcd-efgh\n");
        put(
            system.stack().join("compose.override.yaml"),
            "services:\n  x:\n    environment:\n      - API_TOKEN=tok-1\n      SMTP_PASSWORD: mail # it\n      - \"LIST_PASS=list-1\"\n\
             \x20 y: {environment: {SIGNING_KEY: flow-1, MODE: quietly}, command: ['--x', 'A_PASS=flow-2']}\n\
             \x20     BROKER: amqp://bot:p%40ss-1@mq/x\n      JWT_SECRET_FILE: /run/secrets/jwt\n      PUBLIC_KEY: age1open\n",
        );
        put(system.path("/var/lib/echora/backup.env"), "export RESTIC_PASSWORD=rest-1\n");
        let known = secrets(&system);
        for secret in [
            "made-by-us",
            "with # and quotes",
            "a\"b c",
            "s3cret",
            "own\\er",
            "abcd-efgh",
            "tok-1",
            "mail",
            "list-1",
            "flow-1",
            "flow-2",
            "p%40ss-1",
            "p@ss-1",
            "rest-1",
        ] {
            assert!(known.iter().any(|one| one == secret), "{secret}: {known:?}");
        }
        let public = [
            "203.0.113.7",
            "chat.example.org",
            "admin",
            "short",
            "config.toml",
            "quietly",
            "bot",
            "/run/secrets/jwt",
            "age1open",
        ];
        for public in public {
            assert!(!known.iter().any(|one| one == public), "{public}: {known:?}");
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_read_by_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let system = System { root: folder.path().into(), ..System::default() };
        files::write(&system.config(), 0o600, "domain = [\nadmin_password = \"hunter22\"\n").unwrap();
        assert!(secrets(&system).iter().any(|one| one == "hunter22"));
    }
}
