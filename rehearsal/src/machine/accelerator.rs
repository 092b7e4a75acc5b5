//! KVM where it works, else emulation.
//!
//! A `/dev/kvm` that can be opened proves nothing: on some nested hosts it starts and then hangs in the boot loader.
//! So the base disk is booted once with it; what came of it is kept.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::qemu;
use crate::cache::{Cache, Key};
use crate::process::{Job, run};

/// A kernel's first line comes within 3 s with a KVM that works.
const PROBE: Duration = Duration::from_secs(25);
const VERDICT: &str = "verdict";

/// What runs a machine's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's emulation.
    Emulation,
}

impl Accelerator {
    /// The best that works on this machine, found out by booting `disk` once and then kept.
    pub async fn detect(cache: &Cache, disk: &Path) -> Result<Self> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(Self::Emulation);
        }
        let version = run(Command::new(qemu::PROGRAM).arg("--version"), qemu::PROGRAM, PROBE).await?;
        let host = rustix::system::uname();
        let key = Key::default()
            .text("qemu", &version)
            .text("kernel", &format!("{:?} {:?}", host.release(), host.version()))
            .text("processor", &processor());
        let kept = cache
            .keep("kvm-probe", &key, async |folder| {
                let verdict = if boots(folder, disk).await? { "boots" } else { "hangs" };
                std::fs::write(folder.join(VERDICT), verdict).context("cannot keep the verdict on KVM")
            })
            .await?;
        let verdict =
            std::fs::read_to_string(kept.path.join(VERDICT)).context("cannot read the verdict on KVM")?;
        Ok(if verdict == "boots" { Self::Kvm } else { Self::Emulation })
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Emulation => "emulation",
        }
    }
}

async fn boots(folder: &Path, disk: &Path) -> Result<bool> {
    let console = folder.join("console");
    let mut command = Command::new(qemu::PROGRAM);
    command.args([
        "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512", "-display", "none", "-nic", "none",
    ]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.arg("-drive").arg(format!("file={},if=virtio,format=qcow2,snapshot=on", disk.display()));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut job = Job::start(&mut command, qemu::PROGRAM)?;
    let end = Instant::now() + PROBE;
    while Instant::now() < end && job.try_status()?.is_none() {
        if std::fs::read(&console).is_ok_and(|log| String::from_utf8_lossy(&log).contains("Linux version")) {
            job.kill().await?;
            std::fs::remove_file(&console).context("cannot remove the probe's console")?;
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(false)
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().find(|line| line.starts_with("model name")).unwrap_or_default().to_owned()
}
