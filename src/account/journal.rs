//! Which builds are under way: a file for each, locked by the process that builds. A file without a lock tells of a
//! build that died and may have left something in an account.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{BuildId, Held, Kind, orphans};
use crate::project::Project;
use crate::record::{Record, Snapshot};
use crate::time::utc;

const FOLDER: &str = "build/under-way";

/// A build that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Its name.
    pub build: BuildId,
    /// The provider's id.
    pub provider: String,
    /// Folder of its record.
    pub folder: PathBuf,
    /// When its builder was started, in Unix seconds; none before that.
    #[serde(default)]
    pub builder: Option<i64>,
    /// The finished snapshot's id, as its record has it; none before there is a record.
    #[serde(default)]
    pub snapshot: Option<String>,
}

impl Begun {
    /// Whether something that the account holds may go, now that the build has ended: all but the snapshot that its
    /// record names, and that snapshot's label. What becomes of the record later changes nothing.
    #[must_use]
    pub fn leaves(&self, held: &Held) -> bool {
        let recorded = || match self.record()?.snapshot {
            Snapshot::Account { id } => Some(id),
            Snapshot::Disk { .. } => None,
        };
        let kept = self
            .snapshot
            .clone()
            .or_else(recorded)
            .is_some_and(|id| held.kind == Kind::Label || (held.kind == Kind::Snapshot && held.is(&id)));
        held.build.as_ref() == Some(&self.build) && !kept
    }

    /// Its record, which is there once its snapshot is.
    pub(super) fn record(&self) -> Option<Record> {
        let (record, _) = Record::read(&self.folder).ok()?;
        (record.build.as_ref() == Some(&self.build)).then_some(record)
    }
}

/// The file of one build, locked until this is dropped.
#[derive(Debug)]
pub struct Journal {
    /// What it tells.
    pub begun: Begun,
    path: PathBuf,
    /// The newest is of the file that is there; the others are held for those who opened what it replaced.
    locks: Vec<File>,
}

impl Journal {
    /// Notes a build before it makes anything.
    pub fn begin(project: &Project, begun: Begun) -> Result<Self> {
        let folder = project.path(FOLDER);
        let path = folder.join(format!("{}.json", begun.build));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut journal = Self { begun, path, locks: Vec::new() };
        journal.write()?;
        Ok(journal)
    }

    /// Notes that the build's builder is about to be started.
    pub fn builder_starts(&mut self) -> Result<()> {
        self.begun.builder = Some(utc().timestamp());
        self.write()
    }

    /// Notes that nothing of the builder's is left: what is called as a plugin calls its own from now on is somebody else's.
    pub fn builder_is_over(&mut self) -> Result<()> {
        self.begun.builder = None;
        self.write()
    }

    /// Notes that there is a record of the finished snapshot.
    pub fn recorded(&mut self, snapshot: &str) -> Result<()> {
        self.begun.snapshot = Some(snapshot.to_owned());
        self.write()
    }

    /// The file is whole and has its lock before others can see it.
    fn write(&mut self) -> Result<()> {
        let write = || -> Result<File> {
            let hidden = self.path.with_extension("new");
            let mut file = File::create(&hidden)?;
            file.try_lock()?;
            file.write_all(serde_json::to_string(&self.begun)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&hidden, &self.path)?;
            Ok(file)
        };
        let lock = write().with_context(|| format!("cannot note the build in {}", self.path.display()))?;
        self.locks.push(lock);
        Ok(())
    }

    /// All builds that are noted, dead or alive.
    #[must_use]
    pub fn noted(project: &Project) -> Vec<Begun> {
        // One that cannot be read has just ended, or `all` tells of it.
        let entries = fs::read_dir(project.path(FOLDER)).into_iter().flatten().flatten();
        let texts = entries.map(|entry| entry.path()).filter(|path| is_note(path));
        texts.filter_map(|path| serde_json::from_str(&fs::read_to_string(path).ok()?).ok()).collect()
    }

    /// The builds that died, each locked for whoever sees to it now, and the names of those that are alive.
    pub fn all(project: &Project) -> Result<(Vec<Self>, Vec<BuildId>)> {
        let folder = project.path(FOLDER);
        let (mut dead, mut alive) = (Vec::new(), Vec::new());
        let Ok(entries) = fs::read_dir(&folder) else { return Ok((dead, alive)) };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            if !is_note(&path) {
                continue;
            }
            match take(&path).with_context(|| format!("cannot read {}", path.display()))? {
                Some(journal) => dead.push(journal),
                None => alive.extend(path.file_stem().and_then(|name| BuildId::read(name.to_str()?))),
            }
        }
        Ok((dead, alive))
    }

    /// Ends what still runs of a build that died.
    pub fn end_builder(&self) -> Result<()> {
        orphans::end(&self.begun.build)
    }

    /// Nothing of the build is left but what it was run for.
    pub fn end(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

fn is_note(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// None while its build is alive, or when somebody else has just seen to it.
fn take(path: &Path) -> Result<Option<Journal>> {
    let lock = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        locked => locked?,
    }
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let begun = serde_json::from_str(&text)?;
    Ok(Some(Journal { begun, path: path.to_owned(), locks: vec![lock] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_snapshot_stays_whatever_becomes_of_its_record() {
        let build = BuildId::new().unwrap();
        let held = |kind, id: &str| Held {
            kind,
            id: id.into(),
            name: build.to_string(),
            build: Some(build.clone()),
            created: None,
            own_time: None,
        };
        let folder = PathBuf::from("/nowhere");
        let provider = String::new();
        let mut begun = Begun { build: build.clone(), provider, folder, builder: None, snapshot: None };
        assert!(begun.leaves(&held(Kind::Snapshot, "44")) && begun.leaves(&held(Kind::Label, "l")));
        begun.snapshot = Some("44".into());
        assert!(!begun.leaves(&held(Kind::Snapshot, "44")) && !begun.leaves(&held(Kind::Label, "l")));
        assert!(begun.leaves(&held(Kind::Snapshot, "45")) && begun.leaves(&held(Kind::Machine, "44")));
    }
}
