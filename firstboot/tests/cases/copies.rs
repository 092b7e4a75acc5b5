//! A machine that was set up, snapshotted and started as another one.

use std::fs;

use echora_firstboot::login::{self, LoginBlock};

use crate::support::backend::App;
use crate::support::checks::{
    CREDENTIALS, IDENTITY, INSTANCE, SITES, STATE, assert_is_a_good_copy, treasure,
};
use crate::support::machine::Machine;
use crate::support::mount::Mount;
use crate::support::names::Internet;

/// A machine that was set up, snapshotted and started as another one.
pub(super) fn copy() -> Machine {
    let machine = Machine::new();
    machine.configure("server_name = 'Ours'\n");
    machine.boot_well();
    machine.journal.calm();
    machine.clear_consoles();
    machine.put(INSTANCE, "i-2\n");
    // As if the original had another address.
    let text =
        machine.read("/opt/echora/.env").replace("ANNOUNCED_IP=", "MINE=kept\nANNOUNCED_IP=198.51.100.1#");
    fs::write(machine.path("/opt/echora/.env"), text).unwrap();
    machine
}

#[test]
fn a_copy_keeps_its_data_and_gets_an_identity_of_its_own() {
    let machine = copy();
    let before = treasure(&machine);
    machine.boot_well();
    assert_is_a_good_copy(&machine);
    assert_eq!(treasure(&machine), before);
    let lines = machine.journal.lines();
    assert!(lines.iter().any(|line| line.contains("systemctl") && line.contains("ssh")), "{lines:#?}");
    machine.journal.calm();
    machine.boot_well();
    let lines = machine.journal.lines();
    assert!(lines.iter().all(|line| line.starts_with("site metadata ")), "a copy is set up once: {lines:#?}");
}

#[test]
fn an_identity_that_is_new_already_is_kept() {
    let machine = copy();
    let new = IDENTITY.map(|path| {
        machine.put(path, "made by cloud-init\n");
        machine.read(path)
    });
    machine.boot_well();
    assert_is_a_good_copy(&machine);
    assert_eq!(IDENTITY.map(|path| machine.read(path)), new);
    let lines = machine.journal.lines();
    assert!(
        !lines.iter().any(|line| line.contains("ssh-keygen") || line.contains("machine-id")),
        "{lines:#?}"
    );
}

#[test]
fn a_copy_that_is_cut_off_is_still_a_copy() {
    for when in ["before", "after"] {
        let mut number = 1;
        loop {
            let machine = copy();
            let before = treasure(&machine);
            machine.journal.kill(when, number);
            if !machine.boot().was_killed() {
                break;
            }
            machine.journal.calm();
            machine.boot_well();
            assert_is_a_good_copy(&machine);
            assert_eq!(treasure(&machine), before, "{when} {number}");
            number += 1;
        }
        assert!(number > 7, "a copy makes more calls than {number}");
    }
}

/// A copy is where its provider says that it is, whatever the original was told.
#[test]
fn a_copy_is_at_its_own_address_with_the_login_of_its_original() {
    let machine = copy();
    machine.move_to(Some("198.51.100.9"), None);
    let (secrets, login) = (machine.secrets(), login::find(&machine.read(CREDENTIALS)).unwrap());
    machine.boot_well();
    let url = "https://198.51.100.9";
    let told = format!("this server is at {url}; the login stays the one that it had before");
    assert!(machine.console().contains(&told), "{}", machine.console());
    assert_eq!(machine.secrets(), secrets);
    assert_eq!(login::find(&machine.read(CREDENTIALS)), Ok(LoginBlock { url: url.into(), ..login.clone() }));
    let owner = &machine.app().users[0];
    assert_eq!((&login.username, &login.password), (&owner.username, &owner.password));
    assert_eq!(
        (machine.state()["url"].as_str(), machine.variable("ANNOUNCED_IP").as_deref()),
        (Some(url), Some("198.51.100.9"))
    );
}

/// What was handed in once is not there any more: the original's record is.
#[test]
fn a_copy_keeps_the_domain_that_its_original_was_given() {
    let machine = Machine::new();
    let _internet = Internet::leading_to(&machine, "line.example.org");
    let run = machine.run(machine.command(&["--set", "domain=line.example.org"]));
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    machine.put(INSTANCE, "i-2\n");
    machine.boot_well();
    let state = machine.state();
    assert_eq!(state["url"], "https://line.example.org");
    assert_eq!(state["inputs"]["domain"]["source"], "the original server");
    assert!(machine.read(SITES).contains("https://line.example.org {"));
}

#[test]
fn a_copy_that_cannot_get_keys_of_its_own_says_so_until_it_can() {
    let machine = Machine::new();
    machine.boot_well();
    machine.put(INSTANCE, "i-2\n");
    machine.put("/opt/echora/.env", &(machine.read("/opt/echora/.env") + "MINE=kept\n"));
    let before = treasure(&machine);
    let etc = Mount::read_only(&machine.path("/etc"));
    for _ in 0..2 {
        machine.clear_consoles();
        let run = machine.boot();
        assert_eq!(run.status.code(), Some(1));
        let console = machine.console();
        assert!(
            console.contains("FAILED in step 1") && console.contains("Read-only file system"),
            "{console}"
        );
    }
    drop(etc);
    machine.journal.calm();
    machine.clear_consoles();
    machine.boot_well();
    assert_is_a_good_copy(&machine);
    assert_eq!(treasure(&machine), before);
    assert!(IDENTITY.iter().all(|path| !machine.read(path).contains("the original's")));
}

/// Whoever came first would own a server whose owner was made before.
#[test]
fn a_server_that_has_lost_its_data_is_not_opened() {
    let machine = copy();
    machine.journal.answer("docker", "case \"$called\" in *\" psql \"*) echo 0 ;; esac");
    let run = machine.boot();
    assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
    let (console, lines) = (machine.console(), machine.journal.lines());
    assert!(
        console.contains("nobody has an account in its database now") && console.contains("to begin anew"),
        "{console}"
    );
    assert!(machine.read(SITES).contains("import fence"), "{}", machine.read(SITES));
    assert!(!lines.iter().any(|line| line.contains("--no-deps backend")), "{lines:#?}");
    // Its original was set up; it is not, and nothing else opens it either.
    let changed = machine.call(&["domain", "--force", "chat.example.org"]);
    assert_eq!(changed.status.code(), Some(1), "{}", changed.stdout);
    assert!(changed.stderr.contains("not set up yet"), "{}", changed.stderr);
    let _internet = Internet::leading_to(&machine, "chat.example.org");
    machine.put("/var/lib/echora/site.json", r#"{"domain":"chat.example.org"}"#);
    assert_eq!(machine.call(&["climb"]).status.code(), Some(0));
    assert!(machine.read(SITES).contains("import fence"), "{}", machine.read(SITES));

    // As the console says.
    *machine.app() = App::default();
    fs::remove_file(machine.path(STATE)).unwrap();
    fs::remove_file(machine.path("/var/lib/echora/database")).unwrap();
    machine.journal.calm();
    machine.boot_well();
    assert!(machine.login().is_ok(), "there is a new owner");
}

/// What a power cut made of keys that were made a moment before.
#[test]
fn host_keys_that_are_empty_are_made_anew() {
    let machine = copy();
    let keys: Vec<_> = IDENTITY.into_iter().filter(|path| path.contains("/ssh/")).collect();
    assert!(!keys.is_empty());
    for public in &keys {
        machine.put(public, "");
        machine.put(public.trim_end_matches(".pub"), "");
    }
    machine.boot_well();
    for public in keys {
        assert!(
            !machine.read(public).is_empty() && !machine.read(public.trim_end_matches(".pub")).is_empty()
        );
    }
}

/// Docker has started a container of the stack again by itself.
fn runs_already(machine: &Machine, service: &str) {
    let about = r#"{"State":{"Pid":4242,"Status":"running"},"RestartCount":0}"#;
    machine.journal.tell(&format!("/containers/echora-{service}/json"), about);
}

/// A web server that has the site in its memory is shown the closed door before the app comes up.
#[test]
fn a_web_server_that_runs_already_closes_the_door() {
    let machine = copy();
    runs_already(&machine, "caddy");
    machine.boot_well();
    let lines = machine.journal.lines();
    let at = |call: &str| lines.iter().position(|line| line.contains(call)).unwrap();
    assert!(at("caddy reload") < at("--no-deps backend"), "{lines:#?}");
    assert!(lines[at("caddy reload")].starts_with("fence "), "{lines:#?}");
}

/// Docker starts it again by itself, and in an empty database it makes its tables at once.
#[test]
fn an_app_that_runs_already_is_stopped_before_its_database_is_looked_at() {
    let machine = copy();
    runs_already(&machine, "backend");
    machine.boot_well();
    let lines = machine.journal.lines();
    let at = |call: &str| lines.iter().position(|line| line.contains(call)).unwrap();
    assert!(at("stop backend") < at(" psql ") && at(" psql ") < at("--no-deps backend"), "{lines:#?}");
    assert!(lines[at("stop backend")].starts_with("fence "), "{lines:#?}");
}

/// It starts beside first boot, and one that finds no key is gone until somebody looks after it.
#[test]
fn the_ssh_server_has_keys_at_every_moment() {
    let machine = copy();
    let make = "[ -s ../etc/ssh/ssh_host_ed25519_key ] || exit 1
        for type in ed25519 rsa; do
            key=${called##* }/etc/ssh/ssh_host_${type}_key
            echo \"new $type\" >\"$key\"
            echo \"new $type\" >\"$key.pub\"
        done";
    machine.journal.answer("ssh-keygen", make);
    machine.boot_well();
    assert_is_a_good_copy(&machine);
    assert!(!machine.path("/etc/ssh/echora-new").exists());
}
