//! A build in the maintainer's account, by the provider's own plugin.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::images::{self, ImageSource};
use echora_rehearsal::tools::Tool;
use provider_profiles::Entry;
use serde_json::{Value, json};

use super::packer::PackerRun;
use super::{Build, key, payload, resume};
use crate::account::{
    Account, Begun, BuildId, Claims, Held, Journal, Left, Sweep, Swept, keep, leftovers, orphans,
};
use crate::error::{Exit, Fault};
use crate::interrupt::{self, HALF_REMOVED, Interrupt};
use crate::preflight::{self, Found};
use crate::project::Project;
use crate::record::{Cost, Depth, Record, Snapshot, Versions};
use crate::render;
use crate::ui::Ui;

pub(super) const STEPS: usize = 3;
/// The step that has a machine.
const BUILDING: &str = "packer";
const PACKER: Duration = Duration::from_secs(3 * 3600);
const SECOND: &str = "a second time: nothing was waited for";
/// For one look at what is left when nobody wants to wait.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// A build in an account.
struct AccountBuild<'a> {
    build: &'a Build,
    entry: &'a Entry,
    project: &'a Project,
    interrupt: &'a Interrupt,
    packer: Tool,
    images: Vec<ImageSource>,
    began: String,
    folder: PathBuf,
    log: PathBuf,
    ui: Ui,
}

pub(super) async fn run(
    build: &Build,
    entry: &Entry,
    project: &Project,
    ui: Ui,
    interrupt: &Interrupt,
) -> Result<(Record, PathBuf, Ui)> {
    let profile = &entry.profile;
    let base = build.base(entry)?;
    let id = BuildId::new()?;
    let step = ui.step("preflight", "checking tools, images and account");
    let checks = preflight::account(project, profile, base, &id, given(build));
    let Found { packer, account, images } = interrupt.ends(checks).await?;
    step.done("");
    let began = crate::time::now();
    // A build is taken up again from wherever the user is by then.
    let folder =
        std::path::absolute(build.folder(project, &began)?).context("the folder has no whole path")?;
    let log = folder.join("build.log");
    ui.log_to(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
    let this = AccountBuild { build, entry, project, interrupt, packer, images, began, folder, log, ui };

    let step = this.ui.step("leftovers", "looking for what dead builds left");
    let swept = match &account {
        Some(account) => interrupt.until(HALF_REMOVED, leftovers::of_the_dead(project, account)).await?,
        None => Swept::default(),
    };
    for held in &swept.removed {
        step.detail(&format!("removed {held}"));
    }
    this.tell_unsure(&swept.unsure);
    step.done(&format!("{} removed", swept.removed.len()));

    let noted = Begun {
        build: id,
        provider: profile.id.clone(),
        folder: this.folder.clone(),
        builder: None,
        snapshot: None,
    };
    let Some(account) = account else {
        let record = tokio::select! {
            record = Box::pin(this.make(&noted.build, None)) => record?,
            () = interrupt.number(2) => {
                let why = interrupt::fault(SECOND).into();
                return Err(Left { provider: noted.provider, held: Vec::new(), why, of_build: true }.into());
            }
        };
        return Ok((record, this.folder, this.ui));
    };
    let mut journal = Journal::begin(project, noted)?;
    let record = tokio::select! {
        record = this.make_and_sweep(&account, &mut journal) => record?,
        () = interrupt.number(2) => {
            return Err(this.left_at_once(&account, &journal.begun, interrupt::fault(SECOND).into()).await);
        }
    };
    journal.end()?;
    keep_newest(build, project, &account, &record, &this.ui, interrupt).await?;
    Ok((record, this.folder, this.ui))
}

/// Deletes old snapshots where the user wants that.
pub(super) async fn keep_newest(
    build: &Build,
    project: &Project,
    account: &Account,
    record: &Record,
    ui: &Ui,
    interrupt: &Interrupt,
) -> Result<()> {
    let (Some(newest), Some(own)) = (build.keep_last, &record.build) else { return Ok(()) };
    let kept = keep::newest(project, account, own, newest);
    let kept = interrupt.until(HALF_REMOVED, kept).await;
    for held in kept.context("the build is done; old snapshots are still there")? {
        ui.say(&format!("deleted {held}"));
    }
    Ok(())
}

impl AccountBuild<'_> {
    /// Builds, and whatever came of it, removes all but the snapshot.
    async fn make_and_sweep(&self, account: &Account, journal: &mut Journal) -> Result<Record> {
        let id = journal.begun.build.clone();
        let mut made = self.make(&id, Some((account, &mut *journal))).await;
        // With a record the build is none that left anything any more.
        let claims = self.claims();
        if let Err(error) = &made
            && !self.interrupt.came()
            && let Some(draft) = resume::under_way(account, &journal.begun).await
        {
            self.ui.say(&format!("error: {error:#}\nits snapshot was ordered before that: waiting for it"));
            let finished = resume::finish(self.project, account, journal, draft, &self.ui, self.interrupt);
            match finished.await {
                Ok(finished) => return Ok(finished?),
                Err(_) if self.interrupt.came() => {
                    let left = "what the build made has been removed, but for a snapshot that has its record";
                    made = Err(interrupt::fault(left).into());
                }
                Err(error) => {
                    let why =
                        format!("not waited to the end; `build {} --resume` waits on", account.provider());
                    return Err(self.left_at_once(account, &journal.begun, error.context(why)).await);
                }
            }
        }
        let begun = &journal.begun;
        let sweep = Sweep { twice: made.is_err(), claims, ..Sweep::default() };
        match (made, sweep.run(account, |held| begun.leaves(held)).await) {
            (made, Ok(swept)) => {
                for held in &swept.removed {
                    self.ui.log(&format!("removed {held}"));
                }
                self.tell_unsure(&swept.unsure);
                journal.builder_is_over()?;
                made
            }
            (Ok(_), Err(left)) => Err(left),
            (Err(error), Err(left)) => {
                self.ui.say(&format!("error: {error:#}"));
                Err(left)
            }
        }
    }

    /// What a build leaves that nobody waits for any more.
    async fn left_at_once(&self, account: &Account, begun: &Begun, why: anyhow::Error) -> anyhow::Error {
        let claims = self.claims();
        let ours = tokio::time::timeout(LAST_LOOK, account.ours_by(&claims)).await.ok().and_then(Result::ok);
        let (ours, _) = ours.unwrap_or_default();
        let held = ours.into_iter().filter(|held| begun.leaves(held)).collect();
        Left { provider: begun.provider.clone(), held, why, of_build: true }.into()
    }

    fn claims(&self) -> Claims {
        Claims::of(self.project, &self.entry.profile.id)
    }

    fn tell_unsure(&self, unsure: &[Held]) {
        for held in unsure {
            self.ui.say(&Claims::doubt(held));
        }
    }

    async fn make(&self, id: &BuildId, owned: Option<(&Account, &mut Journal)>) -> Result<Record> {
        let (account, mut journal) =
            owned.map_or((None, None), |(account, journal)| (Some(account), Some(journal)));
        let (profile, ui) = (&self.entry.profile, &self.ui);
        let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
        let template = self.project.path(format!("packer/generated/{}", profile.id));
        let step = ui.step(BUILDING, "building with Packer");
        let payload = scratch.path().join(payload::NAME);
        let files = render::provider(profile)?;
        let base = self.build.base(self.entry)?;
        super::write_payload(&payload, self.build, self.project, base, &files, &self.images)?;
        let at = |name: &str| scratch.path().join(name);
        let (variables, manifest) = (at("variables.json"), at("manifest.json"));
        let packages = resume::packages(&self.folder);
        let price = match account {
            Some(account) => self.interrupt.ends(self.price(account, &base.plan)).await?,
            None => None,
        };
        let draft = self.record(id, String::new(), BTreeMap::new(), price.clone())?;
        resume::keep(&draft, &self.folder)?;
        let mut values = json!({"architecture": base.architecture.name(), "region": profile.packer.region, "plan": base.plan, "version": env!("CARGO_PKG_VERSION"), "snapshot": id, "payload": payload, "packages": packages, "manifest": manifest});
        if let (Some(account), Some(_)) = (account, &profile.packer.key) {
            let (key, file) = self.interrupt.ends(key::register(account, id, scratch.path())).await?;
            values["key"] = key.into();
            values["key_file"] = json!(file);
        }
        fs::write(&variables, values.to_string()).context("cannot write Packer's variables")?;
        if let Some(journal) = &mut journal {
            journal.builder_starts()?;
        }
        let left = match account {
            Some(_) => "what the build made has been removed".to_owned(),
            None => format!("this account cannot be asked: look there yourself for what is called {id}"),
        };
        // The user's own plugin folder is used: that is where init put the plugin.
        let run = PackerRun {
            prefix: &[],
            packer: &self.packer.path,
            template: &template,
            variables: &variables,
            home: None,
            environment: &[(orphans::MARK.to_owned(), id.to_string())],
            deadline: PACKER,
            left: &left,
        };
        let ran = run.run_until(ui, &step, self.interrupt.number(1)).await;
        if ran.is_err() && self.interrupt.came() {
            // A signal in the moment of its start ends Packer as well, before it can say that it was one.
            return Err(interrupt::fault(&left).into());
        }
        ran.with_context(|| format!("the build failed; its log is {}", self.log.display()))?;
        let snapshot = artifact(&fs::read_to_string(&manifest).context("Packer wrote no manifest")?)?;
        step.done(&snapshot);
        let packages = super::read_packages(&packages)?;
        let record = self.record(id, snapshot, packages, price.map(|price| price.over(self.built())))?;
        record.write(&self.folder)?;
        if let Some(journal) = journal {
            journal.recorded(record.snapshot.id())?;
        }
        resume::forget(&self.folder);
        Ok(record)
    }

    /// The machine's price, for no time yet.
    async fn price(&self, account: &Account, plan: &str) -> Result<Option<Cost>> {
        // It is told in the record only and not worth losing a build.
        let price = account.price(plan).await.ok().flatten();
        Ok(price.map(|(hourly, currency)| Cost { hourly, hours: 0.0, currency }))
    }

    /// How long the builder had the machine, in seconds.
    fn built(&self) -> f64 {
        self.ui.times().iter().filter(|step| step.name == BUILDING).map(|step| step.seconds).sum()
    }

    fn record(
        &self,
        id: &BuildId,
        snapshot: String,
        packages: BTreeMap<String, String>,
        cost: Option<Cost>,
    ) -> Result<Record> {
        let (profile, base) = (&self.entry.profile, self.build.base(self.entry)?);
        Ok(Record {
            provider: profile.id.clone(),
            build: Some(id.clone()),
            depth: Depth::Account,
            depth_note: None,
            began: self.began.clone(),
            inputs: String::new(),
            versions: Versions {
                echora_images: env!("CARGO_PKG_VERSION").to_owned(),
                packer: format!("{} ({})", self.packer.version, self.packer.how),
                plugin: format!("{} {}", profile.packer.plugin.source, profile.packer.plugin.version),
                base: format!("{} {}", base.os, base.architecture.name()),
            },
            images: super::image_records(&self.images),
            snapshot: Snapshot::Account { id: snapshot },
            cost,
            account: None,
            packages,
            steps: self.ui.times(),
        })
    }
}

/// What only the maintainer can give: container images and a front end.
fn given(build: &Build) -> Result<Vec<ImageSource>> {
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
