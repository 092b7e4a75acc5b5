//! A virtual machine as a provider rents it out: started, watched over its serial console, powered down or cut off.

mod accelerator;
mod disk;
mod laid;
mod qemu;
mod qmp;
mod script;
mod ssh;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use provider_profiles::{Entry, Setting};

use crate::api::Script;
use crate::network::Network;
use crate::process::{Job, last_lines};

pub use accelerator::Accelerator;
pub use disk::virtual_bytes;
pub use ssh::KeyPair;

/// How long a machine may take to end after the power button was pressed.
pub(crate) const POWER_DOWN: Duration = Duration::from_secs(120);
/// How often a machine is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(200);
/// How many console lines an error carries.
const CONSOLE_TAIL: usize = 15;
/// How often a machine that the emulator broke is powered on again.
const AGAIN: u32 = 2;
const AGAIN_NOTE: &str =
    "\n[rehearsal] the emulated kernel panicked by the emulator's fault: powered on again\n";

/// What to start.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The provider, for DMI, datasource and the way of the keys.
    pub entry: &'a Entry,
    /// What its metadata service tells.
    pub setting: &'a Setting,
    /// The disk that the machine's own is an overlay of.
    pub backing: &'a Path,
    /// What the provider runs at its first boot.
    pub script: Option<&'a Script>,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// What runs its code.
    pub accelerator: Accelerator,
}

/// A machine; dropping it ends it and removes its disk.
#[derive(Debug)]
pub struct Machine {
    // The process ends before its folder goes.
    job: Option<Job>,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    namespace: String,
    accelerator: Accelerator,
    /// Where the console's text of this power-on begins.
    powered_on_at: usize,
    again: u32,
}

impl Machine {
    /// Makes the machine's disks and powers it on in `network`.
    pub async fn start(network: &Network, spec: &Spec<'_>) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the machine")?;
        let disks = disk::prepare(folder.path(), spec).await?;
        let arguments = qemu::arguments(folder.path(), spec, &disks);
        let namespace = network.namespace().to_owned();
        let accelerator = spec.accelerator;
        let mut machine =
            Self { job: None, folder, arguments, namespace, accelerator, powered_on_at: 0, again: AGAIN };
        machine.power_on()?;
        Ok(machine)
    }

    /// Powers the machine on; its disk is as it was left.
    pub fn power_on(&mut self) -> Result<()> {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.namespace, qemu::PROGRAM]).args(&self.arguments);
        let errors = std::fs::File::create(self.path("qemu.log")).context("cannot write QEMU's log")?;
        command.stdout(std::process::Stdio::null()).stderr(errors);
        self.powered_on_at = self.console().len();
        self.job = Some(Job::start(&mut command, qemu::PROGRAM)?);
        Ok(())
    }

    /// Pulls the plug: nothing in the machine gets a chance to end well. The future does without the machine.
    pub fn cut_power(&mut self) -> impl Future<Output = Result<()>> + Send + use<> {
        let job = self.job.take();
        async move {
            match job {
                Some(job) => job.kill().await,
                None => Ok(()),
            }
        }
    }

    /// Presses the power button and waits until the machine is off.
    pub async fn power_down(&mut self) -> Result<()> {
        if self.is_off()? {
            return Ok(());
        }
        self.press_power_button().await?;
        let end = Instant::now() + POWER_DOWN;
        while !self.is_off()? {
            if Instant::now() > end {
                bail!("the machine did not power down\n{}", self.console_tail());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Presses the power button; what comes of it is the machine's own affair. The future does without the machine.
    pub fn press_power_button(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let socket = self.path("qmp");
        async move { qmp::execute(&socket, "system_powerdown").await }
    }

    /// Whether the machine is off.
    pub fn is_off(&mut self) -> Result<bool> {
        if let Some(job) = &mut self.job
            && job.try_status()?.is_some()
        {
            self.job = None;
        }
        Ok(self.job.is_none())
    }

    /// Writes the disk as a standalone snapshot. The machine must be off; the future does without it.
    pub fn snapshot(&self, to: &Path) -> impl Future<Output = Result<()>> + Send + use<> {
        let (off, folder, to) = (self.job.is_none(), self.folder.path().to_owned(), to.to_owned());
        async move {
            anyhow::ensure!(off, "a snapshot needs the machine to be off");
            disk::snapshot(&folder, &to).await
        }
    }

    /// Waits until the console has shown `text` after byte `from`; returns the console's length then.
    pub async fn wait_for(&mut self, text: &str, from: usize, deadline: Duration) -> Result<usize> {
        let end = Instant::now() + deadline;
        loop {
            let console = self.console();
            if console.get(from..).is_some_and(|new| new.contains(text)) {
                return Ok(console.len());
            }
            self.check()?;
            if Instant::now() > end {
                let seconds = deadline.as_secs();
                bail!(
                    "the console did not show {text:?} within {seconds} s; its last lines:\n{}",
                    self.console_tail()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// An error when the machine has ended or its kernel has panicked. A panic that is the emulator's is none: the
    /// machine is powered on again.
    pub fn check(&mut self) -> Result<()> {
        if let Some(job) = &mut self.job
            && let Some(status) = job.try_status()?
        {
            let why = std::fs::read_to_string(self.path("qemu.log")).unwrap_or_default();
            bail!("the machine ended ({status}) {}\n{}", last_lines(&why, 5), self.console_tail());
        }
        match self.console().get(self.powered_on_at..).and_then(panicked) {
            Some(Whose::Emulators) if self.accelerator == Accelerator::Emulation && self.again > 0 => {
                self.power_on_again()
            }
            Some(_) => bail!("the machine's kernel panicked:\n{}", self.console_tail()),
            None => Ok(()),
        }
    }

    /// While a kernel patches its own code, another emulated processor may run a half-written instruction: that panic is the
    /// emulator's, not the image's. Most patches are made at start, some as late as when there is enough randomness.
    fn power_on_again(&mut self) -> Result<()> {
        self.again -= 1;
        drop(self.job.take());
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .open(self.path("console.log"))
            .context("cannot write the machine's console")?;
        std::io::Write::write_all(&mut log, AGAIN_NOTE.as_bytes())
            .context("cannot write the machine's console")?;
        self.power_on()
    }

    /// All that the serial console has shown, over all boots.
    #[must_use]
    pub fn console(&self) -> String {
        std::fs::read(self.path("console.log"))
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// The console's last lines.
    #[must_use]
    pub fn console_tail(&self) -> String {
        last_lines(self.console().trim_end(), CONSOLE_TAIL)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Whose fault a kernel's panic is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    Emulators,
    Images,
}

/// Whether a console's text since power-on ends in a panic. The breakpoint that stands in code while it is patched is met by
/// nobody on a real processor, and what an image holds has no say before user space.
fn panicked(console: &str) -> Option<Whose> {
    let (before, _) = console.split_once("Kernel panic - not syncing")?;
    let user_space = before.contains("Run /init as init process") || before.contains("systemd[1]:");
    Some(if user_space && !before.contains("int3: 0000") { Whose::Images } else { Whose::Emulators })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_before_user_space_and_one_in_half_patched_code_are_the_emulators() {
        const PANIC: &str = "[    1.9] Kernel panic - not syncing: Fatal exception\n";
        const USER_SPACE: &str = "[    1.2] Run /init as init process\n";
        const PATCHED: &str = "[    1.9] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\n";
        assert_eq!(panicked(PATCHED), None);
        for emulators in
            [format!("{PATCHED}{PANIC}"), PANIC.to_owned(), format!("{USER_SPACE}{PATCHED}{PANIC}")]
        {
            assert_eq!(panicked(&emulators), Some(Whose::Emulators), "{emulators}");
        }
        let images = format!("{USER_SPACE}[    7.1] Oops: 0000 [#1]\n{PANIC}");
        assert_eq!(panicked(&images), Some(Whose::Images));
    }
}
