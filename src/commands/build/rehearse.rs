//! A build in the local cloud: the provider's machine is a local one, everything from Packer on is real.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::base;
use echora_rehearsal::cache::{Cache, Key, sha256};
use echora_rehearsal::images::{self, ImageSource};
use echora_rehearsal::machine::{Accelerator, KeyPair, Machine, Spec};
use echora_rehearsal::metadata::{Metadata, setting_for};
use echora_rehearsal::mirror::{self, Mirror};
use echora_rehearsal::network::{MACHINE_V4, Network};
use echora_rehearsal::tools;
use provider_profiles::Entry;
use serde_json::json;

use super::packer::PackerRun;
use super::{Build, payload};
use crate::preflight;
use crate::project::Project;
use crate::record::{Depth, Record, Snapshot, Versions};
use crate::render::{self, Files};
use crate::ui::{Mode, Ui};

const STEPS: usize = 6;
const SNAPSHOT: &str = "snapshot.qcow2";
const MEMORY: u32 = 2048;
const CPUS: u32 = 2;
const PACKER: Duration = Duration::from_secs(3600);
const DEPTH_NOTE: &str =
    "depth machine: Packer's null builder stands for the source block; no API of the provider takes part";

/// Builds, or finds an earlier build of the same inputs.
pub(super) async fn run(
    build: &Build,
    entry: &Entry,
    project: &Project,
    mode: Mode,
) -> Result<(Record, PathBuf, Ui)> {
    preflight::rehearsal()?;
    let began = crate::time::now();
    let cache = Cache::user()?;
    let ui = Ui::new(mode, STEPS);
    let folder = build.folder(project, &began)?;
    let log = folder.join("build.log");
    ui.log_to(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
    if let Some(last) = latest(&folder) {
        ui.expect(last.steps);
    }
    ui.say(&format!("building for {} here; {DEPTH_NOTE}", entry.profile.name));
    let work = Work { build, entry, project, cache: &cache, ui: &ui, folder: &folder };
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
    entry: &'a Entry,
    project: &'a Project,
    cache: &'a Cache,
    ui: &'a Ui,
    folder: &'a Path,
}

impl Work<'_> {
    async fn run(&self, began: &str) -> Result<Outcome> {
        let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (packer, caddy) = self.tools().await?;
        let (disk, base) = self.base().await?;
        let images = self.images(&caddy).await?;
        let files = render::rehearsal(&self.entry.profile)?;
        let payload = scratch.path().join(payload::NAME);
        super::write_payload(
            &payload,
            self.build,
            self.project,
            super::default_base(self.entry)?,
            &files,
            &images,
        )?;
        let inputs = self.inputs(&payload, &files, &base)?;
        if self.build.reuse
            && let Some((record, earlier)) = self.reusable(&inputs)
        {
            self.ui.say(&format!(
                "nothing that goes into the image has changed: reused the build in {}",
                earlier.display()
            ));
            return Ok(Outcome::Reused(Box::new(record), earlier));
        }

        let step = self.ui.step("machine", "starting the build machine");
        let accelerator = Accelerator::detect(self.cache, &disk).await?;
        let network = Network::create(&mirror::HOSTS).await?;
        let mirror = Mirror::serve(&network, self.cache).await?;
        let key = KeyPair::generate().await?;
        let setting = setting_for(self.entry, vec![key.public().to_owned()], String::new(), BTreeMap::new());
        let _metadata = Metadata::serve(&network, &self.entry.fixture, setting.clone()).await?;
        let spec = Spec {
            entry: self.entry,
            setting: &setting,
            backing: &disk,
            cpus: CPUS,
            memory: MEMORY,
            accelerator,
        };
        let mut machine = Machine::start(&network, &spec).await?;
        key.wait_for_ssh(&network, Duration::from_secs(self.build.ssh_timeout))
            .await
            .with_context(|| console(&machine))?;
        step.done(accelerator.name());

        let step = self.ui.step("packer", "provisioning with Packer");
        let parts = self.packer(&scratch, &packer.path, &files, &payload, &network, &key, &step).await?;
        step.done(&format!("{}; {}", seconds(&parts), mirror.summary()));

        let step = self.ui.step("snapshot", "powering down and taking the snapshot");
        machine.power_down().await?;
        let snapshot = self.folder.join(SNAPSHOT);
        machine.snapshot(&snapshot).await?;
        let (sha256, bytes) = sha256(&snapshot)?;
        step.done(&format!("{} MB", bytes / 1_000_000));

        let record = Record {
            provider: self.entry.profile.id.clone(),
            build: None,
            cost: None,
            depth: Depth::Machine,
            depth_note: Some(DEPTH_NOTE.to_owned()),
            began: began.to_owned(),
            inputs,
            versions: Versions {
                echora_images: env!("CARGO_PKG_VERSION").to_owned(),
                packer: format!("{} ({})", packer.version, packer.how),
                plugin: format!("none: {} took no part", self.entry.profile.packer.plugin.source),
                base,
            },
            images: super::image_records(&images),
            snapshot: Snapshot::Disk { file: SNAPSHOT.to_owned(), sha256, bytes },
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
        let app = self.project.stand_in(super::default_base(self.entry)?.architecture)?;
        let images = images::build_all(self.cache, &app, caddy).await?;
        let kept = images.iter().filter(|image| image.reused).count();
        step.done(&format!("{kept} of {} reused", images.len()));
        Ok(images.into_iter().map(ImageSource::Archive).collect())
    }

    /// Digest over all that goes into the image.
    fn inputs(&self, payload: &Path, files: &Files, base: &str) -> Result<String> {
        let mut key =
            Key::default().text("base", base).path("scripts", &self.project.path("packer/scripts"))?;
        for (name, text) in files {
            key = key.text(name, text);
        }
        // Archives are large and named by their id in images.json.
        for part in ["bin", "stack", "frontend", "images.json"] {
            key = key.path(part, &payload.join(part))?;
        }
        Ok(key.digest())
    }

    /// An earlier build of the same inputs whose snapshot is still what its record says.
    fn reusable(&self, inputs: &str) -> Option<(Record, PathBuf)> {
        builds_beside(self.folder).into_iter().filter(|(record, _)| record.inputs == inputs).find(
            |(record, folder)| {
                let Snapshot::Disk { file, sha256: wanted, .. } = &record.snapshot else {
                    return false;
                };
                sha256(&folder.join(file)).is_ok_and(|(found, _)| found == *wanted)
            },
        )
    }

    #[allow(clippy::too_many_arguments, reason = "one call of one program")]
    async fn packer(
        &self,
        scratch: &tempfile::TempDir,
        packer: &Path,
        files: &Files,
        payload: &Path,
        network: &Network,
        key: &KeyPair,
        step: &crate::ui::Step,
    ) -> Result<Vec<(String, f64)>> {
        let template = scratch.path().join("template");
        fs::create_dir(&template).context("cannot make a folder for the template")?;
        for (name, text) in files {
            fs::write(template.join(name), text).context("cannot write the template")?;
        }
        let variables = scratch.path().join("variables.json");
        let values = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "payload": payload,
            "scripts": self.project.path("packer/scripts"),
            "packages": scratch.path().join("packages.txt"),
            "manifest": scratch.path().join("manifest.json"),
            "ssh_host": MACHINE_V4.to_string(),
            "ssh_private_key_file": key.private_file(),
        });
        fs::write(&variables, values.to_string()).context("cannot write Packer's variables")?;
        let prefix = ["ip", "netns", "exec", network.namespace()].map(str::to_owned);
        let home = scratch.path().join("packer");
        let run = PackerRun {
            prefix: &prefix,
            packer,
            template: &template,
            variables: &variables,
            home: Some(&home),
            environment: &[],
            deadline: PACKER,
        };
        run.run(self.ui, step).await
    }
}

fn console(machine: &Machine) -> String {
    format!("the console's last lines:\n{}", machine.console_tail())
}

fn reused(reused: bool) -> &'static str {
    if reused { "reused" } else { "built" }
}

fn seconds(parts: &[(String, f64)]) -> String {
    parts.iter().map(|(name, seconds)| format!("{name} {seconds:.0} s")).collect::<Vec<_>>().join(", ")
}

/// The builds in the folders beside this one, newest first.
fn builds_beside(folder: &Path) -> Vec<(Record, PathBuf)> {
    let entries = folder.parent().and_then(|parent| fs::read_dir(parent).ok());
    let mut builds: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name() != "latest" && entry.path() != folder)
        .filter_map(|entry| Record::read(&entry.path()).ok().map(|(record, _)| (record, entry.path())))
        .collect();
    builds.sort_by(|(one, _), (two, _)| two.began.cmp(&one.began));
    builds
}

fn latest(folder: &Path) -> Option<Record> {
    builds_beside(folder).into_iter().next().map(|(record, _)| record)
}
