//! A flood of logins on a machine: everybody may try, and each try takes 19 MiB and a processor.

use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::front_door::Login;
use echora_rehearsal::network::Network;
use reqwest::Client;
use serde_json::json;
use tokio::task::JoinSet;

/// How many try at once.
pub(crate) const ATTACKERS: usize = 128;
/// Logins of each attacker, one after another.
const LOGINS: usize = 3;
/// A container a line: whether it was killed for its memory, and how often it was started again.
pub(crate) const HEALTH: &str = "docker inspect -f '{{.Name}} {{.State.OOMKilled}} {{.RestartCount}}' \
                                 echora-postgres echora-backend echora-caddy";
/// What [`HEALTH`] says of a machine that has come through.
pub(crate) const WELL: &str = "/echora-postgres false 0\n/echora-backend false 0\n/echora-caddy false 0\n";

/// Logins of the owner with a wrong password, which the app must hash; the statuses of all answers. Each answer may take as
/// long as `patience`.
pub(crate) async fn flood(network: &Network, login: &Login, patience: Duration) -> Result<Vec<u16>> {
    let url = format!("{}/api/auth/login", login.url);
    let body = json!({"username": login.username, "password": "not the password"});
    let attack = async move || {
        let client =
            Client::builder().danger_accept_invalid_certs(true).no_proxy().timeout(patience).build()?;
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            let (client, url, body) = (client.clone(), url.clone(), body.clone());
            attackers.spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..LOGINS {
                    answers.push(client.post(&url).json(&body).send().await?.status().as_u16());
                }
                anyhow::Ok(answers)
            });
        }
        let mut answers = Vec::new();
        while let Some(ended) = attackers.join_next().await {
            answers.extend(ended?.context("an attacker got no answer")?);
        }
        Ok(answers)
    };
    network.inside(attack).await
}
