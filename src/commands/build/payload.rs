//! The folder that Packer uploads: everything that an image is made of besides distribution packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Name of the folder; the provisioners look for it under this name.
pub(super) const NAME: &str = "echora-payload";

/// Where each part comes from.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The static guest binary.
    pub guest_binary: &'a Path,
    /// The folder `firstboot/stack`.
    pub stack: &'a Path,
    /// The front end's static files.
    pub frontend: &'a Path,
    /// The provider's plan for the guest.
    pub provider_toml: &'a str,
}

/// Lays the parts out in `folder`, which is made.
pub(super) fn assemble(folder: &Path, parts: &Parts) -> Result<()> {
    fs::create_dir_all(folder.join("bin")).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = folder.join("bin/echora-firstboot");
    copy(parts.guest_binary, &binary)?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .context("cannot make the guest binary executable")?;
    copy_tree(parts.stack, &folder.join("stack"))?;
    copy_tree(parts.frontend, &folder.join("frontend"))?;
    fs::write(folder.join("provider.toml"), parts.provider_toml).context("cannot write provider.toml")
}

/// Copies a folder with all below it.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", from.display()))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map(|_| ())
}
