//! Strangers ask for an account from before the machine's first packet until its login is printed.

mod support;

use echora_rehearsal::crowd::{Crowd, Met};
use support::cell::{BOOT, Rented};

const BOOTS: usize = 20;

/// New connections of the web server to the app: what would be a visitor's request that got through.
const WATCH: &str = "iptables -t raw -A OUTPUT -o lo -p tcp --dport 3000 --syn -m owner --uid-owner 10002";
const COUNT: &str = "iptables -t raw -nvxL OUTPUT | awk '$0 ~ /dpt:3000/ { print $1 }'";

#[tokio::test]
async fn no_stranger_is_heard_before_the_owner_has_an_account() {
    let mut tries = 0;
    for boot in 1..=BOOTS {
        let mut rented = Rented::make().await;
        let crowd = Crowd::start(&rented.network);
        rented.start().await;
        rented.cell.wait_for("echora: [2/9]", 0, BOOT).await.unwrap();
        rented.cell.inside(WATCH).await.unwrap();
        // The line before the door opens: the owner's account is there.
        rented.cell.wait_for("echora: [7/9]", 0, BOOT).await.unwrap();
        assert_eq!(reached(&rented).await, 0, "requests reached the app in boot {boot}");
        let login = rented.login(0).await;
        let met = crowd.stop().await.unwrap();
        check(&met);
        assert_eq!(rented.role(&login).await.unwrap(), "owner");
        assert!(reached(&rented).await > 0, "a visitor's request is not counted: the rule sees nothing");
        let owners = rented.query("SELECT username FROM users WHERE role = 'owner'").await;
        assert_eq!(owners, login.username, "boot {boot}");
        tries += met.tries;
        println!(
            "boot {boot}: {} tries, {} unanswered, {:?}, roles {:?}",
            met.tries, met.silence, met.answers, met.roles
        );
    }
    println!("{tries} tries over {BOOTS} boots");
    assert!(tries >= 1000, "{tries} tries prove little");
}

/// How many visitors' requests have got through to the app so far.
async fn reached(rented: &Rented) -> u64 {
    rented.cell.inside(COUNT).await.unwrap().trim().parse().expect("the rule has its counter")
}

fn check(met: &Met) {
    assert!(!met.roles.contains_key("owner"), "{:?}", met.roles);
    assert!(
        met.answers.get(&503).is_some_and(|times| *times > 10),
        "the fence was hardly seen: {:?}",
        met.answers
    );
    assert_eq!(met.without_retry, 0);
    for name in ["server", "etag", "last-modified"] {
        assert!(!met.headers.contains(name), "{name} tells what runs here: {:?}", met.headers);
    }
    let pages = met.pages.concat();
    assert!(pages.contains("Setting up the database"), "{pages}");
    assert!(!pages.contains(env!("CARGO_PKG_VERSION")), "{pages}");
}
