//! Docker's engine, asked over its own socket: a question costs a millisecond, the command line tool a tenth of a second.
//! <https://docs.docker.com/reference/api/engine/>

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::system::System;

/// The engine comes up beside us.
const COMES_UP: Duration = Duration::from_secs(180);
const ASK: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What the engine knows of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Process id of its first process; 0 while it does not run.
    pub(crate) pid: u64,
    /// `running`, `restarting`, `exited`, ...
    pub(crate) status: String,
    /// How often it was started again because it had ended.
    pub(crate) restarts: u64,
}

/// Waits until the engine answers.
pub(crate) fn wait(system: &System) -> Result<()> {
    let end = Instant::now() + system.at_most(COMES_UP);
    loop {
        match get(system, "/_ping", ASK) {
            Ok((200, _)) => return Ok(()),
            Ok(_) | Err(_) if Instant::now() < end => thread::sleep(PAUSE),
            Ok((status, _)) => bail!("Docker answers with status {status}: see journalctl -u docker"),
            Err(error) => return Err(error).context("Docker does not answer: see journalctl -u docker"),
        }
    }
}

/// A container by its name, when there is one.
pub(crate) fn container(system: &System, name: &str) -> Result<Option<Container>> {
    let about = look(system, &format!("/containers/{name}/json"))?;
    Ok(about.map(|about| Container {
        pid: about["State"]["Pid"].as_u64().unwrap_or_default(),
        status: about["State"]["Status"].as_str().unwrap_or_default().to_owned(),
        restarts: about["RestartCount"].as_u64().unwrap_or_default(),
    }))
}

/// Where a volume lies on this machine, when there is one.
pub(crate) fn volume(system: &System, name: &str) -> Result<Option<String>> {
    let about = look(system, &format!("/volumes/{name}"))?;
    Ok(about.and_then(|about| about["Mountpoint"].as_str().map(str::to_owned)))
}

/// What the engine tells of a thing, when there is such a thing.
fn look(system: &System, path: &str) -> Result<Option<Value>> {
    look_within(system, path, ASK)
}

/// The same for who has no time: an engine that says nothing for so long is an error.
pub(crate) fn look_within(system: &System, path: &str, patience: Duration) -> Result<Option<Value>> {
    let (status, body) = get(system, path, patience)?;
    let about: Value = serde_json::from_str(&body).context("Docker's answer is no JSON")?;
    match status {
        200 => Ok(Some(about)),
        404 => Ok(None),
        _ => {
            bail!("Docker answers {path} with status {status}: {}", about["message"].as_str().unwrap_or("?"))
        }
    }
}

/// One question: HTTP/1.0, so that the answer ends where the connection does.
fn get(system: &System, path: &str, patience: Duration) -> Result<(u16, String)> {
    let mut answer = Vec::new();
    let mut ask = || -> std::io::Result<()> {
        let mut stream = UnixStream::connect(system.engine())?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes())?;
        stream.read_to_end(&mut answer).map(drop)
    };
    match ask() {
        // What the system calls it when the time is over: https://man7.org/linux/man-pages/man7/socket.7.html
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            bail!("Docker says nothing for {} s", patience.as_secs());
        }
        asked => asked.with_context(|| format!("cannot ask Docker at {}", system.engine().display()))?,
    }
    parse(&String::from_utf8_lossy(&answer)).context("Docker's answer is no HTTP")
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = "HTTP/1.0 404 Not Found\r\nApi-Version: 1.45\r\n\r\n{\"message\":\"no\"}";
        assert_eq!(parse(answer), Some((404, "{\"message\":\"no\"}".to_owned())));
        assert_eq!(parse("HTTP/1.0 200 OK\r\n"), None);
    }
}
