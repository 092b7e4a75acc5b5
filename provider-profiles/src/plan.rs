//! The part of a profile that goes into the image: how the guest asks its provider who it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `/etc/echora/provider.toml`: what the guest needs to know of the provider that its image was built for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestPlan {
    /// The profile's id.
    pub id: String,
    /// The provider's name as people write it.
    pub name: String,
    /// Values of DMI `sys_vendor` that this provider's machines show; an assertion, never a way to guess.
    pub dmi_vendors: Vec<String>,
    /// Console devices that the login is printed on, in order.
    pub consoles: Vec<String>,
    /// Where the facts of an instance lie.
    pub metadata: Metadata,
    /// How a buyer's settings reach the machine, strongest first.
    #[serde(default)]
    pub inputs: Vec<InputSource>,
}

/// A provider's metadata service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Scheme and address, no trailing slash.
    pub base: String,
    /// A request that must come first and yields a token for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenDance>,
    /// Documents to fetch, by a name that `fields` refers to.
    pub documents: BTreeMap<String, Document>,
    /// Where each fact lies in the documents.
    pub fields: Fields,
}

/// How a session token is got and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenDance {
    /// HTTP method of the request for a token.
    pub method: String,
    /// Path of the request for a token; the reply's trimmed body is the token.
    pub path: String,
    /// Headers of the request for a token.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Header that carries the token afterwards.
    pub header: String,
}

/// One document of the metadata service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Path below the base.
    pub path: String,
    /// How to read the body.
    pub format: Format,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// How a metadata document is written. Scalars of every format are read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The trimmed body is the value.
    Text,
    /// JSON.
    Json,
    /// YAML whose scalars are never given a type: `52:54:00:12:34:56` is a number in YAML 1.1.
    Yaml,
}

/// Where each fact of an instance lies. Places are tried in order; the first that is not empty wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Changes when a snapshot becomes another machine.
    pub instance_id: Vec<Place>,
    /// The address that buyers reach the machine at.
    #[serde(default)]
    pub public_ipv4: Vec<Place>,
    /// The IPv6 address, where the machine has one.
    #[serde(default)]
    pub public_ipv6: Vec<Place>,
    /// The provider's name of the region.
    #[serde(default)]
    pub region: Vec<Place>,
    /// The machine's name, where the service tells one.
    #[serde(default)]
    pub hostname: Vec<Place>,
}

impl Fields {
    /// All places with the name of their field.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, &Place)> {
        let fields = [
            ("instance_id", &self.instance_id),
            ("public_ipv4", &self.public_ipv4),
            ("public_ipv6", &self.public_ipv6),
            ("region", &self.region),
            ("hostname", &self.hostname),
        ];
        fields.into_iter().flat_map(|(name, places)| places.iter().map(move |place| (name, place)))
    }
}

/// One place in one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Name of the document in `documents`.
    pub document: String,
    /// Steps separated by `/`, from the root: a key, a list index, or `[key=value]`, which takes the first
    /// element of a list whose `key` reads `value`. Empty: the document itself.
    #[serde(default)]
    pub pointer: String,
    /// Whether the value carries a prefix length (`203.0.113.7/32`) to cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefix_length: bool,
    /// Only counts when this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

/// A test on another value of the same document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// As in [`Place::pointer`].
    pub pointer: String,
    /// The text that must stand there.
    pub equals: String,
}

/// A way in which a buyer's settings reach the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum InputSource {
    /// cloud-init user-data whose `write_files` makes `/etc/echora/config.toml`.
    UserData {
        /// The provider's limit for user-data, in bytes.
        limit_bytes: u32,
    },
    /// One metadata request per setting; any reply but 200 with a body means unset.
    MetadataVariable {
        /// Path with `{name}` where the setting's name goes.
        path: String,
        /// Headers to send.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The longest name that the provider takes, in characters.
        name_limit: u32,
    },
    /// Environment variables of a deployment script that runs `echora-firstboot configure`, the setting's name in
    /// upper case.
    Environment {
        /// Put before the name.
        #[serde(default)]
        prefix: String,
    },
}
