//! A host of local machines as an API tells it what to do. The machines have empty disks: what boots on one is told by
//! the tests that build images; SSH is answered in a machine's place.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echora_rehearsal::api::{Deed, Done, Order};
use echora_rehearsal::host::{Host, Site};
use echora_rehearsal::machine::Accelerator;
use echora_rehearsal::network::{MACHINE_V4, Network};
use provider_profiles::Catalog;
use tempfile::TempDir;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    host: Host,
    network: Arc<Network>,
    folder: TempDir,
}

impl Rig {
    async fn new(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("empty.raw");
        fs::File::create(&base).unwrap().set_len(64 << 20).unwrap();
        let network = Arc::new(Network::create(&[]).await.unwrap());
        let site = Site {
            entry: Catalog::embedded().unwrap().iter().next().unwrap().clone(),
            network: Arc::clone(&network),
            base,
            snapshots: folder.path().to_owned(),
            accelerator: Accelerator::Emulation,
            cpus: 1,
            memory: 64,
            patience,
        };
        Self { host: Host::new(site), network, folder }
    }

    /// Somebody answers at the machine's SSH port.
    async fn answer_ssh(&self) -> TcpListener {
        let mut command = Command::new("ip");
        command.args(["-netns", self.network.namespace(), "address", "add"]);
        command.arg(format!("{MACHINE_V4}/32")).args(["dev", "lo"]);
        assert!(command.status().unwrap().success());
        self.network.listen(SocketAddr::from((MACHINE_V4, 22))).await.unwrap()
    }

    async fn told(&self, deed: Deed) -> anyhow::Result<Done> {
        self.host.hypervisor().begin(deed).await
    }
}

/// Emulators that run in a network.
fn emulators(network: &Network) -> usize {
    let listed = Command::new("ip").args(["netns", "pids", network.namespace()]).output().unwrap();
    let ids = String::from_utf8(listed.stdout).unwrap();
    let is_emulator =
        |id: &&str| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("qemu"));
    ids.lines().filter(is_emulator).count()
}

/// A machine that was started becomes an emulator a moment later.
async fn wait_for_emulator(network: &Network) {
    let end = Instant::now() + PATIENCE;
    while emulators(network) != 1 {
        assert!(Instant::now() < end, "{} emulators run", emulators(network));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn order(id: &str) -> Deed {
    Deed::Start(Order {
        id: id.into(),
        name: "build".into(),
        region: "here".into(),
        image: "any".into(),
        keys: vec!["ssh-ed25519 AAAA test".into()],
        user_data: String::new(),
        variables: std::collections::BTreeMap::new(),
        script: None,
    })
}

fn snapshot(machine: &str, snapshot: &str) -> Deed {
    Deed::Snapshot { machine: machine.into(), snapshot: snapshot.into() }
}

async fn virtual_bytes(image: &Path) -> u64 {
    echora_rehearsal::machine::virtual_bytes(image).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_is_started_kept_and_deleted() {
    let rig = Rig::new(PATIENCE).await;
    let _ssh = rig.answer_ssh().await;
    let started = rig.told(order("7")).await.unwrap();
    assert_eq!(started.ipv4, MACHINE_V4.to_string());
    wait_for_emulator(&rig.network).await;
    let second = rig.told(order("8")).await.unwrap_err().to_string();
    assert!(second.contains("room for one machine") && second.contains('7'), "{second}");

    // Somebody told it to go off and orders the snapshot at once.
    let mut ordered = rig.host.hypervisor().begin(snapshot("7", "private/71"));
    let early = tokio::time::timeout(Duration::from_millis(20), &mut ordered).await;
    assert!(early.is_err(), "{early:?}");
    rig.told(Deed::PowerOff("7".into())).await.unwrap();
    assert_eq!(emulators(&rig.network), 0);
    assert!(ordered.await.unwrap().gigabytes > 0.0);
    assert_eq!(rig.host.snapshots(), ["private/71"]);
    rig.told(Deed::PowerOn("7".into())).await.unwrap();
    wait_for_emulator(&rig.network).await;
    rig.told(Deed::Delete("7".into())).await.unwrap();
    assert_eq!(emulators(&rig.network), 0);
    assert!(rig.told(Deed::ShutDown("7".into())).await.is_err(), "it is gone");

    let taken = rig.folder.path().join("taken.qcow2");
    rig.host.take("private/71", &taken).unwrap();
    assert_eq!(virtual_bytes(&taken).await, 64 << 20);
    assert!(rig.host.take("private/71", &taken).is_err(), "it was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_does_not_answer_is_told_with_its_reason() {
    let rig = Rig::new(Duration::ZERO).await;
    let error = format!("{:#}", rig.told(order("7")).await.unwrap_err());
    assert!(error.contains("within 0 s") && error.contains("the console's last lines"), "{error}");
    let broken = tokio::time::timeout(PATIENCE, rig.host.broken()).await.unwrap();
    assert_eq!(format!("{broken:#}"), error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_goes_leaves_nothing() {
    let rig = Rig::new(PATIENCE).await;
    let _ssh = rig.answer_ssh().await;
    rig.told(order("7")).await.unwrap();
    rig.told(Deed::PowerOff("7".into())).await.unwrap();
    rig.told(snapshot("7", "70")).await.unwrap();
    rig.told(Deed::PowerOn("7".into())).await.unwrap();
    let side = rig.host.hypervisor();
    wait_for_emulator(&rig.network).await;
    let Rig { host, network, folder } = rig;
    drop(host);
    assert_eq!(emulators(&network), 0);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["empty.raw"]);
    assert!(side.begin(order("8")).await.is_err(), "a host that has gone takes orders");
    assert_eq!(emulators(&network), 0);
}
