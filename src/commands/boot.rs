//! `boot`: buyers' machines from a rehearsed snapshot, each proved by logging in to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::cloud::{Buyer, Rented};
use echora_rehearsal::forward::Forward;
use echora_rehearsal::front_door::{FrontDoor, Login};
use echora_rehearsal::machine::Accelerator;
use provider_profiles::Entry;
use serde_json::json;

use super::generate::catalog;
use crate::error::{Exit, Fault};
use crate::preflight;
use crate::record::{Record, Snapshot};
use crate::ui::{Mode, Ui};

/// Where a kept machine's site is reached from this machine.
const KEEP: &str = "127.0.0.1:8443";

/// What `boot` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images boot build/latest\n  echora-images boot build/latest --instances 2\n  echora-images boot build/latest --set server_name='Our place' --keep"
)]
pub struct Boot {
    /// A record of a rehearsal, or its folder
    record: PathBuf,

    /// How many machines to boot
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    instances: u8,

    /// A buyer's setting, such as domain=chat.example.org
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,

    /// Leave the last machine running until Ctrl-C, with its site on a port of this machine
    #[arg(long)]
    keep: bool,

    /// One JSON event a line on stdout
    #[arg(long)]
    json: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Boot {
    /// Boots, prints and proves.
    pub async fn run(&self) -> Result<()> {
        let (record, file) = Record::read(&self.record)?;
        let Snapshot::Disk { file: name, .. } = &record.snapshot else {
            let what = "this record is of a snapshot in an account";
            return Err(
                Fault::new(Exit::Usage, what, "only a rehearsal's snapshot can be booted here").into()
            );
        };
        let snapshot = file.parent().unwrap_or(Path::new(".")).join(name).canonicalize();
        let snapshot = snapshot.with_context(|| format!("the snapshot {name} is not beside its record"))?;
        preflight::rehearsal()?;
        let catalog = catalog(None)?;
        let entry = catalog.find(&record.provider)?;
        let ui = Ui::new(Mode::detect(self.json), usize::from(self.instances) * 2);
        let cache = Cache::user()?;
        let accelerator = Accelerator::detect(&cache, &snapshot).await?;

        let mut kept = None;
        for number in 1..=self.instances {
            // One machine at a time: the one before goes first.
            drop(kept.take());
            kept = Some(self.boot_one(&ui, entry, &snapshot, accelerator, number).await?);
        }
        match kept.filter(|_| self.keep) {
            Some((buyer, login)) => keep(&ui, buyer, &login).await,
            None => {
                ui.say("the machines were stopped and removed; --keep leaves one running until Ctrl-C");
                Ok(())
            }
        }
    }

    async fn boot_one(
        &self,
        ui: &Ui,
        entry: &Entry,
        snapshot: &Path,
        accelerator: Accelerator,
        number: u8,
    ) -> Result<(Buyer, Login)> {
        let step = ui.step("boot", &format!("booting buyer's machine {number} of {}", self.instances));
        let began = Instant::now();
        let settings: BTreeMap<_, _> = self.set.iter().cloned().collect();
        let rented =
            Rented { entry, disk: snapshot, accelerator, settings: &settings, cpus: 2, memory: 2048 };
        let mut buyer = Buyer::boot(&rented).await?;
        let login = buyer.login(0, |line| step.detail(line)).await?;
        step.done(&format!("power-on to login, {}", accelerator.name()));

        let step = ui.step("login", "logging in through its front door");
        let door = FrontDoor::new(&buyer.network, &buyer.url(&login));
        let role = door.prove(&login).await.context("the printed login does not work")?;
        if role != "owner" {
            let what = format!("the printed login is {role} and not the owner");
            return Err(Fault::new(Exit::Unverified, what, "this image must not be published").into());
        }
        step.done(&format!("{} is {role}", login.username));
        let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        ui.result(
            &format!("\n{}", block(&login)),
            &json!({"event": "login", "machine": number, "url": login.url, "username": login.username, "password": login.password, "role": role, "seconds": seconds}),
        );
        Ok((buyer, login))
    }
}

fn block(login: &Login) -> String {
    let (url, username, password) = (login.url.clone(), login.username.clone(), login.password.clone());
    echora_firstboot::login::LoginBlock { url, username, password }.render()
}

async fn keep(ui: &Ui, buyer: Buyer, login: &Login) -> Result<()> {
    let _forward =
        Forward::open(&buyer.network, KEEP.parse().context("the address to keep is no address")?).await?;
    ui.say(&format!(
        "the machine stays: open https://{KEEP} and sign in as {} (its certificate is its own CA's)",
        login.username
    ));
    ui.say("Ctrl-C stops and removes it");
    loop {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
