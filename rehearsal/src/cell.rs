//! A machine without a machine: the snapshot's own disk, its own systemd, Docker and firewall, in namespaces of this
//! kernel. It boots in seconds where an emulated machine takes minutes, so that what must hold at every boot can be tried
//! many times. What it cannot show: the image's kernel and boot loader, cloud-init, and what is lost with the power.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::base::PARTITION_OFFSET;
use crate::front_door::Login;
use crate::network::{Network, Port};
use crate::process::{Job, last_lines, run};

const ASK: Duration = Duration::from_secs(60);
const DISK: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// The disk is mounted in a mount namespace of the cell's own, which takes the mount along when it ends. Units that look
/// after hardware stay out; the network is there already, as on a provider whose addresses come with the machine.
const START: &str = r#"
set -eu
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
    port: Option<Port>,
    folder: tempfile::TempDir,
}

impl Cell {
    /// Makes a cell from a snapshot, as a machine of id `id`; it is not started yet.
    pub async fn make(snapshot: &Path, id: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the cell")?;
        let cell = Self { job: None, port: None, folder };
        for name in ["root", "files"] {
            std::fs::create_dir(cell.path(name)).context("cannot make the cell's folders")?;
        }
        std::fs::write(cell.path("console"), "").context("cannot make the cell's console")?;
        cell.put("var/lib/cloud/data/instance-id", &format!("{id}\n"), 0o644)?;
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-O", "raw"]).arg(snapshot).arg(cell.path("disk"));
        run(&mut command, "qemu-img convert", DISK).await?;
        Ok(cell)
    }

    /// Lays a file onto the disk at the next start; `path` has no leading slash.
    pub fn put(&self, path: &str, content: &str, mode: u32) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path("files").join(path);
        let folder = file.parent().context("a file needs a folder")?;
        std::fs::create_dir_all(folder).context("cannot make the cell's folders")?;
        std::fs::write(&file, content).with_context(|| format!("cannot write {path} for the cell"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).context("cannot set a mode")
    }

    /// Powers it on in `network`. Its network card is a new one with nothing set: no rule of an earlier run is left.
    pub async fn start(&mut self, network: &Network) -> Result<()> {
        self.start_in(network, &mut Command::new("unshare")).await
    }

    /// Powers it on, `command` being what `unshare` is called by: a place to set limits.
    pub async fn start_in(&mut self, network: &Network, command: &mut Command) -> Result<()> {
        self.cut().await?;
        let port = network.port().await?;
        let log = std::fs::File::create(self.path("log")).context("cannot write the cell's log")?;
        let errors = log.try_clone().context("cannot write the cell's log")?;
        // With the first process of its process namespace goes all that ever runs in the cell.
        command.args(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", START, "cell"]);
        command.env("CELL", self.folder.path()).env("NAMESPACE", port.namespace());
        command.env("OFFSET", PARTITION_OFFSET.to_string()).stdout(log).stderr(errors);
        self.port = Some(port);
        self.job = Some(Job::start(command, "systemd-nspawn")?);
        Ok(())
    }

    /// Ends everything in it at once.
    pub async fn cut(&mut self) -> Result<()> {
        if let Some(job) = self.job.take() {
            job.kill().await?;
        }
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
            let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            candidates.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
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
