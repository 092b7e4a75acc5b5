//! Depth `api`: Packer runs the generated template as it is, with the provider's own plugin, which talks to the played
//! API; what it orders there are local machines.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::api::{Options, Reachable, Token};
use echora_rehearsal::depth::Real;
use echora_rehearsal::host::{Host, Site};
use echora_rehearsal::machine::Accelerator;
use echora_rehearsal::mirror::{self, Mirror};
use echora_rehearsal::network::Network;

use super::SNAPSHOT;
use super::leftovers::{left, only_snapshot};
use super::task::{Built, CPUS, Call, MEMORY, Task, seconds};
use crate::commands::build::account::artifact;

/// How many of the provider's seconds go by in one of ours: its waits are not what is rehearsed, their order is.
const SPEED: f64 = 20.0;
/// The token of an account that exists nowhere else.
const TOKEN: &str = "rehearsal";

impl Task<'_> {
    pub(super) async fn with_plugin(&self, real: &Real) -> Result<Built> {
        let (entry, ui) = (self.work.entry, self.work.ui);
        let step = ui.step("machine", "starting the provider's API");
        let accelerator = Accelerator::detect(self.work.cache, &self.disk).await?;
        let network = Arc::new(Network::create(&mirror::HOSTS).await?);
        let mirror = Mirror::serve(&network, self.work.cache).await?;
        let host = Host::new(Site {
            entry: entry.clone(),
            network: Arc::clone(&network),
            base: self.disk.clone(),
            snapshots: self.work.folder.to_owned(),
            accelerator,
            cpus: CPUS,
            memory: MEMORY,
            patience: Duration::from_secs(self.work.build.ssh_timeout),
        });
        let token = Token { value: TOKEN.into(), ..Token::default() };
        let options = Options { tokens: vec![token], speed: SPEED, requests: None };
        let reachable =
            Reachable::serve(&network, real.simulator.clone(), &options, host.hypervisor()).await?;
        step.done(accelerator.name());

        let step = ui.step("packer", "building with Packer and the provider's plugin");
        let mut environment = reachable.environment.clone();
        environment.push(("PACKER_PLUGIN_PATH".into(), real.plugin.folder.display().to_string()));
        let call = Call { environment, ..Call::default() };
        let (built, packer_ended) = tokio::select! {
            parts = self.packer(&network, call, &step) => (parts, true),
            // The plugin would wait on for a machine that never comes, even when it is interrupted.
            why = host.broken() => (Err(why), false),
        };
        let ledger = reachable.api.ledger();
        for asked in &ledger.asked {
            ui.log(&format!("api: {} {} {}", asked.method, asked.path, asked.status));
        }
        for stray in ledger.strays() {
            ui.say(&format!("noted by the played API: {stray}"));
        }
        let parts = built.inspect_err(|_| {
            for line in left(&ledger).iter().filter(|_| packer_ended) {
                ui.say(&format!("the plugin left in the played account: {line}"));
            }
        })?;
        step.done(&format!("{}; {}", seconds(&parts), mirror.summary()));

        let step = ui.step("snapshot", "checking what is left in the account");
        let manifest = fs::read_to_string(self.manifest()).context("Packer wrote no manifest")?;
        let (snapshot, account) = only_snapshot(&ledger, &artifact(&manifest)?)?;
        host.take(&snapshot, &self.work.folder.join(SNAPSHOT))?;
        Ok(Built { step, account: Some(account) })
    }
}
