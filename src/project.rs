//! The checkout that a command works in, and what has to be built before it can be put into an image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use echora_rehearsal::need::Missing;
use provider_profiles::Architecture;

use crate::error::{Exit, Fault};

/// A checkout of this project.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The checkout around the current folder.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder is gone")?;
        let root = here.ancestors().find(|folder| folder.join("packer/scripts").is_dir());
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Fault::new(
                Exit::Usage,
                format!("{} is not inside a checkout of echora-images", here.display()),
                "change into the checkout: the provisioners and the stack are taken from there",
            )
            .into()),
        }
    }

    /// A path in the checkout.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The static guest binary for one architecture.
    pub fn guest_binary(&self, architecture: Architecture) -> Result<PathBuf> {
        self.built(architecture, "musl", "guest/echora-firstboot", "make guest")
    }

    /// The static stand-in app for one architecture. Its C library is the real app's, whose allocator decides how much memory a
    /// flood of logins takes.
    pub fn stand_in(&self, architecture: Architecture) -> Result<PathBuf> {
        self.built(architecture, "gnu", "release/echora", "make stand-in")
    }

    fn built(&self, architecture: Architecture, libc: &str, artifact: &str, cure: &str) -> Result<PathBuf> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from);
        let path = target.join(format!("{}-unknown-linux-{libc}", architecture.name())).join(artifact);
        if path.is_file() {
            return Ok(path);
        }
        Err(Missing::new(format!("{} has not been built", path.display()), format!("run `{cure}`")).into())
    }
}
