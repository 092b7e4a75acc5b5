//! What rehearsals keep between runs: base disks, tools, container images, packages.
//!
//! An entry is a folder named by a digest of all that it is made from. It is built beside its place and moved there
//! whole, with a manifest of its files; an entry that does not match its manifest is built anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::need::Missing;

const MANIFEST: &str = "manifest.json";
/// How many entries of a kind stay; a checkout and its predecessor share a cache, older ones are gone.
const KEPT_PER_KIND: usize = 3;
/// How long to wait for another process that builds the same entry.
const LOCK_DEADLINE: Duration = Duration::from_secs(20 * 60);

/// The user's cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A kept entry.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The entry's folder.
    pub path: PathBuf,
    /// Whether it was there already.
    pub reused: bool,
    /// Digest of what it is made from.
    pub key: String,
    /// Why an entry that was there could not be reused.
    pub note: Option<String>,
}

impl Cache {
    /// `$XDG_CACHE_HOME/echora-images`, or the same below `~/.cache`.
    pub fn user() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        match base {
            Some(base) => Ok(Self::at(base.join("echora-images"))),
            None => Err(Missing::new("neither XDG_CACHE_HOME nor HOME is set", "set HOME").into()),
        }
    }

    /// A cache in a folder of the caller's choice.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// A plain folder in the cache, made when it is not there.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// The entry of `kind` made from `key`: the kept one when it is whole, else what `build` makes in the folder
    /// that it is given.
    pub async fn keep(
        &self,
        kind: &str,
        key: &Key,
        build: impl AsyncFnOnce(&Path) -> Result<()>,
    ) -> Result<Kept> {
        let kind_folder = self.folder(kind)?;
        let key = key.digest();
        let _lock = lock(&kind_folder.join(format!("{key}.lock"))).await?;
        let path = kind_folder.join(&key);
        let mut note = None;
        if path.exists() {
            match check(&path) {
                Ok(()) => {
                    touch(&path);
                    return Ok(Kept { path, reused: true, key, note });
                }
                Err(problem) => {
                    note = Some(format!("the kept {kind} was damaged ({problem:#}) and is built anew"));
                }
            }
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        // Under this entry's lock nobody else builds it: what lies there was left by a build that died.
        let prefix = format!(".new-{key}-");
        remove_all(&kind_folder, &prefix)?;
        let new = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&kind_folder)
            .context("cannot write to the cache")?;
        build(new.path()).await?;
        write_manifest(new.path())?;
        fs::rename(new.path(), &path).with_context(|| format!("cannot put {} in place", path.display()))?;
        prune(&kind_folder)?;
        Ok(Kept { path, reused: false, key, note })
    }

    /// Removes everything.
    pub fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot empty {}", self.root.display()))
            }
            _ => Ok(()),
        }
    }
}

/// All that an entry is made from.
#[derive(Debug, Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds a named text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.add(name, value.as_bytes());
        self
    }

    /// Adds a file's content, or all files below a folder with their relative paths.
    pub fn path(mut self, name: &str, path: &Path) -> Result<Self> {
        for file in files_below(path)? {
            let relative = file.strip_prefix(path).unwrap_or(&file).display().to_string();
            let mode = fs::metadata(&file)
                .with_context(|| format!("cannot look at {}", file.display()))?
                .permissions()
                .mode();
            let (digest, _) = sha256(&file)?;
            self.add(&format!("{name}/{relative}:{mode:o}"), digest.as_bytes());
        }
        Ok(self)
    }

    /// The digest of all that was added, 32 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&self.0.clone().finalize())[..32].to_owned()
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        // Lengths first, so that no two lists of parts read the same.
        self.0.update(format!("{}:{}:", name.len(), value.len()));
        self.0.update(name);
        self.0.update(value);
    }
}

/// sha256 (lower-case hexadecimal) and size of a file.
pub fn sha256(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))? {
            0 => return Ok((hex(&hash.finalize()), bytes)),
            count => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

/// sha256 of bytes in memory, lower-case hexadecimal.
#[must_use]
pub fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FileEntry {
    bytes: u64,
    sha256: String,
}

fn write_manifest(folder: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(&manifest_of(folder)?).context("cannot write a manifest")?;
    let path = folder.join(MANIFEST);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    File::open(&path).and_then(|file| file.sync_all()).context("cannot bring the cache to disk")
}

fn manifest_of(folder: &Path) -> Result<BTreeMap<String, FileEntry>> {
    let mut manifest = BTreeMap::new();
    for file in files_below(folder)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        if name != MANIFEST {
            let (sha256, bytes) = sha256(&file)?;
            manifest.insert(name, FileEntry { bytes, sha256 });
        }
    }
    Ok(manifest)
}

fn check(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(folder.join(MANIFEST)).context("it has no manifest")?;
    let wanted: BTreeMap<String, FileEntry> =
        serde_json::from_str(&text).context("its manifest is unreadable")?;
    let found = manifest_of(folder)?;
    for (name, entry) in &wanted {
        if found.get(name) != Some(entry) {
            bail!("{name} is {}", if found.contains_key(name) { "not what was written" } else { "missing" });
        }
    }
    Ok(())
}

/// All regular files below `path` in a stable order; a file stands for itself.
fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    let kind = fs::symlink_metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    if kind.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !kind.is_dir() {
        return Ok(Vec::new());
    }
    let mut children = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        children.push(entry.with_context(|| format!("cannot list {}", path.display()))?.path());
    }
    children.sort();
    let below: Result<Vec<_>> = children.iter().map(|child| files_below(child)).collect();
    Ok(below?.concat())
}

async fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let end = Instant::now() + LOCK_DEADLINE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
            Err(fs::TryLockError::WouldBlock) if Instant::now() > end => {
                bail!("another build has held {} for {} s", path.display(), LOCK_DEADLINE.as_secs())
            }
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Marks an entry as used now; the oldest go first.
fn touch(entry: &Path) {
    if let Ok(manifest) = File::options().append(true).open(entry.join(MANIFEST)) {
        // Only the order of pruning hangs on it.
        let _ = manifest.set_modified(SystemTime::now());
    }
}

/// Removes the folders in `folder` whose name begins with `prefix`.
fn remove_all(folder: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Removes all but the entries used last.
fn prune(kind_folder: &Path) -> Result<()> {
    let mut entries = Vec::new();
    for entry in
        fs::read_dir(kind_folder).with_context(|| format!("cannot list {}", kind_folder.display()))?
    {
        let path = entry.with_context(|| format!("cannot list {}", kind_folder.display()))?.path();
        let used =
            |path: &Path| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let being_built = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"));
        if path.is_dir() && !being_built {
            entries.push((used(&path.join(MANIFEST)), path));
        }
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(KEPT_PER_KIND);
    for (_, path) in entries.drain(..surplus) {
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
