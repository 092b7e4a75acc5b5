//! The set-up script names what is missing before it installs anything, and knows when nothing is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// What the script itself needs to look around.
const SHELL: [&str; 12] =
    ["cat", "dirname", "env", "head", "id", "printf", "rm", "sed", "sh", "sort", "tee", "tr"];

/// A PATH with nothing but the shell's own programs, a sudo, and `more`, which are scripts.
fn path_with(more: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in SHELL {
        let found =
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).find(|f| f.join(name).is_file());
        symlink(found.unwrap().join(name), folder.path().join(name)).unwrap();
    }
    for (name, script) in more.iter().chain(&[("sudo", "exec \"$@\"")]) {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn setup(path: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tools/setup.sh");
    let mut command = Command::new("/bin/sh");
    command.arg(script).args(arguments).env_clear().env("PATH", path).env("HOME", "/nowhere");
    command.output().unwrap()
}

fn words(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_is_missing_is_named_and_nothing_installed() {
    let installs = ("apt-get", "echo apt-get was called; exit 1");
    let path = path_with(&[installs, ("xorriso", "")]);
    let output = setup(path.path(), &["--check"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let named = words(&output);
    for package in ["qemu-utils", "mmdebstrap", "gpg", "golang-go", "rustup"] {
        assert!(named.iter().any(|word| word == package), "{package} is not named: {named:?}");
    }
    assert!(!named.iter().any(|word| word == "xorriso" || word == "apt-get"), "{named:?}");
}

#[test]
fn a_rustup_without_the_toolchain_is_not_enough() {
    let path = path_with(&[("rustup", "echo no such toolchain >&2; exit 1")]);
    let output = setup(path.path(), &["--check"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let named = words(&output);
    assert!(named.iter().any(|word| word.starts_with("rust-1.")), "{named:?}");
    assert!(named.iter().any(|word| word == "rust-std-x86_64-unknown-linux-musl"), "{named:?}");
    assert!(!named.iter().any(|word| word == "rustup"), "{named:?}");
}

#[test]
fn a_go_that_cannot_fetch_a_newer_one_is_not_enough() {
    for (version, named) in [("go1.19.8", true), ("go1.21.0", false), ("go1.9", true), ("go1.26.1", false)] {
        let path = path_with(&[("go", &format!("echo {version}"))]);
        let words = words(&setup(path.path(), &["--check"]));
        assert_eq!(words.iter().any(|word| word == "golang-go"), named, "{version}: {words:?}");
    }
}

#[test]
fn what_could_not_be_installed_is_an_error() {
    let path =
        path_with(&[("apt-get", "echo \"apt-get $*\""), ("rustup", "exit 0"), ("go", "echo go1.26.0")]);
    let output = setup(path.path(), &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("still missing: "), "{error}");
    let told = String::from_utf8_lossy(&output.stdout);
    let (named, installed) = (told.find("missing here"), told.find("apt-get install"));
    assert!(named.is_some() && named < installed, "{told}");
}
