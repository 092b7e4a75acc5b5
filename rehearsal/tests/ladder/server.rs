//! The server of a buyer: the shipped Caddyfile in the real Caddy, set up by the real guest binary.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use echora_rehearsal::metadata::{Metadata, setting_for};
use echora_rehearsal::network::{Network, Port};
use echora_rehearsal::process::{Job, run};
use provider_profiles::{Catalog, Entry, Setting};
use tempfile::TempDir;
use tokio::process::Command;

use super::authority::{Authority, NAME_SERVER, Options};
use super::door::DIRECTORY;
use super::neighbours::Neighbours;
use super::{checkout, eventually, tool};

const COMMAND: Duration = Duration::from_secs(90);

/// Docker's command line as far as it concerns Caddy, which runs in the machine's folder; an app and a database are there.
const DOCKER: &str = r#"#!/bin/sh
set -eu
case "$*" in
*"up --detach --no-deps caddy"*) set -- caddy caddy reload --config /etc/caddy/Caddyfile --address unix//run/caddy/admin.sock ;;
*" exec --no-TTY caddy caddy "*) while [ "$1" != caddy ]; do shift; done ;;
*) exit 0 ;;
esac
shift 2
exec "$(dirname "$0")/caddy" "$@"
"#;

/// Caddy as compose.yaml runs it: its user, its folders.
const CADDY: &str = r#"#!/bin/sh
set -eu
export XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
exec unshare --mount --propagation private sh -c '
mount --bind "$ROOT/var/lib/echora/caddy" "$ROOT/etc/caddy/instance"
mount --bind "$ROOT/var/lib/echora/caddy-data" "$ROOT/data"
exec chroot --userspec=10002:10002 "$ROOT" /usr/bin/caddy "$@"
' caddy "$@"
"#;
const CADDY_USER: u32 = 10002;

/// The server in its network, with its authority.
pub(crate) struct Server {
    // Fields drop in this order: what runs inside ends before the network goes.
    caddy: Option<Job>,
    neighbours: Neighbours,
    metadata: Option<Metadata>,
    provider: Box<(Entry, Setting)>,
    pub(crate) authority: Authority,
    machine: Port,
    pub(crate) network: Network,
    root: TempDir,
    bin: TempDir,
}

impl Server {
    /// A server whose Caddy runs and whose first boot has not been yet.
    pub(crate) async fn new(options: Options) -> Self {
        let network = Network::create(&[]).await.unwrap();
        let machine = network.port().await.unwrap();
        let authority = Authority::start(&network, options).await;
        let entry = Catalog::embedded().unwrap().iter().next().unwrap().clone();
        let setting = setting_for(&entry, Vec::new(), String::new(), BTreeMap::new());
        let metadata = Some(Metadata::serve(&network, &entry.fixture, setting.clone()).await.unwrap());
        let (root, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let neighbours = Neighbours::start(root.path(), &machine).await;
        let plan = toml::to_string(&entry.profile.guest_plan()).unwrap();
        let provider = Box::new((entry, setting));
        let mut server =
            Self { caddy: None, neighbours, metadata, provider, authority, machine, network, root, bin };
        server.put("/etc/echora/provider.toml", &plan);
        server.lay_out().await;
        server.start_caddy().await;
        server
    }

    async fn lay_out(&self) {
        self.put("/etc/resolv.conf", &format!("nameserver {NAME_SERVER}\n"));
        self.put("/opt/echora/compose.yaml", "services: {}\n");
        self.put("/srv/index.html", "the site\n");
        self.put("/var/lib/cloud/data/instance-id", "i-1\n");
        let door = fs::read_to_string(self.authority.folder.path().join("door.pem")).unwrap();
        self.put("/etc/caddy/door.pem", &door);
        let options = format!("acme_ca {DIRECTORY}\nacme_ca_root /etc/caddy/door.pem\nrenew_interval 1s\n");
        self.put("/var/lib/echora/caddy/test.options", &options);
        for caddyfile in ["/opt/echora/Caddyfile", "/etc/caddy/Caddyfile"] {
            self.put(caddyfile, &fs::read_to_string(checkout("firstboot/stack/Caddyfile")).unwrap());
        }
        for folder in ["/etc/caddy/instance", "/data", "/root", "/usr/bin"] {
            fs::create_dir_all(self.path(folder)).unwrap();
        }
        for folder in ["/run/caddy", "/config", "/var/lib/echora/caddy-data"] {
            fs::create_dir_all(self.path(folder)).unwrap();
            chown(self.path(folder), Some(CADDY_USER), Some(CADDY_USER)).unwrap();
        }
        fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(self.path("/var/lib/echora"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(tool("caddy").await, self.path("/usr/bin/caddy")).unwrap();
        for (name, script) in [("docker", DOCKER), ("caddy", CADDY)] {
            let program = self.bin.path().join(name);
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // As firstboot/stack/50-echora-ports.conf has it.
        let mut ports = self.command("sh");
        ports.args(["-c", "echo 80 >/proc/sys/net/ipv4/ip_unprivileged_port_start"]);
        run(&mut ports, "sh", COMMAND).await.unwrap();
    }

    /// A command on the server.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.machine.namespace()]).arg(program);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.bin.path().display());
        command.env("PATH", path).env("ROOT", self.root.path());
        command
    }

    async fn start_caddy(&mut self) {
        let mut command = self.command(self.bin.path().join("caddy"));
        command.args(["run", "--config", "/etc/caddy/Caddyfile"]);
        let log = fs::File::options().append(true).create(true).open(self.path("/caddy.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let socket = self.path("/run/caddy/admin.sock");
        let _ = fs::remove_file(&socket);
        self.caddy = Some(Job::start(&mut command, "caddy").unwrap());
        eventually("Caddy starts", async || socket.exists().then_some(())).await;
    }

    /// Ends Caddy as a restart of the machine does, and starts it again.
    pub(crate) async fn restart_caddy(&mut self) {
        drop(self.caddy.take());
        self.start_caddy().await;
    }

    /// Gives the machine another IPv4 address, as its provider tells it from now on.
    pub(crate) async fn readdress(&mut self, v4: &str) {
        let mut command = Command::new("ip");
        command.args([
            "-netns",
            self.machine.namespace(),
            "address",
            "add",
            &format!("{v4}/24"),
            "dev",
            "eth0",
        ]);
        run(&mut command, "ip", COMMAND).await.unwrap();
        drop(self.metadata.take());
        let (entry, setting) = &mut *self.provider;
        setting.instance.public_ipv4 = Some(v4.to_owned());
        // The old service's port is free a moment after its end.
        let serve = async || Metadata::serve(&self.network, &entry.fixture, setting.clone()).await.ok();
        self.metadata = Some(eventually("another metadata service", serve).await);
    }

    /// Makes Caddy try again now: its own first pause after a failure is a minute.
    pub(crate) async fn nudge_caddy(&self) {
        let mut command = self.command(self.bin.path().join("caddy"));
        command.args(["reload", "--force", "--config", "/etc/caddy/Caddyfile"]);
        command.args(["--address", "unix//run/caddy/admin.sock"]);
        run(&mut command, "caddy reload", COMMAND).await.unwrap();
    }

    /// Runs the guest binary: what it printed, or why it failed.
    pub(crate) async fn guest(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(guest_binary());
        command.arg("--root").arg(self.root.path()).args(arguments);
        command.env("CURL_CA_BUNDLE", self.authority.folder.path().join("root.pem"));
        run(&mut command, "echora-firstboot", COMMAND).await
    }

    /// First boot, which must succeed whatever becomes of certificates.
    pub(crate) async fn boot(&self) -> String {
        self.guest(&[]).await.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()))
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// What Caddy said, for a failure's message.
    pub(crate) fn log(&self) -> String {
        self.read("/caddy.log")
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.neighbours.stop();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The static binary, as it lies in an image.
fn guest_binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout("target"), PathBuf::from);
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let path = target.join(triple).join("guest/echora-firstboot");
    assert!(path.is_file(), "{} has not been built: run `make guest`", path.display());
    path
}
