//! The door of the authority: what is asked is counted and passed on, or not, as a test wants it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use echora_rehearsal::network::{GATEWAY_V4, Network};
use rcgen::{CertifiedKey, KeyPair};
use reqwest::Client;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::server::TlsStream;

/// Where Caddy asks for certificates.
pub(crate) const DIRECTORY: &str = "https://ca.internal:14001/dir";
pub(crate) const DOOR_NAME: &str = "ca.internal";
const DOOR: SocketAddr = SocketAddr::new(IpAddr::V4(GATEWAY_V4), 14001);
const ORDERS: &str = "/order-plz";

/// How the authority behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Open,
    /// Nothing of it works.
    Down,
    /// It answers, and refuses orders as to one who has asked too often.
    RateLimited,
}

/// What was asked: path and status of each request.
type Log = Arc<Mutex<Vec<(String, u16)>>>;

/// The door; it closes with its owner.
pub(crate) struct Door {
    mood: Arc<Mutex<Mood>>,
    log: Log,
    _close: oneshot::Sender<()>,
}

impl Door {
    pub(crate) async fn open(network: &Network, key: CertifiedKey<KeyPair>, mood: Mood) -> Self {
        let (mood, log) = (Arc::new(Mutex::new(mood)), Log::default());
        let state = (mood.clone(), log.clone());
        let secret = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![key.cert.der().clone()], secret.into()).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let (close, closed) = oneshot::channel::<()>();
        let (opened, is_open) = oneshot::channel();
        let handle = network.handle();
        tokio::spawn(async move {
            let serve = async move || {
                let listener = Secure { tcp: TcpListener::bind(DOOR).await?, tls };
                let router = Router::new().fallback(pass).with_state((insecure(), state.0, state.1));
                let _ = opened.send(());
                // It ends when its owner is gone.
                let served = axum::serve(listener, router).into_future();
                tokio::select! { served = served => Ok(served?), _ = closed => Ok(()) }
            };
            handle.inside(serve).await.unwrap();
        });
        is_open.await.expect("the door opens");
        Self { mood, log, _close: close }
    }

    pub(crate) fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The statuses of all orders so far.
    pub(crate) fn orders(&self) -> Vec<u16> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(path, _)| path == ORDERS).map(|(_, status)| *status).collect()
    }
}

/// Connections over TLS.
struct Secure {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.tcp).await;
            // Who does not want to speak to us after all is no concern of the others.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// For the authority's own doors, whose certificates nobody vouches for.
pub(crate) fn insecure() -> Client {
    Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap()
}

async fn pass(
    State((client, mood, log)): State<(Client, Arc<Mutex<Mood>>, Log)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mood = *mood.lock().unwrap();
    let reply = match (mood, path.as_str()) {
        (Mood::Down, _) => StatusCode::BAD_GATEWAY.into_response(),
        (Mood::RateLimited, ORDERS) => too_many(),
        _ => forward(&client, &parts.method, &path, parts.headers, body).await,
    };
    log.lock().unwrap().push((path, reply.status().as_u16()));
    reply
}

/// As Let's Encrypt says it: <https://letsencrypt.org/docs/rate-limits/>.
fn too_many() -> Response {
    let problem = json!({
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "too many certificates already issued",
        "status": 429,
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::RETRY_AFTER, "3600")];
    (StatusCode::TOO_MANY_REQUESTS, headers, problem.to_string()).into_response()
}

async fn forward(client: &Client, method: &Method, path: &str, headers: HeaderMap, body: Bytes) -> Response {
    let url = format!("https://{GATEWAY_V4}:14000{path}");
    let reply = client.request(method.clone(), url).headers(headers).body(body).send().await.unwrap();
    let (status, mut headers) = (reply.status(), reply.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    (status, headers, reply.bytes().await.unwrap()).into_response()
}
