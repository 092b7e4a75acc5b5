//! The ways in which a buyer's settings reach the real binary: command line, file, metadata service, environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use provider_profiles::{Catalog, Entry, InputSource};

use crate::support::checks::{CREDENTIALS, STATE, assert_is_set_up};
use crate::support::http::Answer;
use crate::support::machine::{Machine, Run};
use crate::support::names::Internet;

const KEPT: &str = "/var/lib/echora/settings.toml";

/// A machine of a provider that hands settings in this way.
fn machine_with(way: fn(&InputSource) -> bool) -> Machine {
    let entries: Vec<Entry> = Catalog::embedded().unwrap().iter().cloned().collect();
    let entry = entries.iter().find(|entry| entry.profile.guest_plan().inputs.iter().any(way)).unwrap();
    Machine::of(entry, entry.fixture.sample.clone())
}

fn by_metadata() -> Machine {
    machine_with(|source| matches!(source, InputSource::MetadataVariable { .. }))
}

fn by_environment() -> Machine {
    machine_with(|source| matches!(source, InputSource::Environment { .. }))
}

fn deploy(machine: &Machine, variables: &[(&str, &str)]) -> Run {
    let mut command = machine.command(&["configure"]);
    command.envs(variables.iter().copied());
    machine.run(command)
}

fn boot_with(machine: &Machine, words: &[&str]) -> Run {
    let run = machine.run(machine.command(&[&["boot"], words].concat()));
    assert_eq!(run.status.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_is_set_up(machine);
    run
}

/// cloud-init writes files that everybody can read.
#[test]
fn the_operators_file_is_closed_to_others() {
    let machine = Machine::new();
    machine.configure("admin_password = 'correct horse'\n");
    let file = "/etc/echora/config.toml";
    fs::set_permissions(machine.path(file), fs::Permissions::from_mode(0o644)).unwrap();
    machine.boot_well();
    assert_eq!(machine.mode(file), 0o600);
}

fn source_of(machine: &Machine, name: &str) -> String {
    machine.state()["inputs"][name]["source"].as_str().unwrap().to_owned()
}

/// Each rung of the ladder is the winner once those above it are gone.
#[test]
fn the_strongest_way_in_wins() {
    let file = "domain = 'file.example.org'\n";
    let ladder: [(&[&str], &str, &str, &str); 3] = [
        (&["--set", "domain=line.example.org"], file, "line.example.org", "the command line"),
        (&[], file, "file.example.org", "/etc/echora/config.toml"),
        (&[], "", "chat.example.org", "the provider's variables"),
    ];
    for (words, file, domain, source) in ladder {
        let machine = by_metadata();
        let _internet = Internet::leading_to(&machine, domain);
        machine.configure(file);
        boot_with(&machine, words);
        assert_eq!(machine.login().unwrap().url, format!("https://{domain}"));
        assert_eq!(source_of(&machine, "domain"), source);
        assert_eq!(source_of(&machine, "registration"), "default");
    }
}

/// What the buyer wished is not known then, and that registration was to be closed least of all.
#[test]
fn settings_that_the_provider_does_not_hand_out_are_missed_aloud() {
    let machine = by_metadata();
    machine.trouble_metadata(|| Some(Answer::Reply(503, "later".into())));
    let run = machine.boot_impatiently();
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    let console = machine.console();
    assert!(console.contains("WARNING: the settings that the provider's form asked for"), "{console}");
    assert!(!by_environment_at_boot().contains("the provider's form"));
}

/// The console of a machine whose provider hands nothing out by its service.
fn by_environment_at_boot() -> String {
    let machine = by_environment();
    machine.trouble_metadata(|| Some(Answer::Reply(503, "later".into())));
    machine.boot_impatiently();
    machine.console()
}

#[test]
fn a_bad_value_is_told_with_what_was_used_and_the_boot_goes_on() {
    let machine = by_metadata();
    machine.configure("domain = 'localhost'\nadmin_pasword = 'hunter22'\n");
    let run = boot_with(&machine, &["--set", "domain=203.0.113.7"]);
    let console = machine.console();
    for (source, text) in [("the command line", &console), ("/etc/echora/config.toml", &run.stdout)] {
        let told = text.lines().find(|line| line.contains(&format!("domain: the value of {source} is bad")));
        let told = told.unwrap_or_else(|| panic!("{source}: {text}"));
        assert!(told.ends_with("using chat.example.org of the provider's variables"), "{told}");
    }
    assert!(console.contains("did you mean admin_password?") && !console.contains("hunter22"), "{console}");
}

#[test]
fn a_deployment_scripts_environment_is_kept_for_first_boot() {
    let machine = by_environment();
    let run = deploy(
        &machine,
        &[
            ("DOMAIN", "env.example.org"),
            ("ADMIN_PASSWORD", "correct horse"),
            ("EMAIL", ""),
            ("HOME", "/root"),
        ],
    );
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, "kept for first boot: admin_password, domain\n");
    assert_eq!((machine.mode(KEPT), run.stderr.as_str()), (0o600, ""));
    machine.configure("admin_username = 'eve'\n");
    let _internet = Internet::leading_to(&machine, "env.example.org");
    boot_with(&machine, &[]);
    let login = machine.login().unwrap();
    assert_eq!((login.url.as_str(), login.username.as_str()), ("https://env.example.org", "eve"));
    assert_eq!(login.password, "correct horse");
    assert_eq!(source_of(&machine, "domain"), "the provider's variables");
    assert!(!machine.path(KEPT).exists(), "it holds a password");
}

#[test]
fn a_bad_value_in_the_environment_is_told_at_once_and_at_first_boot() {
    let machine = by_environment();
    let run = deploy(&machine, &[("ADMIN_PASSWORD", "hunter2"), ("REGISTRATION", "invite_only")]);
    assert_eq!(run.status.code(), Some(0));
    assert!(run.stderr.contains("admin_password: it must have 8 to 128 bytes"), "{}", run.stderr);
    boot_with(&machine, &[]);
    let told = "admin_password: the value of the provider's variables is bad";
    assert!(machine.console().contains(told), "{}", machine.console());
    assert!(!(machine.console() + &run.stderr + &run.stdout).contains("hunter2"));
    assert_eq!(machine.app().settings["registration_mode"], "invite_only");
}

#[test]
fn a_provider_without_deployment_scripts_says_where_settings_go() {
    let run = deploy(&by_metadata(), &[("DOMAIN", "env.example.org")]);
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("/etc/echora/config.toml"), "{}", run.stderr);
}

/// The boot after a power cut has neither the command line nor the stdin of the one before.
#[test]
fn settings_of_a_command_line_survive_a_power_cut() {
    let machine = by_metadata();
    let file = machine.path("/journal/password");
    fs::write(&file, "correct horse\n").unwrap();
    machine.journal.kill("before", 1);
    let words = ["--set", "domain=line.example.org", "--password-file", file.to_str().unwrap()];
    assert!(machine.run(machine.command(&words)).was_killed());
    fs::remove_file(file).unwrap();
    machine.journal.calm();
    let _internet = Internet::leading_to(&machine, "line.example.org");
    machine.boot_well();
    assert_is_set_up(&machine);
    let login = machine.login().unwrap();
    assert_eq!((login.url.as_str(), login.password.as_str()), ("https://line.example.org", "correct horse"));
    assert!(!machine.path(KEPT).exists());
}

#[test]
fn a_password_comes_from_stdin_and_never_from_the_command_line() {
    let machine = Machine::new();
    let run = machine.run(machine.command(&["boot", "--set", "admin_password=correct horse"]));
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("--password-file") && !run.stderr.contains("correct horse"),
        "{}",
        run.stderr
    );
    assert_eq!(machine.journal.lines(), [""; 0]);

    let file = machine.path("/journal/password");
    fs::write(&file, "correct horse\n").unwrap();
    let mut command = machine.command(&["boot", "--password-file", "-"]);
    command.stdin(fs::File::open(&file).unwrap());
    assert_eq!(machine.run(command).status.code(), Some(0));
    fs::remove_file(file).unwrap();
    assert_is_set_up(&machine);
    assert_eq!(machine.login().unwrap().password, "correct horse");
}

#[test]
fn settings_that_come_too_late_are_refused_and_change_nothing() {
    let machine = by_environment();
    boot_with(&machine, &[]);
    let before = (machine.read(STATE), machine.read(CREDENTIALS));
    let late = [
        machine.run(machine.command(&["--set", "domain=late.example.org"])),
        deploy(&machine, &[("DOMAIN", "late.example.org")]),
    ];
    for run in late {
        assert_eq!(run.status.code(), Some(1));
        assert!(run.stderr.contains("set up already") && run.stderr.contains("domain"), "{}", run.stderr);
    }
    assert_eq!((machine.read(STATE), machine.read(CREDENTIALS)), before);
    assert!(!machine.path(KEPT).exists());
}

#[test]
fn what_was_used_and_from_where_is_remembered_without_secrets() {
    let machine = by_metadata();
    machine.configure("admin_password = 'correct horse'\nserver_name = 'Ours'\n");
    boot_with(&machine, &["--set", "admin_username=eve"]);
    let inputs = &machine.state()["inputs"];
    let used = |name: &str| (inputs[name]["value"].as_str(), inputs[name]["source"].as_str().unwrap());
    assert_eq!(used("admin_username"), (Some("eve"), "the command line"));
    assert_eq!(used("admin_password"), (Some("***"), "/etc/echora/config.toml"));
    assert_eq!(used("server_name"), (Some("Ours"), "/etc/echora/config.toml"));
    assert_eq!(used("domain"), (Some("chat.example.org"), "the provider's variables"));
    assert_eq!(used("admin_email"), (Some("eve@chat.example.org"), "default"));
    assert_eq!(used("email"), (None, "default"));
}
