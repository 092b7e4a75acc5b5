//! The list of providers: whatever lies in the folders, no list to edit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use include_dir::{Dir, include_dir};
use serde::de::DeserializeOwned;

use crate::simulator::Part;
use crate::{Fixture, Profile, Simulator};

static PROFILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/profiles");
static FIXTURES: Dir = include_dir!("$CARGO_MANIFEST_DIR/fixtures");
static SIMULATORS: Dir = include_dir!("$CARGO_MANIFEST_DIR/simulators");

/// A provider: its profile with its fixture.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The facts.
    pub profile: Profile,
    /// Its metadata service, to play.
    pub fixture: Fixture,
}

/// A name that is no provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProvider {
    asked: String,
    known: Vec<String>,
}

impl UnknownProvider {
    /// The known providers, and the one that was probably meant.
    #[must_use]
    pub fn hint(&self) -> String {
        let known = self.known.join(", ");
        let distance = |id: &&String| strsim::damerau_levenshtein(id, &self.asked.to_lowercase());
        match self.known.iter().min_by_key(distance).filter(|id| distance(id) <= id.len() / 2) {
            Some(nearest) => format!("did you mean {nearest}? The known providers are {known}"),
            None => format!("the known providers are {known}"),
        }
    }
}

impl std::fmt::Display for UnknownProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no provider {:?}", self.asked)
    }
}

impl std::error::Error for UnknownProvider {}

/// All providers by id.
#[derive(Debug, Clone)]
pub struct Catalog {
    entries: BTreeMap<String, Entry>,
}

impl Catalog {
    /// The providers that this build carries.
    pub fn embedded() -> Result<Self> {
        Self::from_files(&embedded_files(&PROFILES)?, &embedded_files(&FIXTURES)?)
    }

    /// The providers in `profiles/` and `fixtures/` below `folder`: how a new one is tried without a rebuild.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        Self::from_files(&toml_files(&folder.join("profiles"))?, &toml_files(&folder.join("fixtures"))?)
    }

    /// The API of one of this build's providers; none where it has no description yet.
    pub fn simulator(id: &str) -> Result<Option<Simulator>> {
        let texts = embedded_files(&SIMULATORS)?;
        let Some(text) = texts.get(id) else { return Ok(None) };
        let parts = SIMULATORS.get_dir(id).map(embedded_files).transpose()?.unwrap_or_default();
        described("simulators", id, text, &parts).map(Some)
    }

    /// The APIs that are described in `folder`, by provider: how a description is tried without a rebuild.
    pub fn simulators_in(folder: &Path) -> Result<BTreeMap<String, Simulator>> {
        let place = folder.display().to_string();
        let whole = |(id, text): (String, String)| {
            let parts = folder.join(&id);
            let parts = if parts.is_dir() { toml_files(&parts)? } else { BTreeMap::new() };
            let simulator = described(&place, &id, &text, &parts)?;
            Ok((id, simulator))
        };
        toml_files(folder)?.into_iter().map(whole).collect()
    }

    /// One provider by its id.
    pub fn find(&self, id: &str) -> Result<&Entry, UnknownProvider> {
        let unknown =
            || UnknownProvider { asked: id.to_owned(), known: self.ids().map(str::to_owned).collect() };
        self.entries.get(id).ok_or_else(unknown)
    }

    /// All providers, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn from_files(profiles: &BTreeMap<String, String>, fixtures: &BTreeMap<String, String>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (id, text) in profiles {
            let profile: Profile = parse(&format!("profiles/{id}.toml"), text)?;
            profile.check(id).with_context(|| format!("profiles/{id}.toml"))?;
            let Some(text) = fixtures.get(id) else {
                bail!("provider {id} has no fixture: create provider-profiles/fixtures/{id}.toml");
            };
            let fixture = parse(&format!("fixtures/{id}.toml"), text)?;
            entries.insert(id.clone(), Entry { profile, fixture });
        }
        if let Some(id) = fixtures.keys().find(|id| !profiles.contains_key(*id)) {
            bail!("fixture {id} has no profile: create provider-profiles/profiles/{id}.toml");
        }
        Ok(Self { entries })
    }
}

/// An API from the text of its file and those of its parts, which all lie below `place`.
fn described(place: &str, id: &str, text: &str, parts: &BTreeMap<String, String>) -> Result<Simulator> {
    let mut whole: Simulator = parse(&format!("{place}/{id}.toml"), text)?;
    for (name, text) in parts {
        let file = format!("{place}/{id}/{name}.toml");
        whole.add(parse::<Part>(&file, text)?).with_context(|| file)?;
    }
    Ok(whole)
}

/// Parses a file; the error names file, line and key.
fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml::from_str(text).with_context(|| format!("{file} is damaged"))
}

fn embedded_files(folder: &Dir<'static>) -> Result<BTreeMap<String, String>> {
    let file = |file: &include_dir::File| {
        let id = file.path().file_stem()?.to_str()?.to_owned();
        Some((id, file.contents_utf8()?.to_owned()))
    };
    folder.files().map(|f| file(f).with_context(|| format!("{} is not UTF-8", f.path().display()))).collect()
}

fn toml_files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let Some(id) = path.file_stem().and_then(|s| s.to_str()) else {
            continue;
        };
        if path.extension().is_some_and(|e| e == "toml") {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(id.to_owned(), text);
        }
    }
    Ok(files)
}
