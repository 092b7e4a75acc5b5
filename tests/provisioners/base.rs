//! The base system: what is refused, what is installed, and what is the same after a second run.

use std::fs;

use crate::machine::{Machine, Run, checkout};

fn machine(os_release: &str) -> Machine {
    let machine = Machine::clean();
    machine.write("/etc/os-release", os_release);
    machine.write(
        "/etc/default/grub",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"console=tty1 console=ttyS0\"\n",
    );
    machine.write("/boot/grub/grub.cfg", "");
    machine
}

fn debian() -> Machine {
    machine("ID=debian\nVERSION_ID=\"13\"\n")
}

/// The kernel lines of the boot menu, without those for recovery.
fn kernels(machine: &Machine) -> Vec<String> {
    let menu = fs::read_to_string(machine.root("/boot/grub/grub.cfg")).unwrap();
    menu.lines().filter(|line| !line.contains(" single ")).map(str::to_owned).collect()
}

fn done(run: &Run) {
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn other_systems_are_refused_before_anything_is_done() {
    for (os, name) in [
        ("ID=debian\nVERSION_ID=\"12\"", "debian 12"),
        ("ID=fedora\nVERSION_ID=42", "fedora 42"),
        ("ID=debian", "debian "),
    ] {
        let machine = machine(os);
        let run = machine.run("01-base.sh");
        assert_eq!(run.code, Some(3), "{run:?}");
        let expected = "hint: build on Debian 13 or Ubuntu 24.04: choose another base image\n";
        assert_eq!(run.err, format!("error: this system is {name}\n{expected}"));
        assert_eq!(machine.read_state("calls"), "");
    }
}

#[test]
fn each_system_gets_its_own_packages() {
    let both = "apparmor ufw unattended-upgrades curl ca-certificates";
    for (os, engine) in [
        ("ID=debian\nVERSION_ID=\"13\"", "docker.io docker-cli docker-compose"),
        ("ID=ubuntu\nVERSION_ID=\"24.04\"", "docker.io docker-compose-v2"),
    ] {
        let machine = machine(os);
        done(&machine.run("01-base.sh"));
        let calls = machine.read_state("calls");
        assert!(calls.contains(&format!("install --no-install-recommends {engine} {both}\n")), "{calls}");
        for call in calls.lines().filter(|call| call.starts_with("apt-get")) {
            assert!(call.contains("DPkg::Lock::Timeout=300") && call.contains("--force-confdef"), "{call}");
        }
    }
}

#[test]
fn cloud_init_may_end_with_warnings_but_not_with_an_error() {
    for (code, expected) in [("0", 0), ("2", 0), ("1", 1)] {
        let machine = debian();
        machine.state("cloud-init", code);
        let run = machine.run("01-base.sh");
        assert_eq!(run.code, Some(expected), "{run:?}");
        assert_eq!(machine.read_state("calls").contains("apt-get"), expected == 0, "{run:?}");
    }
}

#[test]
fn a_kernel_argument_is_there_once_however_often_the_script_runs() {
    let machine = debian();
    for _ in 0..2 {
        done(&machine.run_with("01-base.sh", &[("ECHORA_KERNEL_ARGUMENTS", "hosted net.ifnames=0")]));
        let kernels = kernels(&machine);
        let ending = " console=tty1 console=ttyS0 quiet hosted net.ifnames=0";
        assert!(kernels.iter().all(|line| line.ends_with(ending)), "{kernels:?}");
        assert_eq!(kernels.len(), 2);
    }
}

#[test]
fn a_kernel_argument_of_the_base_image_is_not_repeated() {
    let machine = debian();
    machine
        .write("/etc/default/grub.d/50-cloud.cfg", "GRUB_CMDLINE_LINUX_DEFAULT=\"hosted console=ttyS0\"\n");
    done(&machine.run("01-base.sh"));
    let kernels = kernels(&machine);
    assert!(kernels.iter().all(|line| line.matches("hosted").count() == 1), "{kernels:?}");
    let run = machine.run("verify.sh");
    assert!(!run.err.contains("kernel argument"), "{run:?}");
}

#[test]
fn without_kernel_arguments_the_boot_menu_is_left_alone() {
    let machine = debian();
    done(&machine.run_with("01-base.sh", &[("ECHORA_KERNEL_ARGUMENTS", "")]));
    assert!(!machine.read_state("calls").contains("update-grub"));
}

#[test]
fn unwanted_packages_are_purged_only_where_they_are() {
    let machine = debian();
    done(&machine.run("01-base.sh"));
    assert!(!machine.read_state("calls").contains("purge host"));
    machine.state("packages", "installed sh 1\ninstalled host-agent 3\nconfig-files host-agent-old 2\nnot-installed host-agents 0\n");
    done(&machine.run("01-base.sh"));
    let calls = machine.read_state("calls");
    assert!(calls.contains("purge host-agent host-agent-old\n"), "{calls}");
}

#[test]
fn docker_is_restarted_for_a_new_configuration_only() {
    let machine = debian();
    done(&machine.run("01-base.sh"));
    done(&machine.run("01-base.sh"));
    assert_eq!(machine.read_state("calls").matches("systemctl restart docker.service").count(), 1);
    let settings = fs::read_to_string(machine.root("/etc/docker/daemon.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(settings["log-opts"]["max-size"], "10m");
}

#[test]
fn no_log_grows_without_an_end() {
    let machine = debian();
    done(&machine.run("01-base.sh"));
    let read = |path: &str| fs::read_to_string(machine.root(path)).unwrap();
    let docker: serde_json::Value = serde_json::from_str(&read("/etc/docker/daemon.json")).unwrap();
    let options = &docker["log-opts"];
    assert_eq!(
        (&docker["log-driver"], &options["max-size"], &options["max-file"]),
        (&"local".into(), &"10m".into(), &"3".into())
    );
    // A service's own setting would be in the place of that one.
    let stack = fs::read_to_string(checkout("firstboot/stack/compose.yaml")).unwrap();
    assert!(!stack.contains("logging:") && !stack.contains("log_driver"), "{stack}");
    let journal = read("/etc/systemd/journald.conf.d/50-echora.conf");
    assert!(journal.lines().any(|line| line == "SystemMaxUse=200M"), "{journal}");
}

#[test]
fn the_firewall_lets_in_what_the_app_needs_and_is_then_turned_on() {
    let machine = debian();
    done(&machine.run("01-base.sh"));
    let calls = machine.read_state("calls");
    let rules: Vec<_> = calls.lines().filter_map(|call| call.strip_prefix("ufw ")).collect();
    let allowed: Vec<_> = rules.iter().filter_map(|rule| rule.strip_prefix("allow ")).collect();
    assert_eq!(allowed, ["80/tcp", "443/tcp", "443/udp", "10000:59999/udp"]);
    assert!(rules.contains(&"limit 22/tcp") && rules.contains(&"default deny incoming"), "{rules:?}");
    assert_eq!(rules.last(), Some(&"--force enable"));
}
