//! Ctrl-C and its like while something is changed that has to be whole: the change is undone before the program ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::{error, fmt};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody has asked and nobody has heard it yet.
static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Whether a request ends the program at once, as it does everywhere else.
static ENDS: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// While it lives, requests to end wait for [`heed`].
#[derive(Debug)]
pub(crate) struct Deferred(());

impl Deferred {
    /// Keeps requests from now on.
    pub(crate) fn begin() -> Result<Self> {
        ENDS.store(false, Ordering::SeqCst);
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&ENDS))
                .and_then(|_| flag::register(signal, Arc::clone(&ASKED)))
                .context("cannot listen for requests to end")?;
        }
        Ok(Self(()))
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        ENDS.store(true, Ordering::SeqCst);
    }
}

/// Fails when somebody asked to end; what is done about that can be asked to end as well.
pub(crate) fn heed() -> Result<()> {
    if ASKED.swap(false, Ordering::SeqCst) { Err(Interrupted.into()) } else { Ok(()) }
}

/// Somebody asked to end.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl error::Error for Interrupted {}
