//! What somebody who builds images has to know of their own account with a provider.

use serde::{Deserialize, Serialize};

use crate::profile::Doc;

/// The account that images are built in, in sentences for its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintainer {
    /// The page on which the credential is made.
    pub credential_page: String,
    /// The least rights that a build needs.
    pub rights: String,
    /// What runs out or is in the way.
    pub limits: String,
    /// What a build is billed for.
    pub billed: String,
    /// The provider's price list; no figure stands here, because it would be out of date.
    pub prices: String,
    /// Where all that was read.
    pub docs: Vec<Doc>,
}
