//! Depth `machine`: a local machine is started here, and Packer only provisions it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::machine::{Accelerator, KeyPair, Machine, Spec};
use echora_rehearsal::metadata::{Metadata, setting_for};
use echora_rehearsal::mirror::{self, Mirror};
use echora_rehearsal::network::{MACHINE_V4, Network};
use serde_json::{Map, json};

use super::SNAPSHOT;
use super::task::{Built, CPUS, Call, MEMORY, Task, seconds};

impl Task<'_> {
    pub(super) async fn without_plugin(&self) -> Result<Built> {
        let (entry, ui) = (self.work.entry, self.work.ui);
        let step = ui.step("machine", "starting the build machine");
        let accelerator = Accelerator::detect(self.work.cache, &self.disk).await?;
        let network = Network::create(&mirror::HOSTS).await?;
        let mirror = Mirror::serve(&network, self.work.cache).await?;
        let key = KeyPair::generate().await?;
        let setting = setting_for(entry, vec![key.public().to_owned()], String::new(), BTreeMap::new());
        let _metadata = Metadata::serve(&network, &entry.fixture, setting.clone()).await?;
        let spec = Spec {
            entry,
            setting: &setting,
            backing: &self.disk,
            script: None,
            cpus: CPUS,
            memory: MEMORY,
            accelerator,
        };
        let mut machine = Machine::start(&network, &spec).await?;
        key.wait_for_ssh(&network, Duration::from_secs(self.work.build.ssh_timeout))
            .await
            .with_context(|| console(&machine))?;
        step.done(accelerator.name());

        let step = ui.step("packer", "provisioning with Packer");
        let variables = Map::from_iter([
            ("ssh_host".to_owned(), json!(MACHINE_V4.to_string())),
            ("ssh_private_key_file".to_owned(), json!(key.private_file())),
        ]);
        let parts = self.packer(&network, Call { variables, ..Call::default() }, &step).await?;
        step.done(&format!("{}; {}", seconds(&parts), mirror.summary()));

        let step = ui.step("snapshot", "powering down and taking the snapshot");
        machine.power_down().await?;
        machine.snapshot(&self.work.folder.join(SNAPSHOT)).await?;
        Ok(Built { step, account: None })
    }
}

fn console(machine: &Machine) -> String {
    format!("the console's last lines:\n{}", machine.console_tail())
}
