//! Whatever ends a rehearsal, it leaves no process, namespace, mount or temporary file.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{default_provider, program, stderr};

/// A rehearsal on a disk that never boots, with its own folder for temporary files.
fn rehearsal(work: &Path, timeout: &str) -> Command {
    let disk = work.join("empty.raw");
    fs::File::create(&disk).unwrap().set_len(64 << 20).unwrap();
    let temporary = work.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = program();
    command.args(["build", &default_provider(), "--rehearse", "--ssh-timeout", timeout]);
    command.arg("--base").arg(disk).arg("--out").arg(work.join("out")).env("TMPDIR", temporary);
    command
}

fn namespaces_of(process: u32) -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!("echora-{process}-"))).collect()
}

fn check_nothing_left(work: &Path, process: u32) {
    assert_eq!(namespaces_of(process), Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(work.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    let work = work.display().to_string();
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&work), "{mounts}");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&command).contains(&work), "{}", String::from_utf8_lossy(&command));
    }
}

/// Waits until the rehearsal's machine runs.
fn wait_for_machine(child: &mut Child) {
    let end = Instant::now() + Duration::from_secs(300);
    while namespaces_of(child.id()).is_empty() {
        assert!(Instant::now() < end, "the machine's network did not come up");
        assert!(child.try_wait().unwrap().is_none(), "the rehearsal ended early");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn asked_to_end_it_cleans_up() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let work = tempfile::tempdir().unwrap();
        let mut child =
            rehearsal(work.path(), "300").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_machine(&mut child);
        let process = child.id();
        assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        let lines: Vec<_> =
            BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
        assert_eq!(status.code(), Some(130), "{signal}: {lines:#?}");
        assert!(lines.iter().any(|line| line.contains("interrupted")), "{lines:#?}");
        check_nothing_left(work.path(), process);
    }
}

#[test]
fn a_machine_that_never_answers_fails_with_its_console() {
    let work = tempfile::tempdir().unwrap();
    let child = rehearsal(work.path(), "4").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["within 4 s", "the console's last lines", "build.log"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    check_nothing_left(work.path(), process);
}
