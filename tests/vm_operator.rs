//! What an operator types on the server, with the real Docker, Caddy and database behind it.

mod support;

use echora_rehearsal::network::{GATEWAY_V4, MACHINE_V4};
use serde_json::Value;
use support::cell::{BOOT, Rented};

const DOMAIN: &str = "chat.example.org";
/// All that a change of the domain may touch; sums, as `.env` is in it.
const TOUCHED: &str =
    "sha256sum /opt/echora/.env /var/lib/echora/*.json /var/lib/echora/*.env /var/lib/echora/caddy/*";
const SECRETS: &str = "sed -n 's/^[A-Z_]*SECRET=//p; s/^POSTGRES_PASSWORD=//p' /opt/echora/.env; sed -n 's/^Password: *//p' /root/echora-credentials";

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_a_new_server_and_its_bundle_holds_no_secret() {
    let mut rented = Rented::make().await;
    rented.start().await;
    rented.login(0).await;
    rented.cell.settled(BOOT).await.unwrap();

    let told =
        rented.cell.inside("echora-doctor --json --bundle /root/support.tar || [ $? = 5 ]").await.unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let findings = told["findings"].as_array().unwrap();
    println!("{findings:#?}");
    assert_eq!(told["healthy"], true, "{findings:#?}");

    let secrets = rented.cell.inside(SECRETS).await.unwrap();
    assert_eq!(secrets.lines().count(), 4);
    let bundle = rented.cell.inside("cat /root/support.tar").await.unwrap();
    for secret in secrets.lines() {
        assert!(!bundle.contains(secret) && !told.to_string().contains(secret), "a secret is in the bundle");
    }
    // What is left out because a question failed would hold no secret either.
    for answer in [
        "echora-firstboot",
        "echora-postgres",
        "database system is ready to accept connections",
        "Status: active",
    ] {
        assert!(bundle.contains(answer), "{answer} is not in the bundle");
    }

    rented.cell.inside("docker stop echora-backend").await.unwrap();
    let screen = rented.cell.inside("echora-doctor; [ $? = 5 ]").await.unwrap();
    println!("{screen}");
    assert!(screen.contains("What to do next") && screen.contains("echora-backend"), "{screen}");
}

#[tokio::test]
async fn a_domain_that_does_not_lead_here_changes_nothing_and_one_that_is_forced_is_served() {
    let mut rented = Rented::make().await;
    rented.start().await;
    let login = rented.login(0).await;
    // First boot tidies up behind its login.
    rented.cell.settled(BOOT).await.unwrap();
    let before = rented.cell.inside(TOUCHED).await.unwrap();
    let refused = rented.cell.inside(&format!("echora-domain {DOMAIN}")).await.unwrap_err();
    println!("{refused:#}");
    assert!(format!("{refused:#}").contains(DOMAIN), "{refused:#}");
    assert_eq!(rented.cell.inside(TOUCHED).await.unwrap(), before);

    let told = rented.cell.inside(&format!("echora-domain --force {DOMAIN}")).await.unwrap();
    println!("{told}");
    rented.wait_for_site(&login).await;
    let mut visit = rented.network.command("curl");
    visit.args([
        "--silent",
        "--fail",
        "--insecure",
        "--noproxy",
        "*",
        "--resolve",
        &format!("{DOMAIN}:443:{MACHINE_V4}"),
    ]);
    visit.arg(format!("https://{DOMAIN}/api/health"));
    let health = echora_rehearsal::process::run(&mut visit, "curl", BOOT).await.unwrap();
    assert!(health.contains("ok"), "{health}");
    let passkeys = rented.cell.inside("docker inspect -f '{{.Config.Env}}' echora-backend").await;
    assert!(passkeys.unwrap().contains(&format!("https://{DOMAIN}")), "the app knows of the domain");
    let credentials = rented.cell.inside("cat /root/echora-credentials").await.unwrap();
    assert!(credentials.contains(&format!("https://{DOMAIN}")), "the login's URL follows");

    // A reboot keeps it.
    rented.start().await;
    rented.cell.settled(BOOT).await.unwrap();
    rented.wait_for_site(&login).await;
    let shown = rented.cell.inside("echora-domain").await.unwrap();
    assert!(shown.contains(DOMAIN), "{shown}");
}

/// As a deployment script does, or an operator after a fault: the climb looks again whether there is a domain to take.
#[tokio::test]
async fn whoever_starts_first_boot_again_starts_the_climb_behind_it() {
    const CLIMBED: &str = "systemctl show --value -p ExecMainStartTimestampMonotonic echora-climb";
    let mut rented = Rented::make().await;
    rented.start().await;
    rented.login(0).await;
    rented.cell.settled(BOOT).await.unwrap();
    let climbed =
        async |rented: &Rented| rented.cell.inside(CLIMBED).await.unwrap().trim().parse::<u64>().unwrap();
    let before = climbed(&rented).await;
    assert!(before > 0, "it was never started");
    rented.cell.inside("systemctl restart echora-firstboot").await.unwrap();
    rented.cell.settled(BOOT).await.unwrap();
    assert!(climbed(&rented).await > before, "it was not started again");
}

/// Its tries follow each other without the pauses of the field.
const SOON: &str = "[Service]\nRestartSec=1s\nRestartSteps=0\n";
const TRIES: &str = "systemctl show --value -p NRestarts echora-climb";

#[tokio::test]
async fn the_climbing_unit_takes_a_domain_once_it_leads_here_and_the_operator_takes_it_away() {
    let mut rented = Rented::make().await;
    let config = format!("domain = '{DOMAIN}'\nemail = 'admin@example.org'\n");
    rented.cell.put("etc/echora/config.toml", config, 0o600).unwrap();
    rented.cell.put("etc/systemd/system/echora-climb.service.d/soon.conf", SOON, 0o644).unwrap();
    let servers = format!("[Resolve]\nDNS={GATEWAY_V4}\n");
    rented.cell.put("etc/systemd/resolved.conf.d/network.conf", servers, 0o644).unwrap();
    rented.start().await;
    let login = rented.login(0).await;
    assert_eq!(login.url, format!("https://{MACHINE_V4}"), "the login is for where the site is now");
    let console = rented.cell.console();
    assert!(console.contains(&format!("{DOMAIN} has no A and no AAAA record")), "{console}");

    let end = tokio::time::Instant::now() + BOOT;
    while rented.cell.inside(TRIES).await.unwrap().trim().parse::<u32>().unwrap_or_default() < 2 {
        assert!(tokio::time::Instant::now() < end, "the unit does not try again");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let seen = rented.cell.console().len();
    rented.network.record(DOMAIN, MACHINE_V4.into()).unwrap();
    rented.cell.wait_for(&format!("{DOMAIN} leads here now"), seen, BOOT).await.unwrap();
    rented.cell.inside("systemctl is-active --quiet echora-climb && exit 1; systemctl is-failed --quiet echora-climb && exit 1; true").await.unwrap();
    assert!(rented.cell.inside("echora-domain").await.unwrap().contains(&format!("https://{DOMAIN}")));
    let credentials = rented.cell.inside("cat /root/echora-credentials").await.unwrap();
    assert!(credentials.contains(&format!("https://{DOMAIN}")), "the login's URL follows: {credentials}");

    let told = rented.cell.inside("echora-domain --remove").await.unwrap();
    assert!(told.contains(&login.url), "{told}");
    rented.wait_for_site(&login).await;
    let passkeys = rented.cell.inside("docker inspect -f '{{.Config.Env}}' echora-backend").await.unwrap();
    assert!(!passkeys.contains("WEBAUTHN"), "{passkeys}");
    // The buyer's settings do not bring it back.
    rented.start().await;
    rented.cell.settled(BOOT).await.unwrap();
    assert!(rented.cell.inside("echora-domain").await.unwrap().contains("no domain"));
}
