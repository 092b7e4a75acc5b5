//! A configured server that was copied, with the real engine and the real database: another instance on its original's disk.

mod support;

use echora_rehearsal::front_door::Login;
use echora_rehearsal::network::MACHINE_V4;
use echora_rehearsal::process::run;
use support::cell::{BOOT, Rented};

const SECRETS: &str = "sed -n '/^[A-Z_]*SECRET=/p; /^POSTGRES_PASSWORD=/p' /opt/echora/.env | sort";
/// Not the machine id: systemd makes it of what starts the cell hands it, which is the disk's own.
const IDENTITY: &str = "cat /etc/ssh/ssh_host_*_key.pub";
const APP: &str = "docker inspect -f '{{.State.Status}}' echora-backend";

impl Rented {
    /// Boots its disk as another instance, and returns where its console begins.
    async fn copied(&mut self, instance: &str) -> usize {
        let seen = self.cell.console().len();
        self.cell.put("var/lib/cloud/data/instance-id", format!("{instance}\n"), 0o644).unwrap();
        self.start().await;
        seen
    }

    async fn asked(&self, script: &str) -> String {
        self.cell.inside(script).await.unwrap()
    }
}

async fn original() -> (Rented, Login) {
    let mut rented = Rented::make().await;
    rented.start().await;
    let login = rented.login(0).await;
    rented.cell.wait_for("ready after", 0, BOOT).await.unwrap();
    (rented, login)
}

#[tokio::test]
async fn a_copy_has_its_originals_data_and_login_and_an_identity_of_its_own() {
    let (mut rented, login) = original().await;
    let (secrets, identity) = (rented.asked(SECRETS).await, rented.asked(IDENTITY).await);
    let seen = rented.copied("i-2").await;
    rented.cell.wait_for("ready after", seen, BOOT).await.unwrap();
    let console = rented.cell.console()[seen..].to_owned();
    assert!(console.contains("this machine is a copy of a configured one"), "{console}");
    assert!(console.contains("the login stays the one that it had before"), "{console}");
    rented.wait_for_site(&login).await;
    assert_eq!(rented.asked(SECRETS).await, secrets);
    assert_eq!(rented.query("SELECT count(*) || role FROM users GROUP BY role").await, "1owner");
    let now = rented.asked(IDENTITY).await;
    assert!(identity.lines().count() > 2 && identity.lines().all(|line| !now.contains(line)), "{now}");

    // As the same instance it does nothing at its next boot.
    let seen = rented.copied("i-2").await;
    rented.cell.settled(BOOT).await.unwrap();
    rented.wait_for_site(&login).await;
    let console = rented.cell.console()[seen..].to_owned();
    assert!(!console.contains("[2/9]") && rented.asked(IDENTITY).await == now, "{console}");
}

/// Docker starts the app again before first boot looks, and the app makes its tables in a database that has none.
#[tokio::test]
async fn a_copy_in_whose_database_nobody_has_an_account_stays_shut() {
    let (mut rented, _login) = original().await;
    rented.query("TRUNCATE users CASCADE").await;
    let seen = rented.copied("i-2").await;
    rented.cell.wait_for("FAILED in step", seen, BOOT).await.unwrap();
    let console = rented.cell.console()[seen..].to_owned();
    assert!(console.contains("nobody has an account in its database now"), "{console}");
    assert_ne!(rented.asked(APP).await.trim(), "running");
    let refused = rented.cell.inside("echora-domain --force chat.example.org").await.unwrap_err();
    assert!(format!("{refused:#}").contains("not set up yet"), "{refused:#}");
    let mut visit = rented.network.command("curl");
    visit.args([
        "--silent",
        "--insecure",
        "--noproxy",
        "*",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ]);
    visit.arg(format!("https://{MACHINE_V4}/api/auth/register"));
    assert_eq!(run(&mut visit, "curl", BOOT).await.unwrap(), "503");

    rented.query("DROP TABLE users CASCADE").await;
    let seen = rented.copied("i-3").await;
    rented.cell.wait_for("FAILED in step", seen, BOOT).await.unwrap();
    assert!(rented.cell.console()[seen..].contains("nobody has an account"), "no table is no account");
}
