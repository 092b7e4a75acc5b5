//! A build's own SSH key, registered in the account under the build's name before the builder starts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::process;
use tokio::process::Command;

use crate::account::{Account, BuildId, Kind};

const MAKE: Duration = Duration::from_secs(30);

/// Makes the key in `folder` and registers it; returns its id and the file of its private half.
pub(super) async fn register(account: &Account, build: &BuildId, folder: &Path) -> Result<(String, PathBuf)> {
    let file = folder.join("key");
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C"]).arg(build.to_string()).arg("-f").arg(&file);
    process::run(&mut command, "ssh-keygen", MAKE).await?;
    let public = std::fs::read_to_string(file.with_extension("pub")).context("ssh-keygen made no key")?;
    let id = account.register(build, public.trim()).await?;
    let id = id.context("the profile does not say how a key is registered")?;
    seen(account, &id).await?;
    Ok((id, file))
}

/// A key that was registered a moment ago may not be known everywhere yet: it is listed first.
async fn seen(account: &Account, id: &str) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(500);
    let listed = async {
        while !account.held(Kind::Key).await?.iter().any(|held| held.id == id) {
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(MAKE, listed).await.context("the account does not list its new SSH key")?
}
