//! The settings as a provider's form shows them to a buyer, who fills in what is to differ from the default.

use crate::inputs::rules::PASSWORD;

/// A field of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The setting's name.
    pub name: &'static str,
    /// What the buyer reads beside it.
    pub label: &'static str,
    /// A value that is good.
    pub example: &'static str,
    /// All values that are good, the default first; empty where they cannot be counted.
    pub choices: &'static [&'static str],
}

impl Field {
    /// Whether its value is shown to nobody.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.name == PASSWORD
    }
}

/// Every setting that a buyer can choose, in the order in which a form shows them.
pub const FIELDS: [Field; 7] = [
    field("domain", "Domain name of the server; its DNS record must lead here", "chat.example.org"),
    field("email", "E-mail address that certificates are ordered with", "ops@example.org"),
    field("server_name", "Name of the server, shown to members", "Our chat"),
    field("admin_username", "Owner: user name", "admin"),
    field("admin_email", "Owner: e-mail address", "admin@example.org"),
    field(PASSWORD, "Owner: password, 8 to 128 bytes; empty for a random one", "correct horse battery"),
    Field {
        choices: &["open", "invite_only"],
        ..field("registration", "Who may register an account of their own", "invite_only")
    },
];

const fn field(name: &'static str, label: &'static str, example: &'static str) -> Field {
    Field { name, label, example, choices: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::rules::SETTINGS;

    #[test]
    fn the_form_has_every_setting_that_has_a_good_value() {
        for setting in &SETTINGS {
            let field = FIELDS.iter().find(|field| field.name == setting.name);
            let Some(field) = field else {
                // One is known by its name and not made yet.
                assert!(
                    (setting.check)("").is_err() && (setting.check)("daily").is_err(),
                    "{}",
                    setting.name
                );
                continue;
            };
            assert_eq!(field.is_secret(), setting.secret, "{}", setting.name);
            for value in field.choices.iter().chain([&field.example]) {
                assert_eq!((setting.check)(value), Ok((*value).to_owned()), "{}", setting.name);
            }
        }
        let known = |field: &Field| SETTINGS.iter().any(|setting| setting.name == field.name);
        assert!(FIELDS.iter().all(known));
    }
}
