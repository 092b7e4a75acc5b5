//! Docker's engine at its socket, and PostgreSQL at its own: both are up, and every question stands in the journal.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::journal::Journal;

const PID: u32 = 4242;
const SOCKETS: &str = "/var/lib/docker/volumes/echora_pgsocket/_data";
const PATIENCE: Duration = Duration::from_secs(20);

/// Both; they end with their owner.
pub(crate) struct Engine {
    stop: Arc<AtomicBool>,
    threads: Vec<(PathBuf, JoinHandle<()>)>,
}

impl Engine {
    /// Listens below `root`.
    pub(crate) fn start(root: &Path, journal: &Journal) -> Self {
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(below(&format!("/proc/{PID}"))).unwrap();
        std::fs::write(below(&format!("/proc/{PID}/comm")), "postgres\n").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let journal = journal.clone();
        let docker = listen(&below("/var/run/docker.sock"), &stop, move |stream| ask(stream, &journal));
        let database = listen(&below(&format!("{SOCKETS}/.s.PGSQL.5432")), &stop, greet);
        Self { stop, threads: vec![docker, database] }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for (path, thread) in self.threads.drain(..) {
            // Wakes it up; a thread that has panicked is gone already.
            let _ = UnixStream::connect(path);
            let _ = thread.join();
        }
    }
}

fn listen(
    path: &Path,
    stop: &Arc<AtomicBool>,
    mut serve: impl FnMut(UnixStream) -> std::io::Result<()> + Send + 'static,
) -> (PathBuf, JoinHandle<()>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    let stopped = stop.clone();
    let thread = thread::spawn(move || {
        for stream in listener.incoming() {
            if stopped.load(Ordering::SeqCst) {
                break;
            }
            // A client that was killed is no concern of the server.
            let _ = stream.and_then(&mut serve);
        }
    });
    (path.to_owned(), thread)
}

fn ask(mut stream: UnixStream, journal: &Journal) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = String::new();
    BufReader::new(&stream).read_line(&mut head)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let called = format!("engine GET {path}");
    let Some((status, body)) = journal.enter(&called, || answer(&path, journal.refuses(&called), journal))
    else {
        return Ok(());
    };
    write!(stream, "HTTP/1.0 {status} x\r\nServer: stub\r\n\r\n{body}")
}

fn answer(path: &str, refused: bool, journal: &Journal) -> (u16, String) {
    if let Some(told) = journal.told(path) {
        return (200, told);
    }
    match path {
        _ if refused => (500, r#"{"message":"no space left on device"}"#.to_owned()),
        "/_ping" => (200, "OK".to_owned()),
        "/volumes/echora_pgsocket" => (200, format!(r#"{{"Mountpoint":"{SOCKETS}"}}"#)),
        "/volumes/echora_pgdata" if journal.holds("volume") => (200, r#"{"Mountpoint":"/data"}"#.to_owned()),
        "/containers/echora-postgres/json" | "/containers/echora-backend/json" => {
            (200, format!(r#"{{"State":{{"Pid":{PID},"Status":"running"}},"RestartCount":0}}"#))
        }
        _ => (404, r#"{"message":"no such thing"}"#.to_owned()),
    }
}

/// As a server that takes connections: it asks for a password.
fn greet(mut stream: UnixStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut startup = [0; 21];
    stream.read_exact(&mut startup)?;
    assert_eq!(startup[..8], [0, 0, 0, 21, 0, 3, 0, 0], "a startup message of protocol 3.0");
    stream.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0")
}
