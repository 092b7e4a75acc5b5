//! What several tests need: the program itself, and the checkout.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod account;
pub(crate) mod browser;
pub(crate) mod buyer;
pub(crate) mod cell;
pub(crate) mod depth;
pub(crate) mod fleet;
pub(crate) mod flood;
pub(crate) mod retarget;
pub(crate) mod rigs;
pub(crate) mod snapshot;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The command line tool as it was built for this test.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echora-images"));
    command.current_dir(root()).env_remove("RUST_BACKTRACE");
    command
}

/// Runs the tool.
pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program starts")
}

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The provider that rehearsals are for unless another is named.
pub(crate) fn default_provider() -> String {
    std::fs::read_to_string(root().join("provider-profiles/default"))
        .expect("the file is there")
        .trim()
        .to_owned()
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Files that git tracks.
pub(crate) fn tracked(pattern: &[&str]) -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root())
        .arg("ls-files")
        .arg("--")
        .args(pattern)
        .output()
        .expect("git runs");
    stdout(&output).lines().map(|line| root().join(line)).collect()
}

/// A script that asks a machine's database; answers come one a line.
pub(crate) fn query_script(question: &str) -> String {
    format!(
        "cd /opt/echora && . ./.env && docker exec -e PGPASSWORD=\"$POSTGRES_PASSWORD\" echora-postgres \
         psql -U echora -Atc \"{question}\""
    )
}
