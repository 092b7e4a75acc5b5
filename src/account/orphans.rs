//! Builders that outlived the tool that started them: after `kill -9` nobody else would end them, and they would go on
//! making things.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::BuildId;

/// Variable of a builder and all that it starts; it holds the build's name.
pub const MARK: &str = "ECHORA_BUILD";

const GONE: Duration = Duration::from_secs(10);

/// Ends what still runs of a build whose tool is dead.
pub(super) fn end(build: &BuildId) -> Result<()> {
    let end = Instant::now() + GONE;
    loop {
        let running = running(build);
        if running.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("the builder of {build} does not end: {running:?}");
        }
        for process in running {
            // One that ended meanwhile is what was wanted.
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The build's processes, by the environment that they were started with.
fn running(build: &BuildId) -> Vec<Pid> {
    let mark = format!("{MARK}={build}");
    // Without /proc, or for somebody else's processes, there is nothing to be found.
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let marked = |id: &Pid| {
        let variables = fs::read(format!("/proc/{}/environ", id.as_raw_nonzero())).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    ids.filter(marked).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_builder_that_outlived_its_tool_is_ended_and_no_other() {
        let (dead, alive) = (BuildId::new().unwrap(), BuildId::new().unwrap());
        let start =
            |build: &BuildId| Command::new("sleep").arg("600").env(MARK, build.to_string()).spawn().unwrap();
        let (mut orphan, mut other) = (start(&dead), start(&alive));
        // A process has its environment a moment after its start.
        let until = Instant::now() + GONE;
        while running(&dead).is_empty() || running(&alive).is_empty() {
            assert!(Instant::now() < until, "they did not start");
        }
        // Nobody else collects it here, and what is not collected keeps its id but not its environment.
        end(&dead).unwrap();
        assert!(!orphan.wait().unwrap().success());
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
