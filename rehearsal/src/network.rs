//! A network of its own for each machine: nothing in it but the gateway, the metadata address and the machine.
//!
//! There is no route out. What a machine is to reach (metadata, packages) listens inside; the processes that serve
//! it live outside and hold sockets that were made here.

mod port;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::need::Missing;
use crate::process::{Job, run};

pub use port::Port;

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

/// The domain that the network's name server answers for (RFC 2606).
pub const ZONE: &str = "example.org";
const RECORDS: &str = "records";
const BRIDGE: &str = "cloud0";
/// Name of the tap device for the machine.
pub const TAP: &str = "machine0";
const PREFIX: &str = "echora-";
/// The kernel takes away networks that have gone one after another, with all that they remember of connections, and new ones
/// may have to wait for that.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(10);

/// A machine's network; dropping it takes it away.
#[derive(Debug)]
pub struct Network {
    // Fields drop in this order: what runs inside ends before the namespace goes.
    dnsmasq: Option<Job>,
    namespace: Namespace,
    /// What dnsmasq writes and reads.
    names: tempfile::TempDir,
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
            return Err(Missing::new(
                "a rehearsal makes network namespaces, which takes root",
                "run it with sudo",
            )
            .into());
        }
        sweep();
        let names = tempfile::tempdir().context("cannot make a temporary folder")?;
        std::fs::create_dir(names.path().join(RECORDS)).context("cannot make a temporary folder")?;
        let mut network = Self { dnsmasq: None, namespace: Namespace::add().await?, names };
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
        self.handle().listen(address).await
    }

    /// A way in that can be given away.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { path: self.namespace.path() }
    }

    /// Runs `work` on a thread that lives inside: whatever it connects to is reached from there.
    pub async fn inside<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.handle().inside(work).await
    }

    /// Lets commands that run inside find `host` at `address`.
    pub fn name(&self, host: &str, address: IpAddr) -> Result<()> {
        let folder = settings_of(&self.namespace.name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let hosts = format!("127.0.0.1 localhost\n::1 localhost\n{address} {host}\n");
        std::fs::write(folder.join("hosts"), hosts).context("cannot write the hosts of a network")
    }

    /// Lets the network's name server lead `name`, which is below [`ZONE`], to `address` from now on.
    pub fn record(&self, name: &str, address: IpAddr) -> Result<()> {
        // dnsmasq reads what is new in the folder; it must be whole by then.
        let written = self.names.path().join(name);
        std::fs::write(&written, format!("{address} {name}\n")).context("cannot write a record")?;
        let record = self.names.path().join(RECORDS).join(name);
        std::fs::rename(written, record).context("cannot add a record")
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
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--no-ping",
        ]);
        command.args([
            "--user=root",
            "--pid-file=",
            "--log-facility=-",
            "--quiet-dhcp",
            "--quiet-dhcp6",
            "--quiet-ra",
        ]);
        command.arg(format!("--interface={BRIDGE}")).arg("--bind-interfaces");
        command.arg(format!("--dhcp-leasefile={}", self.names.path().join("leases").display()));
        command.arg(format!("--hostsdir={}", self.names.path().join(RECORDS).display()));
        // What is not recorded in it does not exist; of other names nothing is known.
        command.arg(format!("--local=/{ZONE}/"));
        command.arg(format!("--dhcp-range={GATEWAY_V4},static,{NETMASK_V4},1h"));
        command.arg(format!("--dhcp-host={MAC},{MACHINE_V4}"));
        command.arg(format!("--dhcp-option=option:router,{GATEWAY_V4}"));
        command.arg(format!("--dhcp-option=option:dns-server,{GATEWAY_V4}"));
        command.args(["--enable-ra", "--dhcp-range=2001:db8::,ra-only,64,1h"]);
        // Without an upstream every other name is refused at once, so that nothing waits for a time-out.
        command.args(mirrors.iter().map(|name| format!("--address=/{name}/{GATEWAY_V4}")));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Job::start(&mut command, "dnsmasq")
    }
}

/// A way into a network, for as long as it lives.
#[derive(Debug, Clone)]
pub struct Handle {
    path: PathBuf,
}

impl Handle {
    /// As [`Network::inside`].
    pub async fn inside<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path.clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let enter = move || -> Result<T> {
            let file =
                std::fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
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

    /// A socket that listens inside.
    pub async fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        let bind = move || {
            let listener = std::net::TcpListener::bind(address)
                .with_context(|| format!("cannot listen on {address}"))?;
            listener.set_nonblocking(true).context("cannot make a socket asynchronous")?;
            Ok(listener)
        };
        TcpListener::from_std(self.inside(async move || bind()).await?)
            .context("cannot use a socket of the machine's network")
    }

    /// A connection that begins inside; its socket can be used from anywhere.
    pub async fn connect(&self, target: SocketAddr) -> Result<TcpStream> {
        let connect = async move || {
            let stream = std::net::TcpStream::connect_timeout(&target, CONNECT)
                .with_context(|| format!("cannot reach {target}"))?;
            stream.set_nonblocking(true).context("cannot make a socket asynchronous")?;
            Ok(stream)
        };
        TcpStream::from_std(self.inside(connect).await?)
            .context("cannot use a socket of the machine's network")
    }
}

impl Namespace {
    async fn add() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        // The guard is there first: who gives up during the command leaves no namespace either.
        let namespace = Self { name };
        let mut command = Command::new("ip");
        command.args(["netns", "add", &namespace.name]);
        run(&mut command, "ip netns add", COMMAND_DEADLINE)
            .await
            .context("cannot make a network namespace")?;
        Ok(namespace)
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

/// Files that `ip netns exec` puts over those in `/etc`.
fn settings_of(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

/// Bridge and tap go with their namespace.
fn remove(name: &str) {
    // They may never have come about, and nobody is left to tell; `sweep` tries again next time.
    let _ = std::fs::remove_dir_all(settings_of(name));
    let _ = std::process::Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
}

/// Removes the networks of processes of ours that were killed, with the machines in them: the name carries the
/// process id.
pub fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .and_then(|id| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            end_all_in(&name);
            remove(&name);
        }
    }
}

/// Ends what runs in a namespace: without a name it would run on, out of reach.
fn end_all_in(name: &str) {
    let listed =
        std::process::Command::new("ip").args(["netns", "pids", name]).stderr(Stdio::null()).output();
    let listed =
        listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for id in listed.lines().filter_map(|id| Pid::from_raw(id.trim().parse().ok()?)) {
        // One that has ended meanwhile is what was wanted.
        let _ = kill_process(id, Signal::KILL);
    }
}
