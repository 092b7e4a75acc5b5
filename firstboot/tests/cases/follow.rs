//! A machine that is set up and gets another address.

use crate::support::checks::{CREDENTIALS, OWNER, SITES, STATE, assert_is_set_up};
use crate::support::http::Answer;
use crate::support::machine::{Machine, any_provider};
use crate::support::names::Internet;

const V4: &str = "198.51.100.9";
const V6: &str = "2001:db8:9::9";

/// A machine that was set up, and whose provider tells other addresses from now on.
fn moved(settings: &str) -> Machine {
    let machine = Machine::new();
    machine.configure(settings);
    machine.boot_well();
    machine.journal.calm();
    machine.move_to(Some(V4), Some(V6));
    machine
}

/// The site is at the new addresses, and all else is as it was.
fn assert_has_followed(machine: &Machine, url: &str) {
    assert_eq!(machine.variable("ANNOUNCED_IP").as_deref(), Some(V4));
    let sites = machine.read(SITES);
    assert!(
        sites.contains(&format!("https://{V4} {{")) && sites.contains(&format!("https://[{V6}] {{")),
        "{sites}"
    );
    let state = machine.state();
    assert_eq!((state["url"].as_str(), state["public_ipv4"].as_str()), (Some(url), Some(V4)));
    assert!(machine.read(CREDENTIALS).contains(&format!("URL:      {url}\n")));
    assert!(
        machine.console().ends_with(&format!("echora: this server is at {url}; the login stays as it is\n"))
    );
    assert!(!machine.path(OWNER).exists());
}

#[test]
fn the_site_follows_a_change_of_address() {
    let machine = moved("");
    let (secrets, users) = (machine.secrets(), machine.app().users.clone());
    let login = machine.login().unwrap();
    machine.boot_well();
    assert_has_followed(&machine, &format!("https://{V4}"));
    assert_eq!((machine.secrets(), machine.app().users.clone()), (secrets, users));
    assert!(machine.read(CREDENTIALS).contains(&format!("Password: {}\n", login.password)));
    let lines = machine.journal.lines();
    let place = |call: &str| lines.iter().position(|line| line.starts_with("site ") && line.contains(call));
    let (backend, reload) = (place("--no-deps backend"), place("caddy reload"));
    assert!(backend.is_some() && backend < reload && reload < place("curl"), "{lines:#?}");
    assert_eq!(machine.steps(), ["address", "metadata", "size", "state"]);

    machine.journal.calm();
    let run = machine.boot_well();
    assert_eq!(run.stdout, "", "once is enough");
    assert!(!machine.journal.lines().iter().any(|line| line.contains("docker")));
}

#[test]
fn a_site_with_a_domain_keeps_its_name() {
    let machine = moved("domain = 'chat.example.org'\n");
    let _internet = Internet::leading_to(&machine, "chat.example.org");
    assert_eq!(machine.call(&["climb"]).status.code(), Some(0));
    machine.boot_well();
    assert_has_followed(&machine, "https://chat.example.org");
    assert!(machine.read(SITES).contains("https://chat.example.org {"));
}

#[test]
fn credentials_that_the_operator_deleted_stay_deleted() {
    let machine = moved("");
    std::fs::remove_file(machine.path(CREDENTIALS)).unwrap();
    machine.boot_well();
    assert_eq!(machine.state()["url"], format!("https://{V4}"));
    assert!(!machine.path(CREDENTIALS).exists());
}

#[test]
fn wherever_following_is_cut_off_the_next_boot_ends_it() {
    for when in ["before", "after"] {
        let mut number = 1;
        loop {
            let machine = moved("");
            let secrets = machine.secrets();
            machine.journal.kill(when, number);
            if !machine.boot().was_killed() {
                break;
            }
            machine.journal.calm();
            machine.boot_well();
            assert_has_followed(&machine, &format!("https://{V4}"));
            assert_eq!(machine.secrets(), secrets, "{when} {number}");
            number += 1;
        }
        assert!(number > 6, "following makes more calls than {number}");
    }
}

/// No service, one that hangs, pages of a proxy, an address that nobody reaches: a running site is left alone.
#[test]
fn a_service_that_tells_nothing_useful_changes_nothing() {
    let hanging = || Some(Answer::Silence { open: true });
    let empty = || Some(Answer::Reply(200, String::new()));
    let down = || Some(Answer::Reply(503, "down".into()));
    for trouble in [hanging, empty, down] {
        let machine = moved("");
        let before = (machine.read(STATE), machine.read(SITES), machine.console());
        machine.trouble_metadata(trouble);
        let run = machine.boot_impatiently();
        assert_eq!((run.status.code(), run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""));
        assert_eq!((machine.read(STATE), machine.read(SITES), machine.console()), before);
    }
    let machine = moved("");
    let before = (machine.read(STATE), machine.read(SITES), machine.console());
    machine.move_to(Some("10.0.0.9"), None);
    assert_eq!(machine.boot_impatiently().status.code(), Some(0));
    assert_eq!((machine.read(STATE), machine.read(SITES), machine.console()), before);
}

#[test]
fn an_engine_that_fails_meanwhile_is_told_and_the_next_boot_goes_on() {
    let machine = moved("");
    machine.journal.refuse("--no-deps backend");
    let run = machine.boot();
    assert_eq!(run.status.code(), Some(1));
    let told = "this boot FAILED in step 1: the site cannot follow the change of address";
    assert!(machine.console().contains(told), "{}", machine.console());
    assert_eq!(machine.state()["finished"], true, "it is still a server");
    assert!(machine.steps().contains(&"address".to_owned()), "how long it tried is told");
    machine.journal.calm();
    machine.boot_well();
    assert_has_followed(&machine, &format!("https://{V4}"));
}

/// A first boot without the service took what it had; the truth comes with a later boot.
#[test]
fn an_address_that_was_guessed_is_put_right() {
    let machine = Machine::new();
    machine.trouble_metadata(|| Some(Answer::Reply(404, String::new())));
    machine.boot_well();
    assert_is_set_up(&machine);
    machine.trouble_metadata(|| None);
    machine.boot_well();
    let address = any_provider().fixture.sample.public_ipv4;
    assert_eq!(machine.variable("ANNOUNCED_IP"), address);
    assert_eq!(machine.state()["url"], format!("https://{}", address.unwrap()));
}
