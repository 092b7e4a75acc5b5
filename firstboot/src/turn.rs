//! One at a time: first boot, the climb and the operator's command write the same files.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::files;
use crate::system::System;

/// A proof and a change take seconds; a first boot that takes longer says itself how far it is.
const DEADLINE: Duration = Duration::from_secs(60);

/// Whoever holds it is the only one; the kernel gives it back when its holder ends, however that comes.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for the turn.
    pub(crate) fn take(system: &System) -> Result<Self> {
        let path = system.path("/var/lib/echora/lock");
        files::folder_of_root(&system.path("/var/lib/echora"))?;
        let lock = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let end = Instant::now() + DEADLINE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _lock: lock }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    bail!("another echora command or the first boot is at work: try again when it has ended")
                }
                Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_is_one_ones_until_it_is_given_back() {
        let root = tempfile::tempdir().unwrap();
        let system = System { root: root.path().into(), ..System::default() };
        let turn = Turn::take(&system).unwrap();
        let other = File::open(system.path("/var/lib/echora/lock")).unwrap();
        let lock = || flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(lock(), Err(rustix::io::Errno::WOULDBLOCK));
        drop(turn);
        assert_eq!(lock(), Ok(()));
    }
}
