//! Strangers who ask a machine for an account on every port that might answer, from before it has an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::network::{MACHINE_V4, MACHINE_V6, Network};

/// Web server and app.
const PORTS: [u16; 3] = [80, 443, 3000];
/// Of one try. Most packets to a closed door are dropped without a word.
const PATIENCE: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(10);

/// What the strangers met.
#[derive(Debug, Clone, Default)]
pub struct Met {
    /// How often they asked.
    pub tries: u64,
    /// How often nobody answered, or hung up.
    pub silence: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Roles of the accounts that they were given.
    pub roles: BTreeMap<String, u64>,
    /// Different bodies of answers with status 503.
    pub pages: Vec<String>,
    /// Answers with status 503 that lack a header that browsers wait by.
    pub without_retry: u64,
    /// Names of the headers that came with status 503.
    pub headers: BTreeSet<String>,
}

/// They go on until they are told to stop, or dropped.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    met: Arc<Mutex<Met>>,
    task: JoinHandle<Result<()>>,
}

impl Crowd {
    /// Begins to ask the machine of `network`.
    #[must_use]
    pub fn start(network: &Network) -> Self {
        let (stop, met) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Met::default())));
        let (stopped, seen, handle) = (stop.clone(), met.clone(), network.handle());
        let task = tokio::spawn(async move {
            handle
                .inside(async move || {
                    let mut strangers = JoinSet::new();
                    for address in [IpAddr::V4(MACHINE_V4), IpAddr::V6(MACHINE_V6)] {
                        for port in PORTS {
                            let target = SocketAddr::new(address, port);
                            strangers.spawn(stranger(target, stopped.clone(), seen.clone()));
                        }
                    }
                    while let Some(ended) = strangers.join_next().await {
                        ended.context("a stranger broke down")??;
                    }
                    Ok(())
                })
                .await
        });
        Self { stop, met, task }
    }

    /// What they have met so far.
    #[must_use]
    pub fn met(&self) -> Met {
        lock(&self.met).clone()
    }

    /// Sends them home; what they met.
    pub async fn stop(mut self) -> Result<Met> {
        self.stop.store(true, Ordering::SeqCst);
        (&mut self.task).await.context("the crowd broke down")??;
        Ok(self.met())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn stranger(target: SocketAddr, stop: Arc<AtomicBool>, met: Arc<Mutex<Met>>) -> Result<()> {
    let client = Client::builder()
        .danger_accept_invalid_certs(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .build()
        .context("cannot make an HTTP client")?;
    let scheme = if target.port() == 443 { "https" } else { "http" };
    let mut number = 0_u32;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let family = if target.is_ipv4() { "four" } else { "six" };
        let name = format!("eve-{family}-{}-{number}", target.port());
        let form =
            json!({"username": name, "email": format!("{name}@example.org"), "password": "let me in please"});
        let asked = client.post(format!("{scheme}://{target}/api/auth/register")).json(&form).send().await;
        match asked {
            Ok(reply) => note(&met, reply).await,
            Err(_) => lock(&met).silence += 1,
        }
        lock(&met).tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn note(met: &Mutex<Met>, reply: reqwest::Response) {
    let status = reply.status().as_u16();
    let names: Vec<String> = reply.headers().keys().map(ToString::to_string).collect();
    let body = reply.text().await.unwrap_or_default();
    let mut met = lock(met);
    *met.answers.entry(status).or_default() += 1;
    if status == 503 {
        met.without_retry += u64::from(!names.iter().any(|name| name == "retry-after"));
        if !met.pages.contains(&body) {
            met.pages.push(body.clone());
        }
        met.headers.extend(names);
    }
    if let Ok(Value::Object(account)) = serde_json::from_str(&body)
        && let Some(role) = account.get("user").and_then(|user| user["role"].as_str())
    {
        *met.roles.entry(role.to_owned()).or_default() += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
