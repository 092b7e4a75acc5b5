//! What is committed is what the profiles say, and the real Packer takes it.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use echora_images::render;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::tools;
use provider_profiles::Catalog;
use support::{program, root, run, stderr, stdout};

#[test]
fn the_committed_files_are_current_and_nothing_else_lies_there() {
    let output = run(&["generate", "--check"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let catalog = Catalog::embedded().unwrap();
    let folders: BTreeSet<_> = fs::read_dir(root().join("packer/generated"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, catalog.ids().map(str::to_owned).collect());
}

#[test]
fn a_stale_file_is_shown_and_named() {
    let out = tempfile::tempdir().unwrap();
    let generate = |arguments: &[&str]| {
        program().args(["generate", "--out"]).arg(out.path()).args(arguments).output().unwrap()
    };
    assert!(generate(&[]).status.success());
    let id = support::default_provider();
    let file = out.path().join(&id).join("build.pkr.hcl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("sources", "source")).unwrap();
    fs::write(out.path().join(&id).join("stray.pkr.hcl"), "").unwrap();
    let output = generate(&["--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("+  sources = ["), "{}", stdout(&output));
    assert!(stderr(&output).contains("make generate"), "{}", stderr(&output));
    assert!(generate(&[]).status.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(!out.path().join(&id).join("stray.pkr.hcl").exists());
}

#[test]
fn a_rehearsal_differs_in_the_sources_line_only() {
    for entry in Catalog::embedded().unwrap().iter() {
        let (real, rehearsal) =
            (render::provider(&entry.profile).unwrap(), render::rehearsal(&entry.profile).unwrap());
        assert_eq!(real["build.pkr.hcl"].lines().count(), rehearsal["build.pkr.hcl"].lines().count());
        let differing: Vec<_> = real["build.pkr.hcl"]
            .lines()
            .zip(rehearsal["build.pkr.hcl"].lines())
            .filter(|(one, two)| one != two)
            .collect();
        let source = format!("    \"source.{}.echora\"", entry.profile.packer.builder);
        assert_eq!(differing, [(source.as_str(), "    \"source.null.echora\"")]);
        for same in ["variables.pkr.hcl", "provider.toml"] {
            assert_eq!(real[same], rehearsal[same]);
        }
    }
}

#[test]
fn tokens_are_sensitive_and_come_from_the_environment() {
    for entry in Catalog::embedded().unwrap().iter() {
        let files = render::provider(&entry.profile).unwrap();
        let body: hcl::Body = hcl::parse(&files["variables.pkr.hcl"]).unwrap();
        let token =
            body.blocks().find(|block| block.labels().iter().any(|label| label.as_str() == "token")).unwrap();
        let attribute =
            |name: &str| token.body().attributes().find(|a| a.key() == name).unwrap().expr().to_string();
        assert_eq!(attribute("sensitive"), "true");
        assert_eq!(attribute("default"), format!("env(\"{}\")", entry.profile.packer.token.environment));
    }
}

/// The rehearsal's template needs no plugin: it is validated whole.
#[tokio::test]
async fn packer_validates_the_rehearsal() {
    let tool = tools::obtain(&Cache::user().unwrap(), root(), "packer").await.expect("packer can be had");
    for entry in Catalog::embedded().unwrap().iter() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in render::rehearsal(&entry.profile).unwrap() {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let payload = folder.path().join("echora-payload");
        fs::create_dir(&payload).unwrap();
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let variable = |name: &str, value: &std::path::Path| format!("-var={name}={}", value.display());
        let mut command = Command::new(&tool.path);
        command.env("CHECKPOINT_DISABLE", "1").arg("validate").arg("-var=ssh_host=203.0.113.7");
        command.arg(variable("payload", &payload)).arg(variable("scripts", &root().join("packer/scripts")));
        let output = command.arg(variable("ssh_private_key_file", &key)).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}: {}{}", entry.profile.id, stdout(&output), stderr(&output));
    }
}
