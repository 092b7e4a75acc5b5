//! Whatever is wrong with the machine or with what is around it: the boot ends, says so and is cured by the next.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use provider_profiles::Instance;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::checks::{
    CREDENTIALS, IDENTITY, INSTANCE, SITES, STATE, assert_failed_loudly, assert_is_a_good_copy,
    assert_is_set_up, treasure,
};
use crate::support::http::Answer;
use crate::support::machine::{Machine, Run, any_provider};
use crate::support::mount::Mount;

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
    let mut left = 2;
    let late = move || {
        left -= i32::from(left > 0);
        (left > 0).then(|| Answer::Reply(503, "starting".into()))
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
    assert!(!machine.read(SITES).contains("10.0.0.9"));

    for (v4, v6) in [(Some("192.168.1.9"), Some("fd00::9")), (None, None)] {
        let machine = Machine::new();
        machine.move_to(v4, v6);
        let run = machine.boot();
        assert_is_degraded_and_loud(&machine, &run);
    }
}

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
    for port in [80, 443, 3000] {
        let machine = Machine::new();
        listen(&machine, port, "nginx", "0::/system.slice/nginx.service\n");
        let run = machine.boot();
        assert_eq!(run.status.code(), Some(1));
        assert_failed_loudly(&machine, &run);
        let told = format!("port {port} is taken by nginx (process 321)");
        assert!(machine.console().contains(&told), "{}", machine.console());
        fs::remove_file(machine.path("/proc/net/tcp")).unwrap();
        machine.boot_well();
        assert_is_set_up(&machine);
    }
}

#[test]
fn a_port_that_our_own_containers_have_is_not_taken() {
    let machine = Machine::new();
    listen(&machine, 443, "caddy", "0::/system.slice/docker-0123456789abcdef.scope\n");
    machine.boot_well();
    assert_is_set_up(&machine);
}

#[test]
fn a_first_boot_needs_nothing_of_etc_but_to_read_it() {
    let machine = Machine::new();
    machine.configure("domain = 'chat.example.org'\n");
    let _etc = Mount::read_only(&machine.path("/etc"));
    machine.boot_well();
    assert_is_set_up(&machine);
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

/// A terminal whose other end reads nothing and which takes no more; it lives as long as that end.
fn full_terminal() -> (OwnedFd, PathBuf) {
    let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&end).unwrap();
    unlockpt(&end).unwrap();
    let path = PathBuf::from(ptsname(&end, Vec::new()).unwrap().to_str().unwrap());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let terminal = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
    while rustix::io::write(&terminal, &[b'x'; 512]).is_ok() {}
    (end, path)
}

#[test]
fn a_console_that_takes_nothing_hangs_no_boot() {
    let (_end, terminal) = full_terminal();
    let machine = Machine::new();
    let console = machine.path(&machine.plan.consoles[0]);
    fs::remove_file(&console).unwrap();
    symlink(terminal, &console).unwrap();
    assert_eq!(machine.boot_impatiently().status.code(), Some(0));
    assert_eq!(machine.state()["finished"], true);
    let other = machine.read(&machine.plan.consoles[1]);
    assert!(other.ends_with("s\n") && other.contains(&machine.read(CREDENTIALS)), "{other}");
}

#[test]
fn a_console_that_nobody_opens_hangs_no_boot() {
    let machine = Machine::new();
    let console = machine.path(&machine.plan.consoles[0]);
    fs::remove_file(&console).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &console, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    machine.boot_well();
    assert_eq!(machine.state()["finished"], true);
}

#[test]
fn a_journal_that_is_full_ends_no_boot() {
    let machine = Machine::new();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let status = machine.command(&[]).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(machine.state()["finished"], true);
    assert!(machine.login().is_ok());
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
