//! Let's Encrypt's test CA with its DNS stand-in, behind a door of ours that counts orders and can be closed.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use echora_rehearsal::network::{GATEWAY_V4, Network};
use echora_rehearsal::process::{Job, run};
use reqwest::{Certificate, Client};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::door::{self, DOOR_NAME, Door, Mood};
use super::{eventually, tool};

/// The machine's name server.
pub(crate) const NAME_SERVER: &str = "203.0.113.53";
const DNS_MANAGEMENT: &str = "203.0.113.53:8055";

/// How one differs from the usual.
pub(crate) struct Options {
    pub(crate) mood: Mood,
    /// Names that it refuses to certify.
    pub(crate) blocked: &'static [&'static str],
    /// How long its certificates are good for.
    pub(crate) validity: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { mood: Mood::Open, blocked: &[], validity: Duration::from_secs(6 * 86400) }
    }
}

/// The authority in a machine's network; all of it ends with it.
pub(crate) struct Authority {
    pub(crate) door: Door,
    _pebble: Job,
    _names: Job,
    /// What it signs with.
    pub(crate) root: Certificate,
    /// Its files: `root.pem`, and `door.pem` by which its door is known.
    pub(crate) folder: TempDir,
}

impl Authority {
    pub(crate) async fn start(network: &Network, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = start_names(network, &folder).await;
        point(network, DOOR_NAME, &[&GATEWAY_V4.to_string()], &[]).await;
        let key = rcgen::generate_simple_self_signed(vec![DOOR_NAME.to_owned()]).unwrap();
        fs::write(folder.path().join("door.pem"), key.cert.pem()).unwrap();
        fs::write(folder.path().join("door.key"), key.signing_key.serialize_pem()).unwrap();
        let pebble = start_pebble(network, &folder, &options).await;
        let fetch = async || {
            let reply = door::insecure().get(format!("https://{GATEWAY_V4}:15000/roots/0")).send().await?;
            Ok(reply.error_for_status()?.bytes().await?)
        };
        let root = eventually("the authority starts", async || network.inside(fetch).await.ok()).await;
        fs::write(folder.path().join("root.pem"), &root).unwrap();
        let root = Certificate::from_pem(&root).unwrap();
        let door = Door::open(network, key, options.mood).await;
        Self { door, _pebble: pebble, _names: names, root, folder }
    }
}

/// Gives `name` these addresses and no others from now on.
pub(crate) async fn point(network: &Network, name: &str, v4: &[&str], v6: &[&str]) {
    for (kind, addresses) in [("a", v4), ("aaaa", v6)] {
        let mut calls = vec![(format!("clear-{kind}"), json!({"host": name}))];
        if !addresses.is_empty() {
            calls.push((format!("add-{kind}"), json!({"host": name, "addresses": addresses})));
        }
        for (call, body) in calls {
            let url = format!("http://{DNS_MANAGEMENT}/{call}");
            let send =
                async move || Ok(Client::new().post(url).json(&body).send().await?.error_for_status()?);
            network.inside(send).await.expect("the name server takes the record");
        }
    }
}

async fn start_names(network: &Network, folder: &TempDir) -> Job {
    // On a link of its own: the network's own name server takes all addresses of the gateway's.
    let address = format!("{NAME_SERVER}/32");
    for step in [
        &["link", "add", "names0", "type", "bridge"][..],
        &["address", "add", &address, "dev", "names0"],
        &["link", "set", "names0", "up"],
    ] {
        let mut command = Command::new("ip");
        command.args(["-netns", network.namespace()]).args(step);
        run(&mut command, "ip", Duration::from_secs(20)).await.unwrap();
    }
    let mut command = network.command(tool("pebble-challtestsrv").await);
    command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]);
    command.args(["-defaultIPv4", "", "-defaultIPv6", "", "-management", DNS_MANAGEMENT]);
    command.arg("-dns01").arg(format!("{NAME_SERVER}:53"));
    let log = fs::File::create(folder.path().join("names.log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let job = Job::start(&mut command, "pebble-challtestsrv").unwrap();
    let address: SocketAddr = DNS_MANAGEMENT.parse().unwrap();
    eventually("the name server starts", async || network.handle().connect(address).await.ok()).await;
    job
}

async fn start_pebble(network: &Network, folder: &TempDir, options: &Options) -> Job {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let profile =
        json!({"description": "as the test wants it", "validityPeriod": options.validity.as_secs()});
    let config = json!({"pebble": {
        "listenAddress": format!("{GATEWAY_V4}:14000"),
        "managementListenAddress": format!("{GATEWAY_V4}:15000"),
        "certificate": path("door.pem"),
        "privateKey": path("door.key"),
        "httpPort": 80,
        "tlsPort": 443,
        "domainBlocklist": options.blocked,
        "retryAfter": {"authz": 1, "order": 1},
        "profiles": {"default": profile, "shortlived": profile},
    }});
    fs::write(path("pebble.json"), config.to_string()).unwrap();
    let mut command = network.command(tool("pebble").await);
    command.args(["-config", &path("pebble.json"), "-dnsserver", &format!("{NAME_SERVER}:53")]);
    command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
    let log = fs::File::create(path("pebble.log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Job::start(&mut command, "pebble").unwrap()
}
