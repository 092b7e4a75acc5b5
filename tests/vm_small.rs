//! The smallest machine that providers rent, whole: one processor, 1 GB, and what first boot makes of it.

mod support;

use std::time::Duration;

use echora_rehearsal::front_door::FrontDoor;
use support::buyer;
use support::flood::{HEALTH, WELL, flood};

/// One emulated processor hashes a password in seconds, and there are hundreds.
const REPLY: Duration = Duration::from_secs(900);
/// The most that the app may ever have resident, in KiB.
const APP: u64 = 200 << 10;

/// In sections: swap in use with its bytes, what brings it back at the next boot, what the kernel ended, and the app's peak.
const LOOK: &str = r#"
printf 'swap %s\n' "$(swapon --show=NAME,SIZE --noheadings --bytes | tr -s ' ')"
printf 'fstab %s\n' "$(grep -c '^/swapfile ' /etc/fstab)"
printf 'killed %s\n' "$(journalctl -k --no-pager | grep -c 'Out of memory')"
printf 'app %s\n' "$(awk '/^VmHWM/ {print $2}' "/proc/$(docker inspect -f '{{.State.Pid}}' echora-backend)/status")"
"#;

#[tokio::test]
#[ignore = "minutes: make soak"]
async fn a_machine_of_a_gigabyte_makes_swap_and_outlives_a_flood_of_logins() {
    let mut buyer = buyer::boot(1, 1024).await;
    let login = buyer.login(0, |_| {}).await.unwrap();
    let answers = flood(&buyer.network, &login, REPLY).await.unwrap();
    assert!(answers.iter().all(|status| *status == 401 || *status >= 500), "{answers:?}");
    assert!(answers.contains(&401), "no login was judged");

    let look = buyer::inside(&buyer, LOOK).await;
    println!("{} logins\n{look}", answers.len());
    let told = |name: &str| look.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let (file, bytes) = told("swap").split_once(' ').expect("there is swap");
    assert_eq!((file, told("fstab"), told("killed")), ("/swapfile", "1", "0"), "{look}");
    assert!(bytes.parse::<u64>().unwrap() > 500 << 20, "{look}");
    assert!(told("app").parse::<u64>().unwrap() <= APP, "{look}");
    assert_eq!(buyer::inside(&buyer, HEALTH).await, WELL);
    assert_eq!(FrontDoor::new(&buyer.network, &buyer.url(&login)).prove(&login).await.unwrap(), "owner");
}
