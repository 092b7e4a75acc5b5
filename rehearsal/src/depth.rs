//! How deep a rehearsal can go: whether the provider's own plugin can talk to a played API.

use std::path::Path;

use anyhow::Result;
use provider_profiles::{Catalog, Entry, Simulator};

use crate::cache::Cache;
use crate::plugins::{self, Installed};
use crate::tools::Tool;

/// What a rehearsal has of a provider.
#[derive(Debug)]
pub enum Depth {
    /// Its plugin, and its API as a description.
    Api(Box<Real>),
    /// Its machine only, with the reason in words.
    Machine(String),
}

/// A provider's plugin with the API that it is to talk to.
#[derive(Debug)]
pub struct Real {
    /// The plugin.
    pub plugin: Installed,
    /// The API.
    pub simulator: Simulator,
}

impl Depth {
    /// The greatest depth that can be had here. `template` has the requirement of the plugin for `packer init`;
    /// `scratch` is where a plugin may be put that is not installed.
    pub async fn greatest(
        entry: &Entry,
        cache: &Cache,
        root: &Path,
        packer: &Tool,
        template: &str,
        scratch: &Path,
    ) -> Result<Self> {
        let profile = &entry.profile;
        let Some(simulator) = Catalog::simulator(&profile.id)? else {
            return Ok(Self::Machine("its API is not described yet".into()));
        };
        let plugin = &profile.packer.plugin;
        Ok(match plugins::obtain(cache, root, packer, plugin, template, scratch).await {
            Ok(plugin) => Self::Api(Box::new(Real { plugin, simulator })),
            Err(error) => Self::Machine(format!(
                "the plugin {} is not installed and cannot be got: {}",
                plugin.source,
                reason(&format!("{error:#}"))
            )),
        })
    }
}

/// The line of a failure that says most: Packer marks the problem itself with an asterisk.
fn reason(error: &str) -> &str {
    let lines = || error.lines().map(str::trim).filter(|line| !line.is_empty());
    lines().find_map(|line| line.strip_prefix("* ")).or_else(|| lines().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_packer_marks() {
        let packer = "packer init failed (exit status: 1)\nFailed getting the plugin:\n1 error occurred:\n\t* no such host\n";
        assert_eq!(reason(packer), "no such host");
        assert_eq!(reason("go is not installed\nmore"), "go is not installed");
    }
}
