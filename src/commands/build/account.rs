//! A build in the maintainer's account, by the provider's own plugin.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::images::{self, ImageSource};
use echora_rehearsal::{process, tools};
use provider_profiles::Entry;
use serde_json::{Value, json};

use super::packer::PackerRun;
use super::{Build, payload};
use crate::error::{Exit, Fault};
use crate::project::Project;
use crate::record::{Depth, Record, Snapshot, Versions};
use crate::render;
use crate::ui::{Mode, Ui};

const STEPS: usize = 2;
const INIT: Duration = Duration::from_secs(600);
const PACKER: Duration = Duration::from_secs(3 * 3600);

pub(super) async fn run(
    build: &Build,
    entry: &Entry,
    project: &Project,
    mode: Mode,
) -> Result<(Record, PathBuf, Ui)> {
    let profile = &entry.profile;
    let base = build.base(entry)?;
    let packer = tools::installed(&project.path(""), "packer").await?;
    let images = given(build, entry)?;
    let began = crate::time::now();
    let folder = build.folder(project, &began)?;
    let ui = Ui::new(mode, STEPS);
    let log = folder.join("build.log");
    ui.log_to(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);

    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let template = project.path(format!("packer/generated/{}", profile.id));
    let step = ui.step("plugin", "getting the provider's plugin");
    let mut init = tokio::process::Command::new(&packer.path);
    init.arg("init").arg(&template).env("CHECKPOINT_DISABLE", "1");
    process::run(&mut init, "packer init", INIT).await?;
    step.done(&profile.packer.plugin.source);

    let step = ui.step("packer", "building with Packer");
    let payload = scratch.path().join(payload::NAME);
    let files = render::provider(profile)?;
    super::write_payload(&payload, build, project, base, &files, &images)?;
    let variables = scratch.path().join("variables.json");
    let manifest = scratch.path().join("manifest.json");
    let packages = scratch.path().join("packages.txt");
    let values = json!({
        "architecture": base.architecture.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "payload": payload,
        "packages": packages,
        "manifest": manifest,
    });
    fs::write(&variables, values.to_string()).context("cannot write Packer's variables")?;
    // The user's own plugin folder is used: that is where init put the plugin.
    let run = PackerRun {
        prefix: &[],
        packer: &packer.path,
        template: &template,
        variables: &variables,
        home: None,
        environment: &[],
        deadline: PACKER,
    };
    run.run(&ui, &step).await.with_context(|| format!("the build failed; its log is {}", log.display()))?;
    let id = artifact(&fs::read_to_string(&manifest).context("Packer wrote no manifest")?)?;
    step.done(&id);

    let record = Record {
        provider: profile.id.clone(),
        depth: Depth::Account,
        depth_note: None,
        began,
        inputs: String::new(),
        versions: Versions {
            echora_images: env!("CARGO_PKG_VERSION").to_owned(),
            packer: format!("{} ({})", packer.version, packer.how),
            plugin: format!("{} {}", profile.packer.plugin.source, profile.packer.plugin.version),
            base: format!("{} {}", base.os, base.architecture.name()),
        },
        images: super::image_records(&images),
        snapshot: Snapshot::Account { id },
        account: None,
        packages: super::read_packages(&packages)?,
        steps: ui.times(),
    };
    record.write(&folder)?;
    Ok((record, folder, ui))
}

/// What only the maintainer can give: a token in the environment, and container images.
fn given(build: &Build, entry: &Entry) -> Result<Vec<ImageSource>> {
    let packer = &entry.profile.packer;
    let settings = packer.account.values().map(|setting| (&setting.environment, setting.meaning.as_str()));
    let missing: Vec<_> = [(&packer.token.environment, packer.token.holds.in_words())]
        .into_iter()
        .chain(settings)
        .filter(|(name, _)| std::env::var_os(name).is_none_or(|value| value.is_empty()))
        .map(|(name, meaning)| format!("\n  {name}: {meaning}"))
        .collect();
    if !missing.is_empty() {
        let name = &entry.profile.name;
        let what = format!("a build for {name} runs in your account; not set:{}", missing.concat());
        return Err(Fault::new(Exit::Missing, what, "set them, or build here with --rehearse").into());
    }
    let Some(set) = &build.images else {
        let what = "no container images are given, and none of Echora are published yet";
        return Err(Fault::new(
            Exit::Usage,
            what,
            "give yours with --images FILE; docs/account.md shows the file",
        )
        .into());
    };
    if build.frontend.is_none() {
        let what = "no front end is given, and none of Echora is published yet";
        return Err(Fault::new(Exit::Usage, what, "give its static files with --frontend DIR").into());
    }
    images::read_set(set)
}

/// The id of what the last build of a manifest made.
pub(super) fn artifact(manifest: &str) -> Result<String> {
    let manifest: Value = serde_json::from_str(manifest).context("Packer's manifest is damaged")?;
    let build = manifest["builds"].as_array().and_then(|builds| builds.last());
    build
        .and_then(|build| build["artifact_id"].as_str())
        .map(str::to_owned)
        .context("Packer's manifest names no artifact")
}
