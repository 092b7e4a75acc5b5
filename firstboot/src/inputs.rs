//! What the buyer wants: one schema, several ways in. The strongest good value of each setting is used; a bad one is
//! named together with what is used in its place, and the boot goes on.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use rules::{PASSWORD, SETTINGS};

pub(crate) mod rules;
pub(crate) mod source;

use source::Said;
pub(crate) use source::{Giver, Source};

const USERNAME: &str = "admin";
pub(crate) const MASK: &str = "***";

/// The settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    pub(crate) domain: Option<String>,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    /// Where a certificate authority may write to.
    pub(crate) contact: Option<String>,
    /// Chosen by the buyer; never printed but in the login.
    pub(crate) password: Option<Chosen>,
    pub(crate) server_name: Option<String>,
    pub(crate) invite_only: bool,
    /// What was used of each setting and where it came from, to be shown.
    pub(crate) used: BTreeMap<String, Used>,
}

/// A password that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chosen(pub(crate) String);

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A setting as it was used. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// Nothing where the setting is left out.
    pub(crate) value: Option<String>,
    /// In words.
    pub(crate) source: String,
}

/// Asks the sources, strongest first, for each setting until one has a good value. The second part of the result
/// says in words what could not be used and what is used instead.
pub(crate) fn choose(givers: &mut [Giver<'_>]) -> (Inputs, Vec<String>) {
    let mut problems = Vec::new();
    let mut found: BTreeMap<&'static str, (String, Source)> = BTreeMap::new();
    let mut bad: Vec<(&'static str, Source, &'static str)> = Vec::new();
    for setting in &SETTINGS {
        for giver in givers.iter_mut().filter(|giver| giver.works) {
            let outcome = match (giver.ask)(setting.name) {
                Said::Nothing => continue,
                // A form that was left empty.
                Said::Value(value) if value.trim().is_empty() => continue,
                Said::Value(value) => (setting.check)(&value),
                Said::Bad(why) => Err(why),
                Said::Broken(why) => {
                    problems.push(format!("{} cannot be read: {why}", giver.source));
                    giver.works = false;
                    continue;
                }
            };
            match outcome {
                Ok(value) => {
                    found.insert(setting.name, (value, giver.source));
                    break;
                }
                Err(why) => bad.push((setting.name, giver.source, why)),
            }
        }
    }
    let inputs = Inputs::of(&found);
    for (name, source, why) in bad {
        let instead = inputs.describe(name);
        problems.push(format!("{name}: the value of {source} is bad: {why}; using {instead}"));
    }
    (inputs, problems)
}

impl Inputs {
    fn of(found: &BTreeMap<&str, (String, Source)>) -> Self {
        let text = |name: &str| found.get(name).map(|(value, _)| value.clone());
        let mut inputs = Self {
            domain: text("domain"),
            username: text("admin_username").unwrap_or_else(|| USERNAME.to_owned()),
            email: text("admin_email").or_else(|| text("email")),
            contact: text("email"),
            password: text(PASSWORD).map(Chosen),
            server_name: text("server_name"),
            invite_only: text("registration").is_some_and(|mode| mode == "invite_only"),
            used: BTreeMap::new(),
        };
        for setting in &SETTINGS {
            let (value, source) = match found.get(setting.name) {
                Some((value, source)) => (Some(value.clone()), *source),
                None => (inputs.default_of(setting.name), Source::Default),
            };
            let value = if setting.secret { Some(MASK.to_owned()) } else { value };
            inputs.used.insert(setting.name.to_owned(), Used { value, source: source.to_string() });
        }
        inputs
    }

    fn default_of(&self, name: &str) -> Option<String> {
        match name {
            "admin_username" => Some(USERNAME.to_owned()),
            "admin_email" => Some(self.email()),
            "registration" => Some("open".to_owned()),
            _ => None,
        }
    }

    /// What is used of a setting, for people.
    fn describe(&self, name: &str) -> String {
        let used = &self.used[name];
        match (used.source == Source::Default.to_string(), &used.value) {
            (true, _) if name == PASSWORD => "a new one, shown with the login".to_owned(),
            (true, None) => "none".to_owned(),
            (true, Some(value)) => format!("the default, {value}"),
            (false, value) => format!("{} of {}", value.as_deref().unwrap_or_default(), used.source),
        }
    }

    /// The owner's address: the app wants one with a dot in the domain, and never writes to it.
    pub(crate) fn email(&self) -> String {
        let of = |domain: &str| format!("{}@{domain}", self.username);
        let own = self.domain.as_deref().map(of).filter(|address| rules::email(address).is_ok());
        // A name and a domain that are each as long as they may be are too long together.
        self.email.clone().or(own).unwrap_or_else(|| of("echora.invalid"))
    }
}

#[cfg(test)]
mod tests;
