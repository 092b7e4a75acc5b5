//! A small HTTP/1.1 server on loopback: one request a connection, one after the other, and misbehaviour on demand.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A client that stops in the middle of a request must not keep the server for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client asked.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What becomes of a request.
pub(crate) enum Answer {
    Reply(u16, String),
    /// Half of what was announced, then the end of the connection.
    Half(String),
    /// Nothing; the connection ends, or stays open for as long as the server lives.
    Silence {
        open: bool,
    },
}

/// The server; it ends with its owner.
pub(crate) struct Server {
    pub(crate) base: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), "Server: test", answer)
    }

    /// A server at an address of its own, with a header line in every reply.
    pub(crate) fn start_at(
        address: SocketAddr,
        header: &'static str,
        mut answer: impl FnMut(&Request) -> Answer + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                // A client that was killed is no concern of the server.
                if let Ok(Some(stream)) = stream.and_then(|stream| serve(stream, header, &mut answer)) {
                    hanging.push(stream);
                }
            }
        });
        Self { base, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.base.trim_start_matches("http://"));
        let ended = self.thread.take().map(JoinHandle::join);
        // What a handler found wrong is the test's failure.
        assert!(thread::panicking() || !matches!(ended, Some(Err(_))), "a handler of the server panicked");
    }
}

/// Answers one request; a connection that is to hang comes back.
fn serve(
    stream: TcpStream,
    header: &str,
    answer: &mut impl FnMut(&Request) -> Answer,
) -> io::Result<Option<TcpStream>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = read(&mut BufReader::new(&stream))?;
    let (status, body, length) = match answer(&request) {
        Answer::Silence { open } => return Ok(open.then_some(stream)),
        Answer::Reply(status, body) => (status, body.clone(), body.len()),
        Answer::Half(body) => (200, body[..body.len() / 2].to_owned(), body.len()),
    };
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    (&stream).write_all((head + &body).as_bytes())?;
    Ok(None)
}

fn read(stream: &mut impl BufRead) -> io::Result<Request> {
    let mut lines = stream.by_ref().lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
