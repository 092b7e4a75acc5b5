//! Entries of the cache: reused when whole, built anew when damaged, never half there.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use echora_rehearsal::cache::{Cache, Kept, Key};

async fn keep(cache: &Cache, content: &str, builds: &Cell<u32>) -> Kept {
    let build = async |folder: &Path| {
        builds.set(builds.get() + 1);
        fs::create_dir(folder.join("sub"))?;
        fs::write(folder.join("sub/disk"), content)?;
        Ok(())
    };
    cache.keep("thing", &Key::default().text("content", content), build).await.expect("the entry is there")
}

#[tokio::test]
async fn an_entry_is_built_once_and_reused() {
    let (folder, builds) = (tempfile::tempdir().unwrap(), Cell::new(0));
    let cache = Cache::at(folder.path().to_owned());
    assert!(!keep(&cache, "a", &builds).await.reused);
    let again = keep(&cache, "a", &builds).await;
    assert!(again.reused);
    assert_eq!(fs::read_to_string(again.path.join("sub/disk")).unwrap(), "a");
    assert!(!keep(&cache, "b", &builds).await.reused, "other inputs are another entry");
    assert_eq!(builds.get(), 2);
}

#[tokio::test]
async fn a_damaged_entry_is_noticed_and_built_anew() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("a flipped byte", |entry| {
            fs::write(entry.join("sub/disk"), "x").unwrap();
        }),
        ("a truncated file", |entry| {
            fs::write(entry.join("sub/disk"), "").unwrap();
        }),
        ("a missing file", |entry| {
            fs::remove_file(entry.join("sub/disk")).unwrap();
        }),
        ("a missing manifest", |entry| {
            fs::remove_file(entry.join("manifest.json")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let (folder, builds) = (tempfile::tempdir().unwrap(), Cell::new(0));
        let cache = Cache::at(folder.path().to_owned());
        damage(&keep(&cache, "a", &builds).await.path);
        let kept = keep(&cache, "a", &builds).await;
        assert!(!kept.reused && kept.note.is_some(), "{name} was not noticed");
        assert_eq!(fs::read_to_string(kept.path.join("sub/disk")).unwrap(), "a", "{name}");
    }
}

#[tokio::test]
async fn a_build_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().to_owned());
    let build = async |folder: &Path| {
        fs::write(folder.join("half"), "")?;
        anyhow::bail!("no luck")
    };
    cache.keep("thing", &Key::default(), build).await.expect_err("the build failed");
    let left: Vec<_> =
        fs::read_dir(folder.path().join("thing")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|e| e == "lock")), "left behind: {left:?}");
}

#[tokio::test]
async fn what_a_dead_build_left_goes() {
    let (folder, builds) = (tempfile::tempdir().unwrap(), Cell::new(0));
    let cache = Cache::at(folder.path().to_owned());
    let key = Key::default().text("content", "a").digest();
    let left = folder.path().join("thing").join(format!(".new-{key}-dead"));
    fs::create_dir_all(&left).unwrap();
    keep(&cache, "a", &builds).await;
    assert!(!left.exists());
}

#[test]
fn a_mode_is_part_of_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    let key = || Key::default().path("file", file.path()).unwrap().digest();
    let before = key();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(before, key());
}

#[tokio::test]
async fn two_at_once_build_once() {
    let (folder, builds) = (tempfile::tempdir().unwrap(), Cell::new(0));
    let cache = Cache::at(folder.path().to_owned());
    let (one, two) = tokio::join!(keep(&cache, "a", &builds), keep(&cache, "a", &builds));
    assert_eq!((builds.get(), one.path), (1, two.path));
}

#[tokio::test]
async fn old_entries_go() {
    let (folder, builds) = (tempfile::tempdir().unwrap(), Cell::new(0));
    let cache = Cache::at(folder.path().to_owned());
    for content in ["a", "b", "c", "d", "e"] {
        keep(&cache, content, &builds).await;
    }
    let entries =
        fs::read_dir(folder.path().join("thing")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(entries.count(), 3);
    assert!(keep(&cache, "e", &builds).await.reused, "the newest stays");
}

#[test]
fn a_links_target_is_part_of_the_key_and_a_linked_file_is_its_content() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key = |name: &str| Key::default().path("it", &path(name)).unwrap().digest();
    fs::create_dir(path("tree")).unwrap();
    fs::write(path("tree/file"), "content").unwrap();
    let plain = key("tree");
    symlink("file", path("tree/link")).unwrap();
    let linked = key("tree");
    assert_ne!(plain, linked);
    fs::remove_file(path("tree/link")).unwrap();
    symlink("elsewhere", path("tree/link")).unwrap();
    assert_ne!(linked, key("tree"));

    symlink("tree/file", path("alias")).unwrap();
    assert_eq!(key("tree/file"), key("alias"));
}

#[tokio::test]
async fn a_link_in_an_entry_is_checked_too() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().to_owned());
    let keep = async || {
        let build = async |folder: &Path| Ok(symlink("one", folder.join("link"))?);
        cache.keep("thing", &Key::default(), build).await.unwrap()
    };
    let link = keep().await.path.join("link");
    assert!(keep().await.reused);
    fs::remove_file(&link).unwrap();
    symlink("two", &link).unwrap();
    let again = keep().await;
    assert!(!again.reused && again.note.is_some());
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("one"));
}

#[tokio::test]
async fn a_lock_that_cannot_be_made_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().to_owned());
    let key = Key::default();
    let lock = folder.path().join("thing").join(format!("{}.lock", key.digest()));
    fs::create_dir_all(&lock).unwrap();
    let error = cache.keep("thing", &key, async |_: &Path| Ok(())).await.unwrap_err();
    assert!(format!("{error:#}").contains("Is a directory"), "{error:#}");
}
