//! The metadata service fails, is slow, or tells what is not so: the boot comes up and says so.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use provider_profiles::Instance;

use crate::support::checks::{SITES, assert_is_set_up};
use crate::support::http::Answer;
use crate::support::machine::{Machine, Run, any_provider};

fn assert_is_degraded_and_loud(machine: &Machine, run: &Run) {
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_is_set_up(machine);
    let console = machine.console();
    assert!(console.contains("WARNING: going on with the address of the default route"), "{console}");
    let host = machine.login().unwrap().url.replace("https://", "").replace(['[', ']'], "");
    let announced = machine.variable("ANNOUNCED_IP").unwrap();
    // A machine without any route reaches itself only.
    assert!(host == announced || (host == "localhost" && announced == "127.0.0.1"), "{host} {announced}");
    assert_ne!(Some(announced), any_provider().fixture.sample.public_ipv4);
}

#[test]
fn a_metadata_service_that_never_tells_degrades_the_boot_loudly() {
    let replies: [fn() -> Answer; 5] = [
        || Answer::Reply(200, String::new()),
        || Answer::Reply(200, "<html>wait</html>".into()),
        || Answer::Reply(404, String::new()),
        || Answer::Reply(503, "later".into()),
        || Answer::Silence { open: true },
    ];
    for reply in replies {
        let machine = Machine::new();
        machine.trouble_metadata(move || Some(reply()));
        let run = machine.boot_impatiently();
        assert_is_degraded_and_loud(&machine, &run);
    }
}

#[test]
fn a_machine_without_a_metadata_service_comes_up() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let machine = Machine::new();
    let mut command = machine.command(&["--longest", "300"]);
    command.args(["--metadata", &format!("http://{closed}")]);
    let run = machine.run(command);
    assert_is_degraded_and_loud(&machine, &run);
    assert!(machine.console().contains("the metadata service failed"), "{}", machine.console());
}

#[test]
fn a_metadata_service_that_is_slow_or_comes_up_late_is_waited_for() {
    let slow = || {
        thread::sleep(Duration::from_millis(50));
        None
    };
    let mut left = 3;
    let late = move || {
        let is_ill = left > 0;
        left -= i32::from(is_ill);
        is_ill.then(|| Answer::Reply(503, "starting".into()))
    };
    let troubles: [Box<dyn FnMut() -> Option<Answer> + Send>; 2] = [Box::new(slow), Box::new(late)];
    for trouble in troubles {
        let machine = Machine::new();
        machine.trouble_metadata(trouble);
        let run = machine.boot_well();
        assert_is_set_up(&machine);
        assert!(!run.stdout.contains("WARNING"), "{}", run.stdout);
        assert_eq!(machine.variable("ANNOUNCED_IP"), any_provider().fixture.sample.public_ipv4);
    }
}

#[test]
fn an_address_that_is_not_public_is_told_and_not_used() {
    let sample = any_provider().fixture.sample;
    let machine = Machine::new();
    machine.move_to(Some("10.0.0.9"), sample.public_ipv6.as_deref());
    machine.boot_well();
    assert_is_set_up(&machine);
    let console = machine.console();
    assert!(console.contains("calls 10.0.0.9 public, but the Internet cannot reach it"), "{console}");
    assert_eq!(machine.variable("ANNOUNCED_IP"), sample.public_ipv6);
    assert!(console.contains("WARNING: voice needs a public IPv4 address"), "{console}");
    assert!(!machine.read(SITES).contains("10.0.0.9"));

    for (v4, v6) in [(Some("192.168.1.9"), Some("fd00::9")), (None, None)] {
        let machine = Machine::new();
        machine.move_to(v4, v6);
        let run = machine.boot();
        assert_is_degraded_and_loud(&machine, &run);
    }
}

#[test]
fn a_machine_with_ipv6_alone_is_reached_by_it() {
    let entry = any_provider();
    let alone = Instance { public_ipv4: Some(String::new()), ..entry.fixture.sample.clone() };
    let machine = Machine::of(&entry, alone.clone());
    machine.boot_well();
    assert_is_set_up(&machine);
    let address = alone.public_ipv6.unwrap();
    assert_eq!(machine.login().unwrap().url, format!("https://[{address}]"));
    assert_eq!(machine.variable("ANNOUNCED_IP").as_ref(), Some(&address));
    assert!(machine.read(SITES).contains(&format!("https://[{address}] {{")));
    assert!(
        machine.read("/var/lib/echora/caddy/echora.options").contains(&format!("default_sni {address}\n"))
    );
}
