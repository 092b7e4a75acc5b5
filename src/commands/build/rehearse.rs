//! A build in the local cloud: the provider's machine is a local one, everything from Packer on is real.

mod leftovers;
mod note;
mod reuse;
mod task;
mod with_plugin;
mod without_plugin;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use echora_rehearsal::base;
use echora_rehearsal::cache::{Cache, Key, sha256};
use echora_rehearsal::depth::Depth;
use echora_rehearsal::images::{self, ImageSource};
use echora_rehearsal::tools;
use provider_profiles::{Architecture, Base, Entry};

use self::note::Note;
use self::task::Task;
use super::{Build, Rehearsal, payload};
use crate::error::{Exit, Fault};
use crate::preflight;
use crate::project::Project;
use crate::record::{Record, Snapshot, Versions};
use crate::render::{self, Files};
use crate::ui::{Mode, Ui};

const STEPS: usize = 6;
const SNAPSHOT: &str = "snapshot.qcow2";
/// What local machines have.
const MACHINE: Architecture = Architecture::X86_64;
/// Name of the folder below the scratch folder where a plugin is put that is not installed.
const PLUGINS: &str = "plugins";

/// Builds, or finds an earlier build of the same inputs.
pub(super) async fn run(
    build: &Build,
    asked: Rehearsal,
    entry: &Entry,
    project: &Project,
    mode: Mode,
) -> Result<(Record, PathBuf, Ui)> {
    let base = build.base(entry)?;
    if base.architecture != MACHINE {
        let what = format!(
            "a local machine is {}; an image for {} cannot be rehearsed",
            MACHINE.name(),
            base.architecture.name()
        );
        return Err(Fault::new(Exit::Usage, what, "build it in your account, or leave --arch out").into());
    }
    preflight::rehearsal()?;
    let began = crate::time::now();
    let cache = Cache::user()?;
    let ui = Ui::new(mode, STEPS);
    let folder = build.folder(project, &began)?;
    let log = folder.join("build.log");
    ui.log_to(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
    if let Some(last) = reuse::latest(&folder) {
        ui.expect(last.steps);
    }
    let work = Work { build, asked, entry, base, project, cache: &cache, ui: &ui, folder: &folder };
    let (record, folder) = match work.run(&began).await {
        Ok(Outcome::Built(record)) => (record, folder),
        Ok(Outcome::Reused(record, earlier)) => {
            // A folder of the user's own keeps what else is in it.
            let _ = fs::remove_file(&log).and_then(|()| fs::remove_dir(&folder));
            (record, earlier)
        }
        Err(error) => return Err(error.context(format!("the build failed; its log is {}", log.display()))),
    };
    super::link_latest(project, &folder);
    Ok((*record, folder, ui))
}

/// What came of a build, with the folder of an earlier one where that served.
enum Outcome {
    Built(Box<Record>),
    Reused(Box<Record>, PathBuf),
}

struct Work<'a> {
    build: &'a Build,
    asked: Rehearsal,
    entry: &'a Entry,
    base: &'a Base,
    project: &'a Project,
    cache: &'a Cache,
    ui: &'a Ui,
    folder: &'a Path,
}

impl Work<'_> {
    async fn run(&self, began: &str) -> Result<Outcome> {
        let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (packer, caddy) = self.tools().await?;
        let depth = self.depth(&packer, &scratch.path().join(PLUGINS)).await?;
        let note = Note::of(&depth, self.entry);
        self.ui.say(&format!("building for {} here; {}", self.entry.profile.name, note.text));
        let (disk, base) = self.base().await?;
        let images = self.images(&caddy).await?;
        let files = match &depth {
            Depth::Api(_) => render::provider(&self.entry.profile)?,
            Depth::Machine(_) => render::rehearsal(&self.entry.profile)?,
        };
        let payload = scratch.path().join(payload::NAME);
        super::write_payload(&payload, self.build, self.project, self.base, &files, &images)?;
        let inputs = self.inputs(&payload, &files, &base, &depth)?;
        if self.build.reuse
            && let Some((record, earlier)) = reuse::reusable(self.folder, &inputs)
        {
            self.ui.say(&format!(
                "nothing that goes into the image has changed: reused the build in {}",
                earlier.display()
            ));
            return Ok(Outcome::Reused(Box::new(record), earlier));
        }

        let task = Task { work: self, scratch: scratch.path(), packer: &packer.path, files: &files, disk };
        let built = match &depth {
            Depth::Api(real) => task.with_plugin(real).await?,
            Depth::Machine(_) => task.without_plugin().await?,
        };
        let (sha256, bytes) = sha256(&self.folder.join(SNAPSHOT))?;
        built.step.done(&format!("{} MB", bytes / 1_000_000));

        let record = Record {
            provider: self.entry.profile.id.clone(),
            build: None,
            cost: None,
            depth: note.depth,
            depth_note: Some(note.text),
            began: began.to_owned(),
            inputs,
            versions: Versions {
                echora_images: env!("CARGO_PKG_VERSION").to_owned(),
                packer: format!("{} ({})", packer.version, packer.how),
                plugin: note.plugin,
                base,
            },
            images: super::image_records(&images),
            snapshot: Snapshot::Disk { file: SNAPSHOT.to_owned(), sha256, bytes },
            account: built.account,
            packages: super::read_packages(&scratch.path().join("packages.txt"))?,
            steps: self.ui.times(),
        };
        record.write(self.folder)?;
        Ok(Outcome::Built(Box::new(record)))
    }

    async fn tools(&self) -> Result<(tools::Tool, tools::Tool)> {
        let step = self.ui.step("tools", "obtaining Packer and Caddy");
        let root = self.project.path("");
        let packer = tools::obtain(self.cache, &root, "packer").await?;
        let caddy = tools::obtain(self.cache, &root, "caddy").await?;
        let note = |name: &str, tool: &tools::Tool| {
            let reused = if tool.reused { "reused, " } else { "" };
            format!("{name} {} ({reused}{})", tool.version, tool.how)
        };
        step.done(&format!("{}, {}", note("Packer", &packer), note("Caddy", &caddy)));
        Ok((packer, caddy))
    }

    /// The disk to build on and its name for the record.
    async fn base(&self) -> Result<(PathBuf, String)> {
        let step = self.ui.step("base", "making the base disk");
        if let Some(given) = &self.build.base {
            let given = given.canonicalize().with_context(|| format!("cannot find {}", given.display()))?;
            let (digest, _) = sha256(&given)?;
            step.done("given");
            return Ok((given, format!("given, sha256 {digest}")));
        }
        let kept = base::debian(self.cache).await?;
        if let Some(note) = &kept.note {
            self.ui.say(note);
        }
        step.done(reused(kept.reused));
        Ok((kept.path.join(base::DISK), format!("{} {}", base::RELEASE, kept.key)))
    }

    async fn images(&self, caddy: &tools::Tool) -> Result<Vec<ImageSource>> {
        let step = self.ui.step("images", "making the container images");
        if let Some(file) = &self.build.images {
            let images = images::read_set(file)?;
            step.done("given");
            return Ok(images);
        }
        let app = self.project.stand_in(self.base.architecture)?;
        let images = images::build_all(self.cache, &app, caddy).await?;
        let kept = images.iter().filter(|image| image.reused).count();
        step.done(&format!("{kept} of {} reused", images.len()));
        Ok(images.into_iter().map(ImageSource::Archive).collect())
    }

    /// Digest over all that goes into the image.
    fn inputs(&self, payload: &Path, files: &Files, base: &str, depth: &Depth) -> Result<String> {
        let mut key =
            Key::default().text("base", base).path("scripts", &self.project.path("packer/scripts"))?;
        for (name, text) in files {
            key = key.text(name, text);
        }
        if let Depth::Api(real) = depth {
            let simulator = serde_json::to_string(&real.simulator).context("cannot write down the API")?;
            key = key.text("plugin", &real.plugin.version).text("api", &simulator);
        }
        // Archives are large and named by their id in images.json.
        for part in ["bin", "stack", "frontend", "images.json"] {
            key = key.path(part, &payload.join(part))?;
        }
        Ok(key.digest())
    }

    /// How much of the provider takes part.
    async fn depth(&self, packer: &tools::Tool, scratch: &Path) -> Result<Depth> {
        if self.asked == Rehearsal::Machine {
            return Ok(Depth::Machine("it was asked for".into()));
        }
        let files = render::provider(&self.entry.profile)?;
        let requirement = &files[render::PLUGINS];
        let root = self.project.path("");
        Depth::greatest(self.entry, self.cache, &root, packer, requirement, scratch).await
    }
}

fn reused(reused: bool) -> &'static str {
    if reused { "reused" } else { "built" }
}
