//! Visitors of the server: which rung they are on, and whether they ever met a closed door.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use echora_rehearsal::network::{MACHINE_V4, MACHINE_V6};
use reqwest::tls::TlsInfo;
use reqwest::{Client, ClientBuilder};
use tokio::task::JoinHandle;

use super::server::Server;

/// The domain that tests give the server.
pub(crate) const NAME: &str = "chat.example.org";
const PATIENCE: Duration = Duration::from_secs(10);

/// Who vouches for the certificate that visitors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// The public authority, for exactly the name that was asked for.
    Public,
    /// The server itself.
    Own,
}

/// The addresses and the domain as visitors write them.
pub(crate) fn urls() -> [String; 3] {
    [format!("https://{NAME}/"), format!("https://{MACHINE_V4}/"), format!("https://[{MACHINE_V6}]/")]
}

/// The rung of one URL with the certificate itself; the site must answer on any.
pub(crate) async fn visit(server: &Server, url: &str) -> Result<(Rung, Vec<u8>)> {
    let (root, url) = (server.authority.root.clone(), url.to_owned());
    let look = async move || {
        let trusting = client().danger_accept_invalid_certs(true).build()?;
        let own = fetch(&trusting, &url).await?;
        let strict = client().tls_built_in_root_certs(false).add_root_certificate(root).build()?;
        Ok(match fetch(&strict, &url).await {
            Ok(public) => (Rung::Public, public),
            Err(_) => (Rung::Own, own),
        })
    };
    server.network.inside(look).await
}

async fn fetch(client: &Client, url: &str) -> Result<Vec<u8>> {
    let reply = client.get(url).send().await?;
    ensure!(reply.status() == 200, "status {}", reply.status());
    let certificate = reply.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let certificate = certificate.context("there is no certificate")?.to_vec();
    ensure!(reply.text().await? == "the site\n", "it is another site");
    Ok(certificate)
}

/// Each request on a connection of its own, because certificates belong to connections.
fn client() -> ClientBuilder {
    let address = SocketAddr::new(IpAddr::V4(MACHINE_V4), 443);
    Client::builder()
        .no_proxy()
        .tls_info(true)
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .resolve(NAME, address)
}

/// Visitors who come all the time, by every URL, whatever the certificate is.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    visits: Arc<AtomicU32>,
    task: JoinHandle<Result<Vec<String>>>,
}

impl Crowd {
    pub(crate) fn gather(server: &Server) -> Self {
        let (stop, visits) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
        let (stopped, counted, handle) = (stop.clone(), visits.clone(), server.network.handle());
        let come = async move || {
            let client = client().danger_accept_invalid_certs(true).build()?;
            let mut turned_away = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                for url in urls() {
                    // A reload of Caddy cuts a connection that it has accepted and not read from; browsers try again
                    // at once, as RFC 9110 (9.2.2) lets them.
                    if fetch(&client, &url).await.is_err()
                        && let Err(error) = fetch(&client, &url).await
                    {
                        turned_away.push(format!("{url}: {error:#}"));
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                // Only how often they come.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(turned_away)
        };
        Self { stop, visits, task: tokio::spawn(async move { handle.inside(come).await }) }
    }

    /// Ends the visits: nobody may have been turned away.
    pub(crate) async fn was_served(self) {
        self.stop.store(true, Ordering::SeqCst);
        let turned_away = self.task.await.unwrap().unwrap();
        let visits = self.visits.load(Ordering::SeqCst);
        assert!(visits >= 9 && turned_away.is_empty(), "of {visits}: {turned_away:#?}");
    }
}
