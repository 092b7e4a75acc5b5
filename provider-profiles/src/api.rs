//! What the tool itself asks of a provider's API: to check an account before a build, and to find and remove what a
//! build left in it.
//!
//! A *place* names values in a reply: keys with slashes between them, `*` for every element of a list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Architecture, Doc};

/// A provider's API, as far as this tool asks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Address that all paths follow, without a slash at its end.
    pub base: String,
    /// Environment variable that names another address, where the provider's tools read one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How long lists are read.
    pub pages: ApiPages,
    /// Machines.
    pub machines: Resource,
    /// Snapshots.
    pub snapshots: Resource,
    /// How it shows whether a snapshot is done.
    pub snapshot_state: SnapshotState,
    /// SSH keys, where the account holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Resource>,
    /// Labels, where they stay when nothing has them any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Resource>,
    /// How an SSH key is registered, for plugins that are handed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<Register>,
    /// What is asked before a build.
    pub check: Check,
    /// Currency of all prices.
    pub currency: String,
    /// Where all that was read.
    pub docs: Vec<Doc>,
}

/// How lists come in pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiPages {
    /// How the next page is asked for.
    pub kind: ApiPageKind,
    /// Parameter that names the page.
    pub page: String,
    /// Place that tells whether there is a next page, or which.
    pub next: String,
    /// Parameters of every list, such as the size of a page.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// How the next page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiPageKind {
    /// By its number, as long as the place holds anything but nothing, zero and the empty text.
    Number,
    /// By its number, up to the number that the place holds.
    Total,
    /// By what the place holds, until that is nothing or empty.
    Cursor,
}

/// A kind of thing that an account holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Path of its list, with parameters.
    pub list: String,
    /// Key of the list in the reply.
    pub items: String,
    /// Place of the id.
    pub id: String,
    /// Place of the name that a person gave it.
    pub name: String,
    /// Places of labels, whatever their form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The name that the plugin gives of itself, where it can be told neither a name nor a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_name: Option<OwnName>,
    /// Place of the time it was made at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Path that it is deleted by, with `{id}`.
    pub delete: String,
}

/// The form of a name that a plugin gives of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OwnName {
    /// A UUID of which the first eight digits are the Unix time that it was made at.
    TimeOrderedUuid {
        /// What stands before it.
        prefix: String,
    },
}

impl OwnName {
    /// The Unix time at which `name` was made; none for a name of another form.
    #[must_use]
    pub fn made_at(&self, name: &str) -> Option<i64> {
        let Self::TimeOrderedUuid { prefix } = self;
        let groups: Vec<&str> = name.strip_prefix(prefix.as_str())?.split('-').collect();
        let hexadecimal = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let known = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
        (known && groups.iter().all(|group| hexadecimal(group)))
            .then(|| i64::from_str_radix(groups[0], 16).ok())
            .flatten()
    }
}

/// How it shows whether a snapshot that was ordered is done. One that is gone without being done has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SnapshotState {
    /// It is listed from its order on, with its state.
    Listed {
        /// Place of the state.
        place: String,
        /// State of one that can be used.
        done: String,
        /// States of those that never will be.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed: Vec<String>,
    },
    /// It is listed when it is done; until then its machine has an action with a state.
    Action {
        /// Path of the machine's actions, newest first, with `{id}`.
        list: String,
        /// Key of the list in the reply.
        items: String,
        /// Place of an action's type.
        type_place: String,
        /// Type of what makes a snapshot.
        type_value: String,
        /// Place of the state.
        place: String,
        /// States of those that never will be done.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed: Vec<String>,
    },
}

/// How an SSH key is registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Path that it is sent to.
    pub path: String,
    /// Field of its name.
    pub name: String,
    /// Field of the key.
    pub key: String,
    /// Place of its id in the reply.
    pub id: String,
}

/// What is asked before a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Path that every valid token may ask.
    pub account: String,
    /// Place of the largest number of machines, in that reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_limit: Option<String>,
    /// How it is found out what the token may do.
    pub rights: Rights,
    /// Where the tool's address has to be allowed, and how the API refuses one that is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<ApiRefusal>,
    /// Where a token is made, for people.
    pub token_page: String,
    /// Regions.
    pub regions: Offer,
    /// Plans.
    pub plans: Offer,
    /// Base images.
    pub images: Offer,
}

/// How it is found out what a token may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rights {
    /// Orders without the fields that they need are refused with 403 for want of rights, otherwise for the fields.
    Probe {
        /// Paths that such orders are sent to, with the right in words.
        paths: BTreeMap<String, String>,
        /// Paths of things that no account has, which are to be deleted, with the right in words.
        #[serde(default)]
        deletes: BTreeMap<String, String>,
    },
    /// A header of every reply lists them, with spaces between.
    Header {
        /// Its name.
        name: String,
        /// What must be in it; of the ones with `|` between them, one is enough.
        needed: Vec<String>,
    },
    /// The reply to the account's path lists them.
    List {
        /// Place of the list.
        place: String,
        /// What must be in it; of the ones with `|` between them, one is enough.
        needed: Vec<String>,
    },
}

/// A refusal that has a reason and a cure of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiRefusal {
    /// What the reply's body holds.
    pub holds: String,
    /// What that means.
    pub means: String,
    /// What to do.
    pub cure: String,
}

/// Things that a provider has on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Path of the list, with parameters.
    pub list: String,
    /// Key of the list in the reply.
    pub items: String,
    /// Place of what the builder calls it.
    pub id: String,
    /// Place of a flag that is false while it cannot be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<String>,
    /// Places of the regions that have it; empty where all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<String>,
    /// Place of the disk that it has or needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// How many of the disk's unit are one GB.
    #[serde(default = "one")]
    pub per_gigabyte: f64,
    /// How it tells the processor that it has or is for, where one name or list has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<OfferArchitecture>,
    /// Place of the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// How many hours that price is for.
    #[serde(default = "one")]
    pub price_hours: f64,
}

/// How something on offer tells its processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferArchitecture {
    /// Its place.
    pub place: String,
    /// The provider's words.
    pub words: BTreeMap<Architecture, String>,
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_of_the_plugins_own_form_tells_a_time() {
        let own = OwnName::TimeOrderedUuid { prefix: "packer-".into() };
        assert_eq!(own.made_at("packer-692630c0-1a2b-3c4d-5e6f-708192a3b4c5"), Some(0x6926_30c0));
        for other in [
            "692630c0-1a2b-3c4d-5e6f-708192a3b4c5",
            "packer-692630C0-1a2b-3c4d-5e6f-708192a3b4c5",
            "packer-692630c0-1a2b-3c4d-5e6f-708192a3b4c",
            "packer-692630c0-1a2b-3c4d-5e6f-708192a3b4c5-copy",
            "packer-+92630c0-1a2b-3c4d-5e6f-708192a3b4c5",
            "packer-1764110528",
            "packer-",
        ] {
            assert_eq!(own.made_at(other), None, "{other}");
        }
    }
}
