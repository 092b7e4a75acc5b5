//! The clean-up removes every planted trace, keeps what the image is for, and may run twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::defects::{LEFT, LEFT_FILES, LEFT_IN_HOMES};
use crate::machine::{Machine, checkout, mode, set_mode};

fn used() -> Machine {
    let machine = Machine::clean();
    for (_, plant) in LEFT {
        plant(&machine);
    }
    for (_, path) in LEFT_FILES.iter().chain(&LEFT_IN_HOMES) {
        machine.write(path, "left\n");
    }
    set_mode(&machine.root("/etc/shadow"), 0o640);
    fs::remove_file(machine.root("/etc/systemd/system/multi-user.target.wants/echora-ssh-host-keys.service"))
        .unwrap();
    machine
}

/// Every path below the root with its content.
fn content(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            content(&path, into);
        }
        into.insert(path.clone(), fs::read(&path).unwrap_or_default());
    }
}

#[test]
fn everything_planted_is_removed_and_the_image_keeps_its_parts() {
    let machine = used();
    assert_eq!(machine.run("verify.sh").code, Some(5));
    let run = machine.run("99-cleanup.sh");
    assert_eq!(run.code, Some(0), "{run:?}");
    // Also asserts that the hook, the binary, the units and the images are still there.
    let run = machine.run("verify.sh");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    for kept in ["/root/.bashrc", "/root/.ssh", "/var/log/apt", "/var/lib/apt/lists/partial"] {
        assert!(machine.root(kept).exists(), "{kept}");
    }
    assert!(fs::read_to_string(machine.root("/etc/fstab")).unwrap().contains("LABEL=root / ext4"));
    assert_eq!(mode(&machine.root("/etc/shadow")), 0o640);
}

#[test]
fn a_second_run_changes_nothing() {
    let machine = used();
    assert_eq!(machine.run("99-cleanup.sh").code, Some(0));
    let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
    content(&machine.root("/"), &mut first);
    let run = machine.run("99-cleanup.sh");
    assert_eq!(run.code, Some(0), "{run:?}");
    content(&machine.root("/"), &mut second);
    assert_eq!(first, second);
}

#[test]
fn the_running_script_and_the_connection_stay() {
    let machine = used();
    let script = machine.root("/tmp/script_1234.sh");
    fs::copy(checkout("packer/scripts/99-cleanup.sh"), &script).unwrap();
    machine.write("/tmp/systemd-private-1-app/tmp/x", "x");
    let run = machine.run_file(&script, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(script.exists() && machine.root("/tmp/systemd-private-1-app/tmp/x").exists());
    let calls = machine.read_state("calls");
    for unit in ["ssh", "networkd", "docker"] {
        let touched = calls
            .lines()
            .any(|c| c.starts_with("systemctl ") && c.contains(unit) && !c.contains("enable echora-"));
        assert!(!touched, "{unit}\n{calls}");
    }
    assert!(!calls.contains("cloud-init"), "{calls}");
}

#[test]
fn what_would_write_again_is_stopped_before_anything_is_removed() {
    let machine = used();
    assert_eq!(machine.run("99-cleanup.sh").code, Some(0));
    let calls = machine.read_state("calls");
    let place =
        |call: &str| calls.lines().position(|line| line == call).unwrap_or_else(|| panic!("{call}\n{calls}"));
    let removed = place("docker system prune --force");
    for call in [
        "systemctl stop unattended-upgrades.service",
        "systemctl stop rsyslog.service",
        "systemctl stop systemd-random-seed.service",
        "journalctl --relinquish-var",
    ] {
        assert!(place(call) < removed, "{calls}");
    }
    let unit = fs::read_to_string(machine.root("/etc/systemd/system/echora-ssh-host-keys.service")).unwrap();
    assert!(unit.contains("\nConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key\n"), "{unit}");
}

#[test]
fn the_door_is_closed_last() {
    let script = fs::read_to_string(checkout("packer/scripts/99-cleanup.sh")).unwrap();
    let steps: Vec<_> = script.lines().rev().take(3).collect();
    assert_eq!(steps, ["shrink", "close_the_door", "clean_temporary"]);
}

#[test]
fn the_payload_is_removed_wherever_it_is() {
    let machine = used();
    machine.write("/srv/echora-payload/images.json", "[]");
    let run = machine.run_with("99-cleanup.sh", &[("ECHORA_PAYLOAD", "/srv/echora-payload")]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!machine.root("/srv/echora-payload").exists());
}

#[test]
fn free_space_is_zeroed_and_given_back_where_the_provider_wants_it() {
    let machine = used();
    let run = machine.run_with("99-cleanup.sh", &[("ECHORA_ZERO_FILL", "1"), ("ECHORA_TRIM", "1")]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let calls = machine.read_state("calls");
    let done: Vec<_> = calls
        .lines()
        .filter(|c| c.starts_with("dd ") || c.starts_with("fstrim ") || c.starts_with("sync"))
        .collect();
    assert!(
        matches!(done[..], [dd, _, "fstrim --all", _] if dd.starts_with("dd if=/dev/zero of=")),
        "{done:?}"
    );
    assert!(!machine.root("/var/tmp/zeros").exists());

    let machine = used();
    assert_eq!(machine.run("99-cleanup.sh").code, Some(0));
    assert!(!machine.read_state("calls").contains("dd ") && !machine.read_state("calls").contains("fstrim"));
}

#[test]
fn without_packers_environment_nothing_is_touched() {
    let machine = used();
    let run = machine.run_with("99-cleanup.sh", &[("ECHORA_PAYLOAD", "")]);
    assert_ne!(run.code, Some(0));
    assert!(
        machine.root("/root/.ssh/authorized_keys").exists() && machine.read_state("calls").is_empty(),
        "{run:?}"
    );
}
