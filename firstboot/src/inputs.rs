//! What the buyer wants: one schema, several ways in. A value that cannot be used is named and its default taken.

use std::collections::BTreeMap;

use provider_profiles::InputSource;
use toml::{Table, Value};

use crate::metadata::Client;

const USERNAME: &str = "admin";

/// The settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    pub(crate) domain: Option<String>,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    /// Chosen by the buyer; never printed but in the login.
    pub(crate) password: Option<Chosen>,
    pub(crate) server_name: Option<String>,
    pub(crate) invite_only: bool,
}

/// A password that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chosen(pub(crate) String);

impl std::fmt::Debug for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A check of one setting: the value to use, or why it cannot be.
type Check = fn(&str) -> Result<String, &'static str>;

/// Every setting with its check, which mirrors the app's own rules.
const SETTINGS: [(&str, Check); 8] = [
    ("domain", domain),
    ("email", email),
    ("admin_username", username),
    ("admin_email", email),
    ("admin_password", password),
    ("server_name", server_name),
    ("registration", registration),
    ("backup", not_yet),
];

/// Reads the operator's file and the provider's variables, the file first. The second part of the result says in
/// words what could not be used.
pub(crate) fn read(
    file: Option<&str>,
    sources: &[InputSource],
    mut client: Option<&mut Client>,
) -> (Inputs, Vec<String>) {
    let mut problems = Vec::new();
    let mut found = BTreeMap::new();
    if let Some(text) = file {
        from_file(text, &mut found, &mut problems);
    }
    for source in sources {
        if let (InputSource::MetadataVariable { path, headers, .. }, Some(client)) =
            (source, client.as_deref_mut())
        {
            for (name, check) in SETTINGS.iter().filter(|(name, _)| *name != "backup") {
                if found.contains_key(*name) {
                    continue;
                }
                match client.variable(&path.replace("{name}", name), headers) {
                    Ok(Some(value)) => take(name, *check, &value, &mut found, &mut problems),
                    Ok(None) => {}
                    Err(error) => {
                        problems.push(format!("the provider's variables cannot be read: {error:#}"));
                        break;
                    }
                }
            }
        }
    }
    (Inputs::of(&found), problems)
}

impl Inputs {
    fn of(found: &BTreeMap<&str, String>) -> Self {
        let text = |name: &str| found.get(name).cloned();
        Self {
            domain: text("domain"),
            username: text("admin_username").unwrap_or_else(|| USERNAME.to_owned()),
            email: text("admin_email").or_else(|| text("email")),
            password: text("admin_password").map(Chosen),
            server_name: text("server_name"),
            invite_only: found.get("registration").is_some_and(|mode| mode == "invite_only"),
        }
    }

    /// The owner's address: the app wants one with a dot in the domain, and never writes to it.
    pub(crate) fn email(&self) -> String {
        let domain = self.domain.as_deref().unwrap_or("echora.invalid");
        self.email.clone().unwrap_or_else(|| format!("{}@{domain}", self.username))
    }
}

fn from_file(text: &str, found: &mut BTreeMap<&'static str, String>, problems: &mut Vec<String>) {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // Its own message would show the line, which may be the password's.
            let line =
                error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count().max(1));
            problems.push(format!("/etc/echora/config.toml cannot be read (line {line}): defaults are used"));
            return;
        }
    };
    for (key, value) in &table {
        let Some((name, check)) = SETTINGS.iter().find(|(name, _)| name == key) else {
            let known = SETTINGS.map(|(name, _)| name).join(", ");
            problems.push(format!("/etc/echora/config.toml: unknown setting {key}; known are {known}"));
            continue;
        };
        match value {
            Value::String(value) => take(name, *check, value, found, problems),
            Value::Table(_) if *name == "backup" => take(name, *check, "", found, problems),
            _ => problems.push(format!("{name}: it must be a text in quotes; the default is used")),
        }
    }
}

fn take(
    name: &'static str,
    check: Check,
    value: &str,
    found: &mut BTreeMap<&'static str, String>,
    problems: &mut Vec<String>,
) {
    match check(value.trim()) {
        Ok(value) => drop(found.insert(name, value)),
        Err(why) => problems.push(format!("{name}: {why}; the default is used")),
    }
}

fn username(value: &str) -> Result<String, &'static str> {
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (2..=32).contains(&value.len()) && plain {
        true => Ok(value.to_owned()),
        false => Err("it must have 2 to 32 letters a-z, digits, _ or -"),
    }
}

fn email(value: &str) -> Result<String, &'static str> {
    let fits = value.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty()
            && !value.contains(char::is_whitespace)
            && value.len() <= 254
            && domain(host).is_ok()
    });
    if fits { Ok(value.to_lowercase()) } else { Err("it must be an e-mail address whose domain has a dot") }
}

fn domain(value: &str) -> Result<String, &'static str> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let named = value.rsplit('.').next().is_some_and(|top| top.bytes().any(|b| b.is_ascii_alphabetic()));
    match value.len() <= 253 && value.contains('.') && named && value.split('.').all(label) {
        true => Ok(value.to_lowercase()),
        false => Err("it must be a domain name such as chat.example.org"),
    }
}

fn password(value: &str) -> Result<String, &'static str> {
    let printable = !value.chars().any(char::is_control);
    match (8..=128).contains(&value.len()) && printable {
        true => Ok(value.to_owned()),
        false => Err("it must have 8 to 128 bytes and no control characters"),
    }
}

fn server_name(value: &str) -> Result<String, &'static str> {
    match (1..=64).contains(&value.chars().count()) && !value.chars().any(char::is_control) {
        true => Ok(value.to_owned()),
        false => Err("it must have 1 to 64 characters"),
    }
}

fn registration(value: &str) -> Result<String, &'static str> {
    match value {
        "open" | "invite_only" => Ok(value.to_owned()),
        _ => Err("it must be open or invite_only"),
    }
}

fn not_yet(_: &str) -> Result<String, &'static str> {
    Err("backups are not part of this version")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (Inputs, Vec<String>) {
        read(Some(text), &[], None)
    }

    #[test]
    fn nothing_given_is_all_defaults() {
        let (inputs, problems) = read(None, &[], None);
        assert_eq!((inputs.username.as_str(), inputs.invite_only, problems.len()), ("admin", false, 0));
        assert_eq!(inputs.email(), "admin@echora.invalid");
    }

    #[test]
    fn good_values_are_taken() {
        let (inputs, problems) = file(
            "domain = 'Chat.Example.org'\nadmin_username = 'eve'\nadmin_password = 'correct horse'\n\
             server_name = 'Our place'\nregistration = 'invite_only'\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(inputs.domain.as_deref(), Some("chat.example.org"));
        assert_eq!(inputs.email(), "eve@chat.example.org");
        assert!(inputs.invite_only);
        assert!(!format!("{inputs:?}").contains("correct horse"));
    }

    #[test]
    fn each_bad_value_is_named_and_defaulted() {
        let (inputs, problems) = file(
            "domain = '203.0.113.7'\nadmin_username = 'a'\nadmin_email = 'admin@localhost'\nadmin_password = 'short'\n\
             server_name = 1\nregistration = 'closed'\ncolour = 'red'\nbackup = {schedule = 'daily'}\n",
        );
        let bad = [
            "domain",
            "admin_username",
            "admin_email",
            "admin_password",
            "server_name",
            "registration",
            "backup",
        ];
        for name in bad {
            let named = problems.iter().filter(|problem| problem.starts_with(&format!("{name}: ")));
            assert_eq!(named.count(), 1, "{name}: {problems:?}");
        }
        assert!(problems.iter().any(|problem| problem.contains("unknown setting colour")), "{problems:?}");
        assert_eq!(inputs, read(None, &[], None).0);
        assert!(!problems.concat().contains("short'"), "a password is never repeated");
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_without_its_content() {
        let (_, problems) = file("domain = 'x.org'\nadmin_password = topsecret\n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("line 2") && !problems[0].contains("topsecret"), "{problems:?}");
    }
}
