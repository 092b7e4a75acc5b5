//! `echora-domain`: the change of a domain is whole, or everything is as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::checks::{CREDENTIALS, INSTANCE, SITES};
use crate::support::machine::Machine;
use crate::support::names::Internet;

const NAME: &str = "chat.example.org";

/// A machine that runs without a domain, in an Internet in which the domain leads to it.
fn running() -> (Machine, Internet) {
    let machine = Machine::new();
    machine.boot_well();
    machine.journal.calm();
    let internet = Internet::leading_to(&machine, NAME);
    (machine, internet)
}

/// All files of the machine but what the tests keep there, and what goes with its power.
fn files(machine: &Machine) -> Vec<(PathBuf, String)> {
    let passing = [machine.path("/journal"), machine.path("/run"), machine.path("/var/lib/echora/lock")];
    let mut files = machine.files();
    files.retain(|(path, _)| !passing.iter().any(|passing| path.starts_with(passing)));
    files.sort();
    files
}

fn has_changed(machine: &Machine) -> bool {
    let url = format!("https://{NAME}");
    let login = echora_firstboot::login::find(&machine.read(CREDENTIALS)).unwrap();
    let signs = [
        machine.read(SITES).contains(&format!("{url} {{")),
        machine.read("/var/lib/echora/backend.env").contains(NAME),
        machine.read("/var/lib/echora/site.json").contains(NAME),
        machine.state()["url"] == url.as_str(),
        login.url == url,
    ];
    assert!(signs.iter().all(|sign| *sign == signs[0]), "half a change: {signs:?}");
    assert!(!machine.path("/var/lib/echora/change.json").exists(), "the change is still under way");
    signs[0]
}

#[test]
fn the_operator_gives_a_server_its_domain() {
    let (machine, _internet) = running();
    let run = machine.call(&["domain", NAME]);
    assert_eq!(run.status.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    assert!(
        run.stdout.contains("https://chat.example.org") && run.stdout.contains("passkeys"),
        "{}",
        run.stdout
    );
    assert!(has_changed(&machine));
    let lines = machine.journal.lines();
    let mut rest = lines.iter();
    for call in ["caddy validate", "caddy reload", "--no-deps backend", "curl", "/api/auth/login"] {
        assert!(rest.any(|line| line.contains(call)), "{call} is not in its place: {lines:#?}");
    }
    assert!(machine.call(&["domain"]).stdout.contains(NAME));
    assert_eq!(machine.call(&["domain", "--check"]).status.code(), Some(0));
    // A copy of it keeps the operator's choice, whatever its buyer's settings say.
    machine.configure("domain = 'other.example.org'\n");
    machine.put(INSTANCE, "i-2\n");
    machine.boot_well();
    assert!(machine.read("/var/lib/echora/site.json").contains(NAME));
}

#[test]
fn a_domain_that_is_taken_away_leaves_the_server_at_its_address() {
    let (machine, _internet) = running();
    assert_eq!(machine.call(&["domain", NAME]).status.code(), Some(0));
    let with_domain = files(&machine);
    machine.journal.refuse_once("caddy reload");
    assert_eq!(machine.call(&["domain", "--remove"]).status.code(), Some(1));
    assert_eq!(files(&machine), with_domain, "one that fails takes nothing away");

    let run = machine.call(&["domain", "--remove"]);
    assert_eq!(run.status.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("https://203.0.113.7") && run.stdout.contains("passkeys"), "{}", run.stdout);
    assert!(!has_changed(&machine));
    assert!(!machine.path("/var/lib/echora/domain.json").exists(), "nobody asks about it any more");
    assert!(
        !machine.read("/var/lib/echora/backend.env").contains("WEBAUTHN"),
        "the app refuses an empty value"
    );
    // It is the operator's choice: the buyer's settings do not bring it back on a copy.
    machine.configure(&format!("domain = '{NAME}'\n"));
    machine.put(INSTANCE, "i-2\n");
    machine.boot_well();
    assert!(!machine.read("/var/lib/echora/site.json").contains(NAME));

    machine.journal.calm();
    assert_eq!(machine.call(&["domain", "--remove"]).status.code(), Some(0), "there is nothing left to do");
    assert_eq!(machine.journal.lines(), [""; 0]);
    assert_eq!(machine.call(&["domain", NAME, "--remove"]).status.code(), Some(2));
}

#[test]
fn a_change_that_fails_leaves_everything_as_it_was() {
    // The last one: the front door shows something else.
    for call in ["caddy validate", "caddy reload", "--no-deps backend", "/api/health"] {
        let (machine, _internet) = running();
        let before = files(&machine);
        machine.journal.refuse_once(call);
        let run = machine.call(&["domain", NAME]);
        assert_eq!(run.status.code(), Some(1), "{call}: {}", run.stdout);
        assert!(run.stderr.contains("no space left on device"), "{call}: {}", run.stderr);
        let told = run.stderr.contains("nothing was changed") || run.stderr.contains("as it was before");
        assert!(told, "{call}: {}", run.stderr);
        assert_eq!(files(&machine), before, "{call}");
        let last = machine.journal.lines().into_iter().rfind(|line| line.contains("caddy reload"));
        assert_eq!(last.is_some(), call != "caddy validate", "what was switched is switched back");
    }
}

/// As by Ctrl-C while the app is made anew.
#[test]
fn a_change_that_somebody_interrupts_leaves_everything_as_it_was() {
    for signal in ["INT", "HUP", "TERM"] {
        let (machine, _internet) = running();
        let before = files(&machine);
        let once = format!(
            "case \"$called\" in *' --no-deps backend') [ -e asked ] || {{ touch asked; kill -{signal} \"$(cat pid)\"; }} ;; esac"
        );
        machine.journal.answer("docker", &once);
        let run = machine.call(&["domain", NAME]);
        assert_eq!(run.status.code(), Some(130), "{signal}: {} {}", run.stdout, run.stderr);
        assert!(
            run.stderr.contains("as it was before") && run.stderr.contains("interrupted"),
            "{}",
            run.stderr
        );
        assert_eq!(files(&machine), before, "{signal}");
    }
}

#[test]
fn a_change_that_cannot_be_undone_is_undone_later() {
    let (machine, _internet) = running();
    let before = files(&machine);
    machine.journal.refuse("backend");
    let run = machine.call(&["domain", NAME]);
    assert!(run.stderr.contains("could not be undone"), "{}", run.stderr);
    assert!(machine.path("/var/lib/echora/change.json").exists());
    machine.journal.calm();
    machine.boot_well();
    assert_eq!(files(&machine), before);
    let lines = machine.journal.lines();
    for call in ["caddy reload", "--no-deps backend"] {
        assert!(lines.iter().any(|line| line.contains(call)), "{call}: {lines:#?}");
    }
}

/// Killed before and after every call that it makes of others; the next boot finds it.
#[test]
fn a_change_that_is_cut_off_is_whole_or_undone_at_the_next_boot() {
    for when in ["before", "after"] {
        let mut number = 1;
        loop {
            let (machine, _internet) = running();
            let before = files(&machine);
            machine.journal.kill(when, number);
            let run = machine.call(&["domain", NAME]);
            if !run.was_killed() {
                assert!(has_changed(&machine));
                break;
            }
            let place = format!("{when} {number}: {:?}", machine.journal.lines().last());
            machine.journal.calm();
            // Whoever comes first: the next boot, or the operator again.
            let again = number % 2 == 0;
            let run = if again { machine.call(&["domain", NAME]) } else { machine.boot() };
            assert_eq!(run.status.code(), Some(0), "{place}: {}", run.stderr);
            if !has_changed(&machine) {
                assert!(!again && strip(files(&machine)) == strip(before), "{place}");
            }
            number += 1;
        }
        assert!(number > 5, "a change makes more calls than {number}");
    }
}

/// Without what a run may leave lying about: the token of a proof and Caddy's trial.
fn strip(mut files: Vec<(PathBuf, String)>) -> Vec<(PathBuf, String)> {
    files.retain(|(path, _)| {
        !["/caddy/proof/", "/caddy/trial/"].iter().any(|folder| path.to_string_lossy().contains(folder))
    });
    files
}

#[test]
fn names_that_are_none_are_refused_before_anything_is_done() {
    let (machine, _internet) = running();
    let before = files(&machine);
    for name in ["203.0.113.7", "localhost", "chat.example.org/", "a b.org", "ex{ample.org"] {
        let run = machine.call(&["domain", name]);
        assert_eq!(run.status.code(), Some(2), "{name}: {}", run.stdout);
        assert!(run.stderr.contains(name) && run.stderr.contains("hint: "), "{}", run.stderr);
    }
    assert_eq!(machine.call(&["domain", NAME, "--check", "--force"]).status.code(), Some(2));
    assert_eq!((files(&machine), machine.journal.lines().len()), (before, 0));
}

#[test]
fn a_server_that_is_not_set_up_has_no_domain_to_change() {
    let machine = Machine::new();
    let run = machine.call(&["domain", NAME]);
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("/etc/echora/config.toml"), "{}", run.stderr);
}

#[test]
fn the_binary_goes_by_the_name_of_the_command() {
    let (machine, _internet) = running();
    let name = machine.path("/journal/bin/echora-domain");
    symlink(env!("CARGO_BIN_EXE_echora-firstboot"), &name).unwrap();
    let run = machine.run(machine.command_as(name.to_str().unwrap(), &[]));
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("https://203.0.113.7"), "{}", run.stdout);
    fs::remove_file(&name).unwrap();
}

/// Compose insists on every variable in every call; what stands in for one is never what the app gets.
#[test]
fn an_app_whose_secret_is_lost_is_not_started_with_another() {
    let (machine, _internet) = running();
    let environment = machine.read("/opt/echora/.env");
    let kept: String = environment
        .lines()
        .filter(|line| !line.starts_with("JWT_SECRET="))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(kept, environment);
    fs::write(machine.path("/opt/echora/.env"), kept).unwrap();
    let run = machine.call(&["domain", NAME]);
    assert_eq!(run.status.code(), Some(1), "{}", run.stdout);
    assert!(run.stderr.contains("required variable JWT_SECRET"), "{}", run.stderr);
}
