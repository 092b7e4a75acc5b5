//! Settings that are handed to this program: on its command line, or by the provider's deployment script through the
//! environment of `echora-firstboot configure`. They are kept until the server is set up, because a power cut may come
//! before they are used, and the next boot has neither that command line nor that environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use anyhow::{Context, Result, bail};
use provider_profiles::InputSource;
use serde::{Deserialize, Serialize};

use crate::boot;
use crate::files;
use crate::inputs::rules::{PASSWORD, SETTINGS, find};
use crate::state::{State, instance_id};
use crate::system::System;

/// No password is longer; a device file would never end.
const LONGEST: u64 = 4096;

/// Settings by name, as they were given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, String>);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings {{ {}: *** }}", self.names())
    }
}

impl Settings {
    /// Takes `name=value`. A password is refused: command lines are there for everybody to see.
    pub fn assign(&mut self, text: &str) -> Result<()> {
        let Some((name, value)) = text.split_once('=') else {
            bail!("--set takes name=value");
        };
        if name == PASSWORD {
            bail!(
                "a password on the command line is there for everybody to see: use --password-file FILE, or - for stdin"
            );
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Takes the owner's password from a file, or from stdin when it is called `-`. A line end after it is none of it.
    pub fn read_password(&mut self, file: &str) -> Result<()> {
        let mut text = String::new();
        let read = match file {
            "-" => std::io::stdin().lock().take(LONGEST).read_to_string(&mut text),
            path => std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)),
        };
        read.with_context(|| format!("cannot read the password from {file}"))?;
        self.0.insert(PASSWORD.to_owned(), without_line_end(&text).to_owned());
        Ok(())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn names(&self) -> String {
        self.0.keys().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// `text` without the line end that programs put after a value.
pub(crate) fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// What was handed in, by the way it came.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Kept {
    command_line: Settings,
    provider: Settings,
}

impl Kept {
    pub(crate) fn read(system: &System) -> Result<Self> {
        let path = system.settings_file();
        // The parser's own message would show the line, which may be the password's.
        files::read(&path)?.map_or(Ok(Self::default()), |text| {
            toml::from_str(&text).map_err(|_| {
                anyhow::anyhow!("{} is damaged: the settings in it are not used", path.display())
            })
        })
    }

    fn write(&self, system: &System) -> Result<()> {
        files::write(&system.settings_file(), 0o600, &toml::to_string(self)?)
    }

    /// Puts the settings of this command line to those that an earlier one gave.
    pub(crate) fn remember(system: &System, given: &Settings) -> Result<()> {
        if given.is_empty() {
            return Ok(());
        }
        let mut kept = Self::read(system).unwrap_or_default();
        kept.command_line.0.extend(given.0.clone());
        kept.write(system)
    }

    pub(crate) fn into_parts(self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        (self.command_line.0, self.provider.0)
    }
}

/// Keeps the settings that a deployment script has in its environment for the first boot, which reads them as the
/// provider's variables.
pub fn configure(system: &System) -> Result<()> {
    let plan = boot::plan(system)?;
    let prefixes = plan.inputs.iter().filter_map(|source| match source {
        InputSource::Environment { prefix } => Some(prefix),
        _ => None,
    });
    let prefixes: Vec<&String> = prefixes.collect();
    if prefixes.is_empty() {
        bail!("{} has no deployment scripts: write the settings to {}", plan.name, system.config().display());
    }
    let mut settings = Settings::default();
    for setting in &SETTINGS {
        let variables = prefixes.iter().map(|prefix| format!("{prefix}{}", setting.name.to_uppercase()));
        // A field of the form that was left empty is an empty variable.
        let found = variables.filter_map(std::env::var_os).find(|value| !value.is_empty());
        if let Some(value) = found {
            let Ok(value) = value.into_string() else {
                bail!("the variable of {} is not UTF-8", setting.name);
            };
            settings.0.insert(setting.name.to_owned(), without_line_end(&value).to_owned());
        }
    }
    if settings.is_empty() {
        println!("no settings in the environment: first boot takes its defaults");
        return Ok(());
    }
    // A state that cannot be read is the boot's to mend.
    let state = State::read(system).ok().flatten().unwrap_or_default();
    if state.is_finished_for(&instance_id(system)) {
        return refuse_late(&settings);
    }
    println!("kept for first boot: {}", settings.names());
    for (name, value) in &settings.0 {
        if let Some(Err(why)) = find(name).map(|setting| (setting.check)(value)) {
            eprintln!("warning: {name}: {why}; first boot will use something else and say so");
        }
    }
    let mut kept = Kept::read(system).unwrap_or_default();
    kept.provider = settings;
    kept.write(system)
}

/// Settings that come too late are no success.
pub(crate) fn refuse_late(settings: &Settings) -> Result<()> {
    if settings.is_empty() {
        return Ok(());
    }
    bail!(
        "this server is set up already, its first boot is where settings are taken: not used: {}",
        settings.names()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_refused_as_an_argument_and_shown_by_nothing() {
        let mut settings = Settings::default();
        assert!(
            settings.assign("admin_password=hunter22").unwrap_err().to_string().contains("--password-file")
        );
        assert!(settings.assign("domain").is_err());
        settings.assign("domain=a.example.org").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "two words\r\n").unwrap();
        settings.read_password(file.to_str().unwrap()).unwrap();
        assert_eq!(settings.0[PASSWORD], "two words");
        let shown = format!("{settings:?}");
        assert!(shown.contains(PASSWORD) && !shown.contains("two words"), "{shown}");
    }
}
