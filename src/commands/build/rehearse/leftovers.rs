//! What a played account holds when the build has ended: the snapshot and nothing else.

use echora_rehearsal::api::Ledger;

use crate::error::{Exit, Fault};
use crate::record::Account;

/// What the account holds, in words.
pub(super) fn left(ledger: &Ledger) -> Vec<String> {
    ledger.left().map(|line| format!("{} {} {:?}", line.kind, line.id, line.name)).collect()
}

/// The snapshot's id with what the record says of the account; an error when anything but the artifact is left.
pub(super) fn only_snapshot(ledger: &Ledger, artifact: &str) -> Result<(String, Account), Fault> {
    // Some plugins name the region before the snapshot.
    let id = artifact.rsplit(':').next().unwrap_or(artifact);
    let left = left(ledger);
    if left.len() != 1 || ledger.left().any(|line| line.id != id) {
        let what = format!(
            "the account should hold the artifact {artifact} and nothing else; it holds {}, at {:.4} an hour",
            if left.is_empty() { "nothing".to_owned() } else { left.join(", ") },
            ledger.hourly()
        );
        let hint = "the plugin leaves in a real account what it leaves here: see its calls in the log";
        return Err(Fault::new(Exit::Unverified, what, hint));
    }
    let requests = ledger.asked.len();
    Ok((id.to_owned(), Account { artifact: artifact.to_owned(), requests, left }))
}

#[cfg(test)]
mod tests {
    use echora_rehearsal::api::Line;

    use super::*;

    fn line(kind: &str, id: &str, gone: bool) -> Line {
        Line {
            kind: kind.into(),
            id: id.into(),
            name: "echora".into(),
            hourly: 0.5,
            made: "2026-01-01T00:00:00Z".into(),
            gone: gone.then(|| "2026-01-01T01:00:00Z".into()),
        }
    }

    fn judged(lines: Vec<Line>, artifact: &str) -> Result<(String, Account), String> {
        let ledger = Ledger { lines, ..Ledger::default() };
        only_snapshot(&ledger, artifact).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_artifact_alone_may_be_left() {
        let gone = [line("key", "11", true), line("machine", "22", true)];
        let with = |last: Line| gone.iter().cloned().chain([last]).collect::<Vec<_>>();
        for artifact in ["here:44", "44"] {
            let (id, account) = judged(with(line("snapshot", "44", false)), artifact).unwrap();
            assert_eq!((id.as_str(), account.left.len()), ("44", 1));
        }
        assert!(judged(with(line("snapshot", "45", false)), "44").is_err(), "another snapshot");
        assert!(judged(gone.to_vec(), "44").unwrap_err().contains("holds nothing"));
    }

    #[test]
    fn what_is_left_besides_is_named_with_its_cost() {
        let lines = vec![line("machine", "22", false), line("snapshot", "44", false)];
        let error = judged(lines, "44").unwrap_err();
        assert!(error.contains("machine 22 \"echora\"") && error.contains("1.0000 an hour"), "{error}");
    }
}
