//! Packer's plugins: the providers' own code, put where Packer finds it and checks it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use provider_profiles::Plugin;
use tokio::process::Command;

use crate::cache::Cache;
use crate::process::run;
use crate::tools::{self, Tool};

const INSTALL: Duration = Duration::from_secs(60);

/// The plugin in the version that `tools/tools.toml` pins; none when it pins none.
pub async fn pinned(cache: &Cache, root: &Path, plugin: &Plugin) -> Result<Option<Tool>> {
    let name = format!("packer-plugin-{}", plugin.name);
    if !tools::is_pinned(root, &name)? {
        return Ok(None);
    }
    tools::obtain(cache, root, &name).await.map(Some)
}

/// Installs a plugin's program into `folder`, which Packer is to be told as `PACKER_PLUGIN_PATH`. Packer wants a
/// certain name and a digest beside it, and makes both itself.
pub async fn install(packer: &Path, plugin: &Plugin, program: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new(packer);
    command.args(["plugins", "install", "--path"]).arg(program).arg(&plugin.source);
    command.env("PACKER_PLUGIN_PATH", folder).env("CHECKPOINT_DISABLE", "1");
    let installed = run(&mut command, "packer plugins install", INSTALL).await;
    installed.map(drop).with_context(|| format!("cannot install the plugin {}", plugin.name))
}
