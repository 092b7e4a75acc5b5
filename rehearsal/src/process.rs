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
    group: Option<Pid>,
    what: String,
    farewell: (Signal, Duration),
}

impl Job {
    /// Starts `command` in a process group of its own. `what` names it in errors.
    pub fn start(command: &mut Command, what: &str) -> Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        match child {
            Ok(child) => {
                let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                Ok(Self { child, group, what: what.to_owned(), farewell: (Signal::TERM, GRACE) })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Missing::new(
                format!("{program} is not installed"),
                "run `make setup`, which installs what is missing",
            )
            .into()),
            Err(e) => Err(e).with_context(|| format!("cannot start {what}")),
        }
    }

    /// Asks it to end as Ctrl-C would, and gives it `grace` to clean up before it is killed.
    #[must_use]
    pub fn gently(mut self, grace: Duration) -> Self {
        self.farewell = (Signal::INT, grace);
        self
    }

    /// Process id; none once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The exit status, if it has ended.
    pub fn try_status(&mut self) -> Result<Option<ExitStatus>> {
        let status =
            self.child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.what))?;
        if status.is_some() {
            self.end_descendants();
        }
        Ok(status)
    }

    /// Waits for the end, at most `deadline`.
    pub async fn status(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(status) => {
                self.end_descendants();
                status.with_context(|| format!("cannot wait for {}", self.what))
            }
            Err(_) => bail!("{} did not end within {} s", self.what, deadline.as_secs()),
        }
    }

    /// Asks it to end as Ctrl-C would; when it is dropped after that, it has had its chance.
    pub fn interrupt(&mut self) {
        self.signal(Signal::INT);
        self.farewell = (Signal::KILL, GRACE);
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
        if let Some(group) = self.group {
            // A group that is already gone is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// What has outlived the process gets no further chance; its group's id is free for others from then on.
    fn end_descendants(&mut self) {
        self.signal(Signal::KILL);
        self.group = None;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        for (signal, grace) in [self.farewell, (Signal::KILL, GRACE)] {
            self.signal(signal);
            let end = Instant::now() + grace;
            while Instant::now() < end {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return self.end_descendants();
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Runs `command` to its end and returns its standard output; a failure's error carries the end of its
/// standard error, or of its output when it has none.
pub async fn run(command: &mut Command, what: &str, deadline: Duration) -> Result<String> {
    let log = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (out, err) = (log.path().join("out"), log.path().join("err"));
    command.stdout(create(&out)?).stderr(create(&err)?);
    let status = Job::start(command, what)?.status(deadline).await;
    let told = Some(read(&err)).filter(|errors| !errors.trim().is_empty()).unwrap_or_else(|| read(&out));
    let tail = last_lines(told.trim_end(), 12);
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A shell whose background child tells its id in `file`.
    fn family(folder: &Path, child: &str, then: &str) -> (Job, Pid) {
        let file = folder.join("id");
        let script = format!("{child} & echo $! >{0}.new; mv {0}.new {0}; {then}", file.display());
        let job =
            Job::start(Command::new("sh").args(["-c", &script]).stdout(Stdio::null()), "the family").unwrap();
        wait_until("the child's id", || file.exists());
        (job, Pid::from_raw(read(&file).trim().parse().unwrap()).unwrap())
    }

    fn wait_until(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < end, "waited in vain: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether a process runs; one that only waits to be collected does not.
    fn runs(id: Pid) -> bool {
        let stat = read(Path::new(&format!("/proc/{}/stat", id.as_raw_nonzero())));
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    #[tokio::test]
    async fn dropping_a_job_ends_its_grandchildren() {
        for child in ["sleep 600", "(trap '' TERM; sleep 600; true)"] {
            let folder = tempfile::tempdir().unwrap();
            let (job, grandchild) = family(folder.path(), child, "wait");
            assert!(runs(grandchild), "{child}");
            drop(job);
            wait_until(child, || !runs(grandchild));
        }
    }

    #[tokio::test]
    async fn a_job_that_ended_by_itself_leaves_no_grandchildren() {
        let folder = tempfile::tempdir().unwrap();
        let (mut job, grandchild) = family(folder.path(), "sleep 600", "exit 0");
        assert!(job.status(PATIENCE).await.unwrap().success());
        drop(job);
        wait_until("the grandchild's end", || !runs(grandchild));
    }

    #[tokio::test]
    async fn killing_a_job_waits_for_its_end() {
        let job = Job::start(Command::new("sleep").arg("600"), "sleep").unwrap();
        let id = Pid::from_raw(i32::try_from(job.id().unwrap()).unwrap()).unwrap();
        job.kill().await.unwrap();
        assert!(!runs(id));
    }

    #[tokio::test]
    async fn a_failure_tells_the_end_of_its_errors() {
        let script = "for n in $(seq 20); do echo line $n >&2; done; exit 3";
        let error = run(Command::new("sh").args(["-c", script]), "the script", PATIENCE)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("the script failed (exit status: 3)\nline 9\n"), "{error}");
        assert!(error.ends_with("\nline 20"), "{error}");
        let output =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2"]), "the script", PATIENCE).await;
        assert_eq!(output.unwrap(), "out\n");
    }

    #[tokio::test]
    async fn a_failure_without_errors_tells_the_end_of_its_output() {
        let script = "echo why; exit 3";
        let error = run(Command::new("sh").args(["-c", script]), "the script", PATIENCE).await.unwrap_err();
        assert_eq!(error.to_string(), "the script failed (exit status: 3)\nwhy");
    }

    #[tokio::test]
    async fn a_deadline_ends_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let script = format!("echo late >&2; echo $$ >{}; exec sleep 600", file.display());
        let error = run(Command::new("sh").args(["-c", &script]), "the script", Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "late: the script did not end within 1 s");
        let id = Pid::from_raw(read(&file).trim().parse().unwrap()).unwrap();
        assert!(!runs(id), "it runs on");
    }

    #[tokio::test]
    async fn a_missing_program_is_a_missing_prerequisite() {
        let error = run(&mut Command::new("no-such-program"), "a try", PATIENCE).await.unwrap_err();
        assert_eq!(error.downcast::<Missing>().unwrap().what, "no-such-program is not installed");
    }
}
