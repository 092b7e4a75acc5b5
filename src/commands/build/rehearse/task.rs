//! What provisioning needs at either depth.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::network::Network;
use serde_json::{Map, Value, json};

use super::Work;
use crate::commands::build::packer::PackerRun;
use crate::commands::build::payload;
use crate::record::Account;
use crate::render::Files;
use crate::ui::Step;

pub(super) const CPUS: u32 = 2;
pub(super) const MEMORY: u32 = 2048;
const PACKER: Duration = Duration::from_secs(3600);

/// One provisioning.
pub(super) struct Task<'a> {
    pub(super) work: &'a Work<'a>,
    /// Folder for what nobody needs afterwards.
    pub(super) scratch: &'a Path,
    pub(super) packer: &'a Path,
    pub(super) files: &'a Files,
    pub(super) disk: PathBuf,
}

/// What came of it, beside the snapshot in the build's folder.
pub(super) struct Built {
    /// The step that took the snapshot.
    pub(super) step: Step,
    /// The played account, where there was one.
    pub(super) account: Option<Account>,
}

/// How Packer is called at a depth.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Variables of the template besides those of every build.
    pub(super) variables: Map<String, Value>,
    pub(super) environment: Vec<(String, String)>,
}

impl Task<'_> {
    /// Where Packer's manifest comes to lie.
    pub(super) fn manifest(&self) -> PathBuf {
        self.scratch.join("manifest.json")
    }

    /// Runs Packer in `network`.
    pub(super) async fn packer(
        &self,
        network: &Network,
        call: Call,
        step: &Step,
    ) -> Result<Vec<(String, f64)>> {
        let template = self.scratch.join("template");
        fs::create_dir(&template).context("cannot make a folder for the template")?;
        for (name, text) in self.files {
            fs::write(template.join(name), text).context("cannot write the template")?;
        }
        let variables = self.scratch.join("variables.json");
        let mut values = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "payload": self.scratch.join(payload::NAME),
            "scripts": self.work.project.path("packer/scripts"),
            "packages": self.scratch.join("packages.txt"),
            "manifest": self.manifest(),
        });
        values.as_object_mut().context("variables are an object")?.extend(call.variables);
        fs::write(&variables, values.to_string()).context("cannot write Packer's variables")?;
        let prefix = ["ip", "netns", "exec", network.namespace()].map(str::to_owned);
        let home = self.scratch.join("packer");
        fs::create_dir(&home).context("cannot make a folder for Packer")?;
        // What it does not remove when it is killed goes with the scratch folder.
        let temporary = ("TMPDIR".to_owned(), home.display().to_string());
        let environment: Vec<_> = call.environment.into_iter().chain([temporary]).collect();
        let run = PackerRun {
            prefix: &prefix,
            packer: self.packer,
            template: &template,
            variables: &variables,
            home: Some(&home),
            environment: &environment,
            deadline: PACKER,
            left: "nothing was left running",
        };
        run.run(self.work.ui, step).await
    }
}

/// Seconds of each part of a run, in words.
pub(super) fn seconds(parts: &[(String, f64)]) -> String {
    parts.iter().map(|(name, seconds)| format!("{name} {seconds:.0} s")).collect::<Vec<_>>().join(", ")
}
