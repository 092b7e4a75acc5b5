//! The stack, through Docker Compose.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::run;
use crate::system::System;

/// The engine comes up beside us.
const ENGINE: Duration = Duration::from_secs(180);
const ASK: Duration = Duration::from_secs(30);
/// A database that is made anew on a slow disk.
const UP: Duration = Duration::from_secs(600);
const RELOAD: Duration = Duration::from_secs(60);

/// The database's volume, as compose.yaml names it.
const DATABASE: &str = "echora_pgdata";
/// Variables without which compose.yaml is refused.
const REQUIRED: [&str; 4] = ["POSTGRES_PASSWORD", "JWT_SECRET", "HMAC_SECRET", "ANNOUNCED_IP"];

/// Waits until the engine answers.
pub(crate) fn wait_for_engine() -> Result<()> {
    let end = Instant::now() + ENGINE;
    loop {
        let asked = run(
            Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]),
            "docker version",
            ASK,
        );
        match asked {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => {
                return Err(error).context("Docker does not answer: see journalctl -u docker");
            }
            Err(_) => thread::sleep(Duration::from_millis(250)),
        }
    }
}

/// Starts Caddy alone, before there is any secret. Compose insists on the variables of all services; those of the
/// others are not used in this call.
pub(crate) fn start_caddy(system: &System) -> Result<()> {
    let mut command = compose(system);
    command.envs(REQUIRED.map(|name| (name, "unused")));
    command.args(["up", "--detach", "--no-deps", "caddy"]);
    run(&mut command, "docker compose up caddy", UP).map(drop)
}

/// Starts a service with what it depends on and waits until all of them are healthy.
pub(crate) fn start_and_wait(system: &System, service: &str) -> Result<()> {
    let mut command = compose(system);
    command.args(["up", "--detach", "--wait", "--wait-timeout"]).arg(UP.as_secs().to_string()).arg(service);
    let what = format!("docker compose up {service}");
    run(&mut command, &what, UP + ASK)
        .with_context(|| format!("the {service} did not become ready: see docker compose logs {service}"))
        .map(drop)
}

/// Whether there is a volume of the database, whoever made it.
pub(crate) fn database_exists() -> bool {
    run(Command::new("docker").args(["volume", "inspect", DATABASE]), "docker volume inspect", ASK).is_ok()
}

/// Removes the database with the containers that hold it.
pub(crate) fn discard_database(system: &System) -> Result<()> {
    let mut command = compose(system);
    command.args(["rm", "--stop", "--force", "backend", "postgres"]);
    run(&mut command, "docker compose rm", UP)?;
    run(Command::new("docker").args(["volume", "rm", "--force", DATABASE]), "docker volume rm", ASK).map(drop)
}

/// Makes Caddy read its configuration again; the old one stays when the new one is refused.
pub(crate) fn reload_caddy(system: &System) -> Result<()> {
    let mut command = compose(system);
    command.args([
        "exec",
        "--no-TTY",
        "caddy",
        "caddy",
        "reload",
        "--config",
        "/etc/caddy/Caddyfile",
        "--adapter",
        "caddyfile",
    ]);
    command.args(["--address", "unix//run/caddy/admin.sock"]);
    run(&mut command, "caddy reload", RELOAD).map(drop)
}

/// Compose reads `compose.yaml`, the operator's `compose.override.yaml` and `.env` of the stack's folder.
fn compose(system: &System) -> Command {
    let mut command = Command::new("docker");
    command.args(["compose", "--progress", "quiet"]).current_dir(system.stack());
    command
}
