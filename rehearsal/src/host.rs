//! Local virtual machines behind a simulated API: what the API's clients order is started, powered off, kept and
//! deleted for real.

mod deeds;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use provider_profiles::Entry;
use tokio::sync::watch;

use crate::api::{Deed, Doing, Done, Hypervisor};
use crate::machine::{Accelerator, Machine};
use crate::metadata::{Metadata, lock};
use crate::network::{MACHINE_V4, MACHINE_V6, Network};

/// Between two looks at a console.
const LOOK: Duration = Duration::from_millis(200);

/// What a host has to offer.
#[derive(Debug, Clone)]
pub struct Site {
    /// The provider.
    pub entry: Entry,
    /// The network that the machine gets; there is room for one in it.
    pub network: Arc<Network>,
    /// The disk of every image that is not a snapshot of this host.
    pub base: PathBuf,
    /// Folder for the snapshots.
    pub snapshots: PathBuf,
    /// What runs the machine's code.
    pub accelerator: Accelerator,
    /// Processors of a machine.
    pub cpus: u32,
    /// Its memory in MiB.
    pub memory: u32,
    /// How long it may take from power-on until its SSH port answers.
    pub patience: Duration,
}

impl Site {
    /// The addresses of its machine.
    fn promise() -> Done {
        Done { ipv4: MACHINE_V4.to_string(), ipv6: MACHINE_V6.to_string(), gigabytes: 0.0 }
    }
}

/// A host; dropping it ends its machine and removes the snapshots that nobody took.
#[derive(Debug)]
pub struct Host {
    shared: Arc<Shared>,
    broken: watch::Receiver<Option<String>>,
}

#[derive(Debug)]
struct Shared {
    site: Site,
    held: Mutex<Held>,
    /// Why the machine that was ordered did not come up.
    broken: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Held {
    rented: Option<Rented>,
    snapshots: BTreeMap<String, PathBuf>,
    /// Nothing is taken in any more.
    closed: bool,
}

/// The machine that somebody ordered.
#[derive(Debug)]
struct Rented {
    id: String,
    // The machine ends before its metadata service goes.
    machine: Machine,
    _metadata: Metadata,
}

impl Host {
    /// A host without a machine.
    #[must_use]
    pub fn new(site: Site) -> Self {
        let (sender, broken) = watch::channel(None);
        Self { shared: Arc::new(Shared { site, held: Mutex::default(), broken: sender }), broken }
    }

    /// The side that an API is given.
    #[must_use]
    pub fn hypervisor(&self) -> Arc<dyn Hypervisor> {
        Arc::new(Side(Arc::clone(&self.shared)))
    }

    /// Waits until a machine that was ordered fails to come up, for ever if none does: a client would only see that it
    /// takes long.
    pub async fn broken(&self) -> anyhow::Error {
        let mut broken = self.broken.clone();
        let why = broken.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => anyhow::anyhow!(why),
            // The sender lives as long as this host.
            None => std::future::pending().await,
        }
    }

    /// Moves a snapshot out of the host.
    pub fn take(&self, snapshot: &str, to: &Path) -> Result<()> {
        let kept = lock(&self.shared.held).snapshots.remove(snapshot);
        let kept = kept.with_context(|| format!("the host has no snapshot {snapshot}"))?;
        fs::rename(&kept, to).with_context(|| format!("cannot move {} to {}", kept.display(), to.display()))
    }

    /// The ids of the snapshots that are kept here.
    #[must_use]
    pub fn snapshots(&self) -> Vec<String> {
        lock(&self.shared.held).snapshots.keys().cloned().collect()
    }

    /// Waits until the machine's console has shown `text`; returns all that it has shown.
    pub async fn wait_for(&self, text: &str, deadline: Duration) -> Result<String> {
        let end = Instant::now() + deadline;
        loop {
            let looked_at = lock(&self.shared.held).rented.as_mut().map(|rented| {
                let console = rented.machine.console();
                if console.contains(text) { Ok(Some(console)) } else { rented.machine.check().map(|()| None) }
            });
            if let Some(console) = looked_at.context("there is no machine")?? {
                return Ok(console);
            }
            let seconds = deadline.as_secs();
            ensure!(
                Instant::now() < end,
                "the console did not show {text:?} within {seconds} s; its last lines:\n{}",
                self.console_tail()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The last lines of the machine's console; empty without a machine.
    #[must_use]
    pub fn console_tail(&self) -> String {
        lock(&self.shared.held).rented.as_ref().map(|r| r.machine.console_tail()).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut held = lock(&self.shared.held);
        held.closed = true;
        held.rented = None;
        for file in held.snapshots.values() {
            // One that is already gone is what was wanted.
            let _ = fs::remove_file(file);
        }
    }
}

/// The host as an API sees it.
struct Side(Arc<Shared>);

impl Hypervisor for Side {
    fn begin(&self, deed: Deed) -> Doing {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.carry_out(deed).await })
    }

    fn promise(&self) -> Done {
        Site::promise()
    }
}
