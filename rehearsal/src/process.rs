//! Child processes that never outlive their owner.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::need::Missing;

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running process with all its descendants: dropping it ends them.
#[derive(Debug)]
pub struct Job {
    child: Child,
    what: String,
}

impl Job {
    /// Starts `command` in a process group of its own. `what` names it in errors.
    pub fn start(command: &mut Command, what: &str) -> Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        match child {
            Ok(child) => Ok(Self { child, what: what.to_owned() }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Missing::new(
                format!("{program} is not installed"),
                "run `make setup`, which installs what is missing",
            )
            .into()),
            Err(e) => Err(e).with_context(|| format!("cannot start {what}")),
        }
    }

    /// Process id; none once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The exit status, if it has ended.
    pub fn try_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.what))
    }

    /// Waits for the end, at most `deadline`.
    pub async fn status(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(status) => status.with_context(|| format!("cannot wait for {}", self.what)),
            Err(_) => bail!("{} did not end within {} s", self.what, deadline.as_secs()),
        }
    }

    /// Ends it and its descendants at once, with no chance to end well, and waits until it is gone.
    pub async fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL);
        self.status(GRACE).await.map(drop)
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // A group that is already gone is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.signal(Signal::KILL);
        let end = Instant::now() + GRACE;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Runs `command` to its end and returns its standard output; a failure's error carries the end of its
/// standard error.
pub async fn run(command: &mut Command, what: &str, deadline: Duration) -> Result<String> {
    let log = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (out, err) = (log.path().join("out"), log.path().join("err"));
    command.stdout(create(&out)?).stderr(create(&err)?);
    let status = Job::start(command, what)?.status(deadline).await;
    let tail = last_lines(&read(&err), 12);
    match status {
        Ok(status) if status.success() => Ok(read(&out)),
        Ok(status) => bail!("{what} failed ({status})\n{tail}"),
        Err(e) => Err(e.context(tail)),
    }
}

/// The last `count` lines of a text.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn create(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
