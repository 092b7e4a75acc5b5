//! The record of what has been done is damaged or lost.

use std::fs;

use crate::support::checks::{CREDENTIALS, SITES, STATE, assert_is_set_up, treasure};
use crate::support::machine::Machine;

const DAMAGES: [&str; 5] = ["", "{", "[]", "\0\0\0\0", r#"{"finished": "yes"}"#];

#[test]
fn a_server_whose_state_is_damaged_or_lost_keeps_its_data_and_its_login() {
    for damage in DAMAGES.into_iter().map(Some).chain([None]) {
        let machine = Machine::new();
        machine.boot_well();
        let (before, login) = (treasure(&machine), machine.read(CREDENTIALS));
        match damage {
            Some(text) => machine.put(STATE, text),
            None => fs::remove_file(machine.path(STATE)).unwrap(),
        }
        machine.clear_consoles();
        machine.boot_well();
        let console = machine.console();
        assert!(
            console.contains("WARNING: this server was set up before, but there is no record"),
            "{console}"
        );
        assert_eq!(console.contains("state.json is damaged"), damage.is_some(), "{console}");
        assert_eq!((treasure(&machine), machine.read(CREDENTIALS)), (before, login));
        assert_eq!(machine.state()["finished"], true);
        assert_eq!(damage.unwrap_or_default(), machine.read("/var/lib/echora/state.json.damaged"));
        assert!(machine.read(SITES).contains("import site"));
        assert_eq!(machine.boot_well().stdout, "", "it is mended once");
    }
}

#[test]
fn a_first_boot_whose_state_is_damaged_goes_on() {
    for damage in DAMAGES {
        let machine = Machine::new();
        machine.journal.refuse("caddy reload");
        assert_eq!(machine.boot().status.code(), Some(1));
        machine.journal.calm();
        let secrets = machine.secrets();
        machine.put(STATE, damage);
        machine.boot_well();
        assert_is_set_up(&machine);
        assert_eq!(machine.secrets(), secrets);
    }
}
