//! The real Packer takes every template; with the provider's real plugin where that is pinned in tools/ or installed.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use echora_rehearsal::cache::Cache;
use echora_rehearsal::{plugins, tools};
use provider_profiles::{Catalog, Credential, Entry};
use support::{root, stderr, stdout};
use tempfile::TempDir;

/// Packer with a home and a folder of plugins of its own.
struct Packer {
    program: PathBuf,
    home: TempDir,
}

impl Packer {
    /// With those plugins that tools/ pins.
    async fn with_pinned_plugins() -> Self {
        let cache = Cache::user().unwrap();
        let program = tools::obtain(&cache, root(), "packer").await.expect("packer can be had").path;
        let packer = Self { program, home: tempfile::tempdir().unwrap() };
        for entry in Catalog::embedded().unwrap().iter() {
            let plugin = &entry.profile.packer.plugin;
            if let Some(tool) =
                plugins::pinned(&cache, root(), plugin).await.expect("a pinned plugin can be had")
            {
                plugins::install(&packer.program, plugin, &tool.path, &packer.plugins()).await.unwrap();
            }
        }
        packer
    }

    fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("CHECKPOINT_DISABLE", "1").env("HOME", self.home.path());
        command.env("PACKER_PLUGIN_PATH", self.plugins());
        command
    }

    fn plugins(&self) -> PathBuf {
        self.home.path().join("plugins")
    }

    /// The same, with the plugins that this machine's user has.
    fn of_user(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("CHECKPOINT_DISABLE", "1");
        command
    }

    /// Validates a provider's template as a maintainer with an account would.
    fn validate(&self, mut command: Command, entry: &Entry, architecture: &str) -> Output {
        let packer = &entry.profile.packer;
        let payload = self.home.path().join("echora-payload");
        fs::create_dir_all(&payload).unwrap();
        command.env(&packer.token.environment, self.credential(packer.token.holds));
        for setting in packer.account.values() {
            command.env(&setting.environment, "given");
        }
        command.arg("validate").arg(format!("-var=architecture={architecture}"));
        command.arg(format!("-var=payload={}", payload.display()));
        command.arg(template(entry)).output().unwrap()
    }

    fn credential(&self, kind: Credential) -> String {
        match kind {
            Credential::Token => "given".to_owned(),
            Credential::KeyFile => {
                let file = self.home.path().join("key.pem");
                if !file.exists() {
                    let mut keygen = Command::new("ssh-keygen");
                    keygen.args(["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"]);
                    assert!(keygen.arg(&file).status().unwrap().success());
                }
                file.display().to_string()
            }
        }
    }
}

fn template(entry: &Entry) -> PathBuf {
    root().join("packer/generated").join(&entry.profile.id)
}

fn lists(mut command: Command, entry: &Entry) -> bool {
    let output = command.args(["plugins", "installed"]).output().unwrap();
    stdout(&output).contains(&format!("packer-plugin-{}_", entry.profile.packer.plugin.name))
}

#[tokio::test]
async fn packer_takes_every_template_with_the_plugins_that_are_there() {
    let packer = Packer::with_pinned_plugins().await;
    let output = packer
        .command(&["fmt", "-check", "-diff", "-recursive"].map(OsStr::new))
        .arg(root().join("packer/generated"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
    let mut whole = 0;
    for entry in Catalog::embedded().unwrap().iter() {
        let id = &entry.profile.id;
        let command: Option<&dyn Fn() -> Command> = if lists(packer.command(&[]), entry) {
            Some(&|| packer.command(&[]))
        } else if lists(packer.of_user(), entry) {
            Some(&|| packer.of_user())
        } else {
            None
        };
        let Some(command) = command else {
            println!("{id}: syntax only, no plugin here");
            let words = ["validate", "-syntax-only"].map(OsStr::new);
            let output = packer.command(&words).arg(template(entry)).output().unwrap();
            assert!(output.status.success(), "{id}: {}{}", stdout(&output), stderr(&output));
            continue;
        };
        whole += 1;
        for base in entry.profile.default_bases() {
            let architecture = base.architecture.name();
            println!("{id} {architecture}: validated with its plugin");
            let output = packer.validate(command(), entry, architecture);
            assert!(output.status.success(), "{id} {architecture}: {}{}", stdout(&output), stderr(&output));
        }
    }
    assert!(whole > 0, "no plugin is there, not even a pinned one");
}
