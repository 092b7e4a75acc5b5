//! The image of PostgreSQL keeps the contract of the official one, run as the stack runs it: as root with the few
//! capabilities that compose.yaml leaves it. Takes root; a container is made of namespaces and chroot.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::{Duration, Instant};

use echora_rehearsal::cache::Cache;
use echora_rehearsal::images;
use echora_rehearsal::process::Job;
use tempfile::TempDir;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "correct horse $(battery) 'staple'";
/// The official image's `postgres`; volumes carry it.
const UID: u32 = 999;

/// Makes what a container runtime makes, then starts the image's program.
const RUNTIME: &str = r#"
tree=$1 && shift
ip link set lo up
ip address add 192.0.2.1/32 dev lo
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/dev"
mkdir -m 1777 "$tree/dev/shm"
mknod -m 666 "$tree/dev/null" c 1 3
exec setpriv --no-new-privs --bounding-set=-all,+chown,+dac_override,+fowner,+setgid,+setuid,+sys_chroot \
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin \
	PGDATA=/var/lib/postgresql/data "$@"
"#;

/// An image's files, written to by its containers.
struct Tree {
    folder: TempDir,
}

/// A running container; dropping it ends it.
struct Container<'a> {
    tree: &'a Tree,
    job: Job,
    log: PathBuf,
}

impl Tree {
    async fn new() -> Self {
        let image = images::postgres(&Cache::user().unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        images::unpack(&image, folder.path()).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["proc", "dev"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn write(&self, inside: &str, mode: u32, content: &str) {
        fs::write(self.path(inside), content).unwrap();
        fs::set_permissions(self.path(inside), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Starts the entry point with `environment` and `command`.
    fn start(&self, environment: &[(&str, &str)], command: &[&str]) -> Container<'_> {
        let log = self.path("container.log");
        let output = File::create(&log).unwrap();
        let mut run = Command::new("unshare");
        run.args([
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--fork",
            "--kill-child",
            "sh",
            "-euc",
            RUNTIME,
            "sh",
        ]);
        run.arg(self.folder.path());
        run.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
        run.args(["chroot".as_ref(), self.folder.path()]).arg("docker-entrypoint.sh").args(command);
        run.stdout(output.try_clone().unwrap()).stderr(output);
        Container { tree: self, job: Job::start(&mut run, "the container").unwrap(), log }
    }

    /// Runs a container that ends by itself.
    async fn run(&self, environment: &[(&str, &str)], command: &[&str]) -> (ExitStatus, String) {
        let mut container = self.start(environment, command);
        let status = container.job.status(PATIENCE).await.unwrap();
        (status, container.log())
    }

    fn has_cluster(&self) -> bool {
        self.path("var/lib/postgresql/data/PG_VERSION").exists()
    }
}

impl Container<'_> {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The container's first process, seen from outside.
    fn first(&self) -> Option<u32> {
        let id = self.job.id()?;
        fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?.trim().parse().ok()
    }

    /// Runs a query inside; `target` is psql's options.
    async fn query(&self, target: &[&str], password: &str, query: &str) -> Output {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.first().unwrap()))
            .args(["--net", "chroot"])
            .arg(self.tree.folder.path());
        command.args(["/usr/lib/postgresql/17/bin/psql", "-XAtw"]).args(target).args(["-c", query]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("PGPASSWORD", password);
        command.output().await.unwrap()
    }

    async fn answer(&self, target: &[&str], query: &str) -> String {
        let output = self.query(target, PASSWORD, query).await;
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until the server proper answers: the private one of the first start has its socket elsewhere.
    async fn ready(&mut self, target: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.job.try_status().unwrap();
            assert!(status.is_none() && Instant::now() < end, "not ready ({status:?}):\n{}", self.log());
            if self.first().is_some() && self.query(target, PASSWORD, "SELECT 1").await.status.success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops it by the signal that the image names.
    async fn stop(mut self) -> ExitStatus {
        let id = self.first().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
        self.job.status(PATIENCE).await.unwrap()
    }
}

const SOCKET: &[&str] = &["-U", "owner", "-d", "app", "-h", "/var/run/postgresql"];
/// The official image trusts whoever comes from loopback; this is an address like any other.
const TCP: &[&str] = &["-U", "owner", "-d", "app", "-h", "192.0.2.1"];

#[tokio::test]
async fn the_first_start_makes_the_database_and_later_ones_keep_it() {
    let tree = Tree::new().await;
    tree.write("docker-entrypoint-initdb.d/1.sql", 0o644, "CREATE TABLE steps (name text, db text);");
    let insert = |name: &str| {
        format!("psql -qc \"INSERT INTO steps VALUES ('{name}', current_database())\" \"$POSTGRES_DB\"\n")
    };
    tree.write("docker-entrypoint-initdb.d/2.sh", 0o644, &format!("{}sourced=yes\n", insert("sourced")));
    tree.write(
        "docker-entrypoint-initdb.d/3.sh",
        0o755,
        &format!("#!/bin/sh\n[ -z \"${{sourced:-}}\" ] && {}", insert("run")),
    );
    tree.write("run/password", 0o644, PASSWORD);
    tree.write("run/arguments", 0o644, "--data-checksums --auth-local=scram-sha-256");
    let environment = [
        ("POSTGRES_USER", "owner"),
        ("POSTGRES_DB", "app"),
        ("POSTGRES_PASSWORD_FILE", "/run/password"),
        ("POSTGRES_INITDB_ARGS_FILE", "/run/arguments"),
    ];
    let mut container = tree.start(&environment, &["postgres"]);
    container.ready(SOCKET).await;

    assert_eq!(
        container.answer(SOCKET, "SELECT string_agg(name || ' in ' || db, ', ') FROM steps").await,
        "sourced in app, run in app"
    );
    assert_eq!(container.answer(SOCKET, "SHOW data_checksums").await, "on");
    assert_eq!(container.answer(SOCKET, "SELECT rolname FROM pg_roles WHERE rolsuper").await, "owner");
    assert!(container.answer(SOCKET, "SHOW server_version").await.starts_with("17."));
    for target in [SOCKET, TCP] {
        let refused = container.query(target, "wrong", "SELECT 1").await;
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"),
            "{target:?}"
        );
    }
    assert_eq!(container.answer(TCP, "SELECT 1").await, "1");
    let addresses = container.answer(SOCKET, "SHOW listen_addresses").await;
    assert_eq!(addresses, "*", "the official image listens everywhere unless it is told otherwise");

    let data = fs::metadata(tree.path("var/lib/postgresql/data")).unwrap();
    assert_eq!((data.uid(), data.mode() & 0o7777), (UID, 0o700));
    let server = fs::metadata(format!("/proc/{}", container.first().unwrap())).unwrap();
    assert_eq!(server.uid(), UID);
    assert_eq!(leftovers(&tree.path("tmp")), Vec::<PathBuf>::new());
    assert!(!container.log().contains(PASSWORD));

    let system = "SELECT system_identifier FROM pg_control_system()";
    let identifier = container.answer(SOCKET, system).await;
    assert!(container.stop().await.success());

    let mut again = tree.start(&[], &["postgres", "-c", "listen_addresses="]);
    again.ready(SOCKET).await;
    assert_eq!(again.answer(SOCKET, system).await, identifier);
    assert_eq!(again.answer(SOCKET, "SELECT count(*) FROM steps").await, "2", "the scripts have run again");
    assert!(!again.query(TCP, PASSWORD, "SELECT 1").await.status.success(), "no TCP was asked for");
    assert!(again.stop().await.success());
}

#[tokio::test]
async fn wrong_use_is_refused_before_anything_is_made() {
    let tree = Tree::new().await;
    tree.write("run/password", 0o644, PASSWORD);
    let both = [("POSTGRES_PASSWORD", PASSWORD), ("POSTGRES_PASSWORD_FILE", "/run/password")];
    let nowhere = [("POSTGRES_PASSWORD_FILE", "/run/nowhere")];
    for (environment, wanted) in
        [(&[][..], "POSTGRES_PASSWORD"), (&both, "both POSTGRES_PASSWORD and"), (&nowhere, "/run/nowhere")]
    {
        let (status, log) = tree.run(environment, &["postgres"]).await;
        assert!(!status.success() && log.contains(wanted), "{environment:?}: {status}: {log}");
        assert!(!tree.has_cluster(), "{environment:?}");
        assert!(!log.contains(PASSWORD));
    }
}

#[tokio::test]
async fn questions_and_other_programs_need_no_database() {
    let tree = Tree::new().await;
    let ok: BTreeMap<&[&str], &str> = BTreeMap::from([
        (&["postgres", "--version"][..], "postgres (PostgreSQL) 17."),
        (&["--help"], "Usage:"),
        (&["sh", "-c", "echo as $(id -u)"], "as 0"),
    ]);
    for (command, wanted) in ok {
        let (status, log) = tree.run(&[], command).await;
        assert!(status.success() && log.contains(wanted), "{command:?}: {log}");
        assert!(!tree.has_cluster(), "{command:?}");
    }
}

#[tokio::test]
async fn trust_needs_no_password_and_the_user_names_the_database() {
    let tree = Tree::new().await;
    let mut container = tree.start(
        &[("POSTGRES_HOST_AUTH_METHOD", "trust"), ("POSTGRES_USER", "owner")],
        &["-c", "shared_buffers=16MB"],
    );
    let target = ["-U", "owner", "-d", "owner", "-h", "192.0.2.1"];
    container.ready(&target).await;
    assert_eq!(container.answer(&target, "SHOW shared_buffers").await, "16MB");
    assert!(container.stop().await.success());
}

#[tokio::test]
async fn no_key_of_the_packages_is_in_it() {
    let tree = Tree::new().await;
    assert_eq!(leftovers(&tree.path("etc/ssl/private")), Vec::<PathBuf>::new());
    assert!(!tree.path("etc/ssl/certs/ssl-cert-snakeoil.pem").exists(), "each build would differ by it");
}

fn leftovers(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}
