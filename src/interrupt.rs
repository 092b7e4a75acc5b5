//! Requests to end: the first lets a command clean up, the second ends it. A terminal that goes away asks once, however
//! often the shell and the kernel tell it.

use std::future::Future;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Exit, Fault};

/// What an end leaves of a command that removes things.
pub const HALF_REMOVED: &str =
    "what was not removed by then is still there; the same command goes on with it";

/// Counts the requests to end; clones count together.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Takes the signals from now on.
    #[must_use]
    pub fn listen() -> Self {
        let (count, counted) = watch::channel(0);
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        if let [Ok(mut int), Ok(mut term), Ok(mut hup)] = signals {
            tokio::spawn(async move {
                loop {
                    let by_somebody = tokio::select! {
                        _ = int.recv() => true,
                        _ = term.recv() => true,
                        _ = hup.recv() => false,
                    };
                    count.send_modify(|count| *count += u32::from(by_somebody || *count == 0));
                }
            });
        }
        Self(counted)
    }

    /// Waits for the request of that number; the first is 1.
    pub async fn number(&self, number: u32) {
        let mut counted = self.0.clone();
        if counted.wait_for(|count| *count >= number).await.is_err() {
            // Signals cannot be had here: nobody will ask.
            std::future::pending::<()>().await;
        }
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn came(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Runs a command that leaves nothing behind when it is dropped, until somebody asks to end.
    pub async fn ends<T>(&self, command: impl Future<Output = Result<T>>) -> Result<T> {
        self.until("everything that was started has been stopped and removed", command).await
    }

    /// Runs a command until somebody asks to end; `hint` says what that leaves.
    pub async fn until<T>(&self, hint: &str, command: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = command => outcome,
            () = self.number(1) => Err(fault(hint).into()),
        }
    }
}

/// The error of a command that was asked to end.
#[must_use]
pub fn fault(hint: &str) -> Fault {
    Fault::new(Exit::Interrupted, "interrupted", hint)
}
