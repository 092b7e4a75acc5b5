//! Which snapshots the providers' listings use: `listings.toml` in the checkout, a table for each provider.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::account::Held;
use crate::error::{Exit, Fault};
use crate::project::Project;

const FILE: &str = "listings.toml";

/// The file; empty where there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Listings(BTreeMap<String, Listing>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    /// Names of builds, or ids of snapshots.
    uses: Vec<String>,
}

impl Listings {
    /// Reads the file. One that cannot be understood is an error: what it protects would be deleted.
    pub fn read(project: &Project) -> Result<Self, Fault> {
        let path = project.path(FILE);
        let fault = |error: String| {
            let what = format!("{} cannot be read: {error}", path.display());
            Fault::new(Exit::Usage, what, "write `[PROVIDER]` and `uses = [\"BUILD\"]`, or remove the file")
        };
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(fault(error.to_string())),
            Ok(text) => toml::from_str(&text).map_err(|error| fault(error.to_string())),
        }
    }

    /// Refuses where nothing tells what a provider's listing uses: what is not named is taken for unused.
    pub fn must_tell(&self, provider: &str) -> Result<(), Fault> {
        if self.0.contains_key(provider) {
            return Ok(());
        }
        let what = format!("{FILE} does not tell which snapshots the listing at {provider} uses");
        let cure = format!(
            "write `[{provider}]` and `uses = [\"BUILD\"]` into it, `uses = []` where there is no listing"
        );
        Err(Fault::new(Exit::Usage, what, cure))
    }

    /// Whether a provider's listing uses a snapshot.
    #[must_use]
    pub fn uses(&self, provider: &str, held: &Held) -> bool {
        // A name can be changed in the provider's console; the label with the build's name stays.
        let build = held.build.as_ref().map(ToString::to_string);
        let named = |name: &String| *name == held.name || build.as_ref() == Some(name) || held.is(name);
        self.0.get(provider).is_some_and(|listing| listing.uses.iter().any(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{BuildId, Kind};

    #[test]
    fn a_snapshot_is_known_by_its_build_its_id_or_its_name() {
        let build = "echora-20261124-103205-a1b2c3";
        let held = Held {
            kind: Kind::Snapshot,
            id: "44".into(),
            name: "Echora 1.4".into(),
            build: BuildId::read(build),
            created: None,
            own_time: None,
        };
        for (named, uses) in [(build, true), ("44", true), ("Echora 1.4", true), ("45", false)] {
            let listings: Listings = toml::from_str(&format!("[here]\nuses = ['{named}']\n")).unwrap();
            assert_eq!(listings.uses("here", &held), uses, "{named}");
            assert!(!listings.uses("elsewhere", &held), "{named}");
        }
    }
}
