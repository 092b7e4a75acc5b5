//! `credentials`: reads a login out of a console log.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use echora_firstboot::login;
use serde_json::json;

use crate::error::{Exit, Fault};

/// What `credentials` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images credentials console.log\n  ssh GATEWAY logview | echora-images credentials - --json"
)]
pub struct Credentials {
    /// A console log; `-` reads standard input
    #[arg(value_name = "FILE")]
    log: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Credentials {
    /// Prints the newest login in the log.
    pub fn run(&self) -> Result<()> {
        let bytes = if self.log.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
            bytes
        } else {
            std::fs::read(&self.log).map_err(|e| {
                Fault::new(
                    Exit::Usage,
                    format!("cannot read {}: {e}", self.log.display()),
                    "give a console log, or - for standard input",
                )
            })?
        };
        let block = login::find(&String::from_utf8_lossy(&bytes)).map_err(|problem| {
            Fault::new(
                Exit::Failed,
                problem.to_string(),
                "copy the console's whole output, from BEGIN ECHORA LOGIN to END ECHORA LOGIN",
            )
        })?;
        if self.json {
            println!("{}", json!({"url": block.url, "username": block.username, "password": block.password}));
        } else {
            println!("URL:      {}\nUsername: {}\nPassword: {}", block.url, block.username, block.password);
        }
        Ok(())
    }
}
