//! A small disk and a read-only one, below a machine's folder; they go with their owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: usize = 4096;
const PAGES: usize = 64;

/// A mount.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A disk with this many free pages at `folder`, whose content it hides.
    pub(crate) fn nearly_full(folder: &Path, free: usize) -> Self {
        fs::create_dir_all(folder).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={},mode=0700", PAGES * PAGE), "none"], folder);
        let mount = Self(folder.to_owned());
        fs::write(mount.filler(), vec![0; (PAGES - free) * PAGE]).unwrap();
        mount
    }

    /// As when somebody has tidied up.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// The folder itself, which nobody can write to.
    pub(crate) fn read_only(folder: &Path) -> Self {
        run("mount", &["--bind", folder.to_str().unwrap()], folder);
        let mount = Self(folder.to_owned());
        run("mount", &["-o", "remount,bind,ro"], folder);
        mount
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &["--lazy"], &self.0);
    }
}

fn run(program: &str, words: &[&str], folder: &Path) {
    let status = Command::new(program).args(words).arg(folder).status().unwrap();
    assert!(status.success(), "{program} {words:?} {}: these tests must run as root", folder.display());
}
