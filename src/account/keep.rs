//! Old snapshots go when a maintainer says so, but never one that a listing uses.

use anyhow::Result;

use super::{Account, Held, Kind, Sweep};
use crate::listings::Listings;
use crate::project::Project;

/// Deletes all snapshots of ours but the newest `count` and those that listings use, and returns what was deleted.
pub async fn newest(project: &Project, account: &Account, count: u32) -> Result<Vec<Held>> {
    let listings = Listings::read(project)?;
    let held = account.held(Kind::Snapshot).await?;
    let old = older(held, usize::try_from(count).unwrap_or(usize::MAX));
    let goes: Vec<Held> = old.into_iter().filter(|held| !listings.uses(account.provider(), held)).collect();
    if goes.is_empty() {
        return Ok(goes);
    }
    let of_them = |held: &Held| held.kind == Kind::Label && goes.iter().any(|gone| gone.build == held.build);
    Ok(Sweep::default().run(account, |held| goes.contains(held) || of_them(held)).await?.removed)
}

/// All builds' snapshots but the newest `count`; those of others do not count.
fn older(held: Vec<Held>, count: usize) -> Vec<Held> {
    let mut ours: Vec<Held> = held.into_iter().filter(|held| held.build.is_some()).collect();
    ours.sort_by(|one, two| two.build.cmp(&one.build));
    ours.split_off(count.min(ours.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::BuildId;

    fn snapshot(name: &str) -> Held {
        let build = BuildId::read(name);
        Held {
            kind: Kind::Snapshot,
            id: name.into(),
            name: name.into(),
            build,
            created: None,
            own_time: None,
        }
    }

    #[test]
    fn the_oldest_of_ours_go_and_those_of_others_neither_go_nor_count() {
        let names = [
            "echora-20261101-000000-aaaaaa",
            "production",
            "echora-20261103-000000-000000",
            "echora-20261102-235959-ffffff",
        ];
        let left = |count| {
            older(names.map(snapshot).to_vec(), count).into_iter().map(|h| h.name).collect::<Vec<_>>()
        };
        assert_eq!(left(1), [names[3], names[0]]);
        assert_eq!(left(2), [names[0]]);
        assert_eq!(left(3), [""; 0]);
        assert_eq!(left(9), [""; 0]);
    }
}
