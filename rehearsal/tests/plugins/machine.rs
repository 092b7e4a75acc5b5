//! In place of a machine, an SSH server that lets everybody in and does nothing: for plugins that go through SSH before
//! they take a snapshot.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use echora_rehearsal::network::{MACHINE_V4, Network};
use echora_rehearsal::process::{Job, run};
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::root;

/// With nothing built yet on a slow machine.
const BUILD: Duration = Duration::from_secs(600);
const COMMAND: Duration = Duration::from_secs(20);

/// Starts one at the machine's address.
pub(crate) async fn start(network: &Network) -> Job {
    let mut address = Command::new("ip");
    address.args(["-netns", network.namespace(), "address", "add"]);
    address.arg(format!("{MACHINE_V4}/32")).args(["dev", "lo"]);
    run(&mut address, "ip", COMMAND).await.unwrap();
    let at = SocketAddr::new(IpAddr::V4(MACHINE_V4), 22);
    let mut command = network.command(program().await);
    command.arg(at.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let job = Job::start(&mut command, "the SSH server").unwrap();
    let end = Instant::now() + COMMAND;
    while network.handle().connect(at).await.is_err() {
        assert!(Instant::now() < end, "the SSH server does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    job
}

/// The program, built once a run.
async fn program() -> &'static PathBuf {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAM.get_or_init(build).await
}

async fn build() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("machine");
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&program).arg("./machine");
    command.current_dir(root().join("rehearsal/clients")).env("CGO_ENABLED", "0");
    run(&mut command, "go build", BUILD).await.unwrap();
    program
}
