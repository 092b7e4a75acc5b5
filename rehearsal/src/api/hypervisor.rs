//! The seam to what plays the machines behind an API.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// A machine as a customer ordered it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The provider's id of the machine.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Region as the provider writes it.
    pub region: String,
    /// Id of the base image or snapshot whose disk it starts from.
    pub image: String,
    /// Public SSH keys, one line each.
    pub keys: Vec<String>,
    /// User-data; empty when there is none.
    pub user_data: String,
    /// What the buyer wrote into the listing's form, where the machine is told so by its metadata service.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// What the provider runs on it at first boot.
    #[serde(default)]
    pub script: Option<Script>,
}

/// A script that the provider runs as root at a machine's first boot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Where it lies on the machine.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Its environment.
    pub variables: BTreeMap<String, String>,
}

/// What the hypervisor is to do; machines and snapshots by the provider's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Make a machine and power it on.
    Start(Order),
    /// Power a machine on that is off.
    PowerOn(String),
    /// Pull a machine's plug.
    PowerOff(String),
    /// Press a machine's power button and wait until it is off.
    ShutDown(String),
    /// Keep a machine's disk as a snapshot.
    Snapshot {
        /// The machine.
        machine: String,
        /// The snapshot to be.
        snapshot: String,
    },
    /// Remove a machine with its disk, whatever its state.
    Delete(String),
    /// Remove a snapshot's disk.
    DeleteSnapshot(String),
}

/// What a deed came to; templates see it as `host`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Done {
    /// Address of a machine that was started.
    pub ipv4: String,
    /// Its IPv6 address.
    pub ipv6: String,
    /// Size of a snapshot in GB.
    pub gigabytes: f64,
}

/// A deed under way; dropping it gives it up.
pub type Doing = Pin<Box<dyn Future<Output = Result<Done>> + Send>>;

/// Plays the machines.
pub trait Hypervisor: Send + Sync + 'static {
    /// Begins a deed. An error makes what waits for it end badly, as the provider shows that.
    fn begin(&self, deed: Deed) -> Doing;

    /// The addresses that the next machine will have, where a provider tells them before it starts; templates see
    /// them as `promised`.
    fn promise(&self) -> Done;
}

/// No machines at all: every deed is done at once. For tests of the conversation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Hypervisor for Nothing {
    fn begin(&self, _: Deed) -> Doing {
        Box::pin(std::future::ready(Ok(self.promise())))
    }

    fn promise(&self) -> Done {
        Done { ipv4: "203.0.113.7".into(), ipv6: "2001:db8::7".into(), gigabytes: 1.5 }
    }
}
