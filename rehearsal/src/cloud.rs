//! A buyer's machine: a network of its own, the provider's metadata, a disk from the snapshot, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use provider_profiles::Entry;

use crate::front_door::{FrontDoor, Login};
use crate::machine::{Accelerator, KeyPair, Machine, Spec};
use crate::metadata::{Metadata, setting_for};
use crate::network::{MACHINE_V4, Network};

/// From power-on to the printed login on a slow machine.
const LOGIN: Duration = Duration::from_secs(600);
/// How often a site is asked that is waited for.
const LOOK: Duration = Duration::from_secs(1);

/// What a buyer orders.
#[derive(Debug)]
pub struct Rented<'a> {
    /// The provider.
    pub entry: &'a Entry,
    /// The snapshot's disk.
    pub disk: &'a Path,
    /// What runs the machine's code.
    pub accelerator: Accelerator,
    /// The buyer's settings by name.
    pub settings: &'a BTreeMap<String, String>,
    /// Its processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
}

/// A running machine with all around it; dropping it removes everything.
#[derive(Debug)]
pub struct Buyer {
    // In this order: the machine ends before its network goes.
    /// The machine.
    pub machine: Machine,
    /// Its metadata service.
    pub metadata: Metadata,
    /// Its network.
    pub network: Network,
    /// The key that the buyer gave.
    pub key: KeyPair,
}

impl Buyer {
    /// Boots a machine as the provider would for a buyer: no package mirror, no way out.
    pub async fn boot(rented: &Rented<'_>) -> Result<Self> {
        let key = KeyPair::generate().await?;
        let network = Network::create(&[]).await?;
        let keys = vec![key.public().to_owned()];
        let user_data = user_data(rented.settings);
        let setting = setting_for(rented.entry, keys, user_data, rented.settings.clone());
        let metadata = Metadata::serve(&network, &rented.entry.fixture, setting.clone()).await?;
        let spec = Spec {
            entry: rented.entry,
            setting: &setting,
            backing: rented.disk,
            script: None,
            cpus: rented.cpus,
            memory: rented.memory,
            accelerator: rented.accelerator,
        };
        let machine = Machine::start(&network, &spec).await?;
        Ok(Self { machine, metadata, network, key })
    }

    /// Waits for the login that the console shows after byte `from`; `progress` is told each line of first boot.
    pub async fn login(&mut self, from: usize, mut progress: impl FnMut(&str)) -> Result<Login> {
        let (mut seen, mut told) = (from, 0);
        let end = std::time::Instant::now() + LOGIN;
        loop {
            let left = end.saturating_duration_since(std::time::Instant::now());
            seen = self.machine.wait_for("\n", seen, left).await.context("the machine printed no login")?;
            let console = self.machine.console();
            let new = console.get(from..).unwrap_or_default();
            // The last line may not be whole yet.
            let whole = new.rsplit_once('\n').map_or("", |(whole, _)| whole);
            for line in whole.lines().filter_map(|line| line.trim_end().strip_prefix("echora: ")).skip(told) {
                progress(line);
                told += 1;
            }
            if new.contains(echora_firstboot::login::END) {
                let block = echora_firstboot::login::find(new)?;
                return Ok(Login { url: block.url, username: block.username, password: block.password });
            }
            anyhow::ensure!(
                !new.contains("first boot FAILED"),
                "first boot failed:\n{}",
                self.machine.console_tail()
            );
        }
    }

    /// Waits until the login works again, as after a reboot; the role of its account.
    pub async fn wait_for_site(&mut self, login: &Login, deadline: Duration) -> Result<String> {
        let end = std::time::Instant::now() + deadline;
        loop {
            let error = match FrontDoor::new(&self.network, &self.url(login)).prove(login).await {
                Ok(role) => return Ok(role),
                Err(error) => error,
            };
            self.machine.check()?;
            if std::time::Instant::now() > end {
                return Err(error.context(format!("nobody can sign in\n{}", self.machine.console_tail())));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Where the site is reached in the machine's network: a domain has no DNS there.
    #[must_use]
    pub fn url(&self, login: &Login) -> String {
        let is_address =
            login.url.trim_start_matches("https://").starts_with(|c: char| c.is_ascii_digit() || c == '[');
        if is_address { login.url.clone() } else { format!("https://{MACHINE_V4}") }
    }
}

/// The cloud-config that writes the buyer's settings; empty without any. Values are JSON texts, which YAML and TOML
/// both read as they are.
fn user_data(settings: &BTreeMap<String, String>) -> String {
    if settings.is_empty() {
        return String::new();
    }
    let lines = settings
        .iter()
        .map(|(name, value)| format!("{name} = {}\n", serde_json::Value::from(value.as_str())));
    let content: String = lines.collect();
    let file =
        serde_json::json!({"path": "/etc/echora/config.toml", "permissions": "0600", "content": content});
    format!("#cloud-config\nwrite_files: [{file}]\n")
}
