//! How deep a rehearsal goes: with a Packer that has a plugin, can get one, or cannot. The Packer is a script.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use echora_rehearsal::cache::Cache;
use echora_rehearsal::depth::Depth;
use echora_rehearsal::tools::{self, Tool};
use provider_profiles::{Catalog, Entry};
use tempfile::TempDir;

/// What the script does for `packer plugins installed` and `packer init`; both are told `$NAME`, a plugin's program.
const PACKER: &str = r#"#!/bin/sh
echo "$1" >>"$(dirname "$0")/journal"
NAME="PLUGIN_x5.0_linux_amd64"
case $1 in
plugins) INSTALLED ;;
init) INIT ;;
*) exit 64 ;;
esac
"#;

struct Rig {
    folder: TempDir,
    entry: Entry,
}

impl Rig {
    /// A provider whose API is described and whose plugin is not pinned, with a Packer that answers like this.
    fn new(installed: &str, init: &str) -> Self {
        let is_free = |entry: &&Entry| {
            let name = format!("packer-plugin-{}", entry.profile.packer.plugin.name);
            let described = Catalog::simulator(&entry.profile.id).unwrap().is_some();
            described && !tools::is_pinned(root(), &name).unwrap()
        };
        let entry = Catalog::embedded().unwrap().iter().find(is_free).unwrap().clone();
        let plugin = &entry.profile.packer.plugin;
        let program = format!("{}/packer-plugin-{}_v99.0.0", plugin.source, plugin.name);
        let folder = tempfile::tempdir().unwrap();
        let script = PACKER.replace("PLUGIN", &program).replace("INSTALLED", installed).replace("INIT", init);
        fs::write(folder.path().join("packer"), script).unwrap();
        fs::set_permissions(folder.path().join("packer"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, entry }
    }

    async fn depth(&self) -> Depth {
        let path = self.folder.path();
        let packer = Tool {
            path: path.join("packer"),
            version: "1.16.0".into(),
            how: "a script".into(),
            reused: true,
        };
        let cache = Cache::at(path.join("cache"));
        Depth::greatest(&self.entry, &cache, root(), &packer, "packer {}", path).await.unwrap()
    }

    fn calls(&self, name: &str) -> usize {
        let journal = fs::read_to_string(self.folder.path().join("journal")).unwrap();
        journal.lines().filter(|line| *line == name).count()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn real(depth: Depth) -> (PathBuf, String, String) {
    match depth {
        Depth::Api(real) => (real.plugin.folder, real.plugin.version, real.plugin.how),
        Depth::Machine(why) => panic!("fell back: {why}"),
    }
}

#[tokio::test]
async fn a_plugin_of_the_users_own_is_taken() {
    let rig = Rig::new("echo /home/me/plugins/$NAME", "exit 1");
    let (folder, version, how) = real(rig.depth().await);
    assert_eq!((folder.to_str(), version.as_str()), (Some("/home/me/plugins"), "99.0.0"));
    assert_eq!(how, "installed in /home/me/plugins");
    assert_eq!(rig.calls("init"), 0, "what is there was got again");
}

#[tokio::test]
async fn a_plugin_that_packer_can_get_is_kept() {
    let rig = Rig::new(
        "[ -z \"$PACKER_PLUGIN_PATH\" ] || find \"$PACKER_PLUGIN_PATH\" -name 'packer-plugin-*'",
        "mkdir -p \"$(dirname \"$PACKER_PLUGIN_PATH/$NAME\")\" && : >\"$PACKER_PLUGIN_PATH/$NAME\"",
    );
    let (first, _, how) = real(rig.depth().await);
    assert!(first.starts_with(rig.folder.path().join("cache")), "{}", first.display());
    assert_eq!(how, "by packer init");
    assert_eq!(real(rig.depth().await).0, first);
    assert_eq!(rig.calls("init"), 1, "what was got is got again");
}

#[tokio::test]
async fn a_plugin_that_cannot_be_had_is_a_reason_to_fall_back() {
    let rig =
        Rig::new("true", "printf 'Failed getting it:\\n1 error occurred:\\n\\t* no such host\\n'; exit 1");
    let Depth::Machine(why) = rig.depth().await else { panic!("there is no plugin") };
    let source = &rig.entry.profile.packer.plugin.source;
    assert!(why.contains(source) && why.ends_with(": no such host"), "{why}");
}
