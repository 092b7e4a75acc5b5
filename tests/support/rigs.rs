//! Providers whose API is described and whose plugin can be had, and where each one's API is played.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use echora_rehearsal::api::{Api, Nothing, Options, Reachable, Token};
use echora_rehearsal::cache::Cache;
use echora_rehearsal::depth::Depth;
use echora_rehearsal::network::Network;
use echora_rehearsal::{plugins, tools};
use provider_profiles::{Catalog, Profile, Rights, Simulator};
use serde_json::{Map, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::root;

/// A token that may all.
pub(crate) const TOKEN: &str = "token-of-a-test";
/// A token that may only look.
pub(crate) const READ_ONLY: &str = "token-that-may-only-look";

/// A provider with its plugin.
#[derive(Debug, Clone)]
pub(crate) struct Rig {
    pub(crate) profile: Profile,
    pub(crate) packer: PathBuf,
    pub(crate) plugins: PathBuf,
    pub(crate) simulator: Simulator,
}

/// All of them; the others are named with the reason.
pub(crate) async fn rigs() -> &'static [Rig] {
    static RIGS: OnceCell<Vec<Rig>> = OnceCell::const_new();
    RIGS.get_or_init(find).await
}

/// Tries something with each, side by side: nearly all of it is waiting.
pub(crate) async fn each<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Rig) -> F) {
    let mut tries = JoinSet::new();
    for rig in rigs().await {
        tries.spawn(test(rig.clone()));
    }
    tries.join_all().await;
}

/// Every provider whose API is described, without Packer and plugin: for what takes neither.
pub(crate) fn without_plugins() -> Vec<Rig> {
    let catalog = Catalog::embedded().unwrap();
    let described = catalog.iter().filter(|entry| entry.profile.api.is_some()).filter_map(|entry| {
        let (profile, simulator) = (entry.profile.clone(), Catalog::simulator(&entry.profile.id).unwrap()?);
        Some(Rig { profile, packer: "/nowhere".into(), plugins: "/nowhere".into(), simulator })
    });
    described.collect()
}

async fn find() -> Vec<Rig> {
    let cache = Cache::user().unwrap();
    let packer = tools::obtain(&cache, root(), "packer").await.unwrap();
    let mut rigs = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        let profile = entry.profile.clone();
        let id = &profile.id;
        if profile.api.is_none() {
            println!("{id}: not tried, the profile does not say how its account is asked");
            continue;
        }
        let requirement = root().join(format!("packer/generated/{id}/plugins.pkr.hcl"));
        let requirement = fs::read_to_string(requirement).unwrap();
        // Each test has its own, kept for the next run, which installs it anew.
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(id);
        fs::create_dir_all(&scratch).unwrap();
        match Depth::greatest(entry, &cache, root(), &packer, &requirement, &scratch).await.unwrap() {
            Depth::Machine(reason) => {
                let pinned = plugins::pinned(&cache, root(), &profile.packer.plugin).await.unwrap();
                assert!(pinned.is_none(), "{id}: its plugin is pinned, and {reason}");
                println!("{id}: not tried, {reason}");
            }
            Depth::Api(real) => {
                println!("{id}: tried with the plugin {} {}", real.plugin.version, real.plugin.how);
                let (plugins, simulator) = (real.plugin.folder, real.simulator);
                rigs.push(Rig { profile, packer: packer.path.clone(), plugins, simulator });
            }
        }
    }
    assert!(!rigs.is_empty(), "no plugin can be had");
    rigs
}

/// A token that may all and one that may only look: what is needed for writing, it has for reading.
pub(crate) fn tokens(profile: &Profile) -> Vec<Token> {
    let looks = match &profile.api.as_ref().unwrap().check.rights {
        Rights::Header { needed, .. } => {
            let last = |one: &String| one.rsplit('|').next().unwrap_or_default().replace("_write", "_only");
            needed.iter().map(last).collect()
        }
        Rights::Probe { .. } | Rights::List { .. } => Vec::new(),
    };
    vec![
        Token { value: TOKEN.into(), ..Token::default() },
        Token { value: READ_ONLY.into(), read_only: true, scopes: looks },
    ]
}

/// Takes the rights away that an account lists itself: there a token has what its user has.
pub(crate) fn take_listed_rights(profile: &Profile, api: &Api) {
    if let Rights::List { place, .. } = &profile.api.as_ref().unwrap().check.rights {
        let field = place.split('/').nth(1).unwrap().to_owned();
        api.change("account", &Map::from_iter([(field, json!([]))])).unwrap();
    }
}

/// A played API: on loopback, or under the provider's own name in a network where all that asks it runs too.
pub(crate) enum Played {
    Near(Api),
    Named(Box<(Reachable, Network)>),
}

impl Played {
    /// An account of its own, `speed` times as fast as the provider.
    pub(crate) async fn serve(rig: &Rig, speed: f64) -> Self {
        let options = Options { tokens: tokens(&rig.profile), speed, requests: None };
        let (simulator, machines) = (rig.simulator.clone(), Arc::new(Nothing));
        if simulator.host.is_some() {
            let network = Network::create(&[]).await.unwrap();
            let served = Reachable::serve(&network, simulator, &options, machines).await.unwrap();
            return Self::Named(Box::new((served, network)));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::Near(Api::serve(simulator, listener, &url, &options, machines).unwrap())
    }

    pub(crate) fn api(&self) -> &Api {
        match self {
            Self::Near(api) => api,
            Self::Named(named) => &named.0.api,
        }
    }

    /// The network that it is in, unless that is this machine's.
    pub(crate) fn network(&self) -> Option<&Network> {
        match self {
            Self::Near(_) => None,
            Self::Named(named) => Some(&named.1),
        }
    }

    /// A socket that listens where it is played.
    pub(crate) async fn listen(&self) -> TcpListener {
        match self.network() {
            None => TcpListener::bind("127.0.0.1:0").await.unwrap(),
            Some(network) => network.listen("127.0.0.1:0".parse().unwrap()).await.unwrap(),
        }
    }

    /// A command that finds it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = match self.network() {
            None => Command::new(program.as_ref()),
            Some(network) => network.command(program),
        };
        match self {
            Self::Near(api) => command.envs(api.environment().unwrap()).env("NO_PROXY", "127.0.0.1"),
            Self::Named(named) => command.envs(named.0.environment.clone()),
        };
        command
    }
}
