//! Whatever ends a rehearsal, at whichever depth, it leaves no process, namespace, mount or temporary file.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::depth::first_with_plugin;
use support::{default_provider, program, stderr};

/// A provider and a depth.
type Kind = (String, &'static str);

/// A rehearsal of each depth.
async fn kinds() -> [Kind; 2] {
    [(default_provider(), "machine"), (first_with_plugin().await, "api")]
}

/// A rehearsal on a disk that never boots, with its own folder for temporary files.
fn rehearsal(work: &Path, (provider, depth): &Kind, timeout: &str) -> Command {
    let disk = work.join("empty.raw");
    fs::File::create(&disk).unwrap().set_len(64 << 20).unwrap();
    let temporary = work.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = program();
    command.args(["build", provider, &format!("--rehearse={depth}"), "--ssh-timeout", timeout]);
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
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&work.display().to_string()), "{mounts}");
    check_no_process(work);
}

fn check_no_process(work: &Path) {
    let work = work.display().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&command).contains(&work), "{}", String::from_utf8_lossy(&command));
    }
}

/// Waits until the rehearsal's machine has its disk.
fn wait_for_machine(work: &Path, child: &mut Child) {
    let end = Instant::now() + Duration::from_secs(300);
    let has_disk = |folder: fs::DirEntry| folder.path().join("root.qcow2").exists();
    while !fs::read_dir(work.join("tmp")).unwrap().flatten().any(has_disk) {
        assert!(Instant::now() < end, "the machine did not come up");
        assert!(child.try_wait().unwrap().is_none(), "the rehearsal ended early");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn asked_to_end_it_cleans_up() {
    let kinds = kinds().await;
    for (signal, kind) in
        [("-INT", &kinds[0]), ("-TERM", &kinds[0]), ("-HUP", &kinds[0]), ("-INT", &kinds[1])]
    {
        let work = tempfile::tempdir().unwrap();
        let mut child =
            rehearsal(work.path(), kind, "300").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_machine(work.path(), &mut child);
        let process = child.id();
        assert!(!namespaces_of(process).is_empty());
        assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        let lines: Vec<_> =
            BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
        assert_eq!(status.code(), Some(130), "{signal} {kind:?}: {lines:#?}");
        assert!(lines.iter().any(|line| line.contains("interrupted")), "{lines:#?}");
        check_nothing_left(work.path(), process);
    }
}

#[tokio::test]
async fn a_machine_that_never_answers_fails_with_its_console() {
    for kind in &kinds().await {
        let work = tempfile::tempdir().unwrap();
        let child =
            rehearsal(work.path(), kind, "4").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let process = child.id();
        let output = child.wait_with_output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{kind:?}: {text}");
        let depth = format!("depth {}: ", kind.1);
        for part in [&depth, "within 4 s", "the console's last lines", "build.log"] {
            assert!(text.contains(part), "{kind:?}: {part} is missing in {text}");
        }
        assert!(!text.contains("left in the played account"), "{kind:?}: {text}");
        check_nothing_left(work.path(), process);
    }
}

/// Nobody is left to clean up after a process that was killed, but the next one of its kind.
#[tokio::test]
async fn what_a_killed_rehearsal_leaves_running_the_next_one_ends() {
    for kind in &kinds().await {
        let work = tempfile::tempdir().unwrap();
        let mut child =
            rehearsal(work.path(), kind, "300").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for_machine(work.path(), &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!namespaces_of(child.id()).is_empty(), "{kind:?}: it was not killed in its midst");

        let next = tempfile::tempdir().unwrap();
        let output = rehearsal(next.path(), kind, "1").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{kind:?}: {}", stderr(&output));
        assert_eq!(namespaces_of(child.id()), Vec::<String>::new(), "{kind:?}");
        check_no_process(work.path());
    }
}
