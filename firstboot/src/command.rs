//! Other programs, each with a deadline.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How many lines of a program's complaint an error carries.
const TAIL: usize = 6;

/// Runs a program to its end and returns what it printed. At the deadline it is killed with all that it started.
pub(crate) fn run(command: &mut Command, what: &str, deadline: Duration) -> Result<String> {
    // Files and not pipes: a child of the child may hold a pipe open for ever.
    let (mut out, mut err) = (scratch()?, scratch()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {what}"))?;
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(5);
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("cannot wait for {what}"))? {
            break status;
        }
        if Instant::now() >= end {
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                // It may have ended this moment; then there is nothing to kill.
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait().with_context(|| format!("cannot wait for {what}"))?;
            bail!("{what} did not end within {} s{}", deadline.as_secs(), tail(&mut err));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    };
    if !status.success() {
        bail!("{what} failed ({status}){}", tail(&mut err));
    }
    Ok(text(&mut out))
}

fn scratch() -> Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(File::from(
        rustix::fs::memfd_create("output", flags).context("cannot make a buffer for a program's output")?,
    ))
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // An output that cannot be read back is an empty one: the exit status has told how it went.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tail(file: &mut File) -> String {
    let text = text(file);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_failure_and_deadline() {
        let sh = |script: &str, seconds| {
            run(Command::new("sh").args(["-c", script]), "a test", Duration::from_secs(seconds))
        };
        assert_eq!(sh("echo out; echo err >&2", 10).unwrap(), "out\n");
        let error = sh("echo why >&2; exit 3", 10).unwrap_err().to_string();
        assert!(error.contains("why") && error.contains('3'), "{error}");
        let error = sh("sleep 600 & wait", 0).unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
    }
}
