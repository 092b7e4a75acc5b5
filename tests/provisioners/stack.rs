//! Images, stack, web server and first boot: what is checked before it goes in, and with which modes it lies there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::machine::{Machine, NAMES, checkout, mode, set_mode, write};

const CONFIG: &str = r#"{"os":"linux"}"#;

fn machine(images: &Value) -> Machine {
    let machine = Machine::clean();
    machine.state("docker/images", "");
    let payload = machine.payload();
    write(&payload.join("images.json"), &images.to_string());
    for folder in ["", "firewall"] {
        for file in fs::read_dir(checkout("firstboot/stack").join(folder)).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                let to = payload.join("stack").join(folder).join(file.file_name().unwrap());
                write(&to, &fs::read_to_string(file).unwrap());
                // As a checkout on a file system without modes has them.
                set_mode(&to, 0o777);
            }
        }
    }
    write(&payload.join("frontend/assets/app.js"), "");
    write(&payload.join("frontend/index.html"), "");
    set_mode(&payload.join("frontend/index.html"), 0o600);
    set_mode(&payload.join("frontend/assets"), 0o700);
    write(&payload.join("bin/echora-firstboot"), "#!/bin/sh\necho \"echora-firstboot $*\"\n");
    write(&payload.join("provider.toml"), "id = \"example\"\n");
    archive(&payload.join("images"));
    machine
}

/// An archive as `docker save` writes it, without layers.
fn archive(folder: &Path) {
    write(&folder.join("config.json"), CONFIG);
    write(&folder.join("manifest.json"), r#"[{"Config":"config.json","RepoTags":[],"Layers":[]}]"#);
    let run = Command::new("tar")
        .current_dir(folder)
        .args(["-cf", "a.tar", "config.json", "manifest.json"])
        .status();
    assert!(run.unwrap().success());
}

fn in_archive(digest: &str) -> Value {
    json!([{"name": "a", "tag": "echora/a:installed", "reference": null, "archive": "images/a.tar", "digest": digest}])
}

fn by_reference(reference: &str) -> Value {
    json!([{"name": "b", "tag": "echora/b:installed", "reference": reference, "archive": null, "digest": null}])
}

#[test]
fn an_archive_is_loaded_under_its_local_tag() {
    let machine = machine(&in_archive(&format!("sha256:{:x}", Sha256::digest(CONFIG))));
    let run = machine.run("02-echora.sh");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(machine.read_state("docker/images"), "echora/a:installed\n");
}

#[test]
fn an_archive_with_another_image_in_it_is_refused_before_docker_sees_it() {
    let machine = machine(&in_archive(&format!("sha256:{}", "0".repeat(64))));
    let run = machine.run("02-echora.sh");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.starts_with("a: images/a.tar holds sha256:"), "{run:?}");
    assert!(!machine.read_state("calls").contains("docker"), "{run:?}");
}

#[test]
fn a_reference_is_pulled_by_its_digest_and_never_without() {
    let reference = format!("registry.example/b@sha256:{}", "1".repeat(64));
    let pulled = machine(&by_reference(&reference));
    let run = pulled.run("02-echora.sh");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(pulled.read_state("calls").contains(&format!("docker pull --quiet {reference}\n")));
    assert_eq!(pulled.read_state("docker/images"), "echora/b:installed\n");

    let run = machine(&by_reference("registry.example/b:latest")).run("02-echora.sh");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.starts_with("b: neither an archive nor a reference with a digest\n"), "{run:?}");
}

#[test]
fn no_image_at_all_is_an_error() {
    assert_eq!(machine(&json!([])).run("02-echora.sh").code, Some(1));
}

#[test]
fn the_stack_lies_there_with_its_own_modes_and_without_leftovers() {
    let machine = machine(&in_archive(&format!("sha256:{:x}", Sha256::digest(CONFIG))));
    machine.write("/opt/echora/frontend/old.js", "");
    for script in ["02-echora.sh", "03-caddy.sh", "04-firstboot.sh"] {
        let run = machine.run(script);
        assert_eq!(run.code, Some(0), "{script}: {run:?}");
    }
    for (path, expected) in [
        ("/opt/echora/compose.yaml", 0o644),
        ("/opt/echora/Caddyfile", 0o644),
        ("/opt/echora/frontend/index.html", 0o644),
        ("/opt/echora/frontend/assets", 0o755),
        ("/opt/echora/frontend/assets/app.js", 0o644),
        ("/opt/echora/backups", 0o700),
        ("/var/lib/echora", 0o700),
        ("/usr/local/bin/echora-firstboot", 0o755),
        ("/etc/echora/provider.toml", 0o644),
        ("/etc/systemd/system/echora-firstboot.service", 0o644),
        ("/etc/systemd/system/echora-climb.service", 0o644),
        ("/var/lib/cloud/scripts/per-instance/001_onboot", 0o755),
        ("/etc/update-motd.d/90-echora", 0o755),
        ("/etc/sysctl.d/50-echora-ports.conf", 0o644),
        // As ufw ships them.
        ("/etc/ufw/after.rules", 0o640),
    ] {
        assert_eq!(mode(&machine.root(path)), expected, "{path}");
    }
    assert!(!machine.root("/opt/echora/frontend/old.js").exists());
    for name in NAMES {
        let target = fs::read_link(machine.root("/usr/local/bin").join(name)).unwrap();
        assert_eq!(target.to_str(), Some("echora-firstboot"), "{name}");
    }
    let calls = machine.read_state("calls");
    assert!(calls.contains("systemctl enable echora-firstboot.service echora-climb.service\n"), "{calls}");
}

#[test]
fn the_rules_of_the_firewall_stand_behind_its_own_once() {
    let machine = machine(&json!([]));
    machine.write("/etc/ufw/after.rules", "# of the distribution\n*filter\nCOMMIT\n");
    for _ in 0..2 {
        let run = machine.run("04-firstboot.sh");
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let rules = fs::read_to_string(machine.root("/etc/ufw/after.rules")).unwrap();
    assert!(rules.starts_with("# of the distribution\n*filter\nCOMMIT\n# BEGIN echora\n"), "{rules}");
    assert_eq!(rules.matches("-A DOCKER-USER -j DROP").count(), 1, "{rules}");
    assert_eq!(machine.read_state("calls").matches("ufw reload\n").count(), 2);
}

#[test]
fn a_bad_caddyfile_fails_the_build() {
    let machine = machine(&json!([]));
    machine.state("docker/refuses-caddyfile", "");
    let run = machine.run("03-caddy.sh");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.starts_with("error: echora/caddy:installed refuses the Caddyfile\n"), "{run:?}");
    let calls = machine.read_state("calls");
    assert!(calls.contains("docker run --rm --network none "), "{calls}");
}

#[test]
fn compose_is_tried_with_every_variable_that_it_insists_on() {
    let machine = machine(&json!([]));
    write(
        &machine.root("/opt/echora/compose.yaml"),
        "a: ${ONE:?missing}${ONE:?}\nb: ${TWO?}\nc: ${THREE:-3}\n",
    );
    let run = machine.run("04-firstboot.sh");
    assert_eq!((run.code, run.out.as_str()), (Some(0), "echora-firstboot --version\n"), "{run:?}");
    assert_eq!(machine.read_state("docker/trial.env"), "ONE=trial\nTWO=trial\n");
    assert_eq!(fs::read_to_string(machine.payload().join("packages.txt")).unwrap(), "sh 1.0\n");

    machine.state("docker/refuses-compose", "");
    assert_eq!(machine.run("04-firstboot.sh").code, Some(1));
}

#[test]
fn a_binary_that_does_not_run_here_fails_the_build() {
    let machine = machine(&json!([]));
    write(&machine.payload().join("bin/echora-firstboot"), "#!/bin/sh\nexit 126\n");
    let run = machine.run("04-firstboot.sh");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.starts_with("error: echora-firstboot does not run here\n"), "{run:?}");
}
