//! The record of a build: what went in, what came out, how long it took.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::account::BuildId;
use crate::error::{Exit, Fault};
use crate::ui::StepTime;

/// A finished build, as `record.json` beside its snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The provider's id.
    pub provider: String,
    /// The build's name in the account; none for a rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    /// How much of the provider was real.
    pub depth: Depth,
    /// Why it was not more, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_note: Option<String>,
    /// When the build began, RFC 3339.
    pub began: String,
    /// Digest over all that goes into an image; equal inputs make equal images.
    pub inputs: String,
    /// Versions of what took part.
    pub versions: Versions,
    /// Container images by name.
    pub images: BTreeMap<String, ImageRecord>,
    /// What came out.
    pub snapshot: Snapshot,
    /// What the played account was asked and held at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// What the build cost; none for a rehearsal and where the provider tells no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The machine's packages, name to version.
    pub packages: BTreeMap<String, String>,
    /// Seconds per step.
    pub steps: Vec<StepTime>,
}

/// What a build cost: the machine's price for the time that the builder had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Price of an hour.
    pub hourly: f64,
    /// Hours; providers round them up in their own ways.
    pub hours: f64,
    /// Currency of the price.
    pub currency: String,
}

impl Cost {
    /// The same for so many seconds.
    #[must_use]
    pub fn over(self, seconds: f64) -> Self {
        Self { hours: seconds / 3600.0, ..self }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} {}", self.hourly * self.hours, self.currency)
    }
}

/// How much of a provider a build had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// A real account.
    Account,
    /// The provider's own plugin and a played API with local machines.
    Api,
    /// A local machine; Packer's null builder stands for the source block.
    Machine,
}

/// Versions of what took part in a build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Versions {
    /// This program.
    pub echora_images: String,
    /// Packer, and how it was obtained.
    pub packer: String,
    /// The provider's plugin constraint, or why it had no part.
    pub plugin: String,
    /// The base image.
    pub base: String,
}

/// A container image in the snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The local tag that the stack runs.
    pub tag: String,
    /// Digest of the image.
    pub digest: String,
}

/// What a build leaves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// A disk image beside the record.
    Disk {
        /// File name.
        file: String,
        /// sha256 of the file.
        sha256: String,
        /// Size of the file.
        bytes: u64,
    },
    /// A snapshot in an account.
    Account {
        /// The provider's id.
        id: String,
    },
}

impl Snapshot {
    /// What it is known by: the provider's id, or the file.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Disk { file, .. } => file,
            Self::Account { id } => id,
        }
    }
}

/// A played account after a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The artifact's id, as Packer's manifest has it.
    pub artifact: String,
    /// How many requests the plugin made.
    pub requests: usize,
    /// What is left in it: kind, id and name.
    pub left: Vec<String>,
}

impl Record {
    /// Reads a record; a folder stands for the `record.json` in it.
    pub fn read(path: &Path) -> Result<(Self, PathBuf)> {
        let file = if path.is_dir() { path.join("record.json") } else { path.to_owned() };
        let fault = |what: String| {
            Fault::new(
                Exit::Usage,
                what,
                "a record is made by `echora-images build`; give its folder or its record.json",
            )
        };
        let text = fs::read_to_string(&file)
            .map_err(|e| fault(format!("cannot read record {}: {e}", file.display())))?;
        let record = serde_json::from_str(&text)
            .map_err(|e| fault(format!("record {} is damaged: {e}", file.display())))?;
        Ok((record, file))
    }

    /// The records of builds in accounts below `folder`, each with its own folder, by the name of the build. What cannot be
    /// read is no record of this version.
    #[must_use]
    pub fn of_accounts(folder: &Path) -> BTreeMap<BuildId, (Self, PathBuf)> {
        let folders = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let records = folders
            .filter(|path| !path.is_symlink())
            .filter_map(|path| Some((Self::read(&path).ok()?.0, path)));
        records.filter_map(|(record, path)| Some((record.build.clone()?, (record, path)))).collect()
    }

    /// Writes `record.json` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("record.json");
        let text = serde_json::to_string_pretty(self).context("cannot write the record as JSON")? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
