//! The real binary sets up a machine in a folder: with stubs for other programs, a provider from its fixture and an
//! app that behaves like the real one.

use std::fs;
use std::path::{Path, PathBuf};

use provider_profiles::{Catalog, InputSource};
use support::checks::{CREDENTIALS, OWNER, SITES, assert_failed_loudly, assert_is_set_up};
use support::machine::{Machine, Spoil};
use support::names::Internet;

mod cases {
    mod arm;
    mod change;
    mod consoles;
    mod copies;
    mod domain;
    mod follow;
    mod host;
    mod inputs;
    mod kills;
    mod provider;
    mod state;
}

/// What comes with a server that runs.
mod operation {
    mod bundle;
    mod doctor;
    mod server;
    mod size;
    mod swap;
}

mod support {
    pub(crate) mod backend;
    pub(crate) mod checks;
    pub(crate) mod engine;
    pub(crate) mod guest;
    pub(crate) mod http;
    pub(crate) mod journal;
    pub(crate) mod machine;
    pub(crate) mod mount;
    pub(crate) mod names;
    pub(crate) mod provider;
}

/// Whether what a line of the journal tells was done while visitors met `gate`.
fn is_done_behind(line: &str, gate: &str, call: &str) -> bool {
    line.strip_prefix(gate).is_some_and(|rest| rest.contains(call))
}

#[test]
fn the_first_boot_sets_a_machine_of_each_provider_up() {
    for entry in Catalog::embedded().unwrap().iter() {
        let machine = Machine::of(entry, entry.fixture.sample.clone());
        let _internet = Internet::leading_to(&machine, "chat.example.org");
        let run = machine.boot_well();
        assert_is_set_up(&machine);
        // One provider's service does not know the public IPv4 address.
        let sample = entry.fixture.sample.clone();
        let (v4, v6) = (sample.public_ipv4, sample.public_ipv6.unwrap());
        let warned = usize::from(v4.is_none());
        let (address, host) = v4.map_or((v6.clone(), format!("[{v6}]")), |v4| (v4.clone(), v4));
        // Where the provider has variables, this buyer set one.
        let variables = |source: &InputSource| matches!(source, InputSource::MetadataVariable { .. });
        let name = if machine.plan.inputs.iter().any(variables) { "chat.example.org" } else { &host };
        assert_eq!(machine.login().unwrap().url, format!("https://{name}"));
        assert_eq!(machine.variable("ANNOUNCED_IP"), Some(address));
        assert!(run.stderr.is_empty(), "{}", run.stderr);
        assert_eq!(run.stdout.matches("WARNING").count(), warned, "{}", run.stdout);
        assert_eq!(run.stdout.matches("WARNING: voice needs").count(), warned, "{}", run.stdout);

        let lines = machine.journal.lines();
        let mut rest = lines.iter();
        let order = [
            ("fence", "engine GET /_ping"),
            ("fence", "docker compose --progress quiet up --detach --no-deps caddy postgres"),
            ("fence", "metadata GET"),
            ("fence", "engine GET /containers/echora-postgres/json"),
            ("fence", "docker compose --progress quiet up --detach --no-deps backend"),
            ("fence", "POST /api/auth/register"),
            ("site", "caddy reload"),
            ("site", "curl"),
            ("site", "/api/auth/login"),
        ];
        for (gate, call) in order {
            assert!(
                rest.any(|line| is_done_behind(line, gate, call)),
                "{gate} {call} is not in its place: {lines:#?}"
            );
        }
        let registered = lines.iter().filter(|line| line.contains("/api/auth/register")).count();
        assert_eq!(registered, 1, "{lines:#?}");
    }
}

#[test]
fn later_boots_only_look_whether_the_address_has_changed() {
    let machine = Machine::new();
    machine.boot_well();
    machine.journal.calm();
    // The operator has deleted it.
    fs::remove_file(machine.path(CREDENTIALS)).unwrap();
    let (before, console, asked) = (machine.files(), machine.console(), machine.provider.requests().len());
    let run = machine.boot_well();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let lines = machine.journal.lines();
    let look = |line: &String| line.starts_with("site metadata ");
    assert!(lines.iter().all(look) && lines.len() == machine.provider.requests().len() - asked, "{lines:#?}");
    assert!(lines.len() <= machine.plan.metadata.documents.len() + 1, "{lines:#?}");
    assert_eq!(machine.console(), console);
    // What goes with the machine's power is no part of it.
    let is_own =
        |path: &Path| !["/journal", "/run"].iter().any(|folder| path.starts_with(machine.path(folder)));
    let own = |files: Vec<(PathBuf, String)>| {
        files.into_iter().filter(|(path, _)| is_own(path)).collect::<Vec<_>>()
    };
    assert_eq!(own(machine.files()), own(before));
}

/// A power cut before and after every call that first boot makes of others, one machine each.
#[test]
fn wherever_it_is_cut_off_the_next_boot_ends_the_work() {
    for when in ["before", "after"] {
        let mut number = 1;
        loop {
            let machine = Machine::new();
            machine.configure(
                "domain = 'chat.example.org'\nserver_name = 'Ours'\nregistration = 'invite_only'\n",
            );
            machine.journal.kill(when, number);
            let run = machine.boot();
            if !run.was_killed() {
                assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
                break;
            }
            let place = format!("{when} {number}: {:?}", machine.journal.lines().last());
            let secrets = machine.secrets();
            assert_ne!(machine.state()["finished"], true, "{place}");
            machine.journal.calm();
            machine.boot_well();
            assert_is_set_up(&machine);
            let kept = secrets.iter().zip(machine.secrets()).all(|(old, new)| old.is_none() || *old == new);
            assert!(kept, "secrets have changed after {place}");
            let settings = &machine.app().settings;
            assert_eq!(settings.get("server_name").map(String::as_str), Some("Ours"), "{place}");
            assert_eq!(settings.get("registration_mode").map(String::as_str), Some("invite_only"), "{place}");
            number += 1;
        }
        println!("cut off {when} each of {} calls", number - 1);
        assert!(number > 10, "first boot makes more calls than {number}");
    }
}

/// A database that was cut off while it was made looks made to its image: it is thrown away while nobody can have
/// written to it, and never again.
#[test]
fn a_half_made_database_is_made_anew_and_a_whole_one_kept() {
    const DISCARD: &str = "docker volume rm --force echora_pgdata";
    let discards =
        |machine: &Machine| machine.journal.lines().iter().filter(|line| line.contains(DISCARD)).count();
    let machine = Machine::new();
    machine.journal.refuse("containers/echora-postgres");
    assert_failed_loudly(&machine, &machine.boot());
    assert_eq!(discards(&machine), 0, "there was nothing to throw away");

    machine.journal.calm();
    machine.journal.refuse("caddy reload");
    machine.boot();
    let lines = machine.journal.lines();
    let discarded = lines.iter().position(|line| line.contains(DISCARD)).expect("it was thrown away");
    let started = lines.iter().position(|line| line.contains("caddy postgres")).expect("it was started");
    assert!(discarded < started, "{lines:#?}");

    machine.journal.calm();
    machine.boot_well();
    assert_is_set_up(&machine);
    assert_eq!(discards(&machine), 0, "the database has its owner by now");
}

/// A volume that first boot did not make holds somebody's data, however often the start fails.
#[test]
fn a_database_from_elsewhere_is_never_thrown_away() {
    let machine = Machine::new();
    machine.put("/journal/volume", "");
    machine.journal.refuse("containers/echora-postgres");
    for _ in 0..2 {
        assert_failed_loudly(&machine, &machine.boot());
    }
    let lines = machine.journal.lines();
    assert!(!lines.iter().any(|line| line.contains("volume rm")), "{lines:#?}");
}

/// Between the marker and the removal of the owner's file.
#[test]
fn a_cut_after_the_marker_leaves_no_password_behind() {
    let machine = Machine::new();
    machine.boot_well();
    machine.put(OWNER, "{}");
    machine.boot_well();
    assert!(!machine.path(OWNER).exists());
}

#[test]
fn a_lost_reply_to_the_registration_is_no_stranger() {
    for spoil in [Spoil::Lost, Spoil::Half] {
        let machine = Machine::new();
        *machine.spoil_registration.lock().unwrap() = Some(spoil);
        let run = machine.boot();
        assert_eq!(run.status.code(), Some(1), "{spoil:?}: {}", run.stdout);
        assert!(!run.stderr.contains("somebody else"), "{spoil:?}: {}", run.stderr);
        assert_failed_loudly(&machine, &run);
        machine.boot_well();
        assert_is_set_up(&machine);
    }
}

#[test]
fn a_stranger_who_was_first_keeps_the_door_closed() {
    let machine = Machine::new();
    let stranger = (
        "POST",
        "/api/auth/register",
        r#"{"username":"eve","email":"eve@example.org","password":"not ours"}"#,
    );
    let request = support::http::Request {
        method: stranger.0.into(),
        path: stranger.1.into(),
        headers: [].into(),
        body: stranger.2.into(),
    };
    assert_eq!(machine.app().answer(&request).0, 200);
    // It does not get better by itself: the account that the first try made is a member's.
    for _ in 0..2 {
        let run = machine.boot();
        assert_eq!(run.status.code(), Some(1));
        assert!(machine.console().contains("somebody else was first"), "{}", machine.console());
        assert_failed_loudly(&machine, &run);
    }
}

#[test]
fn a_failing_engine_is_told_and_the_next_boot_goes_on() {
    for call in ["--no-deps caddy postgres", "echora-postgres/json", "--no-deps backend", "caddy reload"] {
        let machine = Machine::new();
        machine.journal.refuse(call);
        let run = machine.boot();
        assert_eq!(run.status.code(), Some(1), "{call}");
        let console = machine.console();
        assert!(
            console.contains("no space left on device") && console.contains("what to do"),
            "{call}: {console}"
        );
        assert!(machine.login().is_err(), "{call}: no login is shown");
        let secrets = machine.secrets();
        machine.journal.calm();
        machine.boot_well();
        assert_is_set_up(&machine);
        assert!(secrets[0].is_none() || machine.secrets() == secrets, "{call}");
    }
}

#[test]
fn a_buyers_settings_are_used() {
    let machine = Machine::new();
    let _internet = Internet::leading_to(&machine, "chat.example.org");
    machine.configure(
        "domain = 'chat.example.org'\nadmin_username = 'eve'\nadmin_password = 'correct horse battery'\n\
         server_name = 'Our place'\nregistration = 'invite_only'\n",
    );
    machine.boot_well();
    assert_is_set_up(&machine);
    let login = machine.login().unwrap();
    assert_eq!(
        (login.url.as_str(), login.username.as_str(), login.password.as_str()),
        ("https://chat.example.org", "eve", "correct horse battery")
    );
    let app = machine.app();
    assert_eq!(app.users[0].email, "eve@chat.example.org");
    assert_eq!(app.settings["server_name"], "Our place");
    assert_eq!(app.settings["registration_mode"], "invite_only");
    let passkeys = machine.read("/var/lib/echora/backend.env");
    assert_eq!(passkeys, "WEBAUTHN_RP_ID=chat.example.org\nWEBAUTHN_RP_ORIGIN=https://chat.example.org\n");
    assert!(machine.read(SITES).contains("https://chat.example.org {"));
}

#[test]
fn bad_settings_are_named_and_do_not_stop_the_boot() {
    let bad = [
        ("domain = 'localhost'\n", "domain"),
        ("admin_password = 'hunter2'\n", "admin_password"),
        ("colour = 'red'\n", "colour"),
        ("domain = [\n", "config.toml"),
    ];
    for (text, named) in bad {
        let machine = Machine::new();
        machine.configure(text);
        machine.boot_well();
        assert_is_set_up(&machine);
        let console = machine.console();
        let warned = console.lines().any(|line| line.contains("WARNING") && line.contains(named));
        assert!(warned && !console.contains("hunter2"), "{console}");
    }
}

#[test]
fn a_console_that_is_missing_is_passed_over() {
    let mut machine = Machine::new();
    let missing = machine.plan.consoles.remove(0);
    fs::remove_file(machine.path(&missing)).unwrap();
    machine.boot_well();
    assert_is_set_up(&machine);
    assert!(!machine.path(&missing).exists(), "a file in the place of a device would hide it");
}

#[test]
fn a_machine_of_another_vendor_is_told_and_comes_up() {
    let machine = Machine::new();
    machine.put("/sys/class/dmi/id/sys_vendor", "Initech\n");
    machine.boot_well();
    assert_is_set_up(&machine);
    let console = machine.console();
    let warned = console.lines().any(|line| line.contains("WARNING") && line.contains("Initech"));
    assert!(warned && console.contains(&machine.plan.name), "{console}");
}
