//! `providers`: the list of providers, for people and for machines.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use provider_profiles::Profile;
use serde_json::{Value, json};

use super::generate::catalog;
use crate::render;

/// What `providers` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images providers\n  echora-images providers --json | jq -r '.[].id'"
)]
pub struct Providers {
    /// Print a JSON array
    #[arg(long)]
    json: bool,

    /// Read profiles/ and fixtures/ from here in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

impl Providers {
    /// Prints the list.
    pub fn run(&self) -> Result<()> {
        let catalog = catalog(self.profiles.as_deref())?;
        if self.json {
            let list: Vec<_> = catalog.iter().map(|entry| describe(&entry.profile)).collect();
            println!("{}", serde_json::to_string_pretty(&list)?);
            return Ok(());
        }
        let rows = catalog.iter().map(|entry| columns(&entry.profile));
        let header = ["ID", "NAME", "PLUGIN", "BASE", "PLAN", "TOKEN FROM"].map(str::to_owned);
        let rows: Vec<_> = [header].into_iter().chain(rows).collect();
        println!("{}", render::columns(&rows));
        Ok(())
    }
}

fn columns(profile: &Profile) -> [String; 6] {
    let base = profile.default_base();
    [
        profile.id.clone(),
        profile.name.clone(),
        format!("{} {}", profile.packer.plugin.source, profile.packer.plugin.version),
        base.map(|base| base.os.clone()).unwrap_or_default(),
        base.map(|base| base.plan.clone()).unwrap_or_default(),
        profile.packer.token.environment.clone(),
    ]
}

fn describe(profile: &Profile) -> Value {
    json!({
        "id": profile.id,
        "name": profile.name,
        "plugin": profile.packer.plugin,
        "builder": profile.packer.builder,
        "token_environment": profile.packer.token.environment,
        "token_holds": profile.packer.token.holds,
        "account": profile.packer.account,
        "region": profile.packer.region,
        "bases": profile.bases,
        "consoles": profile.consoles.devices,
        "inputs": profile.inputs,
    })
}
