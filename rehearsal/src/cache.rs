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

use anyhow::{Context, Result, bail, ensure};
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
            match off_thread(path.clone(), check).await {
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
        off_thread(new.path().to_owned(), write_manifest).await?;
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

    /// Adds a file's content and mode, or all files below a folder with their relative paths; a symbolic link
    /// below it stands for where it points.
    pub fn path(mut self, name: &str, path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        for file in files_below(&path)? {
            let relative = file.strip_prefix(&path).unwrap_or(&file).display().to_string();
            let about =
                fs::symlink_metadata(&file).with_context(|| format!("cannot look at {}", file.display()))?;
            let (mode, (digest, _)) = (about.permissions().mode(), content(&file)?);
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

#[derive(Debug, Serialize, Deserialize)]
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
            let (sha256, bytes) = content(&file)?;
            manifest.insert(name, FileEntry { bytes, sha256 });
        }
    }
    Ok(manifest)
}

fn check(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(folder.join(MANIFEST)).context("it has no manifest")?;
    let wanted: BTreeMap<String, FileEntry> =
        serde_json::from_str(&text).context("its manifest is unreadable")?;
    // Sizes first: most damage shows there, before gigabytes are read.
    for (name, entry) in &wanted {
        match fs::symlink_metadata(folder.join(name)) {
            Ok(about) if about.len() == entry.bytes => {}
            Ok(about) => bail!("{name} has {} bytes instead of {}", about.len(), entry.bytes),
            Err(error) => return Err(error).with_context(|| format!("{name} is not there")),
        }
    }
    for (name, entry) in &wanted {
        let (sha256, _) = content(&folder.join(name))?;
        ensure!(sha256 == entry.sha256, "{name} is not what was written");
    }
    Ok(())
}

/// Runs `work` where reading a gigabyte holds nothing else up.
async fn off_thread<T: Send + 'static>(
    folder: PathBuf,
    work: impl FnOnce(&Path) -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || work(&folder)).await.context("reading the cache ended early")?
}

/// sha256 and size of a file, or of the target's name for a symbolic link.
fn content(path: &Path) -> Result<(String, u64)> {
    match fs::read_link(path) {
        Ok(target) => {
            let target = target.as_os_str().as_encoded_bytes();
            Ok((hex_sha256(target), target.len() as u64))
        }
        Err(_) => sha256(path),
    }
}

/// All files and symbolic links below `path` in a stable order; a file stands for itself.
fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    let kind = fs::symlink_metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    if kind.is_file() || kind.is_symlink() {
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
