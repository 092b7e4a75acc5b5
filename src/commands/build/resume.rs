//! Takes a build up again whose snapshot was ordered: the hour before that is not lost when its builder or the tool dies.
//!
//! What the record needs lies in the build's folder before Packer starts: a draft of the record. Packer brings the list of
//! packages there before it orders the snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use provider_profiles::Entry;

use super::Build;
use crate::account::{Account, Begun, Claims, Held, Journal, Progress, Sweep, leftovers};
use crate::error::{Exit, Fault};
use crate::interrupt::Interrupt;
use crate::project::Project;
use crate::record::{Record, Snapshot};
use crate::ui::Ui;

const DRAFT: &str = "draft.json";
const PACKAGES: &str = "packages.txt";
/// What an end leaves of a wait that can be taken up again.
const LATER: &str = "`build PROVIDER --resume` waits on";

/// Where Packer puts the list of packages.
pub(super) fn packages(folder: &Path) -> PathBuf {
    folder.join(PACKAGES)
}

/// Keeps what the record will be made of.
pub(super) fn keep(draft: &Record, folder: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(draft).context("cannot write the record as JSON")?;
    fs::write(folder.join(DRAFT), text).context("cannot keep the draft of the record")
}

/// The build's record is there, or nothing will come of it.
pub(super) fn forget(folder: &Path) {
    for name in [DRAFT, PACKAGES] {
        // What stays is a file that nobody reads.
        let _ = fs::remove_file(folder.join(name));
    }
}

/// The record of a build that died, but for its snapshot; none when it did not come as far as that.
fn draft(begun: &Begun) -> Option<Record> {
    let text = fs::read_to_string(begun.folder.join(DRAFT)).ok()?;
    let record: Record = serde_json::from_str(&text).ok()?;
    let packages = super::read_packages(&packages(&begun.folder)).ok()?;
    Some(Record { packages, ..record })
}

/// `build PROVIDER --resume`.
pub(super) async fn run(
    build: &Build,
    entry: &Entry,
    project: &Project,
    ui: Ui,
    interrupt: &Interrupt,
) -> Result<(Record, PathBuf, Ui)> {
    let name = &entry.profile.name;
    let account = Account::open(&entry.profile)?.ok_or_else(|| {
        let what = format!("{name} cannot be asked for what has become of a build");
        Fault::new(Exit::Usage, what, "start a new build")
    })?;
    let step = ui.step("resume", "looking for a snapshot that nobody waits for");
    let (mut journal, draft) = interrupt.until(LATER, newest(project, &account)).await?.ok_or_else(|| {
        let what = format!("nothing to resume: no build of this checkout that died has a snapshot at {name}");
        let cure = "start a new build; it removes what dead builds left";
        Fault::new(Exit::Usage, what, cure)
    })?;
    step.done(&journal.begun.build.to_string());
    let folder = journal.begun.folder.clone();
    // As long as it is not known what becomes of it, it can be taken up once more.
    let made = finish(project, &account, &mut journal, draft, &ui, interrupt).await?;
    journal.end()?;
    let record = made?;
    super::account::keep_newest(build, project, &account, &record, &ui, interrupt).await?;
    Ok((record, folder, ui))
}

/// The newest of the dead builds that a snapshot was ordered for, with its draft.
async fn newest(project: &Project, account: &Account) -> Result<Option<(Journal, Record)>> {
    let mut dead = leftovers::dead(project, account)?;
    dead.sort_by(|one, two| two.begun.build.cmp(&one.begun.build));
    for journal in dead {
        let Some(draft) = draft(&journal.begun) else { continue };
        // Its builder would go on, and takes away what it made when it cannot. What it leaves, the next build removes.
        journal.end_builder()?;
        if account.settled(&journal.begun.build).await? != Progress::Unknown {
            return Ok(Some((journal, draft)));
        }
    }
    Ok(None)
}

/// Waits for the snapshot, writes the record and removes everything else. The fault within is that the provider did not make
/// the snapshot: then nothing is left.
pub(super) async fn finish(
    project: &Project,
    account: &Account,
    journal: &mut Journal,
    draft: Record,
    ui: &Ui,
    interrupt: &Interrupt,
) -> Result<Result<Record, Fault>> {
    let begun = journal.begun.clone();
    // With a record the build is none that left anything any more.
    let claims = Claims::of(project, account.provider());
    let step = ui.step("snapshot", "waiting for the snapshot");
    let id = match interrupt.until(LATER, account.outcome(&begun.build)).await? {
        Ok(Held { id, .. }) => id,
        Err(state) => {
            sweep(account, &begun, claims, ui, interrupt).await?;
            forget(&begun.folder);
            let what = format!("the provider did not make the snapshot of {} ({state})", begun.build);
            return Ok(Err(Fault::new(Exit::Failed, what, "start a new build; nothing is left of this one")));
        }
    };
    step.done(&id);
    let mut record = draft;
    record.snapshot = Snapshot::Account { id };
    record.steps = ui.times();
    // The machine was there from then on, also while nobody waited.
    let since = crate::time::seconds_since(&record.began);
    record.cost = record.cost.zip(since).map(|(price, seconds)| price.over(seconds));
    record.write(&begun.folder)?;
    journal.recorded(record.snapshot.id())?;
    sweep(account, &begun, claims, ui, interrupt).await?;
    forget(&begun.folder);
    Ok(Ok(record))
}

async fn sweep(
    account: &Account,
    begun: &Begun,
    claims: Claims,
    ui: &Ui,
    interrupt: &Interrupt,
) -> Result<()> {
    let swept = Sweep { twice: true, claims, ..Sweep::default() }.run(account, |held| begun.leaves(held));
    let swept = interrupt.until(LATER, swept).await?;
    for held in &swept.removed {
        ui.say(&format!("removed {held}"));
    }
    for held in &swept.unsure {
        ui.say(&Claims::doubt(held));
    }
    Ok(())
}

/// What is kept of a build whose builder failed, when its snapshot was ordered all the same.
pub(super) async fn under_way(account: &Account, begun: &Begun) -> Option<Record> {
    let draft = draft(begun)?;
    match account.progress(&begun.build).await.ok()? {
        Progress::UnderWay | Progress::Done(_) => Some(draft),
        Progress::Unknown | Progress::Failed(_) => None,
    }
}
