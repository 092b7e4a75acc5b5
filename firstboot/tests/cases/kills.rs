//! Power cuts at moments that nobody chose: `kill -9` at random times, several in a row, until the machine is let be. The
//! seed is printed; `ECHORA_SEED` repeats a run, as far as the machine that runs it is as fast.

use std::env;
use std::time::{Duration, Instant};

use echora_firstboot::login;

use super::copies::copy;
use crate::support::checks::{
    CREDENTIALS, OWNER, SITES, STATE, assert_is_a_good_copy, assert_is_set_up, treasure,
};
use crate::support::machine::Machine;

/// Of each kind of boot.
const KILLS: usize = 100;
/// In a row on one machine.
const ROW: u64 = 4;

/// Random numbers that can be had again: <https://www.jstatsoft.org/article/view/v008i14>.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = env::var("ECHORA_SEED").ok().map(|seed| seed.parse().expect("ECHORA_SEED is a number"));
        let seed = given.unwrap_or_else(|| getrandom::u64().unwrap()) | 1;
        println!("ECHORA_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        for shift in [13, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        self.0 % end
    }
}

/// Kills boots of `machine`s at random moments of the time that one takes; each machine then boots well and is checked.
fn kill(machine: fn() -> Machine, check: fn(&Machine)) {
    let mut dice = Dice::new();
    let began = Instant::now();
    machine().boot_well();
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let (mut kills, mut boots) = (0, 0);
    while kills < KILLS {
        let machine = machine();
        let before = treasure(&machine);
        let mut known = machine.secrets();
        for _ in 0..=dice.below(ROW) {
            let moment = Duration::from_micros(dice.below(whole));
            let run = machine.run_until(machine.command(&[]), |passed| passed >= moment);
            boots += 1;
            kills += usize::from(run.was_killed());
            assert_nothing_is_half_written(&machine);
            for (known, now) in known.iter_mut().zip(machine.secrets()) {
                assert!(known.is_none() || *known == now, "a secret has changed after {moment:?}");
                *known = now;
            }
        }
        machine.clear_consoles();
        machine.journal.calm();
        let finished = machine.state()["finished"] == true;
        machine.boot_well();
        let kept = known.iter().zip(machine.secrets()).all(|(known, now)| known.is_none() || *known == now);
        assert!(kept, "a secret has changed in the boot that was let be");
        if !finished {
            check(&machine);
        }
        let kept = before.0[0].is_none() || treasure(&machine) == before;
        assert!(kept, "what a copy came with is kept");
        let left: Vec<_> = machine.files().into_iter().map(|(path, _)| path).collect();
        assert!(!left.iter().any(|path| path.to_string_lossy().ends_with(".new")), "{left:?}");
        assert!(!machine.path(OWNER).exists());
        assert!(boots < KILLS * 10, "boots are too fast to be killed");
    }
    println!("{kills} kills in {boots} boots");
}

/// Every file is there whole or not at all.
fn assert_nothing_is_half_written(machine: &Machine) {
    let is_json = |path: &str| {
        serde_json::from_str::<serde_json::Value>(&machine.read(path)).is_ok_and(|value| value.is_object())
    };
    for path in [STATE, OWNER] {
        assert!(!machine.path(path).exists() || is_json(path), "{path}: {:?}", machine.read(path));
    }
    let credentials = machine.read(CREDENTIALS);
    assert!(credentials.is_empty() || login::find(&credentials).is_ok(), "{credentials:?}");
    let database = machine.read("/var/lib/echora/database");
    assert!(["", "begun\n", "made\n"].contains(&database.as_str()), "{database:?}");
    let sites = machine.read(SITES);
    assert!(sites.is_empty() || sites.ends_with("}\n"), "{sites:?}");
    let environment = machine.read("/opt/echora/.env");
    assert!(environment.lines().all(|line| line.split_once('=').is_some()), "{environment:?}");
    for secret in machine.secrets().into_iter().flatten() {
        assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()), "{secret:?}");
    }
    for path in [STATE, OWNER, CREDENTIALS, "/opt/echora/.env"] {
        assert!(!machine.path(path).exists() || machine.mode(path) == 0o600, "{path}");
    }
}

#[test]
fn a_first_boot_that_is_killed_at_any_moment_converges() {
    kill(Machine::new, assert_is_set_up);
}

#[test]
fn a_copys_boot_that_is_killed_at_any_moment_converges() {
    kill(copy, assert_is_a_good_copy);
}
