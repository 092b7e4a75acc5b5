//! Packer's plugins: the providers' own code, put where Packer finds it and checks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use provider_profiles::Plugin;
use semver::{Version, VersionReq};
use tokio::process::Command;

use crate::cache::{Cache, Key};
use crate::process::run;
use crate::tools::{self, Tool};

const INSTALL: Duration = Duration::from_secs(60);
/// A release comes from its publisher, who may be far away.
const INIT: Duration = Duration::from_secs(300);
const TEMPLATE: &str = "plugins.pkr.hcl";

/// A plugin that Packer can use.
#[derive(Debug, Clone)]
pub struct Installed {
    /// What Packer is to be told as `PACKER_PLUGIN_PATH`.
    pub folder: PathBuf,
    /// Its version.
    pub version: String,
    /// How it was obtained, in words.
    pub how: String,
}

/// The plugin: the user's own when its version will do, else the one that `tools/tools.toml` pins, else what
/// `packer init` gets for `template`, which has the plugin's requirement. A pinned one is installed into `scratch`.
pub async fn obtain(
    cache: &Cache,
    root: &Path,
    packer: &Tool,
    plugin: &Plugin,
    template: &str,
    scratch: &Path,
) -> Result<Installed> {
    if let Some(found) = users_own(&packer.path, plugin).await? {
        return Ok(found);
    }
    if let Some(tool) = pinned(cache, root, plugin).await? {
        install(&packer.path, plugin, &tool.path, scratch).await?;
        return Ok(Installed { folder: scratch.to_owned(), version: tool.version, how: tool.how });
    }
    let key = Key::default().text("template", template).text("packer", &packer.version);
    let kept = cache
        .keep(&format!("plugin-{}", plugin.name), &key, async |folder| {
            let requirement = tempfile::tempdir().context("cannot make a temporary folder")?;
            fs::write(requirement.path().join(TEMPLATE), template).context("cannot write the requirement")?;
            let mut command = Command::new(&packer.path);
            command.arg("init").arg(requirement.path()).env("CHECKPOINT_DISABLE", "1");
            command.env("PACKER_PLUGIN_PATH", folder).env("PACKER_CONFIG_DIR", requirement.path());
            run(&mut command, "packer init", INIT).await.map(drop)
        })
        .await?;
    let found = newest(&listed(&packer.path, Some(&kept.path)).await?, plugin)?;
    let (folder, version) = found.context("packer init has left no plugin")?;
    Ok(Installed { folder, version: version.to_string(), how: "by packer init".into() })
}

/// The plugin in the folders that Packer looks at by itself.
async fn users_own(packer: &Path, plugin: &Plugin) -> Result<Option<Installed>> {
    let found = newest(&listed(packer, None).await?, plugin)?;
    Ok(found.map(|(folder, version)| {
        let how = format!("installed in {}", folder.display());
        Installed { folder, version: version.to_string(), how }
    }))
}

/// What `packer plugins installed` lists: a program's path a line.
async fn listed(packer: &Path, folder: Option<&Path>) -> Result<String> {
    let mut command = Command::new(packer);
    command.args(["plugins", "installed"]).env("CHECKPOINT_DISABLE", "1");
    if let Some(folder) = folder {
        command.env("PACKER_PLUGIN_PATH", folder);
    }
    run(&mut command, "packer plugins installed", INSTALL).await
}

/// The newest of the listed programs that is `plugin` in a version that will do, by its plugin folder.
fn newest(listed: &str, plugin: &Plugin) -> Result<Option<(PathBuf, Version)>> {
    let wanted = VersionReq::parse(&plugin.version)
        .with_context(|| format!("the plugin's version {:?} is no requirement", plugin.version))?;
    let marker = format!("/{}/packer-plugin-{}_v", plugin.source, plugin.name);
    let ours = listed.lines().filter_map(|line| {
        let (folder, rest) = line.trim().split_once(&marker)?;
        let version = Version::parse(rest.split('_').next()?).ok()?;
        wanted.matches(&version).then(|| (PathBuf::from(folder), version))
    });
    Ok(ours.max_by(|(_, one), (_, two)| one.cmp(two)))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_will_do_is_taken() {
        let plugin = Plugin {
            name: "cloud".into(),
            source: "github.com/someone/cloud".into(),
            version: ">= 1.4.1".into(),
        };
        let line = |version: &str| {
            format!("/home/me/plugins/{}/packer-plugin-cloud_v{version}_x5.0_linux_amd64\n", plugin.source)
        };
        let found = |versions: &[&str]| {
            let listed: String = versions.iter().map(|version| line(version)).collect();
            newest(&listed, &plugin).unwrap().map(|(folder, version)| (folder, version.to_string()))
        };
        let expected = (PathBuf::from("/home/me/plugins"), "1.10.0".to_owned());
        assert_eq!(found(&["1.4.0", "1.10.0", "1.5.2"]), Some(expected));
        assert_eq!(found(&["1.4.0"]), None);
        let other = line("1.5.0").replace("someone", "someone-else");
        assert_eq!(newest(&other, &plugin).unwrap(), None);
    }
}
