//! Builds in simulated accounts: the tool itself, real Packer, the provider's real plugin, and a checkout whose
//! generated templates end where a machine would begin.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echora_images::render;
use echora_rehearsal::api::{Api, Fault, Line, Nothing, Options, Token};
use echora_rehearsal::cache::Cache;
use echora_rehearsal::process::Job;
use echora_rehearsal::{plugins, tools};
use provider_profiles::{Catalog, Profile};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::root;

const TOKEN: &str = "token-of-a-test";
/// A token that may only look.
pub(crate) const READ_ONLY: &str = "token-that-may-only-look";
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Builds poll their provider every few seconds and share two processors.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);

/// A provider whose API is described and whose plugin is there.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) profile: Profile,
    packer: PathBuf,
    plugins: Arc<TempDir>,
}

/// All such providers; the others are named with the reason.
pub(crate) async fn rigs() -> Vec<Rig> {
    let cache = Cache::user().unwrap();
    let packer = tools::obtain(&cache, root(), "packer").await.unwrap().path;
    let mut rigs = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        let (profile, plugin) = (entry.profile.clone(), &entry.profile.packer.plugin);
        if profile.api.is_none() || Catalog::simulator(&profile.id).unwrap().is_none() {
            println!("{}: not tried, its API is not described", profile.id);
        } else if let Some(program) = plugins::pinned(&cache, root(), plugin).await.unwrap() {
            let folder = Arc::new(tempfile::tempdir().unwrap());
            plugins::install(&packer, plugin, &program.path, folder.path()).await.unwrap();
            rigs.push(Rig { profile, packer: packer.clone(), plugins: folder });
        } else {
            println!("{}: not tried, its plugin is not pinned", profile.id);
        }
    }
    assert!(!rigs.is_empty(), "no plugin is pinned");
    rigs
}

/// An account with a checkout to build from.
pub(crate) struct Bench {
    pub(crate) api: Api,
    _registry: JoinSet<()>,
    rig: Rig,
    folder: TempDir,
}

/// What the machine of a build does: here only a command of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Machine {
    /// All goes well.
    Works,
    /// A provisioner fails.
    Fails,
}

impl Rig {
    /// An account of its own, `speed` times as fast as the provider.
    pub(crate) async fn bench(&self, speed: f64, machine: Machine) -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tokens = [(TOKEN, false), (READ_ONLY, true)];
        let tokens = tokens
            .map(|(value, read_only)| Token { value: value.into(), read_only, scopes: Vec::new() })
            .to_vec();
        let options = Options { tokens, speed, requests: None };
        let simulator = Catalog::simulator(&self.profile.id).unwrap().unwrap();
        let api = Api::serve(simulator, listener, &url, &options, Arc::new(Nothing)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(serve_registry(listener));
        let bench =
            Bench { api, _registry: serving, rig: self.clone(), folder: tempfile::tempdir().unwrap() };
        bench.lay_out(machine, &registry);
        bench
    }
}

/// A registry that has every image of one digest.
async fn serve_registry(listener: TcpListener) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut request = vec![0; 4096];
        let length = client.read(&mut request).await.unwrap_or_default();
        let has = String::from_utf8_lossy(&request[..length]).contains(&format!("/manifests/{DIGEST} "));
        let status = if has { "200 OK" } else { "404 Not Found" };
        let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = client.write_all(reply.as_bytes()).await;
    }
}

impl Bench {
    pub(crate) fn id(&self) -> &str {
        &self.rig.profile.id
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.rig.profile
    }

    /// A file of the checkout.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Removes a file of the checkout.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A checkout with all that a build takes from one.
    fn lay_out(&self, machine: Machine, registry: &str) {
        let profile = &self.rig.profile;
        let generated = |name: &str| format!("packer/generated/{}/{name}", profile.id);
        for (name, text) in render::provider(profile).unwrap() {
            self.write(&generated(&name), &text);
        }
        let builder = &profile.packer.builder;
        let source = fs::read_to_string(self.at(&generated("source.pkr.hcl"))).unwrap();
        let head = format!("source \"{builder}\" \"echora\" {{\n");
        assert!(source.contains(&head));
        self.write(
            &generated("source.pkr.hcl"),
            &source.replace(&head, &format!("{head}  communicator = \"none\"\n")),
        );
        let does = match machine {
            Machine::Works => "echo linux 6 >${var.packages}",
            Machine::Fails => "echo it fails >&2; exit 7",
        };
        let build = format!(
            "build {{\n  sources = [\"source.{builder}.echora\"]\n  provisioner \"shell-local\" {{\n    inline = [\"{does}\"]\n  }}\n  \
             post-processor \"manifest\" {{\n    output = var.manifest\n    strip_path = true\n  }}\n}}\n"
        );
        self.write(&generated("build.pkr.hcl"), &build);
        self.write("packer/scripts/empty", "");
        self.write("frontend/index.html", "");
        self.write("target/x86_64-unknown-linux-musl/guest/echora-firstboot", "");
        let images = ["postgres", "caddy", "backend"]
            .map(|n| format!("[{n}]\nreference = \"{registry}/{n}@{DIGEST}\"\n"));
        self.write("images.toml", &images.concat());
        for folder in ["bin", "firstboot"] {
            fs::create_dir_all(self.at(folder)).unwrap();
        }
        symlink(root().join("firstboot/stack"), self.at("firstboot/stack")).unwrap();
        symlink(root().join("tools"), self.at("tools")).unwrap();
        symlink(&self.rig.packer, self.at("bin/packer")).unwrap();
    }

    /// This checkout with the account in the environment.
    fn with_account(&self, command: &mut Command) {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        command.current_dir(self.folder.path()).env("PATH", path);
        command
            .envs(self.api.environment().unwrap())
            .env("NO_PROXY", "127.0.0.1")
            .env("CHECKPOINT_DISABLE", "1");
        command
            .env("PACKER_PLUGIN_PATH", self.rig.plugins.path())
            .env("PACKER_CONFIG_DIR", self.folder.path());
        command.env("CARGO_TARGET_DIR", self.at("target")).env_remove("RUST_BACKTRACE");
    }

    /// Starts the tool.
    pub(crate) fn start(&self, arguments: &[&str]) -> Run {
        self.start_with(arguments, &[])
    }

    fn start_with(&self, arguments: &[&str], environment: &[(String, String)]) -> Run {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_echora-images"));
        self.with_account(&mut command);
        command.args(arguments).envs(environment.iter().cloned());
        // Both write at the end of one file.
        let append = || fs::OpenOptions::new().append(true).open(log.path()).unwrap();
        command.stdout(append()).stderr(append());
        Run { job: Job::start(&mut command, "the tool").unwrap(), log }
    }

    /// Runs a build with other variables to its end: its exit status and what it said.
    pub(crate) async fn build_with(&self, environment: &[(&str, &str)]) -> (Option<i32>, String) {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(pair).collect();
        let mut run = self.start_with(&self.build_arguments(), &environment);
        (run.status().await, run.said())
    }

    fn build_arguments(&self) -> [&str; 6] {
        ["build", self.id(), "--images", "images.toml", "--frontend", "frontend"]
    }

    /// Starts a build in the account.
    pub(crate) fn build(&self) -> Run {
        self.start(&self.build_arguments())
    }

    /// Runs the tool to its end: its exit status and what it said.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut run = self.start(arguments);
        (run.status().await, run.said())
    }

    /// The same in this checkout, with another bench's account.
    pub(crate) async fn run_at(&self, other: &Self, arguments: &[&str]) -> (Option<i32>, String) {
        let environment = other.api.environment().unwrap();
        let mut run = self.start_with(arguments, &environment);
        (run.status().await, run.said())
    }

    /// A machine, a key and a snapshot that no build of ours made, and how many machines these are. They are made as
    /// ours are, and are labelled alike but for the build's name.
    pub(crate) async fn of_somebody_else(&self) -> usize {
        let template = format!("packer/generated/{}", self.rig.profile.id);
        let packer = |name: &str| {
            let mut command = Command::new(&self.rig.packer);
            command.args(["build", "-color=false", "-var"]).arg(format!("snapshot={name}"));
            command.arg("-var").arg(format!("packages={}", self.at("packages").display()));
            command.arg("-var").arg(format!("manifest={}", self.at("manifest").display())).arg(&template);
            self.with_account(&mut command);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Job::start(&mut command, "somebody else's build").unwrap()
        };
        assert!(packer("echora-production").status(DEADLINE).await.unwrap().success());
        self.api.fault(Fault::Never { what: "boot".into() }).unwrap();
        let killed = packer("echora-20200101-000000-copied");
        until("somebody else's machine", || self.kinds_left().contains(&"machine".to_owned())).await;
        killed.kill().await.unwrap();
        until("the plugin's end", || self.plugins().is_empty()).await;
        self.api.heal();
        assert_eq!(self.kinds_left(), ["key", "machine", "snapshot"]);
        1
    }

    /// What the account holds, as `kind name`.
    pub(crate) fn left(&self) -> BTreeSet<String> {
        let text = |line: &Line| format!("{} {}", line.kind, line.name);
        self.api.ledger().left().map(text).collect()
    }

    /// What the account holds of builds, by kind.
    pub(crate) fn kinds_left(&self) -> Vec<String> {
        self.api.ledger().kinds_left().into_iter().map(str::to_owned).collect()
    }

    /// The records in the checkout.
    pub(crate) fn records(&self) -> Vec<Value> {
        let Ok(folders) = fs::read_dir(self.at("build")) else { return Vec::new() };
        let records = folders.map(|entry| entry.unwrap().path().join("record.json"));
        records
            .filter_map(|path| fs::read(path).ok())
            .map(|text| serde_json::from_slice(&text).unwrap())
            .collect()
    }

    /// The processes of the provider's plugin that run for this checkout.
    pub(crate) fn plugins(&self) -> Vec<i32> {
        let ours = format!("PACKER_CONFIG_DIR={}", self.folder.path().display());
        let environment = |id: i32| fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let program = |id: i32| fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
        let ids =
            fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
        ids.filter(|id| program(*id).starts_with(self.rig.plugins.path()))
            .filter(|id| environment(*id).split(|b| *b == 0).any(|variable| variable == ours.as_bytes()))
            .collect()
    }
}

/// The tool at work; dropping it ends it.
pub(crate) struct Run {
    pub(crate) job: Job,
    log: tempfile::NamedTempFile,
}

impl Run {
    pub(crate) async fn status(&mut self) -> Option<i32> {
        match self.job.status(DEADLINE).await {
            Ok(status) => status.code(),
            Err(error) => panic!("{error:#}\n{}", self.said()),
        }
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
