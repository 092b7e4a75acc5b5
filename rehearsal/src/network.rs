//! A network of its own for each machine: nothing in it but the gateway, the metadata address and the machine.
//!
//! There is no route out. What a machine is to reach (metadata, packages) listens inside; the processes that serve
//! it live outside and hold sockets that were made here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::need::Missing;
use crate::process::{Job, run};

/// The machine's public IPv4 address (RFC 5737).
pub const MACHINE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// The machine's gateway.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// Netmask of the machine's network.
pub const NETMASK_V4: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The machine's public IPv6 address (RFC 3849): what SLAAC makes of [`MAC`], as on the providers' networks.
pub const MACHINE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0x5054, 0xff, 0xfeec, 0xa07);
/// The machine's network card. A MAC of digits alone is a number to YAML 1.1: this one has letters.
pub const MAC: &str = "52:54:00:ec:0a:07";
/// Where all providers' metadata services are.
pub const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

const BRIDGE: &str = "cloud0";
/// Name of the tap device for the machine.
pub const TAP: &str = "machine0";
const PREFIX: &str = "echora-";
const COMMAND_DEADLINE: Duration = Duration::from_secs(20);

/// A machine's network; dropping it takes it away.
#[derive(Debug)]
pub struct Network {
    // Fields drop in this order: what runs inside ends before the namespace goes.
    dnsmasq: Option<Job>,
    namespace: Namespace,
    leases: tempfile::TempDir,
}

/// A named network namespace.
#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Network {
    /// Makes a network. Host names in `mirrors` resolve to the gateway; no other name resolves.
    pub async fn create(mirrors: &[&str]) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Missing::new("a rehearsal makes network namespaces, which takes root", "run it with sudo").into());
        }
        sweep();
        let leases = tempfile::tempdir().context("cannot make a temporary folder")?;
        let mut network = Self { dnsmasq: None, namespace: Namespace::add().await?, leases };
        network.build().await?;
        network.dnsmasq = Some(network.start_dnsmasq(mirrors)?);
        Ok(network)
    }

    /// Name of the namespace, for `ip netns exec`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }

    /// A command that runs inside.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace.name]).arg(program.as_ref());
        command
    }

    /// A socket that listens inside.
    pub async fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        let bind = move || {
            let listener = std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
            listener.set_nonblocking(true).context("cannot make a socket asynchronous")?;
            Ok(listener)
        };
        TcpListener::from_std(self.inside(async move || bind()).await?).context("cannot use a socket of the machine's network")
    }

    /// Runs `work` on a thread that lives inside: whatever it connects to is reached from there.
    pub async fn inside<T: Send + 'static>(&self, work: impl AsyncFnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let path = self.namespace.path();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let enter = move || -> Result<T> {
            let file = std::fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
                .context("cannot enter the machine's network")?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("cannot start a runtime in the machine's network")?.block_on(work())
        };
        std::thread::spawn(move || {
            // Whoever asked may have gone; then nobody wants the answer.
            let _ = sender.send(enter());
        });
        receiver.await.context("the thread in the machine's network ended early")?
    }

    async fn build(&self) -> Result<()> {
        let gateway = format!("{GATEWAY_V4}/24");
        let metadata = format!("{}/16", METADATA.ip());
        let steps: &[&[&str]] = &[
            &["link", "set", "lo", "up"],
            &["link", "add", BRIDGE, "type", "bridge"],
            &["tuntap", "add", "dev", TAP, "mode", "tap"],
            &["link", "set", TAP, "master", BRIDGE],
            &["address", "add", &gateway, "dev", BRIDGE],
            &["address", "add", &metadata, "dev", BRIDGE],
            &["address", "add", "2001:db8::1/64", "dev", BRIDGE, "nodad"],
            &["address", "add", "fe80::1/64", "dev", BRIDGE, "nodad"],
            &["link", "set", TAP, "up"],
            &["link", "set", BRIDGE, "up"],
        ];
        for step in steps {
            let mut command = Command::new("ip");
            command.args(["-netns", &self.namespace.name]).args(*step);
            run(&mut command, "ip", COMMAND_DEADLINE).await.context("cannot build the machine's network")?;
        }
        Ok(())
    }

    fn start_dnsmasq(&self, mirrors: &[&str]) -> Result<Job> {
        let mut command = self.command("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-ping"]);
        command.args(["--user=root", "--pid-file=", "--log-facility=-", "--quiet-dhcp", "--quiet-dhcp6", "--quiet-ra"]);
        command.arg(format!("--interface={BRIDGE}")).arg("--bind-interfaces");
        command.arg(format!("--dhcp-leasefile={}", self.leases.path().join("leases").display()));
        command.arg(format!("--dhcp-range={GATEWAY_V4},static,{NETMASK_V4},1h"));
        command.arg(format!("--dhcp-host={MAC},{MACHINE_V4}"));
        command.arg(format!("--dhcp-option=option:router,{GATEWAY_V4}"));
        command.arg(format!("--dhcp-option=option:dns-server,{GATEWAY_V4}"));
        command.args(["--enable-ra", "--dhcp-range=2001:db8::,ra-only,64,1h"]);
        // Without an upstream every other name is refused at once, so that nothing waits for a time-out.
        command.args(mirrors.iter().map(|name| format!("--address=/{name}/{GATEWAY_V4}")));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Job::start(&mut command, "dnsmasq")
    }
}

impl Namespace {
    async fn add() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mut command = Command::new("ip");
        command.args(["netns", "add", &name]);
        run(&mut command, "ip netns add", COMMAND_DEADLINE).await.context("cannot make a network namespace")?;
        Ok(Self { name })
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Bridge and tap go with their namespace.
fn remove(name: &str) {
    // Nobody is left to tell; `sweep` tries again next time.
    let _ = std::process::Command::new("ip").args(["netns", "delete", name]).status();
}

/// Removes the networks of processes of ours that were killed: the name carries the process id.
pub fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).and_then(|id| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(&name);
        }
    }
}
