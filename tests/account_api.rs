//! What the profiles say of the providers' APIs, against every API that is described: the simulators answer what the
//! providers' own clients ask, and these profiles ask no less exactly.

mod support;

use std::sync::Arc;

use echora_images::account::{Account, BuildId, Kind, Wanted};
use echora_rehearsal::api::{Api, Calls, Fault, Nothing, Options};
use provider_profiles::{Architecture, Catalog, Profile, Rights, Simulator, SnapshotState};
use serde_json::{Map, Value, json};
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
    all_with(|_| ()).await
}

/// The same with every description changed.
async fn all_with(change: impl Fn(&mut Simulator)) -> Vec<Rented> {
    let mut rented = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        let profile = entry.profile.clone();
        let (Some(api), Some(mut simulator)) = (&profile.api, Catalog::simulator(&profile.id).unwrap())
        else {
            println!("{}: not tried, its API is not described", profile.id);
            continue;
        };
        change(&mut simulator);
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

/// What a provider refuses for a reason of its own is told in the profile's words, with the profile's cure.
#[tokio::test]
async fn a_refusal_with_a_cure_of_its_own_is_told_with_it() {
    let mut tried = 0;
    for rented in all().await {
        let id = &rented.profile.id;
        let simulator = Catalog::simulator(id).unwrap().unwrap();
        for refusal in &rented.profile.api.as_ref().unwrap().check.refusals {
            let error = simulator.errors.iter().find(|(_, error)| error.message.contains(&refusal.holds));
            let (error, _) =
                error.unwrap_or_else(|| panic!("{id}: its API says {:?} nowhere", refusal.holds));
            let calls = Calls { method: None, path: String::new(), after: 0, times: u32::MAX };
            rented.api.fault(Fault::Error { error: error.clone(), calls }).unwrap();
            let problems = rented.account(TOKEN).problems(&rented.wanted()).await;
            let [problem] = &problems[..] else { panic!("{id}: {problems:#?}") };
            let problem = problem.to_string();
            assert!(
                problem.starts_with(&refusal.means) && problem.ends_with(&refusal.cure),
                "{id}: {problem}"
            );
            rented.api.heal();
            tried += 1;
        }
    }
    assert!(tried > 1);
}

#[tokio::test]
async fn a_snapshot_name_that_is_taken_is_told() {
    for rented in all().await {
        let id = &rented.profile.id;
        let wanted = rented.wanted();
        let simulator = Catalog::simulator(id).unwrap().unwrap();
        let name = simulator.kinds["snapshot"].name.clone().unwrap();
        let state = match rented.profile.api.as_ref().unwrap().snapshot_state.clone() {
            SnapshotState::Listed { place, done, .. } => (place, done),
            // The simulator's own word for one that is listed.
            SnapshotState::Action { .. } => ("status".into(), "available".into()),
        };
        let named = |name_of: &str| {
            Map::from_iter([(name.clone(), json!(name_of)), (state.0.clone(), json!(state.1))])
        };
        rented.api.add("snapshot", named("another")).unwrap();
        let account = rented.account(TOKEN);
        assert!(account.problems(&wanted).await.is_empty(), "{id}");
        rented.api.add("snapshot", named(&wanted.snapshot)).unwrap();
        let problems = account.problems(&wanted).await;
        let [problem] = &problems[..] else { panic!("{id}: {problems:#?}") };
        assert!(problem.to_string().contains(&format!("{} is taken", wanted.snapshot)), "{id}: {problem}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_the_providers_is_told() {
    let date = "Tue, 01 Jan 2019 00:00:00 GMT";
    let early = |simulator: &mut Simulator| drop(simulator.headers.insert("date".into(), date.into()));
    for rented in all_with(early).await {
        let problems = rented.account(TOKEN).problems(&rented.wanted()).await;
        let [problem] = &problems[..] else { panic!("{}: {problems:#?}", rented.profile.id) };
        let problem = problem.to_string();
        assert!(problem.contains("clock is") && problem.contains("set-ntp"), "{problem}");
    }
}

/// Some providers have processors of several kinds, with one name for their images.
#[tokio::test]
async fn a_plan_with_another_processor_is_refused() {
    let mut tried = 0;
    for rented in all().await {
        let id = &rented.profile.id;
        let account = rented.account(TOKEN);
        let bases = || rented.profile.default_bases();
        for (base, other) in bases().flat_map(|base| bases().map(move |other| (base, other))) {
            let own = Wanted::of(&rented.profile, base, &BuildId::new().unwrap());
            assert_eq!(own.architecture, base.architecture);
            let wanted = Wanted { plan: other.plan.clone(), smallest_plan: None, ..own };
            let problems = account.problems(&wanted).await;
            if base.architecture == other.architecture {
                assert!(problems.is_empty(), "{id}: {problems:#?}");
                continue;
            }
            let [problem] = &problems[..] else { panic!("{id}: {problems:#?}") };
            let says = format!("the plan {} is not for {}", other.plan, base.architecture.name());
            assert!(problem.to_string().contains(&says), "{id}: {problem}");
            tried += 1;
        }
    }
    assert!(tried > 1);
}

/// Of the images of one name the one that fits is looked at.
#[tokio::test]
async fn an_image_there_is_for_another_processor_only_is_refused() {
    let mut tried = 0;
    for rented in all().await {
        let Some(architecture) = &rented.profile.api.as_ref().unwrap().check.images.architecture else {
            continue;
        };
        let word = architecture.words[&Architecture::X86_64].clone();
        rented.api.change("image", &Map::from_iter([(architecture.place.clone(), word.into())])).unwrap();
        let arm =
            rented.profile.default_bases().find(|base| base.architecture == Architecture::Aarch64).unwrap();
        let wanted = Wanted::of(&rented.profile, arm, &BuildId::new().unwrap());
        let problems = rented.account(TOKEN).problems(&wanted).await;
        let [problem] = &problems[..] else { panic!("{}: {problems:#?}", rented.profile.id) };
        let says = format!("the image {} is not for aarch64", wanted.image);
        assert!(problem.to_string().contains(&says), "{problem}");
        tried += 1;
    }
    assert!(tried > 0);
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
