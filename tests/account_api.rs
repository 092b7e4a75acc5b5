//! What the profiles say of the providers' APIs, against every API that is described: the simulators answer what the
//! providers' own clients ask, and these profiles ask no less exactly.

mod support;

use std::sync::Arc;

use echora_images::account::{Account, BuildId, Kind, Wanted};
use echora_rehearsal::api::{Api, Nothing, Options};
use provider_profiles::{Catalog, Profile, Rights};
use serde_json::Value;
use support::rigs::{READ_ONLY, TOKEN, take_listed_rights, tokens};
use tokio::net::TcpListener;

/// An account at a provider, played.
struct Rented {
    profile: Profile,
    api: Api,
    base: String,
}

impl Rented {
    fn account(&self, token: &str) -> Account {
        Account::at(&self.profile, &self.base, token.into()).unwrap().unwrap()
    }

    fn wanted(&self) -> Wanted {
        let base = self.profile.default_base().unwrap();
        Wanted::of(&self.profile, base, &BuildId::new().unwrap())
    }
}

async fn all() -> Vec<Rented> {
    let mut rented = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        let profile = entry.profile.clone();
        let (Some(api), Some(simulator)) = (&profile.api, Catalog::simulator(&profile.id).unwrap()) else {
            println!("{}: not tried, its API is not described", profile.id);
            continue;
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let options = Options { tokens: tokens(&profile), speed: 1000.0, requests: None };
        let played = Api::serve(simulator, listener, &url, &options, Arc::new(Nothing)).unwrap();
        let environment = played.environment().unwrap();
        let base = environment.into_iter().find(|(name, _)| Some(name) == api.endpoint.as_ref());
        let base = base.map_or(url, |(_, base)| base);
        rented.push(Rented { profile, api: played, base });
    }
    assert!(rented.len() > 1);
    rented
}

#[tokio::test]
async fn what_the_profiles_build_with_is_on_offer_and_a_whole_token_may_build() {
    for rented in all().await {
        let id = &rented.profile.id;
        let account = rented.account(TOKEN);
        let problems = account.problems(&rented.wanted()).await;
        assert!(problems.is_empty(), "{id}: {problems:#?}");
        let price = account.price(&rented.wanted().plan).await.unwrap();
        assert!(price.is_some_and(|(hourly, _)| hourly > 0.0), "{id}");
        let ledger = rented.api.ledger();
        assert!(ledger.strays().is_empty() && ledger.lines.is_empty(), "{id}: {ledger:#?}");
    }
}

#[tokio::test]
async fn tokens_that_do_not_do_are_refused_in_words() {
    for rented in all().await {
        let id = &rented.profile.id;
        take_listed_rights(&rented.profile, &rented.api);
        for (token, holds) in [("wrong", "not valid"), (READ_ONLY, "lacks a right")] {
            let problems = rented.account(token).problems(&rented.wanted()).await;
            assert!(problems.iter().any(|p| p.to_string().contains(holds)), "{id}: {problems:#?}");
            let Rights::Probe { paths, deletes } = &rented.profile.api.as_ref().unwrap().check.rights else {
                continue;
            };
            for right in paths.values().chain(deletes.values()).filter(|_| token == READ_ONLY) {
                assert!(
                    problems.iter().any(|p| p.to_string().contains(right)),
                    "{id}: {right}: {problems:#?}"
                );
            }
        }
        assert!(rented.api.ledger().lines.is_empty(), "{id}");
    }
}

#[tokio::test]
async fn what_is_not_on_offer_is_named() {
    for rented in all().await {
        let id = &rented.profile.id;
        let nowhere = Wanted {
            region: "nowhere".into(),
            plan: "enormous".into(),
            image: "minix".into(),
            ..rented.wanted()
        };
        let problems = rented.account(TOKEN).problems(&nowhere).await;
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for holds in ["region nowhere", "plan enormous", "image minix"] {
            assert!(text.contains(holds), "{id}: {text}");
        }
    }
}

/// The plan with the largest disk, as its description has it.
fn largest(profile: &Profile) -> String {
    let simulator = Catalog::simulator(&profile.id).unwrap().unwrap();
    let place = &profile.api.as_ref().unwrap().check.plans.id;
    let plans: Vec<Value> = serde_json::from_str(simulator.kinds["plan"].seeds.as_ref().unwrap()).unwrap();
    let plan = plans.iter().max_by_key(|plan| plan["disk"].as_u64()).unwrap();
    plan.get(place).unwrap_or(&plan["id"]).as_str().unwrap().to_owned()
}

/// A disk never shrinks: what is built on a large one does not fit a small plan.
#[tokio::test]
async fn a_snapshot_that_does_not_fit_the_smallest_plan_is_not_built() {
    for rented in all().await {
        let id = &rented.profile.id;
        let account = rented.account(TOKEN);
        for base in &rented.profile.bases {
            assert!(base.smallest_plan.is_some(), "{id}: no smallest plan for {} is named", base.os);
            let wanted = Wanted::of(&rented.profile, base, &BuildId::new().unwrap());
            let problems = account.problems(&wanted).await;
            assert!(problems.is_empty(), "{id}: {}: {problems:#?}", base.plan);
            let smallest = Some("tiny".to_owned());
            let problems = account.problems(&Wanted { smallest_plan: smallest, ..wanted.clone() }).await;
            let [problem] = &problems[..] else { panic!("{id}: {problems:#?}") };
            assert!(problem.to_string().contains("there is no plan tiny"), "{id}: {problem}");
            let larger = largest(&rented.profile);
            let problems = account.problems(&Wanted { plan: larger.clone(), ..wanted }).await;
            assert!(
                problems.iter().any(|problem| problem.to_string().contains("disks never shrink")),
                "{id}: {larger}: {problems:#?}"
            );
        }
    }
}

#[tokio::test]
async fn an_empty_account_holds_nothing_and_keys_come_and_go() {
    for rented in all().await {
        let id = &rented.profile.id;
        let account = rented.account(TOKEN);
        for kind in [Kind::Machine, Kind::Key, Kind::Label] {
            assert!(account.held(kind).await.unwrap().is_empty(), "{id}: {kind}");
        }
        assert!(account.ours().await.unwrap().is_empty(), "{id}");
        let build = BuildId::new().unwrap();
        let registered =
            account.register(&build, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG5vdGFrZXk= test").await;
        if let Some(key) = registered.unwrap() {
            let ours = account.ours().await.unwrap();
            let [held] = &ours[..] else { panic!("{id}: {ours:#?}") };
            assert_eq!((held.kind, &held.id, held.build.as_ref()), (Kind::Key, &key, Some(&build)), "{id}");
            account.delete(held).await.unwrap();
            // What is gone is as good as deleted.
            account.delete(held).await.unwrap();
            assert!(rented.api.ledger().kinds_left().is_empty(), "{id}");
        }
        assert!(rented.api.ledger().strays().is_empty(), "{id}: {:#?}", rented.api.ledger().strays());
    }
}
