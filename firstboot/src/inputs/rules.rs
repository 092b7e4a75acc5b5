//! The settings and what each of them may be. Names, addresses and passwords follow the app's own rules, so that what
//! passes here is never refused there.

/// A check of one setting: the value to use, or why it cannot be.
type Check = fn(&str) -> Result<String, &'static str>;

/// A setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// As it is written in all sources.
    pub(crate) name: &'static str,
    /// Whether its value is shown to nobody.
    pub(crate) secret: bool,
    /// Its rule.
    pub(crate) check: Check,
}

/// Name of the one setting that is a secret.
pub(crate) const PASSWORD: &str = "admin_password";

/// Every setting, in the order in which they are told.
pub(crate) const SETTINGS: [Setting; 8] = [
    setting("domain", domain),
    setting("email", email),
    setting("admin_username", username),
    setting("admin_email", email),
    Setting { name: PASSWORD, secret: true, check: password },
    setting("server_name", server_name),
    setting("registration", registration),
    setting("backup", not_yet),
];

const fn setting(name: &'static str, check: Check) -> Setting {
    Setting { name, secret: false, check }
}

/// The setting of this name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// What to say of a name that is no setting's.
pub(crate) fn unknown(name: &str) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(known, &name.to_lowercase());
    let nearest = SETTINGS.iter().map(|setting| setting.name).min_by_key(|known| distance(known));
    let name = name.escape_debug();
    match nearest.filter(|known| distance(known) <= known.len() / 2) {
        Some(nearest) => format!("unknown setting {name}; did you mean {nearest}?"),
        None => {
            let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
            format!("unknown setting {name}; known are {}", known.join(", "))
        }
    }
}

fn username(value: &str) -> Result<String, &'static str> {
    let value = value.trim();
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (2..=32).contains(&value.len()) && plain {
        true => Ok(value.to_owned()),
        false => Err("it must have 2 to 32 letters a-z, digits, _ or -"),
    }
}

pub(super) fn email(value: &str) -> Result<String, &'static str> {
    let value = value.trim().to_lowercase();
    let fits = value.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty()
            && !host.contains('@')
            && host.len() >= 3
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !host.contains("..")
    });
    match fits && value.len() <= 254 && !value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Ok(value),
        false => Err("it must be an e-mail address whose domain has a dot"),
    }
}

/// The name of a domain in small letters, or why it is none.
pub(crate) fn domain(value: &str) -> Result<String, &'static str> {
    let value = value.trim();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let named = value.rsplit('.').next().is_some_and(|top| top.bytes().any(|b| b.is_ascii_alphabetic()));
    match value.len() <= 253 && value.contains('.') && named && value.split('.').all(label) {
        true => Ok(value.to_lowercase()),
        false => {
            Err("it must be a bare domain name such as chat.example.org (no https://, umlauts as xn--...)")
        }
    }
}

/// The app counts bytes and takes anything; the login on the console is a line of its own, in which a control
/// character or a space at an end would be lost.
fn password(value: &str) -> Result<String, &'static str> {
    let printable = !value.chars().any(char::is_control) && value.trim() == value;
    match (8..=128).contains(&value.len()) && printable {
        true => Ok(value.to_owned()),
        false => Err("it must have 8 to 128 bytes, no control characters and no space at its ends"),
    }
}

fn server_name(value: &str) -> Result<String, &'static str> {
    let value = value.trim();
    match (1..=64).contains(&value.chars().count()) && !value.chars().any(char::is_control) {
        true => Ok(value.to_owned()),
        false => Err("it must have 1 to 64 characters"),
    }
}

fn registration(value: &str) -> Result<String, &'static str> {
    match value.trim() {
        mode @ ("open" | "invite_only") => Ok(mode.to_owned()),
        _ => Err("it must be open or invite_only"),
    }
}

fn not_yet(_: &str) -> Result<String, &'static str> {
    Err("backups are not part of this version")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the app's own validation, and what it makes of a good value.
    #[test]
    fn values_are_judged_as_the_app_judges_them() {
        let long = |length: usize| "x".repeat(length);
        let good = [
            ("admin_username", " Eve ".to_owned(), "Eve".to_owned()),
            ("admin_username", "a-".into(), "a-".into()),
            ("admin_username", long(32), long(32)),
            ("admin_email", " A@Example.ORG ".into(), "a@example.org".into()),
            ("admin_email", "a@b.c".into(), "a@b.c".into()),
            ("admin_email", format!("{}@example.org", long(242)), format!("{}@example.org", long(242))),
            ("admin_password", "12345678".into(), "12345678".into()),
            ("admin_password", long(128), long(128)),
            ("admin_password", "äöüß".into(), "äöüß".into()),
            ("admin_password", "two words".into(), "two words".into()),
            ("domain", " Chat.Example.org ".into(), "chat.example.org".into()),
            ("server_name", "  Our place ".into(), "Our place".into()),
            ("registration", "invite_only".into(), "invite_only".into()),
        ];
        for (name, given, used) in good {
            assert_eq!((find(name).unwrap().check)(&given), Ok(used), "{name} {given:?}");
        }
        let bad: [(&str, &[&str]); 6] = [
            ("admin_username", &["", "a", "ad min", "ädmin", "a.b", "admin\n2", &long(33)]),
            (
                "admin_email",
                &[
                    "",
                    "a",
                    "@example.org",
                    "admin@localhost",
                    "a@.org",
                    "a@example.",
                    "a@e..org",
                    "a@.c",
                    "a@@b.c",
                    "a@b.c@d.e",
                    "a b@example.org",
                    &format!("{}@example.org", long(243)),
                ],
            ),
            ("admin_password", &["1234567", "äöü", " 12345678", "12345678 ", "1234\n5678", &long(129)]),
            (
                "domain",
                &[
                    "localhost",
                    "203.0.113.7",
                    "https://chat.example.org",
                    "chat.example.org/",
                    "-a.org",
                    "a..org",
                    "müller.org",
                ],
            ),
            ("server_name", &["", "  ", "a\tb", &long(65)]),
            ("registration", &["closed", "Open", ""]),
        ];
        for (name, values) in bad {
            for given in values {
                assert!((find(name).unwrap().check)(given).is_err(), "{name} {given:?}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_the_one_that_was_meant() {
        assert!(unknown("admin_user").ends_with("did you mean admin_username?"), "{}", unknown("admin_user"));
        assert!(unknown("Domain").ends_with("did you mean domain?"));
        assert!(unknown("colour").contains("known are domain, email"), "{}", unknown("colour"));
        assert!(!unknown("\u{1b}[2J").contains('\u{1b}'));
    }
}
