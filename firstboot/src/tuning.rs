//! The database and the app, fitted to the memory of this machine: settings in `.env` that compose.yaml uses.
//!
//! They are computed once for a size of memory, so that what an operator changes stays until the machine is resized.

use anyhow::Result;

use crate::console::Console;
use crate::environment::Environment;
use crate::files;
use crate::memory::Memory;
use crate::system::System;
use crate::turn::Turn;

/// The memory that the settings below are for.
const FITTED: &str = "TUNED_FOR_MB";
/// What first boot sets.
pub(crate) const NAMES: [&str; 6] = [
    "PG_SHARED_BUFFERS",
    "PG_EFFECTIVE_CACHE_SIZE",
    "PG_WORK_MEM",
    "PG_MAINTENANCE_WORK_MEM",
    "PG_MAX_CONNECTIONS",
    "BACKEND_MEMORY",
];
/// The app's pool takes 20; the rest is for whoever looks into the database, or copies it.
const CONNECTIONS: u64 = 40;
/// A kernel keeps a little more or less for itself from one version to the next.
const STEP_MB: u64 = 256;

/// What first boot sets on a machine with so many MiB, a `NAME=value` a line: to compare others with it fairly.
#[must_use]
pub fn lines(total_mb: u64) -> String {
    let mut environment = Environment::default();
    fit(&mut environment, &Memory { total_mb, available_mb: 0, swap_mb: 0, swap_free_mb: 0 });
    environment.render()
}

/// Sets what fits this machine, unless it is set for as much memory already. Whether anything has changed.
pub(crate) fn fit(environment: &mut Environment, memory: &Memory) -> bool {
    let size = ((memory.total_mb + STEP_MB / 2) / STEP_MB * STEP_MB).max(STEP_MB);
    let fitted = size.to_string();
    if environment.get(FITTED) == Some(fitted.as_str()) {
        return false;
    }
    for (name, value) in NAMES.iter().zip(settings(size)) {
        environment.set(name, &value);
    }
    environment.set(FITTED, &fitted);
    true
}

/// Follows a machine that was resized since its last boot. What cannot be done is said: it is tried again at the next one.
pub(crate) fn follow(system: &System, console: &Console) {
    let changed = || -> Result<bool> {
        let path = system.environment();
        let Some(text) = files::read(&path)? else { return Ok(false) };
        let mut environment = Environment::parse(&text);
        // A machine that was set up by a version without settings keeps its defaults until its stack is updated.
        let Some(before) = environment.get(FITTED).map(str::to_owned) else { return Ok(false) };
        if !fit(&mut environment, &Memory::read(system)?) {
            return Ok(false);
        }
        let _turn = Turn::take(system)?;
        // That it is done is written last: who is cut off does it once more.
        let mut under_way = environment.clone();
        under_way.set(FITTED, &before);
        files::write(&path, 0o600, &under_way.render())?;
        crate::engine::wait(system)?;
        crate::compose::start(system, &["postgres", "backend"])?;
        files::write(&path, 0o600, &environment.render())?;
        Ok(true)
    };
    match changed() {
        Ok(false) => {}
        Ok(true) => console.say("this machine has another size: the database and the app are fitted to it"),
        Err(error) => console
            .say(&format!("WARNING: not fitted to this machine's memory until the next boot: {error:#}")),
    }
}

/// Values of [`NAMES`] for so many MiB, which the app, Docker and the system use as well.
fn settings(memory: u64) -> [String; 6] {
    // From 4 GiB on PostgreSQL's own advice: https://www.postgresql.org/docs/current/runtime-config-resource.html
    let shared = if memory < 4096 { memory / 8 } else { memory / 4 }.clamp(32, 8192);
    // A query may take it several times over, on every connection.
    let work = power_of_two((memory - shared) / (4 * CONNECTIONS)).clamp(2, 64);
    let maintenance = (memory / 16).clamp(16, 1024);
    // Uploads are held whole. What is over this is swapped, and then the app is started anew, and nothing else is.
    let backend = memory * 6 / 10;
    let mb = |number: u64| format!("{number}MB");
    [mb(shared), mb(memory / 2), mb(work), mb(maintenance), CONNECTIONS.to_string(), format!("{backend}m")]
}

/// The largest power of two that is not above the number; of none, one.
fn power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(total_mb: u64) -> Memory {
        Memory { total_mb, available_mb: 0, swap_mb: 0, swap_free_mb: 0 }
    }

    #[test]
    fn each_size_of_machine_has_its_settings() {
        let table = [
            // memory, shared_buffers, effective_cache_size, work_mem, maintenance_work_mem, backend
            (512, "64MB", "256MB", "2MB", "32MB", "307m"),
            (1024, "128MB", "512MB", "4MB", "64MB", "614m"),
            (2048, "256MB", "1024MB", "8MB", "128MB", "1228m"),
            (4096, "1024MB", "2048MB", "16MB", "256MB", "2457m"),
            (8192, "2048MB", "4096MB", "32MB", "512MB", "4915m"),
            (16384, "4096MB", "8192MB", "64MB", "1024MB", "9830m"),
            (65536, "8192MB", "32768MB", "64MB", "1024MB", "39321m"),
        ];
        for (memory, shared, cache, work, maintenance, backend) in table {
            assert_eq!(settings(memory), [shared, cache, work, maintenance, "40", backend], "{memory}");
        }
    }

    #[test]
    fn whatever_the_size_there_is_room_for_the_rest() {
        let number = |text: &String| text.trim_end_matches(['M', 'B', 'm']).parse::<u64>().unwrap();
        let mut before = 0;
        for memory in (256..=65536).step_by(256) {
            let [shared, cache, work, maintenance, _, backend] = settings(memory).each_ref().map(number);
            assert!(shared + maintenance < memory / 2 && cache < memory && backend < memory, "{memory}");
            // All connections with a sort each do not take the machine.
            assert!(work * CONNECTIONS <= memory.max(512) / 2, "{memory}: {work}");
            assert!(shared >= before, "{memory}: more memory is never worse");
            before = shared;
        }
    }

    #[test]
    fn a_choice_of_the_operators_stays_until_the_machine_is_resized() {
        let mut environment = Environment::parse("JWT_SECRET=kept\n");
        // What is sold as 1 GiB, with one kernel and another.
        assert!(fit(&mut environment, &of(961)));
        environment.set("PG_WORK_MEM", "9MB");
        assert!(!fit(&mut environment, &of(975)));
        assert_eq!(environment.get("PG_WORK_MEM"), Some("9MB"));
        assert!(fit(&mut environment, &of(1967)));
        assert_eq!(environment.get("PG_WORK_MEM"), Some("8MB"));
        assert_eq!(environment.get("PG_SHARED_BUFFERS"), Some("256MB"));
        assert_eq!(environment.get("JWT_SECRET"), Some("kept"));
    }

    #[test]
    fn the_stack_takes_every_setting_and_has_a_default_for_it() {
        let stack = include_str!("../stack/compose.yaml");
        for name in NAMES {
            assert_eq!(stack.matches(&format!("${{{name}:-")).count(), 1, "{name}");
        }
    }

    /// Without it 128 logins at once take 1.7 GB, and the app is started anew.
    #[test]
    fn the_app_gives_back_what_password_hashing_frees() {
        let stack = include_str!("../stack/compose.yaml");
        let app = stack.split("\n  backend:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        assert!(app.lines().any(|line| line == r#"      MALLOC_MMAP_THRESHOLD_: "1048576""#), "{app}");
    }
}
