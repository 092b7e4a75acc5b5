//! What the buyer sees: progress on every console, and in the journal all but the login.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::login::LoginBlock;
use crate::system::System;

/// A serial line at 9600 baud takes a login in a fifth of a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// The consoles of this machine.
#[derive(Debug)]
pub(crate) struct Console {
    devices: Vec<Device>,
    patience: Duration,
}

#[derive(Debug)]
struct Device {
    path: PathBuf,
    /// It took nothing for the whole patience: from then on it gets what it takes at once.
    stuck: Cell<bool>,
}

impl Console {
    /// The plan's devices; one that this machine does not have is passed over.
    pub(crate) fn new(system: &System, devices: &[String]) -> Self {
        let paths = devices.iter().map(|device| system.path(device)).filter(|path| path.exists());
        Self {
            devices: paths.map(|path| Device { path, stuck: Cell::new(false) }).collect(),
            patience: system.at_most(PATIENCE),
        }
    }

    /// A line for everybody.
    pub(crate) fn say(&self, text: &str) {
        note(text);
        self.write(&format!("echora: {text}\n"));
    }

    /// The login, for who stands before the machine: never in the journal.
    pub(crate) fn login(&self, block: &LoginBlock) {
        note("the login is on the console and in /root/echora-credentials");
        self.write(&format!("\n{}\n", block.render()));
    }

    /// A console that is gone or stuck must not keep a server from coming up.
    fn write(&self, text: &str) {
        for device in &self.devices {
            let patience = if device.stuck.get() { Duration::ZERO } else { self.patience };
            let outcome = write_within(&device.path, text.as_bytes(), patience);
            device.stuck.set(outcome.is_err_and(|error| error.kind() == ErrorKind::TimedOut));
        }
    }
}

/// A line for the journal, which may be gone or full: `println!` would end the boot with it.
fn note(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes without ever blocking: opening a serial line may wait for a carrier, writing to it for who reads.
fn write_within(path: &Path, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = OpenOptions::new().append(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let end = Instant::now() + patience;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                let left = Timespec::try_from(left).map_err(|_| ErrorKind::InvalidInput)?;
                poll(&mut [PollFd::new(&file, PollFlags::OUT)], Some(&left))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A pipe with a name, which takes what a pipe takes and then nothing.
    fn full_pipe(folder: &Path) -> (PathBuf, std::fs::File) {
        let path = folder.join("console");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let reader = OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap();
        let mut writer = OpenOptions::new().write(true).custom_flags(flags).open(&path).unwrap();
        while writer.write(&[b'x'; 4096]).is_ok() {}
        (path, reader)
    }

    #[test]
    fn a_console_that_takes_nothing_costs_its_patience_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _reader) = full_pipe(folder.path());
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let device = Device { path, stuck: Cell::new(false) };
            let console = Console { devices: vec![device], patience: Duration::from_millis(20) };
            console.write("first");
            let again = write_within(&console.devices[0].path, b"x", Duration::ZERO);
            done.send((console.devices[0].stuck.get(), again.unwrap_err().kind())).unwrap();
        });
        let outcome = ended.recv_timeout(Duration::from_secs(60)).expect("it ends");
        assert_eq!(outcome, (true, ErrorKind::TimedOut));
    }

    #[test]
    fn a_slow_console_gets_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut reader) = full_pipe(folder.path());
        let text = "y".repeat(100_000);
        let reading = thread::spawn(move || {
            let (mut seen, mut buffer) = (0, [0; 4096]);
            while seen < 100_000 {
                match reader.read(&mut buffer) {
                    Ok(count) => {
                        seen += buffer[..count].split(|byte| *byte != b'y').map(<[u8]>::len).sum::<usize>();
                    }
                    Err(_) => thread::yield_now(),
                }
            }
        });
        write_within(&path, text.as_bytes(), Duration::from_secs(60)).unwrap();
        reading.join().unwrap();
    }
}
