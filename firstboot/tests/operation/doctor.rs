//! `echora-doctor`: what it tells, what it finds, and that it comes to an end.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::server::{FIREWALL, container, json, screen, server};
use crate::support::checks::{INSTANCE, STATE};
use crate::support::machine::Machine;

fn fits(screen: &str) {
    assert!(screen.lines().count() <= 40, "{screen}");
    let wide: Vec<&str> = screen.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn a_server_that_is_well_is_told_on_one_screen() {
    let machine = server();
    let run = screen(&machine);
    assert_eq!((run.status.code(), run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    fits(&run.stdout);
    let url = machine.state()["url"].as_str().unwrap().to_owned();
    for part in [
        "on Debian GNU/Linux 13 (trixie), up 3 d 2 h",
        &format!("{url} answers 200 in 0.01 s; app and database answer"),
        "for a domain: chat.example.org, by Let's Encrypt E7, 60 d 1",
        "postgres running (healthy); backend running (healthy); caddy running (healthy)",
        "2000 of 3920 MB available; no swap",
        "17.5 of 24.0 GB free (ext4)",
        "22/tcp sshd limit, 80/tcp caddy allow",
        "All is well: there is nothing to do.",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&run.stdout).contains(&words(part)), "{part}: {}", run.stdout);
    }
    assert!(!run.stdout.contains('\u{1b}'), "colours are for terminals");
    assert!(!run.stdout.contains("!!") && !run.stdout.contains("\n  -"), "{}", run.stdout);
}

#[test]
fn machines_get_the_same_under_names_that_stay() {
    let (status, told) = json(&server());
    assert_eq!((status, &told["healthy"], &told["findings"]), (Some(0), &true.into(), &json!([])));
    let names: Vec<&String> = told.as_object().unwrap().keys().collect();
    let expected = "healthy findings version system time up_seconds reboot_required site certificate domain addresses \
        firewall ports disk memory containers first_boot last_boot_seconds inputs login_is_kept unanswered";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(told["certificate"]["rung"], "domain");
    assert_eq!(told["containers"][1]["name"], "echora-backend");
    assert_eq!(told["first_boot"]["seconds"].as_object().unwrap().len(), 9);
}

/// A later boot has other steps, and what the first one took stays in the state.
#[test]
fn the_last_boots_steps_are_told_beside_those_of_the_first() {
    let machine = server();
    let shown = screen(&machine).stdout;
    assert!(shown.contains(" ok  last boot      the first one\n"), "{shown}");
    let (_, first) = json(&machine);
    assert_eq!(first["last_boot_seconds"], first["first_boot"]["seconds"]);
    let state = machine.read(STATE);

    machine.boot_well();
    let (_, told) = json(&machine);
    assert_eq!(told["first_boot"]["seconds"], first["first_boot"]["seconds"]);
    let steps: Vec<&String> = told["last_boot_seconds"].as_object().unwrap().keys().collect();
    assert_eq!(steps, ["metadata", "size", "state"]);
    let shown = screen(&machine).stdout;
    let line = shown.lines().find(|line| line.starts_with(" ok  last boot ")).unwrap();
    assert!(steps.iter().all(|step| line.contains(&format!("{step} "))), "{line}");
    assert_eq!(machine.read(STATE), state);

    fs::remove_file(machine.path("/run/echora/boot.json")).unwrap();
    assert!(screen(&machine).stdout.contains(" ??  last boot      not known: none has ended"));
}

/// Something that goes wrong, and in which words of which finding it is told.
type Trouble = (fn(&Machine), &'static str, &'static str);

const TROUBLES: [Trouble; 16] = [
    (
        |m| m.journal.answer("df", "printf 'x\\next4 24576 300 4%%\\n'"),
        "disk",
        "the disk is full: 300 MB are free",
    ),
    (|m| m.journal.answer("df", "printf 'x\\next4 24576 9000 97%%\\n'"), "disk", "hardly any more files"),
    (|m| m.journal.answer("ufw", "echo 'Status: inactive'"), "firewall", "the firewall is off"),
    (
        |m| m.journal.answer("ufw", "printf 'Status: active\\n22/tcp ALLOW Anywhere\\n'"),
        "firewall",
        "does not let 443/tcp in",
    ),
    (|m| m.journal.answer("curl", "echo 'curl: (7) refused' >&2; exit 7"), "site", "curl: (7) refused"),
    (|m| m.journal.answer("curl", "echo '503 0.01 0'"), "site", "answers with status 503"),
    (|m| expires(m, "-30 days", "-1 hour"), "certificate", "has expired"),
    (|m| expires(m, "-89 days", "+1 day"), "certificate", "should have been renewed"),
    (|m| leads_elsewhere(m, "points to 198.51.100.1"), "domain", "points to 198.51.100.1"),
    (|m| remembers(m, 20), "memory", "memory is short"),
    (|m| changed(m, "/State/Health/Status", "unhealthy".into()), "containers", "echora-backend is unhealthy"),
    (|m| changed(m, "/State/Status", "restarting".into()), "containers", "echora-backend is restarting"),
    (
        |m| changed(m, "/State/OOMKilled", true.into()),
        "memory",
        "echora-backend was ended for want of memory",
    ),
    (|m| m.put("/var/lib/echora/state.json", r#"{"finished":false}"#), "first_boot", "has not ended"),
    (|m| m.put(INSTANCE, "a copy's\n"), "first_boot", "has not ended"),
    (a_later_boot_failed, "first_boot", "the site cannot follow"),
];

/// The server has a domain that is not its own yet.
pub(super) fn leads_elsewhere(machine: &Machine, words: &str) {
    const DOMAIN: &str = "chat.example.org";
    machine.put("/var/lib/echora/site.json", &json!({"domain": DOMAIN}).to_string());
    let finding = json!({"address": "198.51.100.1", "verdict": "elsewhere", "words": words});
    let report = json!({"domain": DOMAIN, "proved": false, "findings": [finding]});
    machine.put("/var/lib/echora/domain.json", &report.to_string());
}

fn a_later_boot_failed(machine: &Machine) {
    machine.journal.answer("systemctl", "echo failed");
    machine.journal.answer("journalctl", "echo 'this boot FAILED in step 1: the site cannot follow'");
}

/// What works and could be better.
const ADVICE: [Trouble; 6] = [
    (|m| m.put("/root/echora-credentials", "x"), "login", "the login still lies on this machine"),
    (|m| m.put("/run/reboot-required", ""), "updates", "updates wait for a reboot"),
    (|m| changed(m, "/RestartCount", 9.into()), "containers", "started again 9 times"),
    (
        |m| changed(m, "/HostConfig/LogConfig", json!({"Type": "json-file", "Config": {}})),
        "logs",
        "grows without an end",
    ),
    (|m| remembers(m, 500), "memory", "no swap"),
    (opened, "ports", "nc can be reached by anybody at port 8080/tcp"),
];

fn changed(machine: &Machine, pointer: &str, value: Value) {
    let mut about = container();
    *about.pointer_mut(pointer).unwrap() = value;
    machine.journal.tell("/containers/echora-backend/json", &about.to_string());
}

/// A program of the operator's that the firewall lets visitors through to.
fn opened(machine: &Machine) {
    machine.journal.answer("ss", r#"echo 'tcp LISTEN 0 1 0.0.0.0:8080 *:* users:(("nc",pid=1,fd=3))'"#);
    let rules = format!("{FIREWALL}; echo '8080 ALLOW Anywhere'");
    machine.journal.answer("ufw", &rules);
}

/// A machine of 1 GB with so many MB left.
fn remembers(machine: &Machine, left: u32) {
    let text = format!("MemTotal: 1000000 kB\nMemAvailable: {left}000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
    machine.put("/proc/meminfo", &text);
}

fn expires(machine: &Machine, from: &str, until: &str) {
    machine.journal.answer(
        "curl",
        &format!(
            "day() {{ LC_ALL=C date --utc --date \"$1\" '+%b %e %H:%M:%S %Y GMT'; }}\necho '200 0.01 0'\necho 'Issuer:O = CA'\n\
             echo \"Start date:$(day '{from}')\"\necho \"Expire date:$(day '{until}')\"\n"
        ),
    );
}

#[test]
fn what_is_wrong_is_named_with_a_cure_and_shown_by_the_exit_status() {
    for (spoil, about, words) in TROUBLES {
        let machine = server();
        spoil(&machine);
        let (status, told) = json(&machine);
        let findings = told["findings"].as_array().unwrap();
        let found = findings
            .iter()
            .find(|finding| finding["about"] == about && text(finding, "what").contains(words));
        let found = found.unwrap_or_else(|| panic!("{words}: {findings:#?}"));
        assert_eq!((status, &told["healthy"]), (Some(5), &false.into()), "{words}");
        assert_eq!(found["severity"], "problem", "{words}");
        assert!(text(found, "cure").len() > 8, "{words}");
        assert_eq!(findings[0]["severity"], "problem", "the worst comes first: {findings:#?}");

        let run = screen(&machine);
        fits(&run.stdout);
        assert!(
            run.status.code() == Some(5) && run.stdout.contains("What to do next\n  1. "),
            "{}",
            run.stdout
        );
        assert!(run.stdout.contains(" !!  "), "{words}: {}", run.stdout);
    }
}

#[test]
fn advice_is_given_and_the_server_is_well() {
    for (spoil, about, words) in ADVICE {
        let machine = server();
        spoil(&machine);
        let (status, told) = json(&machine);
        let findings = told["findings"].as_array().unwrap();
        assert!(findings.len() == 1 && findings[0]["about"] == about, "{findings:#?}");
        assert!(text(&findings[0], "what").contains(words), "{findings:#?}");
        assert_eq!((status, &findings[0]["severity"]), (Some(0), &"advice".into()), "{words}");
    }
}

fn text<'a>(tree: &'a Value, name: &str) -> &'a str {
    tree[name].as_str().unwrap()
}

#[test]
fn whatever_goes_wrong_at_once_it_stays_one_screen() {
    let machine = server();
    for (spoil, ..) in TROUBLES.iter().chain(&ADVICE) {
        spoil(&machine);
    }
    machine.journal.answer("curl", &format!("echo '{}' >&2; exit 7", "long words ".repeat(300)));
    machine.journal.answer("ufw", "echo 'Status: inactive'");
    machine
        .journal
        .answer("ss", "for port in $(seq 8001 8040); do echo \"tcp LISTEN 0 1 0.0.0.0:$port *:*\"; done");
    let run = screen(&machine);
    fits(&run.stdout);
    assert!(run.stdout.contains(" more: echora-doctor --json"), "{}", run.stdout);
    assert_eq!(run.status.code(), Some(5));
}

/// An engine that takes questions and answers none; the one that was there comes back with its end.
struct SilentEngine {
    socket: PathBuf,
    _listener: UnixListener,
}

impl SilentEngine {
    fn in_place_of(socket: PathBuf) -> Self {
        fs::rename(&socket, socket.with_extension("aside")).unwrap();
        Self { _listener: UnixListener::bind(&socket).unwrap(), socket }
    }
}

impl Drop for SilentEngine {
    fn drop(&mut self) {
        fs::rename(self.socket.with_extension("aside"), &self.socket).unwrap();
    }
}

/// Neither the engine nor the programs.
#[test]
fn who_does_not_answer_is_named_and_not_waited_for() {
    let machine = server();
    let _silent = SilentEngine::in_place_of(machine.path("/var/run/docker.sock"));
    for program in ["ufw", "systemctl", "df", "curl"] {
        machine.journal.answer(program, "exec sleep 600");
    }
    let bundle = machine.path("/hanging.tar");
    machine.journal.answer("journalctl", "exec sleep 600");
    let run = machine.run(machine.command(&[
        "doctor",
        "--json",
        "--timeout",
        "1",
        "--bundle",
        bundle.to_str().unwrap(),
    ]));
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    let open: Vec<&str> =
        told["unanswered"].as_array().unwrap().iter().map(|open| text(open, "question")).collect();
    assert_eq!(open, ["firewall", "ports", "disk", "containers"]);
    assert_eq!((run.status.code(), &told["findings"][0]["about"]), (Some(5), &"docker".into()), "{told:#}");
    assert_eq!(told["memory"]["total_mb"], 3920, "what can be told is told");
    assert!(bundle.exists());
    let run = machine.run(machine.command(&["doctor", "--timeout", "1"]));
    assert!(
        run.stdout.contains(" ??  disk           not known: df did not end within 1 s"),
        "{}",
        run.stdout
    );
}

#[test]
fn its_name_is_enough() {
    let machine = server();
    let link = machine.path("/echora-doctor");
    symlink(env!("CARGO_BIN_EXE_echora-firstboot"), &link).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&link);
        command.args(arguments).arg("--root").arg(machine.path("/")).env("PATH", machine.journal.programs());
        command.output().unwrap()
    };
    let told: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--jsn"]).status.code(), Some(2));
    assert_eq!(run(&["--timeout", "soon"]).status.code(), Some(2));
    assert_eq!(
        machine.run(machine.command(&["boot", "--json"])).status.code(),
        Some(2),
        "boot has no such option"
    );
}

#[test]
fn a_damaged_state_is_told_and_the_rest_with_it() {
    let machine = server();
    machine.put("/var/lib/echora/state.json", "{");
    let (status, told) = json(&machine);
    assert_eq!((status, &told["unanswered"][0]["question"]), (Some(5), &"state".into()), "{told:#}");
    assert_eq!(told["containers"].as_array().unwrap().len(), 3);
}

/// What stands before the texts of a screen, without the marks.
fn labels(screen: &str) -> Vec<String> {
    let label =
        |line: &str| line.get(5..20).map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
    screen.lines().skip(2).take_while(|line| !line.starts_with("What")).filter_map(label).collect()
}

#[test]
fn the_documented_screen_and_options_are_the_real_ones() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.md");
    let page = fs::read_to_string(page).unwrap();
    let shown = page.split("```text\n").nth(2).unwrap().split("```").next().unwrap();
    fits(shown);
    let machine = server();
    remembers(&machine, 500);
    changed(&machine, "/State/Health/Status", "unhealthy".into());
    let real = screen(&machine).stdout;
    assert_eq!(labels(shown), labels(&real));
    let (_, behind) = real.split_once("What to do next\n").unwrap();
    for line in behind.lines().map(|line| line.trim_start_matches(|c: char| !c.is_alphabetic())) {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let help = machine.run(machine.command(&["--help"])).stdout;
    for option in ["--json", "--bundle FILE", "--timeout SECONDS"] {
        assert!(page.contains(&format!("| `{option}` |")) && help.contains(option), "{option}");
    }
}
