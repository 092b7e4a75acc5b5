//! Whether PostgreSQL takes connections: asked at its socket, as `pg_isready` does, without a process in its container.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::system::System;

const ASK: Duration = Duration::from_secs(5);
/// Length, protocol 3.0, and the user in whose name nobody signs in.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
const STARTUP: [u8; 21] = *b"\x00\x00\x00\x15\x00\x03\x00\x00user\x00echora\x00\x00";
/// The server asks who we are: it is up. While it starts, stops or recovers it sends an error, which begins with `E`.
const AUTHENTICATION: u8 = b'R';

/// Whether the server whose first process is `pid` answers at the socket in `folder`. While its entry point makes the
/// database, that process is a shell and whatever answers is not the server to wait for.
pub(crate) fn is_up(system: &System, pid: u64, folder: &str) -> bool {
    let name = fs::read_to_string(system.path(&format!("/proc/{pid}/comm"))).unwrap_or_default();
    name.trim() == "postgres" && answers(&system.path(folder).join(".s.PGSQL.5432")).unwrap_or(false)
}

fn answers(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ASK))?;
    stream.set_write_timeout(Some(ASK))?;
    stream.write_all(&STARTUP)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    Ok(kind[0] == AUTHENTICATION)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn only_a_server_that_asks_who_we_are_is_up() {
        let root = tempfile::tempdir().unwrap();
        let system = System { root: root.path().into(), ..System::default() };
        let folder = root.path().join("run");
        fs::create_dir_all(root.path().join("proc/7")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(root.path().join("proc/7/comm"), "postgres\n").unwrap();
        assert!(!is_up(&system, 7, "/run"), "nobody listens");

        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
        let server = thread::spawn(move || {
            for reply in [b"E".as_slice(), b"", b"R"] {
                let mut stream = listener.accept().unwrap().0;
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
                stream.read_exact(&mut rest).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        assert!(!is_up(&system, 7, "/run"), "it starts");
        assert!(!is_up(&system, 7, "/run"), "it hangs up");
        assert!(is_up(&system, 7, "/run"));
        server.join().unwrap();
        fs::write(root.path().join("proc/7/comm"), "docker-entrypoi\n").unwrap();
        assert!(!is_up(&system, 7, "/run"), "the entry point is at work");
    }
}
