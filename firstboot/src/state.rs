//! What has been done for which instance. The marker is written last, so that a boot that was cut off goes on.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::inputs::Used;
use crate::system::System;

/// Content of the database's progress file once it has been up.
pub(crate) const DATABASE_MADE: &str = "made\n";

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
    /// Seconds that each step of first boot took, in the boot that ended it.
    pub(crate) seconds: BTreeMap<String, f64>,
    /// What tells this machine from its clones: file to digest.
    pub(crate) identity: BTreeMap<String, String>,
    /// The addresses that all this was done for.
    pub(crate) public_ipv4: Option<String>,
    /// See `public_ipv4`.
    pub(crate) public_ipv6: Option<String>,
    /// The provider's id of this machine, as its service told it.
    pub(crate) machine: Option<String>,
    /// Region as the provider writes it.
    pub(crate) region: Option<String>,
    /// Where the site is.
    pub(crate) url: String,
    /// What was used of each setting and where it came from; secrets are masked.
    pub(crate) inputs: BTreeMap<String, Used>,
}

impl State {
    /// What stands in the file; nothing when there is none.
    pub(crate) fn read(system: &System) -> Result<Option<Self>> {
        let path = system.state();
        files::read(&path)?
            .map(|text| Self::parse(&text).with_context(|| format!("{} is damaged", path.display())))
            .transpose()
    }

    fn parse(text: &str) -> Result<Self> {
        let state: Self = serde_json::from_str(text)?;
        // To JSON an empty list is a structure whose fields are all left out.
        anyhow::ensure!(!state.instance.is_empty(), "it names no instance");
        Ok(state)
    }

    /// Whether all is done for this instance.
    pub(crate) fn is_finished_for(&self, instance: &str) -> bool {
        self.finished && self.instance == instance
    }

    pub(crate) fn write(&self, system: &System) -> Result<()> {
        files::write(&system.state(), 0o600, &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// Whether this machine was set up once, whatever the state says: the database has been up, and the owner's account is
/// out of first boot's hands, which it is only after the marker.
pub(crate) fn was_set_up(system: &System) -> Result<bool> {
    Ok(files::read(&system.database())?.as_deref() == Some(DATABASE_MADE) && !system.owner().exists())
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
