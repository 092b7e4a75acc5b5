//! A build by real Packer with a provider's real plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echora_rehearsal::api::{Api, Ledger, Nothing, Options, Reachable, Token};
use echora_rehearsal::cache::Cache;
use echora_rehearsal::depth::Depth;
use echora_rehearsal::network::Network;
use echora_rehearsal::process::Job;
use echora_rehearsal::tools::{self, Tool};
use provider_profiles::{Catalog, Conduct, Simulator};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// The name of every build's snapshot.
pub(crate) const SNAPSHOT: &str = "echora-of-a-test";
const TOKEN: &str = "token-of-a-test";
const BUILD: &str = "build {
  sources = [\"SOURCE\"]

  post-processor \"manifest\" {
    output = var.manifest
  }
}
";

/// A provider whose plugin is there, with its simulator.
#[derive(Debug, Clone)]
pub(crate) struct Rig {
    pub(crate) id: String,
    region: String,
    builder: String,
    packer: PathBuf,
    plugins: PathBuf,
    simulator: Simulator,
}

/// A played API: on loopback, or under its own name in a network where the build runs too.
pub(crate) enum Played {
    Near(Api),
    Named(Box<(Reachable, Network)>),
}

/// A build that runs; dropping it ends it.
pub(crate) struct Build {
    job: Job,
    folder: TempDir,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every provider whose API is described and whose plugin can be had; the others are named with the reason.
async fn rigs() -> &'static [Rig] {
    static RIGS: OnceCell<Vec<Rig>> = OnceCell::const_new();
    RIGS.get_or_init(find).await
}

/// Tries something with each, side by side: nearly all of it is waiting.
pub(crate) async fn each<F: Future<Output = ()> + Send + 'static>(test: impl Fn(&'static Rig) -> F) {
    let mut tries = JoinSet::new();
    for rig in rigs().await {
        tries.spawn(test(rig));
    }
    tries.join_all().await;
}

async fn find() -> Vec<Rig> {
    let cache = Cache::user().unwrap();
    let packer: Tool = tools::obtain(&cache, root(), "packer").await.unwrap();
    let mut rigs = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        let (id, packing) = (&entry.profile.id, &entry.profile.packer);
        let template = fs::read_to_string(generated(id).join("plugins.pkr.hcl")).unwrap();
        // Kept for the next run, which installs it anew.
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins").join(id);
        fs::create_dir_all(&scratch).unwrap();
        let depth = Depth::greatest(entry, &cache, root(), &packer, &template, &scratch).await.unwrap();
        let real = match depth {
            Depth::Api(real) => real,
            Depth::Machine(reason) => {
                println!("{id}: not tried, {reason}");
                continue;
            }
        };
        println!("{id}: tried with the plugin {} {}", real.plugin.version, real.plugin.how);
        rigs.push(Rig {
            id: id.clone(),
            region: region(id),
            builder: packing.builder.clone(),
            packer: packer.path.clone(),
            plugins: real.plugin.folder,
            simulator: real.simulator,
        });
    }
    assert!(!rigs.is_empty(), "no plugin can be had");
    rigs
}

fn generated(id: &str) -> PathBuf {
    root().join("packer/generated").join(id)
}

/// The region that the generated template builds in.
fn region(id: &str) -> String {
    let variables = fs::read_to_string(generated(id).join("variables.pkr.hcl")).unwrap();
    let (_, after) = variables.split_once("variable \"region\"").unwrap();
    let (_, after) = after.split_once("default").unwrap();
    after.split('"').nth(1).unwrap().to_owned()
}

impl Rig {
    /// A simulator of its own, a thousand times as fast as the provider.
    pub(crate) async fn simulator(&self) -> Played {
        let tokens = vec![Token { value: TOKEN.into(), ..Token::default() }];
        let options = Options { tokens, speed: 1000.0, requests: None };
        let simulator = self.simulator.clone();
        if simulator.host.is_some() {
            let network = Network::create(&[]).await.unwrap();
            let served = Reachable::serve(&network, simulator, &options, Arc::new(Nothing)).await.unwrap();
            return Played::Named(Box::new((served, network)));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Played::Near(Api::serve(simulator, listener, &url, &options, Arc::new(Nothing)).unwrap())
    }

    /// How the plugin behaves.
    pub(crate) fn conduct(&self) -> &Conduct {
        &self.simulator.plugin
    }

    /// The same build elsewhere.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self.clone() }
    }

    /// The generated template without what happens on the machine.
    fn template(&self, folder: &Path) {
        let generated = generated(&self.id);
        for name in ["plugins.pkr.hcl", "variables.pkr.hcl"] {
            fs::copy(generated.join(name), folder.join(name)).unwrap();
        }
        let source = fs::read_to_string(generated.join("source.pkr.hcl")).unwrap();
        let head = format!("source \"{}\" \"echora\" {{\n", self.builder);
        assert!(source.contains(&head));
        let silent = source.replace(&head, &format!("{head}  communicator = \"none\"\n"));
        fs::write(folder.join("source.pkr.hcl"), silent).unwrap();
        let build = BUILD.replace("SOURCE", &format!("source.{}.echora", self.builder));
        fs::write(folder.join("build.pkr.hcl"), build).unwrap();
    }
}

impl Played {
    pub(crate) fn api(&self) -> &Api {
        match self {
            Self::Near(api) => api,
            Self::Named(named) => &named.0.api,
        }
    }

    /// A command that finds it.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Self::Near(_) => Command::new(program),
            Self::Named(named) => named.1.command(program),
        };
        match self {
            Self::Near(api) => command.envs(api.environment().unwrap()).env("NO_PROXY", "127.0.0.1"),
            Self::Named(named) => command.envs(named.0.environment.clone()),
        };
        command
    }
}

impl Build {
    pub(crate) fn start(rig: &Rig, played: &Played) -> Self {
        let folder = tempfile::tempdir().unwrap();
        rig.template(folder.path());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = played.command(&rig.packer);
        command.args(["build", "-color=false"]);
        for (name, value) in [("snapshot", SNAPSHOT), ("region", &rig.region), ("token", TOKEN)] {
            command.arg("-var").arg(format!("{name}={value}"));
        }
        command.arg("-var").arg(format!("manifest={}", folder.path().join("manifest.json").display()));
        command.arg(".").current_dir(folder.path());
        command.env("PACKER_PLUGIN_PATH", &rig.plugins).env("CHECKPOINT_DISABLE", "1");
        command.env("PACKER_CONFIG_DIR", folder.path());
        command.stdout(log.try_clone().unwrap()).stderr(Stdio::from(log));
        Self { job: Job::start(&mut command, "packer build").unwrap(), folder }
    }

    /// The exit status; none when a signal ended it.
    pub(crate) async fn status(&mut self, deadline: Duration) -> Option<i32> {
        match self.job.status(deadline).await {
            Ok(status) => status.code(),
            Err(error) => panic!("{error:#}\n{}", self.log()),
        }
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, deadline: Duration, holds: impl Fn() -> bool) {
        let end = Instant::now() + deadline;
        while !holds() {
            assert!(Instant::now() < end, "waited in vain:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the plugin knows of its machine: it has asked since that was ordered.
    pub(crate) async fn until_it_knows_its_machine(&self, deadline: Duration, api: &Api) {
        let asks = |ledger: &Ledger| ledger.asked.last().is_some_and(|asked| asked.method == "GET");
        let knows = |ledger: &Ledger| ledger.kinds_left().contains(&"machine") && asks(ledger);
        self.until(deadline, || knows(&api.ledger())).await;
    }

    /// Signals Packer with its plugins, as a terminal does with Ctrl-C.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.job.id().unwrap()).unwrap();
        kill_process_group(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Ends Packer with its plugins at once.
    pub(crate) async fn kill(self) {
        self.job.kill().await.unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The artifact's id by the manifest.
    pub(crate) fn artifact(&self) -> String {
        let manifest = fs::read_to_string(self.folder.path().join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        manifest["builds"][0]["artifact_id"].as_str().unwrap().to_owned()
    }
}
