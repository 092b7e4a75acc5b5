//! `completions` and `man`: derived from the command line's own definition.

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;

/// What `completions` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images completions bash >/etc/bash_completion.d/echora-images\n  echora-images completions zsh >~/.zfunc/_echora-images"
)]
pub struct Completions {
    /// The shell to complete in
    shell: Shell,
}

impl Completions {
    /// Prints the completion script.
    pub fn run(&self) {
        clap_complete::generate(self.shell, &mut Cli::command(), "echora-images", &mut std::io::stdout());
    }
}

/// Prints the manual page, in roff.
pub fn man() -> Result<()> {
    clap_mangen::Man::new(Cli::command())
        .render(&mut std::io::stdout())
        .context("cannot print the manual page")
}
