//! `build`: an image from nothing, with a record of it.

mod account;
mod key;
mod many;
mod packer;
mod payload;
mod rehearse;
mod resume;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use echora_rehearsal::images::{self, ImageSource};
use provider_profiles::{Architecture, Base, Catalog, Entry, Profile};
use serde_json::json;

use super::generate::catalog;
use crate::error::{Exit, Fault};
use crate::interrupt::Interrupt;
use crate::listings::Listings;
use crate::project::Project;
use crate::record::{ImageRecord, Record};
use crate::render::Files;
use crate::ui::{Mode, Ui};

/// What `build` is told on the command line.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are bools")]
#[command(
    after_help = "Examples:\n  echora-images build PROVIDER --rehearse          build here, in a local virtual machine\n  echora-images build PROVIDER --images my.toml --frontend DIR    build in your account\n  echora-images build --all --images my.toml --frontend DIR --keep-last 3    everywhere, side by side"
)]
pub struct Build {
    /// The providers to build for; `echora-images providers` lists them
    #[arg(value_name = "PROVIDER", required_unless_present = "all")]
    providers: Vec<String>,

    /// Build for all providers
    #[arg(long, conflicts_with = "providers")]
    all: bool,

    /// The one of the providers that this is about.
    #[arg(skip)]
    provider: String,

    /// Processor that the image is for [default: the provider's first]
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,

    /// Build in a local virtual machine, without an account
    #[arg(long, value_name = "DEPTH", num_args = 0..=1, default_missing_value = "api", require_equals = true)]
    rehearse: Option<Rehearsal>,

    /// After a build in an account, delete all snapshots there but the newest N of ours and those that listings use
    #[arg(long, value_name = "N", conflicts_with = "rehearse", value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: Option<u32>,

    /// Region of an account to build in [default: the profile's]
    #[arg(long, value_name = "REGION", conflicts_with_all = ["all", "rehearse"])]
    region: Option<String>,

    /// Plan of the machine that an account builds on [default: the profile's]
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["all", "rehearse"])]
    plan: Option<String>,

    /// Take up the newest build of this checkout that died after it had ordered its snapshot
    #[arg(long, conflicts_with_all = ["rehearse", "all", "images", "frontend", "out", "arch", "region", "plan"])]
    resume: bool,

    /// Folder for the record, the log and, after a rehearsal, the snapshot [default: build/PROVIDER-TIME]; of several
    /// builds, each has a folder in it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Take an earlier rehearsal's snapshot when nothing that goes into it has changed
    #[arg(long, requires = "rehearse")]
    reuse: bool,

    /// Container images: a TOML table per image with `reference` (with digest) or `archive`
    #[arg(long, value_name = "FILE")]
    images: Option<PathBuf>,

    /// Base disk of a rehearsal in place of its own: any cloud image
    #[arg(long, value_name = "FILE", requires = "rehearse")]
    base: Option<PathBuf>,

    /// Folder with the front end's static files; a rehearsal has the stand-in's unless another is given
    #[arg(long, value_name = "DIR")]
    frontend: Option<PathBuf>,

    /// How long the machine of a rehearsal may take until it lets Packer in
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    ssh_timeout: u64,

    /// One JSON event a line on stdout
    #[arg(long)]
    json: bool,
}

/// How much of the provider a rehearsal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rehearsal {
    /// The provider's own plugin talks to a played API; a machine only where the plugin cannot be had
    Api,
    /// A local machine; Packer's null builder stands for the source block
    Machine,
}

/// A processor by the name that clouds give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// AMD and Intel, 64 bit
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    /// Arm, 64 bit
    #[value(name = "arm64", alias = "aarch64")]
    Arm64,
}

impl Arch {
    fn architecture(self) -> Architecture {
        match self {
            Self::X86_64 => Architecture::X86_64,
            Self::Arm64 => Architecture::Aarch64,
        }
    }
}

impl Build {
    /// Builds and says where the records are.
    pub async fn run(&self, interrupt: &Interrupt) -> Result<()> {
        let catalog = catalog(None)?;
        let entries = self.chosen(&catalog)?;
        let project = Project::find()?;
        let ui = Ui::new(Mode::detect(self.json), account::STEPS);
        let [entry] = &entries[..] else {
            return many::run(self, &entries, &project, &ui, interrupt).await;
        };
        let (record, folder, ui) = self.about(entry, false).one(entry, &project, ui, interrupt).await?;
        report(&ui, &record, &folder);
        Ok(())
    }

    /// Builds for one provider.
    async fn one(
        &self,
        entry: &Entry,
        project: &Project,
        ui: Ui,
        interrupt: &Interrupt,
    ) -> Result<(Record, PathBuf, Ui)> {
        if let Some(depth) = self.rehearse {
            let rehearsal = rehearse::run(self, depth, entry, project, Mode::detect(self.json));
            return interrupt.ends(rehearsal).await;
        }
        if self.keep_last.is_some() {
            let Profile { id, name, api, .. } = &entry.profile;
            match api {
                Some(_) => Listings::read(project)?.must_tell(id)?,
                None => ui.say(&format!("{name} cannot be asked for old snapshots: all of them stay")),
            }
        }
        if self.resume {
            return resume::run(self, entry, project, ui, interrupt).await;
        }
        Box::pin(account::run(self, &self.placed(entry), project, ui, interrupt)).await
    }

    /// The provider with the place that the user chose.
    fn placed(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        if let Some(region) = &self.region {
            entry.profile.packer.region.clone_from(region);
        }
        if let Some(plan) = &self.plan {
            entry.profile.bases.iter_mut().for_each(|base| base.plan.clone_from(plan));
        }
        entry
    }

    /// The providers that were named, each once, or all.
    fn chosen<'a>(&self, catalog: &'a Catalog) -> Result<Vec<&'a Entry>> {
        if self.all {
            return Ok(catalog.iter().collect());
        }
        let named: BTreeSet<&String> = self.providers.iter().collect();
        if named.len() > 1 && (self.region.is_some() || self.plan.is_some()) {
            let what = "--region and --plan are one provider's words";
            return Err(Fault::new(Exit::Usage, what, "build for one provider at a time with them").into());
        }
        Ok(named.into_iter().map(|id| catalog.find(id)).collect::<Result<_, _>>()?)
    }

    /// The same for one provider, which may be one of `many`.
    fn about(&self, entry: &Entry, many: bool) -> Self {
        let provider = entry.profile.id.clone();
        let out = self.out.as_ref().map(|out| if many { out.join(&provider) } else { out.clone() });
        Self { provider, out, ..self.clone() }
    }

    /// The folder of this build, made now; builds that begin in the same second have one each.
    fn folder(&self, project: &Project, began: &str) -> Result<PathBuf> {
        let cannot = |folder: &Path, error: std::io::Error| {
            let what = format!("cannot make {}: {error}", folder.display());
            Fault::new(Exit::Missing, what, "give another folder with --out")
        };
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
            return Ok(folder.clone());
        }
        let builds = project.path("build");
        std::fs::create_dir_all(&builds).map_err(|error| cannot(&builds, error))?;
        let name = format!("{}-{}", self.provider, began.replace([':', '-', 'Z'], "").replace('T', "-"));
        let mut number = 1;
        loop {
            let folder = builds.join(if number == 1 { name.clone() } else { format!("{name}-{number}") });
            match std::fs::create_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(cannot(&folder, error).into()),
                Ok(()) => return Ok(folder),
            }
        }
    }

    /// The base image to build on.
    fn base<'a>(&self, entry: &'a Entry) -> Result<&'a Base> {
        let profile = &entry.profile;
        let wanted = self.arch.map(Arch::architecture);
        let is_wanted = |base: &&Base| wanted.is_none_or(|wanted| base.architecture == wanted);
        if let Some(base) = profile.default_bases().find(is_wanted) {
            return Ok(base);
        }
        let wanted = wanted.map_or("any", Architecture::name);
        let known: Vec<_> = profile.default_bases().map(|base| base.architecture.name()).collect();
        let what = format!("{} has no base image for {wanted} in its profile", profile.name);
        Err(Fault::new(Exit::Usage, what, format!("it has one for {}", known.join(" and "))).into())
    }

    fn frontend(&self, project: &Project) -> PathBuf {
        self.frontend.clone().unwrap_or_else(|| project.path("rehearsal/app/frontend"))
    }
}

/// Lays out the folder that Packer uploads.
fn write_payload(
    payload: &Path,
    build: &Build,
    project: &Project,
    base: &Base,
    files: &Files,
    images: &[ImageSource],
) -> Result<()> {
    let parts = payload::Parts {
        guest_binary: &project.guest_binary(base.architecture)?,
        stack: &project.path("firstboot/stack"),
        frontend: &build.frontend(project),
        provider_toml: &files["provider.toml"],
    };
    images::check_architecture(images, base.architecture.image_name())?;
    payload::assemble(payload, &parts)?;
    images::write_payload(images, payload)
}

fn image_records(images: &[ImageSource]) -> BTreeMap<String, ImageRecord> {
    let record = |image: &ImageSource| ImageRecord {
        tag: images::tag(image.name()),
        digest: image.digest().to_owned(),
    };
    images.iter().map(|image| (image.name().to_owned(), record(image))).collect()
}

/// Reads the list that the machine wrote: a package and its version a line.
fn read_packages(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).context("Packer brought no list of packages")?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect())
}

/// `build/latest` leads to the newest build there; a folder of the user's own choice gets no link.
fn link_latest(project: &Project, folder: &Path) {
    let link = project.path("build/latest");
    let is_link = |link: &Path| std::fs::symlink_metadata(link).is_ok_and(|about| about.is_symlink());
    if folder.parent() != link.parent() || (link.exists() && !is_link(&link)) {
        return;
    }
    // A convenience: where it cannot be made, the folder's own name is printed all the same.
    let _ = std::fs::remove_file(&link);
    let _ = std::os::unix::fs::symlink(folder.file_name().unwrap_or_default(), &link);
}

fn report(ui: &Ui, record: &Record, folder: &Path) {
    let mut text = String::from("\nwhere the time went:\n");
    for step in &record.steps {
        text.push_str(&format!("  {:>6.1} s  {}{}\n", step.seconds, step.name, note(&step.note)));
    }
    text.push_str(&format!(
        "\nrecord: {}\nboot it: echora-images boot {}",
        folder.join("record.json").display(),
        folder.display()
    ));
    ui.result(
        &text,
        &json!({"event": "result", "record": folder.join("record.json"), "snapshot": record.snapshot}),
    );
}

fn note(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(" ({note})") }
}
