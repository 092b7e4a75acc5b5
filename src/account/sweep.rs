//! Removes what builds left in an account, and looks again until nothing more comes to light.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{Account, Claims, Held, Refused};

/// A provider can lock a machine for as long as it takes its snapshot.
const PATIENCE: Duration = Duration::from_secs(900);
/// An order that was under way when its builder died has reached the lists by then.
const SETTLE: Duration = Duration::from_secs(2);

/// How an account is swept.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Whether orders may still have been under way: then one look that finds nothing does not prove anything.
    pub twice: bool,
    /// What tells whose it is that carries no build's name.
    pub claims: Claims,
    /// Whether what goes are snapshots that were finished: nobody removes them later by himself.
    pub finished: bool,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was removed.
    pub removed: Vec<Held>,
    /// What may be a build's or somebody else's, and is still there.
    pub unsure: Vec<Held>,
}

/// What could not be removed.
#[derive(Debug)]
pub struct Left {
    /// The provider's id.
    pub provider: String,
    /// What it is; empty when the account cannot be asked.
    pub held: Vec<Held>,
    /// Why it is still there.
    pub why: anyhow::Error,
    /// Whether it is what a build left, and not a snapshot that was finished.
    pub of_build: bool,
}

impl Left {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        if self.of_build {
            format!("`echora-images prune --provider {}` removes it later", self.provider)
        } else {
            "try again later; nothing else depends on it".to_owned()
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.held.is_empty() {
            return write!(f, "the account at {} may hold what the build made", self.provider);
        }
        write!(f, "left in the account at {}:", self.provider)?;
        for held in &self.held {
            write!(f, "\n  {held}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Left {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.why)
    }
}

impl Sweep {
    /// Removes all of ours that `goes` for, and returns it. Machines go first: keys and labels hang on them, and only
    /// they cost by the hour.
    pub async fn run(self, account: &Account, goes: impl Fn(&Held) -> bool) -> Result<Swept> {
        let end = Instant::now() + PATIENCE;
        let mut removed: Vec<Held> = Vec::new();
        let needed = if self.twice { 2 } else { 1 };
        let mut calm = 0;
        loop {
            let ours = account.ours_by(&self.claims).await;
            let (ours, unsure) = ours.map_err(|why| self.left(account, &[], why))?;
            let mut found: Vec<Held> = ours.into_iter().filter(&goes).collect();
            found.sort_by_key(|held| held.kind);
            if found.is_empty() {
                calm += 1;
                if calm == needed {
                    return Ok(Swept { removed, unsure });
                }
            } else {
                calm = 0;
            }
            for held in &found {
                if Instant::now() < end && account.would_hide(held).await {
                    continue;
                }
                match account.delete(held).await {
                    Ok(()) if removed.contains(held) => {}
                    Ok(()) => removed.push(held.clone()),
                    Err(error) if passes(&error) && Instant::now() < end => {}
                    Err(error) => return Err(self.left(account, &found, error).into()),
                }
            }
            if !found.is_empty() && Instant::now() > end {
                let why = anyhow!("it was deleted and is still listed after {} s", PATIENCE.as_secs());
                return Err(self.left(account, &found, why).into());
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn left(&self, account: &Account, held: &[Held], why: anyhow::Error) -> Left {
        Left { provider: account.provider().to_owned(), held: held.to_vec(), why, of_build: !self.finished }
    }
}

/// Whether it is refused for the moment only, as with a lock.
fn passes(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| ![401, 403].contains(&refused.status))
}
