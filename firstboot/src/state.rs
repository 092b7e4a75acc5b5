//! What has been done for which instance. The marker is written last, so that a boot that was cut off goes on.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::inputs::Used;
use crate::system::System;

/// `/var/lib/echora/state.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// cloud-init's id of the instance that these steps belong to.
    pub(crate) instance: String,
    /// The marker: everything is done for this instance.
    pub(crate) finished: bool,
    /// The version that did it.
    pub(crate) version: String,
    /// Seconds that each step of the last boot took.
    pub(crate) seconds: BTreeMap<String, f64>,
    /// What tells this machine from its clones: file to digest.
    pub(crate) identity: BTreeMap<String, String>,
    /// Where the site is.
    pub(crate) url: String,
    /// What was used of each setting and where it came from; secrets are masked.
    pub(crate) inputs: BTreeMap<String, Used>,
}

impl State {
    pub(crate) fn read(system: &System) -> Result<Self> {
        match files::read(&system.state())? {
            Some(text) => serde_json::from_str(&text)
                .context("state.json is damaged: remove it and start again; no data is lost"),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn write(&self, system: &System) -> Result<()> {
        files::write(&system.state(), 0o600, &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// The id of the instance that this boot is of, from what lies on the machine: cloud-init's, else the firmware's.
pub(crate) fn instance_id(system: &System) -> String {
    const PLACES: [&str; 3] = [
        "/var/lib/cloud/data/instance-id",
        "/sys/class/dmi/id/product_serial",
        "/sys/class/dmi/id/product_uuid",
    ];
    for place in PLACES {
        let text = files::read(&system.path(place)).unwrap_or_default().unwrap_or_default();
        if !text.trim().is_empty() {
            return text.trim().to_owned();
        }
    }
    "unknown".to_owned()
}
