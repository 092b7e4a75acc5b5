//! A machine without a machine: the snapshot's own disk, its own systemd, Docker and firewall, in namespaces of this
//! kernel. It boots in seconds where an emulated machine takes minutes, so that what must hold at every boot can be tried
//! many times. What it cannot show: the image's kernel and boot loader, cloud-init, and what is lost with the power.

mod group;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::base::PARTITION_OFFSET;
use crate::front_door::Login;
use crate::network::{Network, Port};
use crate::process::{Job, last_lines, run};

use group::Group;
pub use group::Memory;

const ASK: Duration = Duration::from_secs(60);
const DISK: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// The disk is mounted in a mount namespace of the cell's own, which takes the mount along when it ends. Units that look
/// after hardware stay out; the network is there already, as on a provider whose addresses come with the machine.
const START: &str = r#"
set -eu
for door in $DOORS; do
	echo 0 >"$door"
done
mount -o loop,offset="$OFFSET" "$CELL/disk" "$CELL/root"
cp -R --preserve=mode "$CELL/files/." "$CELL/root/"
[ -s "$CELL/root/etc/machine-id" ] || echo uninitialized >"$CELL/root/etc/machine-id"
for unit in systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-firstboot.service \
	apt-daily.timer apt-daily-upgrade.timer; do
	set -- "$@" "systemd.mask=$unit"
done
export UNIFIED_CGROUP_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1
exec systemd-nspawn --quiet --boot --directory="$CELL/root" --network-namespace-path="/run/netns/$NAMESPACE" \
	--register=no --keep-unit --console=pipe --link-journal=no --hostname=echora --resolv-conf=off \
	--capability=all --system-call-filter='@keyring bpf' --bind="$CELL/console:/dev/ttyS0" "$@"
"#;

/// A running cell; dropping it ends everything in it and removes its disk.
#[derive(Debug)]
pub struct Cell {
    // What runs ends before its network and its disk go.
    job: Option<Job>,
    group: Option<Group>,
    port: Option<Port>,
    limit: Option<u64>,
    folder: tempfile::TempDir,
}

impl Cell {
    /// Makes a cell from a snapshot, as a machine of id `id`; it is not started yet.
    pub async fn make(snapshot: &Path, id: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the cell")?;
        let cell = Self { job: None, group: None, port: None, limit: None, folder };
        for name in ["root", "files"] {
            std::fs::create_dir(cell.path(name)).context("cannot make the cell's folders")?;
        }
        std::fs::write(cell.path("console"), "").context("cannot make the cell's console")?;
        cell.put("var/lib/cloud/data/instance-id", format!("{id}\n"), 0o644)?;
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-O", "raw"]).arg(snapshot).arg(cell.path("disk"));
        run(&mut command, "qemu-img convert", DISK).await?;
        Ok(cell)
    }

    /// Lays a file onto the disk at the next start; `path` has no leading slash.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path("files").join(path);
        let folder = file.parent().context("a file needs a folder")?;
        std::fs::create_dir_all(folder).context("cannot make the cell's folders")?;
        std::fs::write(&file, content).with_context(|| format!("cannot write {path} for the cell"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).context("cannot set a mode")
    }

    /// Lets it have no more memory than `bytes` from its next start on, files that are kept in memory included.
    pub fn limit_memory(&mut self, bytes: u64) {
        self.limit = Some(bytes);
    }

    /// What the kernel has counted of its memory since it was powered on.
    pub fn memory(&self) -> Result<Memory> {
        self.group.as_ref().context("the cell is not powered on")?.memory()
    }

    /// Powers it on in `network`. Its network card is a new one with nothing set: no rule of an earlier run is left.
    pub async fn start(&mut self, network: &Network) -> Result<()> {
        self.cut().await?;
        let port = network.port().await?;
        let log = std::fs::File::create(self.path("log")).context("cannot write the cell's log")?;
        let errors = log.try_clone().context("cannot write the cell's log")?;
        let group = Group::make(port.namespace(), self.limit)?;
        let mut command = Command::new("unshare");
        // With the first process of its process namespace goes all that ever runs in the cell.
        command.args(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", START, "cell"]);
        command.env("CELL", self.folder.path()).env("NAMESPACE", port.namespace());
        command.env("DOORS", group.doors());
        command.env("OFFSET", PARTITION_OFFSET.to_string()).stdout(log).stderr(errors);
        self.port = Some(port);
        self.group = Some(group);
        self.job = Some(Job::start(&mut command, "systemd-nspawn")?);
        Ok(())
    }

    /// Ends everything in it at once.
    pub async fn cut(&mut self) -> Result<()> {
        if let Some(job) = self.job.take() {
            job.kill().await?;
        }
        self.group = None;
        self.port = None;
        Ok(())
    }

    /// Whether its first process runs.
    pub fn runs(&mut self) -> Result<bool> {
        match &mut self.job {
            Some(job) => Ok(job.try_status()?.is_none()),
            None => Ok(false),
        }
    }

    /// A command that runs `script` by sh as root in the cell, once its systemd is there.
    pub fn shell(&self, script: &str) -> Result<Command> {
        let leader = self.leader().context("the cell has no first process")?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &leader.to_string(), "--all", "--root", "--wd", "sh", "-c", script]);
        // Of the host's environment nothing is meant for the cell.
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        Ok(command)
    }

    /// What `script` prints, run by sh as root in the cell.
    pub async fn inside(&self, script: &str) -> Result<String> {
        run(&mut self.shell(script)?, "a look into the cell", ASK).await
    }

    /// Waits until its systemd has started all that it starts.
    pub async fn settled(&mut self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        loop {
            // `degraded` is settled, too: a unit of hardware that is not there.
            if let Ok(mut command) = self.shell("systemctl is-system-running --wait || true")
                && run(&mut command, "a look into the cell", deadline)
                    .await
                    .is_ok_and(|text| ["running", "degraded"].contains(&text.trim()))
            {
                return Ok(());
            }
            ensure!(self.runs()? && Instant::now() < end, "the cell did not come up");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// All that the console has shown.
    #[must_use]
    pub fn console(&self) -> String {
        std::fs::read_to_string(self.path("console")).unwrap_or_default()
    }

    /// Waits until the console has shown `text` after byte `from`; returns the console's length then.
    pub async fn wait_for(&mut self, text: &str, from: usize, deadline: Duration) -> Result<usize> {
        let end = Instant::now() + deadline;
        loop {
            let console = self.console();
            if console.get(from..).is_some_and(|new| new.contains(text)) {
                return Ok(console.len());
            }
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            ensure!(self.runs()?, "the cell ended: {}", last_lines(&log, 8));
            if Instant::now() > end {
                bail!("the console did not show {text:?} within {} s:\n{console}", deadline.as_secs());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits for the login that the console shows after byte `from`.
    pub async fn login(&mut self, from: usize, deadline: Duration) -> Result<Login> {
        self.wait_for(echora_firstboot::login::END, from, deadline).await?;
        let block = echora_firstboot::login::find(&self.console()[from..])?;
        Ok(Login { url: block.url, username: block.username, password: block.password })
    }

    /// The processes in it that run under `name`, containers' too, by the ids that they have outside.
    #[must_use]
    pub fn processes(&self, name: &str) -> Vec<u32> {
        let Some(mut candidates) = self.leader().map(|leader| vec![leader]) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        while let Some(id) = candidates.pop() {
            // The kernel keeps 15 letters of a name.
            let known = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            if known.trim_end() == name.get(..15).unwrap_or(name) {
                found.push(id);
            }
            candidates.extend(children(id));
        }
        found
    }

    /// The process that is the first one in there.
    fn leader(&self) -> Option<u32> {
        let mut candidates = vec![self.job.as_ref()?.id()?];
        while let Some(id) = candidates.pop() {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            let ids: Vec<&str> = ids.split_whitespace().collect();
            // Of this namespace, of systemd-nspawn's, and of the cell's own.
            if ids.len() > 2 && ids.last() == Some(&"1") {
                return Some(id);
            }
            candidates.extend(children(id));
        }
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What a process has started; whichever of its threads did it.
fn children(id: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

impl Drop for Cell {
    fn drop(&mut self) {
        let id =
            self.job.as_ref().and_then(Job::id).and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // Asked to end it would shut down like a machine, and take its time.
            let _ = kill_process(id, Signal::KILL);
        }
    }
}
