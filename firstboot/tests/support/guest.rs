//! The guest binary that a test runs: its own build, or one for another processor under an emulator.

use std::env;
use std::path::PathBuf;

/// Names the command, its words separated by line breaks, that stands for the test's own build.
pub(crate) const VARIABLE: &str = "ECHORA_GUEST";

/// The command that first boot is run by.
pub(crate) fn words() -> Vec<String> {
    let own = || env!("CARGO_BIN_EXE_echora-firstboot").to_owned();
    env::var(VARIABLE).unwrap_or_else(|_| own()).lines().map(str::to_owned).collect()
}

/// The command that runs the binary for 64-bit Arm here; the reason why there is no such thing otherwise.
pub(crate) fn for_arm() -> Result<Vec<String>, String> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder").to_owned();
    let binary = target.join("aarch64-unknown-linux-musl/guest/echora-firstboot");
    assert!(binary.is_file(), "{} has not been built: run `make guest`", binary.display());
    let binary = binary.display().to_string();
    if env::consts::ARCH == "aarch64" {
        return Ok(vec![binary]);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let emulator =
        env::split_paths(&folders).map(|folder| folder.join("qemu-aarch64")).find(|path| path.is_file());
    let emulator = emulator.ok_or("there is no qemu-aarch64 here; `make setup` installs it")?;
    Ok(vec![emulator.display().to_string(), binary])
}
