//! Old snapshots go when a maintainer says so, but never one that a listing uses.

use anyhow::Result;

use super::{Account, BuildId, Held, Kind, LONGEST, Sweep};
use crate::listings::Listings;
use crate::project::Project;
use crate::record::Record;

/// Deletes all snapshots of ours but the newest `count`, `own` and those that listings use, and returns what was deleted.
/// What may be a build's that is still under way, here or elsewhere, neither goes nor counts.
pub async fn newest(project: &Project, account: &Account, own: &BuildId, count: u32) -> Result<Vec<Held>> {
    let listings = Listings::read(project)?;
    let recorded = Record::of_accounts(&project.path("build"));
    let over = |build: &BuildId| build.age() > LONGEST || recorded.contains_key(build);
    let held = account.held(Kind::Snapshot).await?;
    let old = older(held, own, over, usize::try_from(count).unwrap_or(usize::MAX));
    let goes: Vec<Held> = old.into_iter().filter(|held| !listings.uses(account.provider(), held)).collect();
    if goes.is_empty() {
        return Ok(goes);
    }
    let of_them = |held: &Held| held.kind == Kind::Label && goes.iter().any(|gone| gone.build == held.build);
    Ok(Sweep { finished: true, ..Sweep::default() }
        .run(account, |held| goes.contains(held) || of_them(held))
        .await?
        .removed)
}

/// The snapshots of all builds that are over but the newest `count` and the one of `own`; those of others do not count.
fn older(held: Vec<Held>, own: &BuildId, over: impl Fn(&BuildId) -> bool, count: usize) -> Vec<Held> {
    let over = |held: &Held| held.build.as_ref().is_some_and(|build| build == own || over(build));
    let mut ours: Vec<Held> = held.into_iter().filter(over).collect();
    ours.sort_by(|one, two| two.build.cmp(&one.build));
    let mut old = ours.split_off(count.min(ours.len()));
    // Another build may have begun later and been done sooner.
    old.retain(|held| held.build.as_ref() != Some(own));
    old
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let goes = older(names.map(snapshot).to_vec(), &BuildId::new().unwrap(), |_| true, count);
            goes.into_iter().map(|h| h.name).collect::<Vec<_>>()
        };
        assert_eq!(left(1), [names[3], names[0]]);
        assert_eq!(left(2), [names[0]]);
        assert_eq!(left(3), [""; 0]);
        assert_eq!(left(9), [""; 0]);
    }

    #[test]
    fn what_may_be_under_way_neither_goes_nor_counts_and_ones_own_never_goes() {
        let (own, sooner) = ("echora-20261102-000000-aaaaaa", "echora-20261103-000000-bbbbbb");
        let (old, under_way) = ("echora-20261101-000000-cccccc", "echora-20261104-000000-dddddd");
        let held = [own, sooner, old, under_way].map(snapshot).to_vec();
        let over = |build: &BuildId| build.to_string() != under_way;
        let goes = older(held, &BuildId::read(own).unwrap(), over, 1);
        assert_eq!(goes.iter().map(|held| held.name.as_str()).collect::<Vec<_>>(), [old]);
    }
}
