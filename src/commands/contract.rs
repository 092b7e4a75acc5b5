//! `contract`: holds an app against the contract that images rely on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::images;
use echora_rehearsal::process::Job;
use provider_profiles::Architecture;
use tokio::process::Command;

use crate::error::{Exit, Fault};
use crate::project::Project;

const DEADLINE: Duration = Duration::from_secs(600);

/// What `contract` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images contract\n  echora-images contract --app target/release/backend"
)]
pub struct Contract {
    /// The app's program [default: the stand-in]
    #[arg(long, value_name = "FILE")]
    app: Option<PathBuf>,
}

impl Contract {
    /// Runs all rows against the `PostgreSQL` that rehearsals run, unpacked from its image.
    pub async fn run(&self) -> Result<()> {
        let project = Project::find()?;
        let architecture =
            if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };
        let stand_in = project.stand_in(architecture)?;
        let postgres = images::postgres(&Cache::user()?).await?;
        let tree = tempfile::tempdir().context("cannot make a temporary folder")?;
        images::unpack(&postgres, tree.path())?;
        // PostgreSQL runs as a user of its own and has to get in.
        fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755))
            .context("cannot open the tree")?;
        let app = self.app.as_ref().unwrap_or(&stand_in);
        let mut command = Command::new("sh");
        command
            .arg(project.path("rehearsal/app/contract/run.sh"))
            .arg(app.canonicalize().context("there is no such app")?);
        command.env("POSTGRES_ROOT", tree.path());
        let status = Job::start(&mut command, "the contract")?.status(DEADLINE).await?;
        if status.success() {
            return Ok(());
        }
        Err(Fault::new(Exit::Unverified, "the contract does not hold", "each line with FAIL is a row of it")
            .into())
    }
}
