//! Builds in simulated accounts: the tool itself, real Packer, the provider's real plugin, and a checkout whose
//! generated templates end where a machine would begin.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use echora_images::render;
use echora_rehearsal::api::{Api, Fault, Line};
use echora_rehearsal::process::Job;
use provider_profiles::Profile;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::rigs::{Played, Rig};
use super::root;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// An image for a processor that no provider has.
pub(crate) const STRANGE: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// Builds poll their provider every few seconds and share two processors.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);

/// An account with a checkout to build from.
pub(crate) struct Bench {
    _registry: JoinSet<()>,
    played: Played,
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
        let played = Played::serve(self, speed).await;
        let listener = played.listen().await;
        let registry = listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(serve_registry(listener));
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench { _registry: serving, played, rig: self.clone(), folder };
        bench.lay_out(machine, &registry);
        bench
    }
}

/// A registry that has every image of two digests.
async fn serve_registry(listener: TcpListener) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut request = vec![0; 4096];
        let length = client.read(&mut request).await.unwrap_or_default();
        let asks =
            |digest| String::from_utf8_lossy(&request[..length]).contains(&format!("/manifests/{digest} "));
        let (status, index) = if asks(DIGEST) {
            ("200 OK", index(&["amd64", "arm64"]))
        } else if asks(STRANGE) {
            ("200 OK", index(&["s390x"]))
        } else {
            ("404 Not Found", String::new())
        };
        let length = index.len();
        let reply =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{index}");
        let _ = client.write_all(reply.as_bytes()).await;
    }
}

fn index(processors: &[&str]) -> String {
    let images = processors.iter().map(|on| json!({"platform": {"os": "linux", "architecture": on}}));
    json!({"manifests": images.collect::<Vec<_>>()}).to_string()
}

impl Bench {
    /// The played API.
    pub(crate) fn api(&self) -> &Api {
        self.played.api()
    }

    pub(crate) fn id(&self) -> &str {
        &self.rig.profile.id
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.rig.profile
    }

    /// Whether the plugin makes a key under a name of its own.
    pub(crate) fn names_keys_itself(&self) -> bool {
        let keys = self.profile().api.as_ref().and_then(|api| api.keys.as_ref());
        keys.is_some_and(|keys| keys.own_name.is_some())
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
        let silent = source.replace(&head, &format!("{head}  communicator = \"none\"\n"));
        self.write(&generated("source.pkr.hcl"), &silent);
        let does = match machine {
            Machine::Works => "echo linux 6 >${var.packages}; echo ${var.region} ${local.plan} >placed",
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

    /// Gives an argument of the source block another value.
    pub(crate) fn set(&self, argument: &str, value: &str) {
        let source = format!("packer/generated/{}/source.pkr.hcl", self.id());
        let is_it = |line: &str| line.trim_start().starts_with(&format!("{argument} "));
        let set =
            |line: &str| if is_it(line) { format!("  {argument} = {value}\n") } else { format!("{line}\n") };
        let before = self.read(&source);
        assert_eq!(before.lines().filter(|line| is_it(line)).count(), 1, "{argument}: {before}");
        self.write(&source, &before.lines().map(set).collect::<String>());
    }

    /// A command in this checkout with a bench's account.
    fn command(&self, program: impl Into<PathBuf>, account: &Self) -> Command {
        let mut command = account.played.command(program.into());
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        command.current_dir(self.folder.path()).env("PATH", path).env("CHECKPOINT_DISABLE", "1");
        command.env("PACKER_PLUGIN_PATH", &self.rig.plugins).env("PACKER_CONFIG_DIR", self.folder.path());
        command.env("CARGO_TARGET_DIR", self.at("target")).env_remove("RUST_BACKTRACE");
        command
    }

    /// Starts the tool.
    pub(crate) fn start(&self, arguments: &[&str]) -> Run {
        self.start_with(arguments, self, &[])
    }

    fn start_with(&self, arguments: &[&str], account: &Self, environment: &[(&str, &str)]) -> Run {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = self.command(env!("CARGO_BIN_EXE_echora-images"), account);
        command.args(arguments).envs(environment.iter().copied());
        // Both write at the end of one file.
        let append = || fs::OpenOptions::new().append(true).open(log.path()).unwrap();
        command.stdout(append()).stderr(append());
        Run { job: Job::start(&mut command, "the tool").unwrap(), log }
    }

    /// Runs a build with other variables to its end: its exit status and what it said.
    pub(crate) async fn build_with(&self, environment: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut run = self.start_with(&self.build_arguments(), self, environment);
        (run.status().await, run.said())
    }

    /// Runs a build in another place to its end.
    pub(crate) async fn build_at(&self, region: &str, plan: &str) -> (Option<i32>, String) {
        let place = ["--region", region, "--plan", plan];
        self.run(&[&self.build_arguments()[..], &place].concat()).await
    }

    pub(crate) fn build_arguments(&self) -> [&str; 6] {
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
        let mut run = self.start_with(arguments, other, &[]);
        (run.status().await, run.said())
    }

    /// A machine, a key and a snapshot that no build of ours made, and how many machines these are. They are made as
    /// ours are, and are labelled alike but for the build's name.
    pub(crate) async fn of_somebody_else(&self) -> usize {
        let template = format!("packer/generated/{}", self.rig.profile.id);
        let packer = |name: &str| {
            let mut command = self.command(&self.rig.packer, self);
            command.args(["build", "-color=false", "-var"]).arg(format!("snapshot={name}"));
            command.arg("-var").arg(format!("packages={}", self.at("packages").display()));
            command.arg("-var").arg(format!("manifest={}", self.at("manifest").display())).arg(&template);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Job::start(&mut command, "somebody else's build").unwrap()
        };
        assert!(packer("echora-production").status(DEADLINE).await.unwrap().success());
        self.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let killed = packer("echora-20200101-000000-copied");
        until("somebody else's machine", || self.kinds_left().contains(&"machine".to_owned())).await;
        killed.kill().await.unwrap();
        until("the plugin's end", || self.plugins().is_empty()).await;
        self.api().heal();
        let keys = if self.profile().api.as_ref().unwrap().keys.is_some() { &["key"][..] } else { &[] };
        assert_eq!(self.kinds_left(), [keys, &["machine", "snapshot"]].concat());
        1
    }

    /// What the account holds, as `kind name`.
    pub(crate) fn left(&self) -> BTreeSet<String> {
        let text = |line: &Line| format!("{} {}", line.kind, line.name);
        self.api().ledger().left().map(text).collect()
    }

    /// What the account holds of builds, by kind.
    pub(crate) fn kinds_left(&self) -> Vec<String> {
        self.api().ledger().kinds_left().into_iter().map(str::to_owned).collect()
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
        ids.filter(|id| program(*id).starts_with(&self.rig.plugins))
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

    pub(crate) fn ended(&mut self) -> bool {
        self.job.try_status().unwrap().is_some()
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
