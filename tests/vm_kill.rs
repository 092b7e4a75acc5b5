//! First boot is killed at random moments with the real engine, the real database and the real unit, until it is let be.

mod support;

use std::time::{Duration, Instant};

use support::cell::{BOOT, Rented};

const CELLS: u64 = 5;
const KILLS: u64 = 6;

const SECRETS: &str =
    "sed -n '/^[A-Z_]*SECRET=/p; /^POSTGRES_PASSWORD=/p' /opt/echora/.env 2>/dev/null | sort";
const KILL: &str = "systemctl kill --signal=KILL --kill-whom=main echora-firstboot 2>/dev/null || true";
const AGAIN: &str = "systemctl reset-failed echora-firstboot; systemctl restart --no-block echora-firstboot";
/// It may have ended well before the kill; then there is nothing to kill.
const GONE: &str = "[ \"$(systemctl show --property=ActiveState --value echora-firstboot)\" != activating ]";

/// The kill came too late: there is nothing more to kill.
const FINISHED: &str = "grep -q '\"finished\": *true' /var/lib/echora/state.json";

/// A step before the login, and a moment in it, that differ from kill to kill and are the same in every run of the test.
fn moment(number: u64) -> (String, Duration) {
    let (step, random) = (2 + number % 6, number.wrapping_mul(2_654_435_761) >> 7);
    // The last two are over in a moment.
    let longest = if step < 6 { 300 } else { 30 };
    (format!("echora: [{step}/9]"), Duration::from_millis(random % longest))
}

#[tokio::test]
async fn however_often_it_is_killed_there_is_one_owner_and_the_login_works() {
    let mut kills = 0;
    for cell in 0..CELLS {
        let mut rented = Rented::make().await;
        rented.start().await;
        let (mut secrets, mut from, mut before_login) = (String::new(), 0, 0);
        for kill in 0..KILLS {
            let (step, pause) = moment(cell * KILLS + kill);
            rented.cell.wait_for(&step, from, BOOT).await.unwrap();
            // How far it has come by then is up to this host: every moment must do.
            tokio::time::sleep(pause).await;
            before_login += u64::from(!rented.cell.console().contains("END ECHORA LOGIN"));
            rented.cell.inside(KILL).await.unwrap();
            wait_until(&rented, GONE).await;
            let now = rented.cell.inside(SECRETS).await.unwrap();
            assert!(
                secrets.is_empty() || secrets == now,
                "secrets have changed in cell {cell} after kill {kill}"
            );
            secrets = now;
            if rented.cell.inside(FINISHED).await.is_ok() {
                break;
            }
            from = rented.cell.console().len();
            rented.cell.inside(AGAIN).await.unwrap();
        }
        let login = rented.login(0).await;
        assert_eq!(rented.role(&login).await.unwrap(), "owner", "cell {cell}");
        assert_eq!(
            rented.query("SELECT count(*) || role FROM users GROUP BY role").await,
            "1owner",
            "cell {cell}"
        );
        assert_eq!(rented.cell.inside(SECRETS).await.unwrap(), secrets, "cell {cell}");
        println!("cell {cell}: {before_login} of {KILLS} kills came before the login");
        kills += before_login;
    }
    assert!(kills >= 20, "{kills} kills before the login prove little");
}

async fn wait_until(rented: &Rented, holds: &str) {
    let end = Instant::now() + BOOT;
    while rented.cell.inside(holds).await.is_err() {
        assert!(Instant::now() < end, "waited in vain: {holds}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
