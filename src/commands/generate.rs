//! `generate`: writes what follows from the profiles, or tells what is stale.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use provider_profiles::{Catalog, Entry};
use similar::TextDiff;

use crate::error::{Exit, Fault};
use crate::project::Project;
use crate::render;

const OUT: &str = "packer/generated";

/// What `generate` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images generate\n  echora-images generate --check\n  echora-images generate --profiles ../new-provider --out /tmp/generated"
)]
pub struct Generate {
    /// Providers to write; all when none is named
    #[arg(value_name = "PROVIDER")]
    providers: Vec<String>,

    /// Change nothing; show what is stale and end with status 1
    #[arg(long)]
    check: bool,

    /// Folder to write to, a folder per provider [default: packer/generated of this checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Read profiles/ and fixtures/ from here in place of the built-in ones: to try a new provider
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

impl Generate {
    /// Writes or checks the files.
    pub fn run(&self) -> Result<()> {
        let catalog = catalog(self.profiles.as_deref())?;
        let chosen: Vec<&Entry> = if self.providers.is_empty() {
            catalog.iter().collect()
        } else {
            self.providers.iter().map(|id| catalog.find(id)).collect::<Result<_, _>>()?
        };
        let (out, project) = match &self.out {
            Some(out) => (out.clone(), None),
            None => {
                let project = Project::find()?;
                (project.path(OUT), Some(project))
            }
        };
        let mut wanted = BTreeMap::new();
        for entry in &chosen {
            let folder = out.join(&entry.profile.id);
            for (name, text) in render::provider(&entry.profile)? {
                wanted.insert(folder.join(name), Some(text));
            }
            for stray in strays(&folder, &wanted)? {
                wanted.insert(stray, None);
            }
        }
        if let Some(project) = project {
            for (file, generated) in [
                ("README.md", render::readme_table(&catalog)),
                ("docs/providers.md", render::accounts(&catalog)),
            ] {
                let path = project.path(file);
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                wanted.insert(path, Some(render::replace_generated(file, &text, &generated)?));
            }
        }
        let stale: Vec<_> =
            wanted.iter().filter(|(path, text)| fs::read_to_string(path).ok() != **text).collect();
        if self.check { check(&stale) } else { write(&stale) }
    }
}

/// The built-in providers, or those in a folder.
pub fn catalog(folder: Option<&Path>) -> Result<Catalog> {
    match folder {
        Some(folder) => Catalog::from_folder(folder),
        None => Catalog::embedded(),
    }
}

/// Files that lie in a provider's folder and are not made any more.
fn strays(folder: &Path, wanted: &BTreeMap<PathBuf, Option<String>>) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut strays = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if !wanted.contains_key(&path) {
            strays.push(path);
        }
    }
    Ok(strays)
}

fn check(stale: &[(&PathBuf, &Option<String>)]) -> Result<()> {
    if stale.is_empty() {
        return Ok(());
    }
    for (path, text) in stale {
        let (old, new) = (fs::read_to_string(path).unwrap_or_default(), text.as_deref().unwrap_or_default());
        let name = path.display().to_string();
        print!(
            "{}",
            TextDiff::from_lines(old.as_str(), new)
                .unified_diff()
                .header(&name, &format!("{name} (generated)"))
        );
    }
    Err(Fault::new(
        Exit::Failed,
        format!("{} generated files are stale", stale.len()),
        "run `make generate` and commit the result",
    )
    .into())
}

fn write(stale: &[(&PathBuf, &Option<String>)]) -> Result<()> {
    for (path, text) in stale {
        match text {
            Some(text) => {
                let folder = path.parent().context("a file needs a folder")?;
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
                eprintln!("wrote {}", path.display());
            }
            None => {
                fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
                eprintln!("removed {}", path.display());
            }
        }
    }
    if stale.is_empty() {
        eprintln!("nothing to do: all generated files are up to date");
    }
    Ok(())
}
