//! The snapshot of a build that nobody waits for any more: whether it was ordered, and what has become of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use provider_profiles::SnapshotState;

use super::{Account, BuildId, Held, Kind, held, place};

/// An order that was under way when its builder died shows in the account by then.
const SETTLE: Duration = Duration::from_secs(10);
/// Providers take less for a whole snapshot; the plugins' own waits are shorter.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);
const LOOK: Duration = Duration::from_secs(2);
/// Three calls each, for hours: far from what providers allow in one.
const LATER_LOOK: Duration = Duration::from_secs(5);

/// What has become of a build's snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The account knows of none.
    Unknown,
    /// It is being made.
    UnderWay,
    /// It can be used.
    Done(Held),
    /// It never will be, with the provider's word for it.
    Failed(String),
}

impl Account {
    /// What has become of a build's snapshot.
    pub async fn progress(&self, build: &BuildId) -> Result<Progress> {
        let resource = &self.api.snapshots;
        let items = self.list(&resource.list, &resource.items).await.context("cannot list the snapshots")?;
        let mut found = items.iter().filter_map(|item| Some((held(Kind::Snapshot, resource, item)?, item)));
        let found = found.find(|(held, _)| held.build.as_ref() == Some(build));
        match (&self.api.snapshot_state, found) {
            (SnapshotState::Listed { place, done, failed }, Some((held, item))) => {
                Ok(match place::text(item, place).unwrap_or_default() {
                    state if state == *done => Progress::Done(held),
                    state if failed.contains(&state) => Progress::Failed(state),
                    _ => Progress::UnderWay,
                })
            }
            (SnapshotState::Action { .. }, Some((held, _))) => Ok(Progress::Done(held)),
            (SnapshotState::Listed { .. }, None) => Ok(Progress::Unknown),
            (state @ SnapshotState::Action { .. }, None) => self.action(build, state).await,
        }
    }

    /// The same by what its machine is doing.
    async fn action(&self, build: &BuildId, state: &SnapshotState) -> Result<Progress> {
        let SnapshotState::Action { list, items, type_place, type_value, place, failed } = state else {
            return Ok(Progress::Unknown);
        };
        for machine in
            self.held(Kind::Machine).await?.iter().filter(|held| held.build.as_ref() == Some(build))
        {
            let path = list.replace("{id}", &super::encoded(&machine.id));
            let actions = self.list(&path, items).await.context("cannot list what the machine does")?;
            let is_snapshot = |action: &&_| place::text(action, type_place).as_ref() == Some(type_value);
            if let Some(action) = actions.iter().find(is_snapshot) {
                return Ok(match place::text(action, place) {
                    Some(state) if failed.contains(&state) => Progress::Failed(state),
                    _ => Progress::UnderWay,
                });
            }
        }
        Ok(Progress::Unknown)
    }

    /// Whether a snapshot is under way that only the machine knows of: without it, it would come to light when nobody looks
    /// any more.
    pub(super) async fn would_hide(&self, machine: &Held) -> bool {
        let (SnapshotState::Action { .. }, Kind::Machine) = (&self.api.snapshot_state, machine.kind) else {
            return false;
        };
        let Some(build) = &machine.build else { return false };
        self.progress(build).await.is_ok_and(|progress| progress == Progress::UnderWay)
    }

    /// The same for an order that may be as young as its builder's end: one look that finds nothing proves nothing.
    pub async fn settled(&self, build: &BuildId) -> Result<Progress> {
        let end = Instant::now() + SETTLE;
        loop {
            let progress = self.progress(build).await?;
            if progress != Progress::Unknown || Instant::now() > end {
                return Ok(progress);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the snapshot of `build`, which was seen under way, is done or never will be.
    /// What the provider says of one that never will be is the error within.
    pub async fn outcome(&self, build: &BuildId) -> Result<Result<Held, String>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let progress = match self.progress(build).await? {
                // Between the end of its action and its place in the list it is nowhere to be seen for a moment.
                Progress::Unknown => self.settled(build).await?,
                progress => progress,
            };
            match progress {
                Progress::Unknown => return Ok(Err("gone".into())),
                Progress::UnderWay if Instant::now() > end => {
                    anyhow::bail!("the snapshot is still under way after {} s", PATIENCE.as_secs());
                }
                Progress::UnderWay => tokio::time::sleep(LATER_LOOK).await,
                Progress::Done(held) => return Ok(Ok(held)),
                Progress::Failed(state) => return Ok(Err(state)),
            }
        }
    }
}
