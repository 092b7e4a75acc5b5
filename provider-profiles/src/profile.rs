//! The schema of `profiles/<id>.toml`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::Api;
use crate::maintainer::Maintainer;
use crate::plan::{GuestPlan, InputSource, Metadata};

/// Every fact of one provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Same as the file's name; lower-case letters, digits and hyphens.
    pub id: String,
    /// The provider's name as people write it.
    pub name: String,
    /// How its machines can be told from others.
    pub identity: Identity,
    /// The Packer plugin and its source block.
    pub packer: Packer,
    /// The account that images are built in.
    pub maintainer: Maintainer,
    /// Base images with the plan to build on; the first of an architecture is its default.
    pub bases: Vec<Base>,
    /// The metadata service, for the guest.
    pub metadata: Metadata,
    /// Sources of the metadata facts, by part.
    pub metadata_docs: Vec<Doc>,
    /// How a buyer's settings reach the machine, strongest first.
    pub inputs: Vec<InputSource>,
    /// Sources of the facts on inputs.
    pub inputs_docs: Vec<Doc>,
    /// The script whose environment the settings come in, where `inputs` names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_script: Option<DeploymentScript>,
    /// What a buyer sees of the machine's consoles.
    pub consoles: Consoles,
    /// How the provider starts a machine.
    pub boot: Boot,
    /// What this provider's images need beyond the common clean-up.
    pub cleanup: Cleanup,
    /// The provider's API, as far as this tool asks it; none where only the plugin speaks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
}

impl Profile {
    /// The part that is baked into the image.
    #[must_use]
    pub fn guest_plan(&self) -> GuestPlan {
        GuestPlan {
            id: self.id.clone(),
            name: self.name.clone(),
            dmi_vendors: self.identity.dmi_vendors.clone(),
            consoles: self.consoles.devices.clone(),
            metadata: self.metadata.clone(),
            inputs: self.inputs.clone(),
        }
    }

    /// What types cannot say: the id is the file's name, every place names a known document, dates are dates.
    pub(crate) fn check(&self, file_stem: &str) -> Result<()> {
        ensure!(self.id == file_stem, "key `id`: {:?} must be the file's name, {file_stem:?}", self.id);
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(self.id.chars().all(kebab), "key `id`: {:?} may have a-z, 0-9 and - only", self.id);
        ensure!(!self.bases.is_empty(), "key `bases`: at least one base image is needed");
        ensure!(!self.consoles.devices.is_empty(), "key `consoles.devices`: at least one console is needed");
        ensure!(
            self.metadata.base.starts_with("http://") && !self.metadata.base.ends_with('/'),
            "key `metadata.base`: {:?} must be an http:// address without a slash at the end",
            self.metadata.base
        );
        ensure!(
            !self.metadata.fields.instance_id.is_empty(),
            "key `metadata.fields.instance_id`: no place given"
        );
        let reads_environment = |source: &InputSource| matches!(source, InputSource::Environment { .. });
        ensure!(
            self.deployment_script.is_none() || self.inputs.iter().any(reads_environment),
            "key `deployment_script`: no way in `inputs` of the kind \"environment\" would read its form"
        );
        for (field, place) in self.metadata.fields.places() {
            ensure!(
                self.metadata.documents.contains_key(&place.document),
                "key `metadata.fields.{field}`: no document {:?} in `metadata.documents`",
                place.document
            );
        }
        Ok(())
    }

    /// The base that is built on unless another is asked for.
    #[must_use]
    pub fn default_base(&self) -> Option<&Base> {
        self.bases.first()
    }

    /// The default base of each architecture, that of the profile's default first.
    pub fn default_bases(&self) -> impl Iterator<Item = &Base> {
        let is_first = |(index, base): &(usize, &Base)| {
            self.bases[..*index].iter().all(|earlier| earlier.architecture != base.architecture)
        };
        self.bases.iter().enumerate().filter(is_first).map(|(_, base)| base)
    }
}

/// Where a fact was read, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doc {
    /// The vendor's page or source file.
    pub url: String,
    /// The day it was last read, `YYYY-MM-DD`.
    pub checked: String,
}

/// How a provider's machines can be told from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Values of DMI `sys_vendor`.
    pub dmi_vendors: Vec<String>,
    /// Where that was read.
    pub doc: Doc,
}

/// The Packer plugin and its source block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packer {
    /// What `required_plugins` says.
    pub plugin: Plugin,
    /// Type of the source block.
    pub builder: String,
    /// The account's credential.
    pub token: Token,
    /// Arguments of the source block that only the maintainer's account can tell, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub account: BTreeMap<String, AccountSetting>,
    /// Which arguments of the source block carry the values that vary from build to build.
    pub names: ArgumentNames,
    /// How what a build makes is labelled.
    pub labels: Labels,
    /// Arguments that hand the builder an SSH key of the account, where that keeps it from making one without a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyArguments>,
    /// Region that is built in unless another is asked for.
    pub region: String,
    /// All other arguments of the source block, as they are. `BLOCK.NAME` is the argument of a nested block.
    pub arguments: BTreeMap<String, toml::Value>,
    /// Where the arguments were read.
    pub doc: Doc,
}

/// A Packer plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Local name in `required_plugins`.
    pub name: String,
    /// Source address for `packer init`.
    pub source: String,
    /// Version constraint.
    pub version: String,
}

/// The account's credential: a sensitive Packer variable that is read from the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Argument of the source block.
    pub argument: String,
    /// Environment variable that the provider's tools read.
    pub environment: String,
    /// What that variable holds.
    #[serde(default)]
    pub holds: Credential,
}

/// What proves that a build may use the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// An API token.
    #[default]
    Token,
    /// The path of a private key that requests are signed with.
    KeyFile,
}

impl Credential {
    /// What it is, in words that follow "set it to" and "the account's".
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Token => "API token",
            Self::KeyFile => "API signing key, as the path of its file",
        }
    }
}

/// A setting of the account, which is no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSetting {
    /// Environment variable that it is read from.
    pub environment: String,
    /// What it is, in a few words.
    pub meaning: String,
}

/// Names that the source block gives to what varies. `BLOCK.NAME` is the argument of a nested block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgumentNames {
    /// The base image or OS.
    pub image: String,
    /// The plan (size, type) of the build machine.
    pub plan: String,
    /// The region or location.
    pub region: String,
    /// What the snapshot is called.
    pub snapshot: String,
    /// What the build machine is called, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// How what a build makes is labelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Form of the arguments.
    pub kind: LabelKind,
    /// Arguments that take labels.
    pub arguments: Vec<String>,
}

/// Form of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// A list of texts.
    List,
    /// Names with values.
    Map,
}

/// Arguments that hand the builder an SSH key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyArguments {
    /// The key's id in the account.
    pub id: String,
    /// File with its private half.
    pub file: String,
}

/// A base image with the plan to build on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Distribution and release, `ubuntu-24.04`.
    pub os: String,
    /// Processor.
    pub architecture: Architecture,
    /// The provider's id or slug of the image: a text or a number, as the plugin wants it.
    pub image: toml::Value,
    /// The provider's id of the smallest plan that is fit to build on.
    pub plan: String,
    /// The smallest plan of this processor that buyers may choose: the image's disk must fit. None where a plan has no
    /// disk of its own size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_plan: Option<String>,
    /// Where both were read.
    pub doc: Doc,
}

/// Processor architecture, by its Rust and kernel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// AMD and Intel, 64 bit.
    #[serde(rename = "x86_64")]
    X86_64,
    /// Arm, 64 bit.
    Aarch64,
}

impl Architecture {
    /// Its name in target triples and in `uname -m`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Its name in container images.
    #[must_use]
    pub fn image_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// A script that the provider runs on a new machine, with a form for the buyer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentScript {
    /// What the provider calls it; also the file's name.
    pub name: String,
    /// How it declares the fields of its form.
    pub form: Form,
    /// The longest script that is taken, in bytes.
    pub limit_bytes: usize,
    /// Where that was read.
    pub doc: Doc,
}

/// How a deployment script declares the fields of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Tags `<UDF name="..." label="..." />` in comments; a field's name in upper case is its variable.
    Udf,
}

/// What a buyer sees of the machine's consoles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consoles {
    /// Devices that the login is printed on, in order.
    pub devices: Vec<String>,
    /// How a buyer opens the console, in one sentence.
    pub opened_by: String,
    /// Where that was read.
    pub doc: Doc,
}

/// How the provider starts a machine: what a rehearsal has to do alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// What `cloud-id` prints.
    pub cloud_id: String,
    /// Where cloud-init reads its metadata.
    pub datasource: Datasource,
    /// DMI strings of the machine.
    pub dmi: Dmi,
    /// How the builder's and buyer's SSH keys get in.
    pub ssh_keys: KeyDelivery,
    /// Where that was read.
    pub doc: Doc,
}

/// Where cloud-init reads its metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Datasource {
    /// From the metadata service.
    Http,
    /// From a second disk; the fixture holds its files.
    ConfigDrive {
        /// File system label of that disk.
        label: String,
    },
}

/// DMI strings of a provider's machines; the serial number is the instance id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dmi {
    /// `sys_vendor`.
    pub manufacturer: String,
    /// `product_name`.
    pub product: String,
    /// `chassis_asset_tag`, where cloud-init knows the provider by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_tag: Option<String>,
}

/// How SSH keys get into a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyDelivery {
    /// cloud-init takes them from its datasource.
    Datasource,
    /// The provider writes them into the disk before the first boot.
    Disk,
}

/// What a provider's images need beyond the common clean-up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// Kernel arguments that the image must carry.
    #[serde(default)]
    pub kernel_arguments: Vec<String>,
    /// Packages of the provider that an image must not contain.
    #[serde(default)]
    pub purge_packages: Vec<String>,
    /// Paths that an image must not contain.
    #[serde(default)]
    pub remove_paths: Vec<String>,
    /// Whether free space must be overwritten with zeros.
    #[serde(default)]
    pub zero_fill: bool,
    /// Whether free space should be given back with `fstrim`.
    #[serde(default)]
    pub trim: bool,
    /// Where that was read.
    pub docs: Vec<Doc>,
}
