//! A checkout and several played accounts, with a stand-in for Packer that only waits and writes what Packer would: for what
//! the tool itself does with many builds.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use echora_rehearsal::api::{Api, Nothing, Options, Token};
use provider_profiles::{Architecture, Catalog};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::root;

const TOKEN: &str = "token-of-a-fleet";
/// `$template/does` is what one provider's build does before it has its snapshot.
const BUILDER: &str = r#"#!/bin/sh
set -eu
case $1 in
version) echo "Packer v99.0.0" ;;
build)
  for word; do
    [ "${last-}" != -var-file ] || variables=$word
    last=$word
  done
  field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$variables"; }
  . "$last/does"
  echo linux 6 >"$(field packages)"
  echo '{"builds": [{"artifact_id": "1"}]}' >"$(field manifest)"
  ;;
esac
"#;

/// One provider's account.
pub(crate) struct Played {
    pub(crate) id: String,
    api: Api,
}

/// All accounts that the environment can lead to, and the checkout.
pub(crate) struct Fleet {
    pub(crate) accounts: Vec<Played>,
    folder: TempDir,
}

impl Fleet {
    /// Accounts `speed` times as fast as their providers.
    pub(crate) async fn launch(speed: f64) -> Self {
        let mut accounts = Vec::new();
        for entry in Catalog::embedded().expect("the profiles are whole").iter() {
            let id = entry.profile.id.clone();
            let simulator = Catalog::simulator(&id).expect("the descriptions are whole");
            let has_endpoint = entry.profile.api.as_ref().is_some_and(|api| api.endpoint.is_some());
            let (true, Some(simulator)) = (has_endpoint, simulator) else {
                println!("{id}: not among them, the environment cannot lead to its played account");
                continue;
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let url = format!("http://{}", listener.local_addr().expect("it listens"));
            let tokens = vec![Token { value: TOKEN.into(), read_only: false, scopes: Vec::new() }];
            let options = Options { tokens, speed, requests: None };
            let api = Api::serve(simulator, listener, &url, &options, Arc::new(Nothing)).expect("it serves");
            accounts.push(Played { id, api });
        }
        let fleet = Self { accounts, folder: tempfile::tempdir().expect("a temporary folder") };
        fleet.lay_out();
        fleet
    }

    /// All that a build takes from a checkout.
    fn lay_out(&self) {
        self.write("bin/packer", BUILDER);
        fs::set_permissions(self.at("bin/packer"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        for path in ["packer/scripts/none", "frontend/index.html", "firstboot/stack/none"] {
            self.write(path, "");
        }
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            let guest = format!("target/{}-unknown-linux-musl/guest/echora-firstboot", architecture.name());
            self.write(&guest, "");
            self.images(architecture);
        }
        symlink(root().join("tools"), self.at("tools")).expect("it is new");
    }

    /// `images-ARCHITECTURE.toml`, with container images that hold nothing.
    fn images(&self, architecture: Architecture) {
        let (name, config) = (architecture.name(), "0".repeat(64));
        self.write("manifest.json", &format!(r#"[{{"Config": "blobs/sha256/{config}"}}]"#));
        let about = json!({"architecture": architecture.image_name()});
        self.write(&format!("blobs/sha256/{config}"), &about.to_string());
        let mut tar = std::process::Command::new("tar");
        tar.current_dir(self.at("")).args(["-cf", &format!("{name}.tar"), "manifest.json", "blobs"]);
        assert!(tar.status().expect("tar is installed").success());
        let images =
            ["postgres", "caddy", "backend"].map(|image| format!("[{image}]\narchive = \"{name}.tar\"\n"));
        self.write(&format!("images-{name}.toml"), &images.concat());
    }

    /// What the build for one provider does, as a shell script.
    pub(crate) fn does(&self, id: &str, script: &str) {
        self.write(&format!("packer/generated/{id}/does"), script);
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    }

    /// `build` for these accounts, side by side.
    pub(crate) fn build(&self, accounts: &[&Played]) -> Command {
        let mut command = self.tool();
        command.arg("build").args(accounts.iter().map(|account| &account.id));
        command.args(["--images", "images-x86_64.toml", "--frontend", "frontend"]);
        command
    }

    /// The tool in the checkout, with the way to all accounts.
    pub(crate) fn tool(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_echora-images"));
        command.current_dir(self.at(""));
        for account in &self.accounts {
            command.envs(account.api.environment().expect("it is whole"));
        }
        let path = std::env::var("PATH").expect("it is set");
        command.env("PATH", format!("{}:{path}", self.at("bin").display()));
        command.env("NO_PROXY", "127.0.0.1").env("CARGO_TARGET_DIR", self.at("target"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// The records that builds left, with their providers.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let folders = fs::read_dir(self.at("build")).into_iter().flatten().flatten();
        let records = folders.map(|folder| folder.path().join("record.json"));
        let mut providers: Vec<String> = records.filter_map(|record| provider_of(&record)).collect();
        providers.sort();
        providers.dedup();
        providers
    }
}

fn provider_of(record: &Path) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(record).ok()?).ok()?;
    record["provider"].as_str().map(str::to_owned)
}
