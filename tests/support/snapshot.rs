//! The snapshot that tests of machines share.

use std::path::PathBuf;

use echora_images::record::{Record, Snapshot};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{default_provider, run, stderr, stdout};

/// Built once for all tests of machines, and not again while nothing that goes into it changes.
pub(crate) async fn snapshot() -> PathBuf {
    static SNAPSHOT: OnceCell<PathBuf> = OnceCell::const_new();
    SNAPSHOT.get_or_init(build).await.clone()
}

async fn build() -> PathBuf {
    let provider = default_provider();
    let output =
        tokio::task::spawn_blocking(move || run(&["build", &provider, "--rehearse", "--reuse", "--json"]));
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let events = stdout(&output);
    let result: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    let file = PathBuf::from(result["record"].as_str().expect("the last event is the result"));
    let (record, _) = Record::read(&file).unwrap();
    check_record(&record);
    let Snapshot::Disk { file: name, .. } = record.snapshot else { panic!("a rehearsal makes a disk") };
    file.with_file_name(name)
}

fn check_record(record: &Record) {
    assert_eq!(record.provider, default_provider());
    assert!(
        record.packages.contains_key("docker.io") && record.packages.len() > 200,
        "{} packages",
        record.packages.len()
    );
    assert!(
        record.images.values().all(|image| image.digest.starts_with("sha256:")) && record.images.len() == 3
    );
    assert!(record.versions.packer.starts_with("1.") && record.depth_note.is_some());
    assert!(record.steps.iter().any(|step| step.name == "packer" && step.seconds > 0.0));
}
