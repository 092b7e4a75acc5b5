//! Where settings come from, strongest first.

use std::collections::BTreeMap;
use std::fmt;

use provider_profiles::InputSource;
use toml::{Table, Value};

use super::Used;
use super::rules;
use crate::metadata::Client;

/// A way in, in the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// `echora-firstboot boot --set name=value`.
    CommandLine,
    /// The operator's file.
    File,
    /// What the buyer filled in at the provider.
    Provider,
    /// What the server that this one is a copy of was set up with.
    Original,
    /// Nobody's.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "the command line",
            Self::File => "/etc/echora/config.toml",
            Self::Provider => "the provider's variables",
            Self::Original => "the original server",
            Self::Default => "default",
        })
    }
}

/// What a source says of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Value(String),
    /// A value that is none whatever the setting's rule.
    Bad(&'static str),
    /// The source fails; it is not asked again.
    Broken(String),
}

/// A source that can be asked for a setting by its name.
pub(crate) struct Giver<'a> {
    pub(crate) source: Source,
    pub(super) ask: Box<dyn FnMut(&'static str) -> Said + 'a>,
    pub(super) works: bool,
}

impl<'a> Giver<'a> {
    pub(super) fn of(source: Source, ask: impl FnMut(&'static str) -> Said + 'a) -> Self {
        Self { source, ask: Box::new(ask), works: true }
    }
}

/// Settings that were handed in by name; what is no setting is a problem.
pub(crate) fn handed(
    source: Source,
    values: BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> Giver<'static> {
    let strange = values.keys().filter(|name| rules::find(name).is_none());
    problems.extend(strange.map(|name| format!("{source}: {}", rules::unknown(name))));
    Giver::of(source, move |name| values.get(name).cloned().map_or(Said::Nothing, Said::Value))
}

/// The operator's file.
pub(crate) fn file(text: &str, problems: &mut Vec<String>) -> Giver<'static> {
    let source = Source::File;
    let table: Table = text.parse().unwrap_or_else(|error: toml::de::Error| {
        // Its own message would show the line, which may be the password's.
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count().max(1));
        problems.push(format!("{source} cannot be read (line {line}): nothing in it is used"));
        Table::new()
    });
    let strange = table.keys().filter(|name| rules::find(name).is_none());
    problems.extend(strange.map(|name| format!("{source}: {}", rules::unknown(name))));
    Giver::of(source, move |name| match table.get(name) {
        None => Said::Nothing,
        Some(Value::String(value)) => Said::Value(value.clone()),
        // The one setting that is more than a text.
        Some(Value::Table(_)) if name == "backup" => Said::Value("a table".into()),
        Some(_) => Said::Bad("it must be a text in quotes"),
    })
}

/// Whether the variables are the metadata service's.
pub(crate) fn is_metadata(source: &InputSource) -> bool {
    matches!(source, InputSource::MetadataVariable { .. })
}

/// Variables that the provider's metadata service tells.
pub(crate) fn metadata<'a>(source: &'a InputSource, client: &'a mut Client<'_>) -> Option<Giver<'a>> {
    let InputSource::MetadataVariable { path, headers, .. } = source else {
        return None;
    };
    let ask = |name: &'static str| match client.variable(&path.replace("{name}", name), headers) {
        Ok(Some(value)) => Said::Value(value),
        Ok(None) => Said::Nothing,
        Err(error) => Said::Broken(format!("{error:#}")),
    };
    Some(Giver::of(Source::Provider, ask))
}

/// What the original of this copy used; its password is not among it.
pub(crate) fn original(inputs: &BTreeMap<String, Used>) -> Giver<'_> {
    Giver::of(Source::Original, move |name| {
        let used = inputs.get(name).filter(|used| used.source != Source::Default.to_string());
        let secret = rules::find(name).is_some_and(|setting| setting.secret);
        used.filter(|_| !secret).and_then(|used| used.value.clone()).map_or(Said::Nothing, Said::Value)
    })
}
