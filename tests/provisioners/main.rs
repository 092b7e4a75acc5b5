//! The provisioners on a tree of files, with stubs for everything that would touch a running system.

mod base;
mod cleanup;
mod defects;
mod machine;
mod stack;
mod verify;

use std::path::Path;
use std::process::Command;

#[test]
fn the_scripts_pass_shellcheck() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packer/scripts");
    let scripts = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let scripts: Vec<_> =
        scripts.filter(|path| path.extension().is_some_and(|extension| extension == "sh")).collect();
    assert!(scripts.len() >= 6, "{scripts:?}");
    match Command::new("shellcheck").args(&scripts).output() {
        Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout)),
        Err(error) => panic!("shellcheck cannot be run ({error}); install it: apt-get install shellcheck"),
    }
}
