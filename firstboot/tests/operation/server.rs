//! A server that runs well, as other programs tell of it.

use serde_json::{Value, json};

use crate::support::machine::{Machine, Run};

pub(super) const MEMORY: &str =
    "MemTotal:  4014080 kB\nMemAvailable:  2048000 kB\nSwapTotal:  0 kB\nSwapFree:  0 kB\n";
pub(super) const DISK: &str = "printf 'Type 1M-blocks Avail IUse%%\\next4 24576 18000 4%%\\n'";
pub(super) const FIREWALL: &str = "echo 'Status: active'; for rule in '22/tcp LIMIT' '80/tcp ALLOW' '443/tcp ALLOW' '443/udp ALLOW' \
    '10000:59999/udp ALLOW'; do echo \"$rule Anywhere\"; done";
const LISTENERS: &str = r#"echo 'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))'
echo 'tcp LISTEN 0 128 *:80 *:* users:(("caddy",pid=1,fd=3))'; echo 'tcp LISTEN 0 128 127.0.0.1:3000 *:*'"#;
/// A certificate's dates are told by the clock of the test.
const DOOR: &str = r#"echo "200 0.012 0"; echo "Issuer:C = US, O = Let's Encrypt, CN = E7"
echo "X509v3 Subject Alternative Name:DNS:chat.example.org"
day() { LC_ALL=C date --utc --date "$1" '+%b %e %H:%M:%S %Y GMT'; }
echo "Start date:$(day "-30 days")"; echo "Expire date:$(day "+60 days 12 hours")""#;

/// What the engine tells of a container that is well.
pub(super) fn container() -> Value {
    json!({
        "State": {"Status": "running", "Pid": 4242, "OOMKilled": false, "StartedAt": "2026-11-25T06:00:00Z",
            "Health": {"Status": "healthy"}},
        "RestartCount": 0,
        "HostConfig": {"LogConfig": {"Type": "local", "Config": {"max-size": "10m"}}},
    })
}

/// Set up, running, and with nothing to be said of it.
pub(super) fn server() -> Machine {
    let machine = Machine::new();
    machine.put("/proc/meminfo", MEMORY);
    machine.put("/proc/uptime", "266400.12 1.0\n");
    machine.put("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n");
    machine.boot_well();
    std::fs::remove_file(machine.path("/root/echora-credentials")).unwrap();
    machine.journal.calm();
    for name in ["postgres", "backend", "caddy"] {
        machine.journal.tell(&format!("/containers/echora-{name}/json"), &container().to_string());
    }
    for (program, script) in [("df", DISK), ("ufw", FIREWALL), ("ss", LISTENERS), ("curl", DOOR)] {
        machine.journal.answer(program, script);
    }
    machine.journal.answer("systemctl", "echo active");
    for program in ["journalctl", "ip", "free", "swapon", "cloud-init"] {
        machine.journal.answer(program, &format!("echo 'said by {program}'"));
    }
    machine
}

/// What `--json` says.
pub(super) fn json(machine: &Machine) -> (Option<i32>, Value) {
    let run = machine.run(machine.command(&["doctor", "--json", "--timeout", "20"]));
    assert_eq!(run.stderr, "");
    (
        run.status.code(),
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout)),
    )
}

/// What people see.
pub(super) fn screen(machine: &Machine) -> Run {
    machine.run(machine.command(&["doctor", "--timeout", "20"]))
}
