//! Something is wrong with the machine: the boot ends, names it, and the next one goes on from there.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::checks::{assert_failed_loudly, assert_is_set_up};
use crate::support::machine::Machine;
use crate::support::mount::Mount;

/// The engine's socket is not there yet, or the database's.
fn sockets() -> [(&'static str, &'static str, &'static str); 2] {
    const DATABASE: &str = "/var/lib/docker/volumes/echora_pgsocket/_data/.s.PGSQL.5432";
    [
        ("/var/run/docker.sock", "", "Docker does not answer"),
        (DATABASE, "/containers/echora-postgres/json", "the database did not become ready"),
    ]
}

#[test]
fn what_comes_up_late_is_waited_for() {
    for (socket, asked, _) in sockets() {
        let machine = Machine::new();
        let away = machine.path(&format!("{socket}.away"));
        fs::rename(machine.path(socket), &away).unwrap();
        // Of an engine without a socket nothing stands in the journal: it may come at any moment.
        let run = machine.boot_and(asked, if asked.is_empty() { 0 } else { 3 }, || {
            fs::rename(&away, machine.path(socket)).unwrap();
        });
        assert_eq!(run.status.code(), Some(0), "{socket}: {}", run.stderr);
        assert_is_set_up(&machine);
    }
}

#[test]
fn what_never_comes_up_is_given_up_and_the_next_boot_goes_on() {
    for (socket, _, told) in sockets() {
        let machine = Machine::new();
        let away = machine.path(&format!("{socket}.away"));
        fs::rename(machine.path(socket), &away).unwrap();
        let run = machine.boot_impatiently();
        assert_eq!(run.status.code(), Some(1), "{socket}");
        assert_failed_loudly(&machine, &run);
        assert!(machine.console().contains(told), "{}", machine.console());
        fs::rename(&away, machine.path(socket)).unwrap();
        machine.boot_well();
        assert_is_set_up(&machine);
    }
}

#[test]
fn a_full_disk_is_told_and_the_boot_goes_on_once_there_is_room() {
    for folder in ["/var/lib/echora", "/opt/echora", "/root"] {
        for free in 0.. {
            let machine = Machine::new();
            let disk = Mount::nearly_full(&machine.path(folder), free);
            let run = machine.boot();
            let (before, done) = (machine.secrets(), run.status.success());
            if !done {
                assert_eq!(run.status.code(), Some(1), "{folder} {free}");
                let console = machine.console();
                assert!(
                    console.contains("FAILED") && console.contains("No space left on device"),
                    "{console}"
                );
                assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
                machine.journal.calm();
                disk.make_room();
                machine.boot_well();
            }
            assert_is_set_up(&machine);
            let kept = before.iter().zip(machine.secrets()).all(|(old, new)| old.is_none() || *old == new);
            assert!(kept, "{folder} {free}");
            if done {
                assert!(free > 0, "nothing was written to {folder}");
                break;
            }
        }
    }
}

/// Every wait is on the monotonic clock (a lint keeps the other one out of this crate); what is left are the dates of
/// files, which a clock that was wrong has set.
#[test]
#[expect(clippy::disallowed_types, reason = "it is what this is about")]
fn dates_of_files_count_for_nothing() {
    use std::time::SystemTime;
    let year = Duration::from_secs(365 * 24 * 3600);
    for date in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + year * 130] {
        let machine = Machine::new();
        machine.journal.kill("after", 8);
        assert!(machine.boot().was_killed());
        machine.journal.calm();
        for _ in 0..2 {
            for (path, _) in machine.files() {
                fs::File::open(path).unwrap().set_modified(date).unwrap();
            }
            machine.boot_well();
            assert_is_set_up(&machine);
        }
    }
}

/// A process that listens, as the kernel shows it.
fn listen(machine: &Machine, port: u16, name: &str, cgroup: &str) {
    let head =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let line = format!(
        "   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1\n"
    );
    machine.put("/proc/net/tcp", &(head.to_owned() + &line));
    machine.put("/proc/321/comm", &format!("{name}\n"));
    machine.put("/proc/321/cgroup", cgroup);
    fs::create_dir_all(machine.path("/proc/321/fd")).unwrap();
    symlink("socket:[777]", machine.path("/proc/321/fd/5")).unwrap();
}

#[test]
fn a_port_that_is_taken_is_told_with_who_has_it() {
    let holders = [(80, "nginx", "nginx"), (443, "docker-proxy", "docker"), (3000, "node", "grafana")];
    for (port, name, service) in holders {
        let machine = Machine::new();
        listen(&machine, port, name, &format!("0::/system.slice/{service}.service\n"));
        let run = machine.boot();
        assert_eq!(run.status.code(), Some(1));
        assert_failed_loudly(&machine, &run);
        let told = format!("port {port} is taken by {name} (process 321)");
        assert!(machine.console().contains(&told), "{}", machine.console());
        fs::remove_file(machine.path("/proc/net/tcp")).unwrap();
        machine.boot_well();
        assert_is_set_up(&machine);
    }
}

#[test]
fn a_port_that_our_own_containers_have_is_not_taken() {
    for cgroup in ["0::/system.slice/docker-0123456789abcdef.scope\n", "0::/docker/0123456789abcdef\n"] {
        let machine = Machine::new();
        listen(&machine, 443, "caddy", cgroup);
        machine.boot_well();
        assert_is_set_up(&machine);
    }
}

#[test]
fn a_first_boot_needs_nothing_of_etc_but_to_read_it() {
    let machine = Machine::new();
    machine.configure("domain = 'chat.example.org'\n");
    let _etc = Mount::read_only(&machine.path("/etc"));
    machine.boot_well();
    assert_is_set_up(&machine);
}
