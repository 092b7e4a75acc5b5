//! Files that are there whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Writes a file so that a power cut leaves the old content or the new, never a part; the mode is there before the
/// content is.
pub(crate) fn write(path: &Path, mode: u32, content: &str) -> Result<()> {
    let folder = path.parent().context("a file needs a folder")?;
    folder_of_root(folder)?;
    let new = unfinished(path)?;
    let put = || -> io::Result<()> {
        // What a run that was cut off left may have another mode.
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        // The unit's umask takes from the mode above what others are meant to have.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync(folder)
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a folder that only root can enter, and what is missing above it.
pub(crate) fn folder_of_root(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// Makes a folder that only `user`, of a container, can enter.
pub(crate) fn folder_of(path: &Path, user: u32) -> Result<()> {
    folder_of_root(path)?;
    chown(path, Some(user), Some(user)).with_context(|| format!("cannot hand {} over", path.display()))
}

/// Makes a folder that everybody can read.
pub(crate) fn folder_of_all(path: &Path) -> Result<()> {
    folder_of_root(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot open {} to others", path.display()))
}

/// Lets only root read a file.
pub(crate) fn close(path: &Path) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .with_context(|| format!("cannot close {} to others", path.display()))
}

/// The content of a file, or nothing when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Moves a file within its folder, over what is there.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

/// Removes a file that may not be there, with what a cut in the middle of its writing has left; it stays removed after a
/// power cut.
pub(crate) fn remove(path: &Path) -> Result<()> {
    for path in [&unfinished(path)?, path] {
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            removed => removed
                .and_then(|()| sync(path.parent().unwrap_or(path)))
                .with_context(|| format!("cannot remove {}", path.display()))?,
        }
    }
    Ok(())
}

/// Removes a folder that may not be there with all that is in it.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Lets a file's content, or what a folder holds, outlast a power cut.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Where a file's new content is until it is whole.
fn unfinished(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.new")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/secret");
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/.secret.new"), "left by a power cut").unwrap();
        for content in ["one", "two"] {
            write(&path, 0o600, content).unwrap();
            assert_eq!(read(&path).unwrap().as_deref(), Some(content));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1, "nothing else is left");
        fs::write(folder.path().join("a/.secret.new"), "left by a power cut").unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 0, "nothing at all is left");
    }
}
