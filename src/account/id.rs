//! The name of a build: what it makes in an account carries it as name or label, so that leftovers are found by it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::time::utc;

/// No build takes longer: the builder has three hours, the wait for its snapshot two, tools and clean-up the rest.
pub const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// The mark of this tool on what its builds make, beside the build's name.
pub const MAKER: &str = "echora-images";
const PREFIX: &str = "echora-";
const TIME: &str = "%Y%m%d-%H%M%S";
/// Two builds of the same second differ by three bytes.
const RANDOM_BYTES: usize = 3;

/// `echora-YYYYMMDD-hhmmss-RANDOM`, time in UTC. Whatever has another form was not made by a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(String);

impl BuildId {
    /// A name that no build had.
    pub fn new() -> Result<Self> {
        let mut random = [0; RANDOM_BYTES];
        let source = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
        source.context("the kernel gives no random numbers")?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{}-{random}", utc().format(TIME))))
    }

    /// The build that a name or a label tells of; none for everybody else's.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (time, random) = rest.rsplit_once('-')?;
        let known = random.len() == 2 * RANDOM_BYTES
            && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && time.len() == "YYYYMMDD-hhmmss".len()
            && NaiveDateTime::parse_from_str(time, TIME).is_ok();
        known.then(|| Self(text.to_owned()))
    }

    /// How long ago it began by this machine's clock; nothing for one that is yet to begin.
    #[must_use]
    pub fn age(&self) -> Duration {
        let time = self.0.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('-'));
        let began = time.and_then(|(time, _)| NaiveDateTime::parse_from_str(time, TIME).ok());
        let since = began.map(|began| utc().naive_utc() - began);
        since.and_then(|since| since.to_std().ok()).unwrap_or_default()
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_is_known_again_and_young() {
        let id = BuildId::new().unwrap();
        assert_eq!(BuildId::read(&id.to_string()), Some(id.clone()));
        assert!(id.age() < Duration::from_secs(60), "{id}");
        assert_ne!(BuildId::new().unwrap(), id);
    }

    #[test]
    fn names_of_others_are_nobodys_build() {
        let good = "echora-20261124-103205-a1b2c3";
        assert!(BuildId::read(good).is_some());
        for other in [
            "",
            "echora",
            "echora-images",
            "echora-production",
            "echora-20261124-103205",
            "echora-20261324-103205-a1b2c3",
            "echora-20261124-103205-a1b2c3-copy",
            "echora-20261124-103205-A1B2C3",
            "my-echora-20261124-103205-a1b2c3",
            "packer-20261124-103205-a1b2c3",
        ] {
            assert_eq!(BuildId::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_age_is_told_by_the_name() {
        let old = BuildId::read("echora-20200101-000000-000000").unwrap();
        assert!(old.age() > Duration::from_secs(5 * 365 * 86_400), "{:?}", old.age());
        let tomorrow = (utc() + chrono::Duration::days(1)).format(TIME);
        let young = BuildId::read(&format!("echora-{tomorrow}-000000")).unwrap();
        assert_eq!(young.age(), Duration::ZERO);
    }
}
