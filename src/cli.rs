//! The command line.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::commands::boot::Boot;
use crate::commands::build::Build;
use crate::commands::contract::Contract;
use crate::commands::credentials::Credentials;
use crate::commands::generate::Generate;
use crate::commands::images::Images;
use crate::commands::providers::Providers;
use crate::commands::prune::Prune;
use crate::commands::{cache, shell};
use crate::interrupt::{HALF_REMOVED, Interrupt};

/// Builds 1-Click VM images of Echora, proves them by booting them as a customer would
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Examples:\n  echora-images build PROVIDER --rehearse\n  echora-images boot build/latest\n  echora-images providers"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an image and write a record of it
    Build(Build),
    /// List, show and delete the snapshots of builds
    Images(Images),
    /// Remove what dead builds left in accounts
    Prune(Prune),
    /// Boot buyers' machines from a rehearsed snapshot, print their logins and prove them
    Boot(Boot),
    /// Read a login out of a console log
    Credentials(Credentials),
    /// Write Packer templates and guest plans from the provider profiles
    Generate(Generate),
    /// List the providers
    Providers(Providers),
    /// Hold an app against the contract that images rely on
    Contract(Contract),
    /// Empty the cache of base disks, tools, packages and container images
    CleanCache,
    /// Print a shell's completion script
    Completions(shell::Completions),
    /// Print the manual page
    Man,
}

impl Cli {
    /// Runs the command that was asked for.
    pub async fn run(self, interrupt: &Interrupt) -> Result<()> {
        match self.command {
            Command::Build(build) => build.run(interrupt).await,
            Command::Images(images) => interrupt.until(HALF_REMOVED, images.run()).await,
            Command::Prune(prune) => interrupt.until(HALF_REMOVED, prune.run()).await,
            Command::Boot(boot) => interrupt.ends(boot.run()).await,
            Command::Credentials(credentials) => credentials.run(),
            Command::Generate(generate) => generate.run(),
            Command::Providers(providers) => providers.run(),
            Command::Contract(contract) => interrupt.ends(contract.run()).await,
            Command::CleanCache => cache::clean(),
            Command::Completions(completions) => {
                completions.run();
                Ok(())
            }
            Command::Man => shell::man(),
        }
    }
}
