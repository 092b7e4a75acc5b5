//! What builds that died left in an account.

use std::time::Duration;

use anyhow::Result;

use super::{Account, Claims, Held, Journal, Kind, Sweep, Swept, orphans};
use crate::listings::Listings;
use crate::project::Project;

/// A snapshot that was under way when its builder died can be listed as late as this.
const LATE: Duration = Duration::from_secs(86_400);

/// What of ours goes, and what stays.
#[derive(Debug)]
pub struct Plan {
    dead: Vec<Journal>,
    older_than: Duration,
    alive: Vec<super::BuildId>,
    claims: Claims,
    listings: Listings,
    provider: String,
    ours: Vec<Held>,
    unsure: Vec<Held>,
}

/// Looks at an account: what this checkout's dead builds left goes at once, what carries the mark of a build that it does
/// not know goes from an age on, unless it is a snapshot.
pub async fn plan(project: &Project, account: &Account, older_than: Duration) -> Result<Plan> {
    let (dead, alive) = dead_and_alive(project, account)?;
    let claims = Claims::of(project, account.provider());
    let listings = Listings::read(project)?;
    let (ours, unsure) = account.ours_by(&claims).await?;
    let provider = account.provider().to_owned();
    Ok(Plan { dead, older_than, alive, claims, listings, provider, ours, unsure })
}

impl Plan {
    /// Ends what still runs of the dead builds; before that, what they make is not to be removed for good.
    pub fn begin(&self) -> Result<()> {
        self.dead.iter().try_for_each(|journal| orphans::end(&journal.begun.build))
    }

    /// Whether it goes.
    #[must_use]
    pub fn goes(&self, held: &Held) -> bool {
        let Some(build) = &held.build else { return false };
        if self.listings.uses(&self.provider, held) {
            return false;
        }
        if let Some(journal) = self.dead.iter().find(|journal| journal.begun.build == *build) {
            return journal.begun.leaves(held);
        }
        let old = build.age() > self.older_than && !self.alive.contains(build);
        let snapshot = |held: &&Held| held.kind == Kind::Snapshot && held.build.as_ref() == Some(build);
        match held.kind {
            Kind::Machine | Kind::Key => old,
            Kind::Label => old && !self.ours.iter().any(|held| snapshot(&held)),
            Kind::Snapshot => false,
        }
    }

    /// What was found and goes.
    pub fn going(&self) -> impl Iterator<Item = &Held> {
        self.ours.iter().filter(|held| self.goes(held))
    }

    /// What was found and stays.
    pub fn staying(&self) -> impl Iterator<Item = &Held> {
        self.ours.iter().filter(|held| !self.goes(held))
    }

    /// What was found and may be a build's or somebody else's: it stays.
    #[must_use]
    pub fn unsure(&self) -> &[Held] {
        &self.unsure
    }

    /// Removes what goes.
    pub async fn sweep(&self, account: &Account) -> Result<Vec<Held>> {
        let sweep = Sweep { twice: true, claims: self.claims.clone(), ..Sweep::default() };
        Ok(sweep.run(account, |held| self.goes(held)).await?.removed)
    }

    /// Forgets the dead builds of which nothing can come to light any more, and what they could claim.
    pub fn done(self) -> Result<()> {
        forget(self.dead)
    }
}

/// Removes what this checkout's dead builds left in an account, and forgets them.
pub async fn of_the_dead(project: &Project, account: &Account) -> Result<Swept> {
    let dead = dead(project, account)?;
    if dead.is_empty() {
        return Ok(Swept::default());
    }
    dead.iter().try_for_each(|journal| orphans::end(&journal.begun.build))?;
    let listings = Listings::read(project)?;
    let goes = |held: &Held| {
        dead.iter().any(|journal| journal.begun.leaves(held)) && !listings.uses(account.provider(), held)
    };
    let claims = Claims::of(project, account.provider());
    let swept = Sweep { twice: true, claims, ..Sweep::default() }.run(account, goes).await?;
    forget(dead)?;
    Ok(swept)
}

/// This checkout's dead builds in an account.
pub fn dead(project: &Project, account: &Account) -> Result<Vec<Journal>> {
    Ok(dead_and_alive(project, account)?.0)
}

/// The same with the names of the builds that are alive, wherever they build.
fn dead_and_alive(project: &Project, account: &Account) -> Result<(Vec<Journal>, Vec<super::BuildId>)> {
    let (mut dead, alive) = Journal::all(project)?;
    dead.retain(|journal| journal.begun.provider == account.provider());
    Ok((dead, alive))
}

fn forget(dead: Vec<Journal>) -> Result<()> {
    dead.into_iter().try_for_each(|mut journal| {
        if journal.begun.build.age() > LATE { journal.end() } else { journal.builder_is_over() }
    })
}
