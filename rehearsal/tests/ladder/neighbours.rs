//! What else is on the server, as far as first boot and a front door ask: the app, Docker's engine, the database.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use echora_rehearsal::network::Port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

const PID: u32 = 4242;
const SOCKETS: &str = "/var/lib/docker/volumes/echora_pgsocket/_data";

/// All of them, until they are stopped.
pub(crate) struct Neighbours {
    tasks: [JoinHandle<()>; 3],
}

impl Neighbours {
    pub(crate) async fn start(root: &Path, machine: &Port) -> Self {
        Self { tasks: [app(machine).await, engine(root), database(root)] }
    }

    pub(crate) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn app(machine: &Port) -> JoinHandle<()> {
    let owner = r#"{"token": "t", "user": {"role": "owner"}}"#;
    let junk = (StatusCode::UNAUTHORIZED, r#"{"error": "Invalid credentials"}"#);
    let router = Router::new()
        .route("/api/health", get(async || r#"{"status": "ok"}"#))
        .route("/api/auth/register", post(async move || owner))
        .route("/api/auth/login", post(async move || junk));
    let listener = machine.handle().listen("127.0.0.1:3000".parse().unwrap()).await.unwrap();
    tokio::spawn(async move {
        // It ends with its task.
        let _ = axum::serve(listener, router).await;
    })
}

fn engine(root: &Path) -> JoinHandle<()> {
    let volume = format!(r#"{{"Mountpoint":"{SOCKETS}"}}"#);
    let container = format!(r#"{{"State":{{"Pid":{PID},"Status":"running"}},"RestartCount":0}}"#);
    let nothing = (StatusCode::NOT_FOUND, r#"{"message":"no such thing"}"#);
    let router = Router::new()
        .route("/_ping", get(async || "OK"))
        .route("/volumes/echora_pgsocket", get(async move || volume))
        .route("/containers/{name}/json", get(async move || container))
        .fallback(async move || nothing);
    let listener = listen(root, "var/run/docker.sock");
    tokio::spawn(async move {
        // It ends with its task.
        let _ = axum::serve(listener, router).await;
    })
}

/// It asks whoever comes for a password: it is up.
fn database(root: &Path) -> JoinHandle<()> {
    fs::create_dir_all(root.join(format!("proc/{PID}"))).unwrap();
    fs::write(root.join(format!("proc/{PID}/comm")), "postgres\n").unwrap();
    let listener = listen(root, &format!("{}/.s.PGSQL.5432", SOCKETS.trim_start_matches('/')));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut startup = [0; 21];
            // Who hangs up early gets no answer.
            if stream.read_exact(&mut startup).await.is_ok() {
                let _ = stream.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await;
            }
        }
    })
}

fn listen(root: &Path, path: &str) -> UnixListener {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    UnixListener::bind(path).unwrap()
}
