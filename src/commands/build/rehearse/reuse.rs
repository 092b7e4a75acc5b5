//! Earlier builds beside a new one.

use std::fs;
use std::path::{Path, PathBuf};

use echora_rehearsal::cache::sha256;

use crate::record::{Record, Snapshot};

/// An earlier build of the same inputs whose snapshot is still what its record says.
pub(super) fn reusable(folder: &Path, inputs: &str) -> Option<(Record, PathBuf)> {
    builds_beside(folder).into_iter().filter(|(record, _)| record.inputs == inputs).find(
        |(record, folder)| {
            let Snapshot::Disk { file, sha256: wanted, .. } = &record.snapshot else {
                return false;
            };
            sha256(&folder.join(file)).is_ok_and(|(found, _)| found == *wanted)
        },
    )
}

/// The newest build beside this one.
pub(super) fn latest(folder: &Path) -> Option<Record> {
    builds_beside(folder).into_iter().next().map(|(record, _)| record)
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
