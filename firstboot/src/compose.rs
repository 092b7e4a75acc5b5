//! The stack, through Docker Compose.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::run;
use crate::database;
use crate::engine::{self, Container};
use crate::environment::Environment;
use crate::files;
use crate::interrupt::heed;
use crate::owner::Backend;
use crate::system::System;

/// What a change of containers may take on a slow disk.
const UP: Duration = Duration::from_secs(600);
const ASK: Duration = Duration::from_secs(30);
const RELOAD: Duration = Duration::from_secs(60);
/// Between two looks at what starts. A wait that is long already is looked at less often: it ends at most this part of itself
/// later than it could, and costs no more than a short one.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PART: u32 = 50;
/// Between two questions to the engine about a container that runs: its answer is long, and seldom a new one.
const ENGINE: Duration = Duration::from_millis(200);
/// So often a container may end and be started again while it is waited for: the app gives a database that comes up
/// five seconds, and one that is started with it may need more.
const RESTARTS: u64 = 20;

const DATABASE: &str = "echora-postgres";
const APP: &str = "echora-backend";
const CADDY: &str = "echora-caddy";
/// The containers of the stack, as compose.yaml names them.
pub(crate) const CONTAINERS: [&str; 3] = [DATABASE, APP, CADDY];
/// The volumes of the database and of its socket, as compose.yaml names them.
const DATA: &str = "echora_pgdata";
const SOCKET: &str = "echora_pgsocket";
/// Variables without which compose.yaml is refused.
const REQUIRED: [&str; 4] = ["POSTGRES_PASSWORD", "JWT_SECRET", "HMAC_SECRET", "ANNOUNCED_IP"];
/// Counts accounts, none where the app has not made its tables; the password is the container's own and stands in no
/// argument.
const ACCOUNTS: &str = r#"
export PGPASSWORD="$POSTGRES_PASSWORD"
ask() { psql --username=echora --dbname=echora --no-align --tuples-only --command="$1"; }
there=$(ask "SELECT to_regclass('public.users') IS NOT NULL") || exit
case $there in
f) echo 0 ;;
*) ask "SELECT count(*) FROM users" ;;
esac
"#;

/// Starts services and waits for none of them.
pub(crate) fn start(system: &System, services: &[&str]) -> Result<()> {
    let mut command = compose(system)?;
    if services.contains(&"backend") {
        // What stands in for a value that is not needed must never become the app's.
        for name in REQUIRED {
            command.env_remove(name);
        }
    }
    command.args(["up", "--detach", "--no-deps"]).args(services);
    run(&mut command, &format!("docker compose up {}", services.join(" ")), UP).map(drop)
}

/// Waits until the database takes connections.
pub(crate) fn wait_for_database(system: &System) -> Result<()> {
    let folder =
        engine::volume(system, SOCKET)?.context("the database has no socket: its volume is missing")?;
    wait(system, DATABASE, |container| database::is_up(system, container.pid, &folder))
        .context("the database did not become ready: see docker compose logs postgres")
}

/// Waits until the app answers and reaches its database.
pub(crate) fn wait_for_app(system: &System) -> Result<()> {
    let backend = Backend::new(&system.backend);
    wait(system, APP, |_| backend.is_ready().is_ok())
        .context("the app did not become ready: see docker compose logs backend")
}

fn wait(system: &System, name: &str, is_ready: impl Fn(&Container) -> bool) -> Result<()> {
    let wait = system.at_most(UP);
    let began = Instant::now();
    let pause = || (began.elapsed() / PART).clamp(PAUSE, LONGEST_PAUSE);
    let mut first = None;
    loop {
        heed()?;
        let container = engine::container(system, name)?.with_context(|| format!("there is no {name}"))?;
        if container.status == "running" && becomes_ready(|| is_ready(&container), pause) {
            return Ok(());
        }
        // What it did before, in a boot that was cut off, does not count.
        let restarts = container.restarts.saturating_sub(*first.get_or_insert(container.restarts));
        if restarts >= RESTARTS {
            bail!("{name} has ended {restarts} times");
        }
        if began.elapsed() > wait {
            bail!("{name} is {} after {} s", container.status, wait.as_secs());
        }
        thread::sleep(pause());
    }
}

/// Looks at what runs until the engine should be asked about it again.
fn becomes_ready(is_ready: impl Fn() -> bool, pause: impl Fn() -> Duration) -> bool {
    let end = Instant::now() + ENGINE;
    loop {
        if is_ready() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(pause());
    }
}

/// Whether there is a database, whoever made it.
pub(crate) fn database_exists(system: &System) -> Result<bool> {
    Ok(engine::volume(system, DATA)?.is_some())
}

/// Whether nobody has an account in the database that is up: whoever signs up first would own the server.
pub(crate) fn nobody_has_an_account(system: &System) -> Result<bool> {
    let mut command = compose(system)?;
    command.args(["exec", "--no-TTY", "postgres", "sh", "-c", ACCOUNTS]);
    let accounts = run(&mut command, "a look into the database", ASK)?;
    let accounts: u64 = accounts.trim().parse().context("the database does not count its accounts")?;
    Ok(accounts == 0)
}

/// Whether there is a web server that runs already.
pub(crate) fn caddy_runs(system: &System) -> Result<bool> {
    runs(system, CADDY)
}

/// Stops an app that Docker has started again by itself: it makes its tables in a database that it finds empty.
pub(crate) fn stop_app(system: &System) -> Result<()> {
    if !runs(system, APP)? {
        return Ok(());
    }
    run(compose(system)?.args(["stop", "backend"]), "docker compose stop backend", UP).map(drop)
}

fn runs(system: &System, name: &str) -> Result<bool> {
    // One that ends again and again is started again and again.
    let runs = |container: Container| ["running", "restarting"].contains(&container.status.as_str());
    Ok(engine::container(system, name)?.is_some_and(runs))
}

/// Removes the database with the containers that hold it.
pub(crate) fn discard_database(system: &System) -> Result<()> {
    let mut command = compose(system)?;
    command.args(["rm", "--stop", "--force", "backend", "postgres"]);
    run(&mut command, "docker compose rm", UP)?;
    run(Command::new("docker").args(["volume", "rm", "--force", DATA]), "docker volume rm", ASK).map(drop)
}

/// Makes Caddy read its configuration again; the old one stays when the new one is refused.
pub(crate) fn reload_caddy(system: &System) -> Result<()> {
    let mut command = caddy(system, "reload", "/etc/caddy/Caddyfile")?;
    command.args(["--address", "unix//run/caddy/admin.sock"]);
    run(&mut command, "caddy reload", RELOAD).map(drop)
}

/// As [`reload_caddy`], for a Caddy that was started a moment ago and may not listen yet.
pub(crate) fn reload_started_caddy(system: &System) -> Result<()> {
    let end = Instant::now() + RELOAD;
    loop {
        match reload_caddy(system) {
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(250)),
            reloaded => return reloaded,
        }
    }
}

/// Lets Caddy judge a configuration, given by its path in Caddy's container, without using it.
pub(crate) fn validate_caddy(system: &System, path: &str) -> Result<()> {
    run(&mut caddy(system, "validate", path)?, "caddy validate", RELOAD).map(drop)
}

/// A command of the Caddy that runs.
fn caddy(system: &System, verb: &str, config: &str) -> Result<Command> {
    let mut command = compose(system)?;
    command.args(["exec", "--no-TTY", "caddy", "caddy", verb, "--config", config, "--adapter", "caddyfile"]);
    Ok(command)
}

/// What Compose says of the stack, however far that has come.
pub(crate) fn ask(system: &System, question: &[&str], patience: Duration) -> Result<String> {
    run(compose(system)?.args(question), "docker compose", patience)
}

/// Compose reads `compose.yaml`, the operator's `compose.override.yaml` and `.env` of the stack's folder, and
/// insists on the variables of all services in every call: those that are not known yet are not used in it.
fn compose(system: &System) -> Result<Command> {
    let known = Environment::parse(&files::read(&system.environment())?.unwrap_or_default());
    let mut command = Command::new("docker");
    command.args(["compose", "--progress", "quiet"]).current_dir(system.stack());
    command.envs(REQUIRED.iter().filter(|name| known.get(name).is_none()).map(|name| (name, "unused")));
    Ok(command)
}
