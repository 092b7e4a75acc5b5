//! The distribution's package mirrors, brought into a build machine's network and kept for the next build.
//!
//! The machine has no route out. Inside its network the mirrors' names lead to the gateway, where this proxy
//! listens; it fetches from outside and keeps packages, which never change under their name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::network::{GATEWAY_V4, Network};

/// The mirrors that a machine may fetch from.
pub const HOSTS: [&str; 4] =
    ["deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com"];

const CONNECT: Duration = Duration::from_secs(10);
const FETCH: Duration = Duration::from_secs(300);

/// The running proxy; dropping it stops it.
#[derive(Debug)]
pub struct Mirror {
    proxy: Arc<Proxy>,
    task: JoinHandle<()>,
}

/// Bytes of bodies that machines were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// From the cache.
    pub kept: u64,
    /// From outside.
    pub fetched: u64,
}

#[derive(Debug)]
struct Proxy {
    client: reqwest::Client,
    folder: PathBuf,
    kept: AtomicU64,
    fetched: AtomicU64,
}

impl Mirror {
    /// Serves the mirrors on port 80 of the gateway of `network`.
    pub async fn serve(network: &Network, cache: &Cache) -> Result<Self> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT).timeout(FETCH).build();
        let proxy = Arc::new(Proxy {
            client: client.context("cannot make an HTTP client")?,
            folder: cache.folder("packages")?,
            kept: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
        });
        let listener = network.listen((GATEWAY_V4, 80).into()).await?;
        let router = Router::new().fallback(answer).with_state(Arc::clone(&proxy));
        let task = tokio::spawn(async move {
            // It ends with the guard; an error of one connection is that connection's.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { proxy, task })
    }

    /// What went through so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic { kept: read(&self.proxy.kept), fetched: read(&self.proxy.fetched) }
    }

    /// Megabytes served from the cache and megabytes fetched, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let Traffic { kept, fetched } = self.traffic();
        format!("{} MB of packages reused, {} MB fetched", kept / 1_000_000, fetched / 1_000_000)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(proxy): State<Arc<Proxy>>, request: Request) -> Response<Body> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Some(host) = HOSTS.into_iter().find(|known| *known == host.trim_end_matches(":80")) else {
        return bare(StatusCode::FORBIDDEN);
    };
    let path = request.uri().path();
    if path.split('/').any(|part| part == "..") {
        return bare(StatusCode::BAD_REQUEST);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return bare(StatusCode::METHOD_NOT_ALLOWED);
    }
    // A reply to HEAD has no body: kept, it would be an empty package.
    let kept = (request.method() == Method::GET && never_changes(path))
        .then(|| proxy.folder.join(host).join(path.trim_start_matches('/')));
    if let Some(file) = &kept
        && let Ok(bytes) = tokio::fs::read(file).await
    {
        proxy.kept.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        return Response::new(Body::from(bytes));
    }
    let url = format!("http://{host}{path}");
    proxy.fetch(request.method().clone(), &url, request.headers(), kept).await.unwrap_or_else(|error| {
        tracing::debug!("mirror: {url}: {error:#}");
        bare(StatusCode::BAD_GATEWAY)
    })
}

impl Proxy {
    /// Passes a request on; a whole body with a place to be kept is kept.
    async fn fetch(
        &self,
        method: Method,
        url: &str,
        headers: &header::HeaderMap,
        keep: Option<PathBuf>,
    ) -> Result<Response<Body>> {
        let mut request = self.client.request(method, url);
        // What apt has already: an index that did not change comes as 304.
        if let Some(since) = headers.get(header::IF_MODIFIED_SINCE) {
            request = request.header(header::IF_MODIFIED_SINCE, since);
        }
        let reply = request.send().await.context("the mirror cannot be reached")?;
        let (status, length) = (reply.status(), reply.content_length());
        let mut builder = Response::builder().status(status);
        for name in [header::LAST_MODIFIED, header::CONTENT_TYPE, header::CONTENT_LENGTH] {
            if let Some(value) = reply.headers().get(&name) {
                builder = builder.header(name, value);
            }
        }
        self.fetched.fetch_add(length.unwrap_or(0), Ordering::Relaxed);
        let body = match keep.filter(|_| status == StatusCode::OK) {
            Some(file) => {
                store(&file, reply, length).await?;
                Body::from(tokio::fs::read(&file).await.context("cannot read a kept package")?)
            }
            None => Body::from_stream(reply.bytes_stream()),
        };
        builder.body(body).context("cannot pass the reply on")
    }
}

/// Writes a body beside its place and moves it there when all of it has come.
async fn store(file: &Path, reply: reqwest::Response, length: Option<u64>) -> Result<()> {
    let folder = file.parent().context("a package without a folder")?;
    tokio::fs::create_dir_all(folder).await.context("cannot make a folder for packages")?;
    let new = tempfile::NamedTempFile::new_in(folder).context("cannot write to the package cache")?;
    let mut out = tokio::fs::File::from_std(new.reopen().context("cannot write to the package cache")?);
    let mut body = reply.bytes_stream().map_err(anyhow::Error::from);
    let mut written = 0;
    while let Some(part) = body.next().await {
        let part = part.context("the mirror broke off")?;
        written += part.len() as u64;
        out.write_all(&part).await.context("cannot write to the package cache")?;
    }
    out.flush().await.context("cannot write to the package cache")?;
    anyhow::ensure!(
        length.is_none_or(|length| length == written),
        "the mirror broke off after {written} bytes"
    );
    new.persist(file).context("cannot keep a package")?;
    Ok(())
}

/// Packages carry their version in their name, by-hash indexes their digest.
fn never_changes(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e == "deb") || path.contains("/by-hash/")
}

fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is kept of a reply, and the status that the machine sees.
    async fn fetch(reply: &'static str) -> (Option<String>, Result<StatusCode>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a.deb", listener.local_addr().unwrap());
        let upstream = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(reply.as_bytes()).await.unwrap();
        });
        let folder = tempfile::tempdir().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let proxy = Proxy { client, folder: folder.path().to_owned(), kept: 0.into(), fetched: 0.into() };
        let file = folder.path().join("pool/a.deb");
        let answer = proxy.fetch(Method::GET, &url, &header::HeaderMap::new(), Some(file.clone())).await;
        upstream.await.unwrap();
        let left = std::fs::read_dir(file.parent().unwrap()).map_or(0, Iterator::count);
        assert_eq!(left, usize::from(file.exists()), "half a package stayed");
        (std::fs::read_to_string(file).ok(), answer.map(|answer| answer.status()))
    }

    #[tokio::test]
    async fn a_whole_package_is_kept() {
        let (kept, status) = fetch("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody").await;
        assert_eq!((kept.as_deref(), status.unwrap()), (Some("body"), StatusCode::OK));
    }

    #[tokio::test]
    async fn a_truncated_package_is_not_kept() {
        for reply in [
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
        ] {
            let (kept, status) = fetch(reply).await;
            assert!(kept.is_none() && status.is_err(), "{reply}: {kept:?}");
        }
    }

    #[tokio::test]
    async fn an_error_page_is_passed_on_and_not_kept() {
        let (kept, status) = fetch("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone").await;
        assert_eq!((kept, status.unwrap()), (None, StatusCode::NOT_FOUND));
    }
}
