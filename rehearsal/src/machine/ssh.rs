//! A look inside a machine, by the system's ssh from within its network.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::network::{MACHINE_V4, Network};
use crate::process::run;

/// Between two tries: images limit SSH to five new connections in half a minute.
const PAUSE: Duration = Duration::from_secs(6);

/// A key that machines are started with, in a folder of its own.
#[derive(Debug)]
pub struct KeyPair {
    folder: tempfile::TempDir,
    public: String,
}

impl KeyPair {
    /// A new Ed25519 key.
    pub async fn generate() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for a key")?;
        let mut command = tokio::process::Command::new("ssh-keygen");
        command
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f"])
            .arg(folder.path().join("key"));
        run(&mut command, "ssh-keygen", Duration::from_secs(20)).await?;
        let public =
            std::fs::read_to_string(folder.path().join("key.pub")).context("cannot read the public key")?;
        Ok(Self { folder, public: public.trim().to_owned() })
    }

    /// The public half, one line.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The file with the private half.
    #[must_use]
    pub fn private_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Runs `script` by sh as root in the machine of `network`.
    pub async fn ssh(&self, network: &Network, script: &str, deadline: Duration) -> Result<String> {
        let mut command = network.command(Path::new("ssh"));
        command.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR"]);
        // The machine is new: there is no host key to compare with. Its network has nobody else in it.
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]);
        command.arg(self.private_file()).arg(format!("root@{MACHINE_V4}")).arg(script);
        run(&mut command, "ssh", deadline).await
    }

    /// Waits until the machine lets root in.
    pub async fn wait_for_ssh(&self, network: &Network, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        loop {
            match self.ssh(network, "true", Duration::from_secs(30)).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => {
                    bail!(
                        "the machine did not let root in over SSH within {} s: {error:#}",
                        deadline.as_secs()
                    )
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
