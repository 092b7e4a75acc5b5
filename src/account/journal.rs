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
}

impl Begun {
    /// Whether something that the account holds may go, now that the build has ended: all but the snapshot that its
    /// record names, and that snapshot's label.
    #[must_use]
    pub fn leaves(&self, held: &Held) -> bool {
        let record = Record::read(&self.folder).ok().map(|(record, _)| record);
        let record = record.filter(|record| record.build.as_ref() == Some(&self.build));
        let kept = match record.map(|record| record.snapshot) {
            Some(Snapshot::Account { id }) => {
                held.kind == Kind::Label || (held.kind == Kind::Snapshot && held.is(&id))
            }
            _ => false,
        };
        held.build.as_ref() == Some(&self.build) && !kept
    }
}

/// The file of one build, locked until this is dropped.
#[derive(Debug)]
pub struct Journal {
    /// What it tells.
    pub begun: Begun,
    path: PathBuf,
    _lock: File,
}

impl Journal {
    /// Notes a build before it makes anything.
    pub fn begin(project: &Project, begun: Begun) -> Result<Self> {
        let folder = project.path(FOLDER);
        let path = folder.join(format!("{}.json", begun.build));
        let write = || -> Result<File> {
            fs::create_dir_all(&folder)?;
            // It has its lock before others can see it.
            let hidden = path.with_extension("new");
            let mut file = File::create(&hidden)?;
            file.try_lock()?;
            file.write_all(serde_json::to_string(&begun)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&hidden, &path)?;
            Ok(file)
        };
        let lock = write().with_context(|| format!("cannot note the build in {}", folder.display()))?;
        Ok(Self { begun, path, _lock: lock })
    }

    /// The builds that died, each locked for whoever sees to it now, and the names of those that are alive.
    pub fn all(project: &Project) -> Result<(Vec<Self>, Vec<BuildId>)> {
        let folder = project.path(FOLDER);
        let (mut dead, mut alive) = (Vec::new(), Vec::new());
        let Ok(entries) = fs::read_dir(&folder) else { return Ok((dead, alive)) };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
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
    Ok(Some(Journal { begun, path: path.to_owned(), _lock: lock }))
}
