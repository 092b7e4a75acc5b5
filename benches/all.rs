//! `build` for several providers against the slowest of them alone: what the tool adds to waiting. The accounts are played,
//! the builder is a stand-in that waits as long as a build takes, a hundred times as fast. Vendors' plugins wait just so.
//!
//! `cargo bench --bench all` prints both times and their ratio, which is to be 1.15 at most.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use echora_rehearsal::api::{Api, Nothing, Options, Token};
use provider_profiles::Catalog;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

const TOKEN: &str = "token-of-a-bench";
const SPEED: f64 = 100.0;
/// Builds of a quarter of an hour, each some minutes longer than the one before.
const SECONDS: (usize, usize) = (900, 180);
const RUNS: usize = 3;
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
  sleep "$(cat "$last/seconds")"
  echo linux 6 >"$(field packages)"
  echo '{"builds": [{"artifact_id": "1"}]}' >"$(field manifest)"
  ;;
esac
"#;

struct Played {
    id: String,
    api: Api,
}

/// The accounts that the environment can lead to.
async fn accounts() -> Vec<Played> {
    let mut accounts = Vec::new();
    for entry in Catalog::embedded().expect("the profiles are whole").iter() {
        let id = entry.profile.id.clone();
        let simulator = Catalog::simulator(&id).expect("the descriptions are whole");
        let has_endpoint = entry.profile.api.as_ref().is_some_and(|api| api.endpoint.is_some());
        let (true, Some(simulator)) = (has_endpoint, simulator) else {
            println!("{id}: not measured, the environment cannot lead to its played account");
            continue;
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let tokens = vec![Token { value: TOKEN.into(), read_only: false, scopes: Vec::new() }];
        let options = Options { tokens, speed: SPEED, requests: None };
        let api = Api::serve(simulator, listener, &url, &options, Arc::new(Nothing)).expect("it serves");
        accounts.push(Played { id, api });
    }
    accounts
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
    fs::write(path, text).expect("it can be written");
}

/// A checkout with all that a build takes from one.
fn checkout(accounts: &[Played]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |path: &str| folder.path().join(path);
    write(&at("bin/packer"), BUILDER);
    fs::set_permissions(at("bin/packer"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    for (number, account) in accounts.iter().enumerate() {
        let seconds = SECONDS.0 + number * SECONDS.1;
        let scaled = format!("{}.{:02}\n", seconds / 100, seconds % 100);
        write(&at(&format!("packer/generated/{}/seconds", account.id)), &scaled);
    }
    for (path, text) in [
        ("packer/scripts/none", ""),
        ("frontend/index.html", ""),
        ("target/x86_64-unknown-linux-musl/guest/echora-firstboot", ""),
        ("firstboot/stack/none", ""),
    ] {
        write(&at(path), text);
    }
    let config = "0".repeat(64);
    write(&at("manifest.json"), &format!(r#"[{{"Config": "blobs/sha256/{config}"}}]"#));
    write(&at(&format!("blobs/sha256/{config}")), r#"{"architecture": "amd64"}"#);
    let mut tar = std::process::Command::new("tar");
    let packed = tar
        .arg("-C")
        .arg(folder.path())
        .arg("-cf")
        .arg(at("image.tar"))
        .args(["manifest.json", "blobs"])
        .status();
    assert!(packed.expect("tar is installed").success());
    let images = ["postgres", "caddy", "backend"].map(|name| format!("[{name}]\narchive = \"image.tar\"\n"));
    write(&at("images.toml"), &images.concat());
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"), at("tools")).expect("it is new");
    folder
}

/// Wall-clock seconds of `build` for these accounts.
async fn measure(checkout: &Path, accounts: &[&Played]) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echora-images"));
    command.arg("build").args(accounts.iter().map(|account| &account.id));
    command.args(["--images", "images.toml", "--frontend", "frontend"]).current_dir(checkout);
    for account in accounts {
        command.envs(account.api.environment().expect("it is whole"));
    }
    let path = format!("{}:{}", checkout.join("bin").display(), std::env::var("PATH").expect("it is set"));
    command.env("PATH", path).env("NO_PROXY", "127.0.0.1").env("CARGO_TARGET_DIR", checkout.join("target"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let output = command.output().await.expect("the tool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let accounts = accounts().await;
    let folder = checkout(&accounts);
    let all: Vec<&Played> = accounts.iter().collect();
    let slowest = *all.last().expect("an API is described");
    for run in 1..=RUNS {
        let alone = measure(folder.path(), &[slowest]).await;
        let together = measure(folder.path(), &all).await;
        let ratio = together / alone;
        println!(
            "run {run}: slowest alone {alone:.2} s, {} together {together:.2} s, ratio {ratio:.3}",
            all.len()
        );
    }
}
