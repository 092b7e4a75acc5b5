//! The snapshot that tests of machines share.

use std::path::{Path, PathBuf};

use echora_images::record::{Record, Snapshot};
use provider_profiles::{Catalog, Entry};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::depth::first_with_plugin;
use super::{run, stderr, stdout};

/// A rehearsed build.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) entry: Entry,
    pub(crate) record: Record,
    /// Where the record is.
    pub(crate) file: PathBuf,
    pub(crate) disk: PathBuf,
}

/// Built once for all tests of machines, and not again while nothing that goes into it changes: the artifact of a
/// provider's own plugin. Which provider's does not matter, the first whose plugin can be had.
pub(crate) async fn shared() -> &'static Built {
    static SHARED: OnceCell<Built> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            let provider = first_with_plugin().await;
            tokio::task::spawn_blocking(move || build(&provider, "api")).await.unwrap()
        })
        .await
}

/// Builds to a depth, unless an earlier build of the same inputs serves.
pub(crate) fn build(provider: &str, depth: &str) -> Built {
    let events = events(&["build", provider, &format!("--rehearse={depth}"), "--reuse", "--json"]);
    let result = events.last().expect("the last event is the result");
    let built = read(Path::new(result["record"].as_str().unwrap()));
    assert_eq!(built.record.provider, provider);
    built
}

/// What a record, or the folder that it is in, tells of a rehearsal.
pub(crate) fn read(place: &Path) -> Built {
    let (record, file) = Record::read(place).unwrap();
    let Snapshot::Disk { file: disk, .. } = &record.snapshot else { panic!("a rehearsal makes a disk") };
    let disk = file.with_file_name(disk);
    assert!(disk.is_file());
    let entry = Catalog::embedded().unwrap().find(&record.provider).unwrap().clone();
    Built { entry, record, file, disk }
}

/// Runs the tool and returns its events.
pub(crate) fn events(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
