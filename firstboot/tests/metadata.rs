//! Every provider of the catalogue goes up the same ladder: its fixture, played well and badly over HTTP.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use echora_firstboot::Instance;
use echora_firstboot::metadata::{Client, Patience};
use provider_profiles::{Catalog, Document, Entry, GuestPlan, InputSource};
use support::http::Answer;
use support::provider::{Provider, setting};

mod support {
    pub(crate) mod http;
    pub(crate) mod provider;
}

/// Far more than any rung takes: who needs it waits for ever.
const FOR_EVER: Duration = Duration::from_secs(60);
const HTML: &str = "<html>\n<body><h1>Please wait</h1></body>\n</html>\n";

/// Enough for every service that gets well, and short pauses.
const LONG: Patience = Patience {
    total: Duration::from_secs(40),
    troubled: Duration::from_secs(40),
    attempt: Duration::from_secs(10),
    pause: Duration::from_millis(1),
};
/// For services that stay ill.
const SHORT: Patience = Patience {
    total: Duration::from_millis(300),
    troubled: Duration::from_millis(500),
    attempt: Duration::from_millis(100),
    pause: Duration::from_millis(20),
};
/// For services that say nothing: whoever took that for an answer would wait far too long.
const SILENT: Patience = Patience { troubled: Duration::from_secs(3600), ..SHORT };

/// Runs a rung for all providers at once; each has a deadline.
fn each_provider(rung: impl Fn(&Entry) + Clone + Send + 'static) {
    let entries: Vec<Entry> = Catalog::embedded().unwrap().iter().cloned().collect();
    assert!(!entries.is_empty());
    let (done, ended) = mpsc::channel();
    let ids: Vec<_> = entries.iter().map(|entry| entry.profile.id.clone()).collect();
    for entry in entries {
        let (done, rung) = (done.clone(), rung.clone());
        thread::Builder::new()
            .name(entry.profile.id.clone())
            .spawn(move || {
                rung(&entry);
                done.send(()).unwrap();
            })
            .unwrap();
    }
    drop(done);
    for _ in &ids {
        ended
            .recv_timeout(FOR_EVER)
            .unwrap_or_else(|why| panic!("one of {ids:?} failed or did not end: {why}"));
    }
}

fn expected(entry: &Entry) -> Instance {
    let sample = entry.fixture.sample.clone();
    Instance {
        id: Some(sample.instance_id),
        public_ipv4: sample.public_ipv4,
        public_ipv6: sample.public_ipv6,
        region: sample.region,
        hostname: sample.hostname,
    }
}

/// One request per document, and one for the token.
fn least(plan: &GuestPlan) -> usize {
    plan.metadata.documents.len() + usize::from(plan.metadata.token.is_some())
}

fn healthy(entry: &Entry) -> Provider {
    Provider::play(entry, setting(entry.fixture.sample.clone()), |_, _, _| None)
}

/// The service answers request `number` with `answer` and is well before and after.
fn ill_once(entry: &Entry, number: usize, answer: fn() -> Answer) -> Provider {
    Provider::play(entry, setting(entry.fixture.sample.clone()), move |count, _, _| {
        (count == number).then(answer)
    })
}

fn always(entry: &Entry, answer: fn() -> Answer) -> Provider {
    Provider::play(entry, setting(entry.fixture.sample.clone()), move |_, _, _| Some(answer()))
}

fn ask(plan: &GuestPlan, provider: &Provider, patience: Patience) -> Result<Instance, String> {
    let mut client = Client::new(&plan.metadata, Some(&provider.server.base), patience);
    client.instance().map_err(|error| format!("{error:#}"))
}

/// Whatever request meets the trouble, the client gets over it with exactly one more.
fn survives(entry: &Entry, answer: fn() -> Answer) {
    let plan = entry.profile.guest_plan();
    for number in 1..=least(&plan) {
        let provider = ill_once(entry, number, answer);
        assert_eq!(ask(&plan, &provider, LONG), Ok(expected(entry)), "trouble at request {number}");
        assert_eq!(provider.requests().len(), least(&plan) + 1, "{:?}", provider.requests());
    }
}

#[test]
fn a_healthy_service_is_asked_once_for_each_document() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        let provider = healthy(entry);
        assert_eq!(ask(&plan, &provider, LONG), Ok(expected(entry)));
        assert_eq!(provider.requests().len(), least(&plan), "{:?}", provider.requests());
    });
}

#[test]
fn a_service_that_comes_up_is_waited_for() {
    each_provider(|entry| survives(entry, || Answer::Reply(503, "starting".into())));
    each_provider(|entry| survives(entry, || Answer::Reply(429, String::new())));
}

#[test]
fn a_page_in_place_of_the_document_is_not_taken_for_it() {
    each_provider(|entry| survives(entry, || Answer::Reply(200, HTML.into())));
    each_provider(|entry| survives(entry, || Answer::Reply(200, String::new())));
}

#[test]
fn a_connection_that_breaks_is_made_anew() {
    each_provider(|entry| survives(entry, || Answer::Silence { open: false }));
    each_provider(|entry| survives(entry, || Answer::Half("{\"a\": \"a long answer\"}".into())));
}

#[test]
fn a_request_that_hangs_costs_one_attempt() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        let provider = ill_once(entry, 1, || Answer::Silence { open: true });
        let patience = Patience { attempt: Duration::from_secs(2), ..LONG };
        assert_eq!(ask(&plan, &provider, patience), Ok(expected(entry)));
        assert_eq!(provider.requests().len(), least(&plan) + 1);
    });
}

#[test]
fn patience_ends() {
    let ills: [(fn() -> Answer, Patience); 5] = [
        (|| Answer::Silence { open: true }, SILENT),
        (|| Answer::Silence { open: false }, SILENT),
        (|| Answer::Reply(503, String::new()), SHORT),
        (|| Answer::Reply(200, String::new()), SHORT),
        (|| Answer::Reply(200, HTML.into()), SHORT),
    ];
    for (ill, patience) in ills {
        each_provider(move |entry| {
            let provider = always(entry, ill);
            let error = ask(&entry.profile.guest_plan(), &provider, patience).unwrap_err();
            assert!(error.contains(&provider.server.base), "it is told who failed: {error}");
            assert!(!provider.requests().is_empty());
        });
    }
}

/// A settings form is read once: a service that is ill for a minute from the first request on must not lose it.
#[test]
fn a_service_that_answers_with_trouble_is_waited_for_longer_than_a_silent_one() {
    let usual = Patience::default();
    assert!(usual.troubled >= 2 * Duration::from_secs(60) && usual.troubled > usual.total, "{usual:?}");
    let ills: [fn() -> Answer; 2] =
        [|| Answer::Reply(503, "starting".into()), || Answer::Reply(200, HTML.into())];
    for ill in ills {
        each_provider(move |entry| {
            let patience = Patience { total: Duration::from_millis(600), ..LONG };
            let mut began = None;
            let provider = Provider::play(entry, setting(entry.fixture.sample.clone()), move |_, _, _| {
                let began = *began.get_or_insert_with(Instant::now);
                (began.elapsed() < 2 * patience.total).then(ill)
            });
            assert_eq!(ask(&entry.profile.guest_plan(), &provider, patience), Ok(expected(entry)));
        });
    }
}

#[test]
fn a_port_that_refuses_is_tried_until_patience_ends() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        // A port that was just given up may be another test's by now; nobody listens at this one.
        let base = "http://127.0.0.1:1";
        let error = Client::new(&plan.metadata, Some(base), SILENT).instance().unwrap_err();
        assert!(format!("{error:#}").contains(base), "{error:#}");
    });
}

#[test]
fn what_is_absent_is_not_asked_for_again() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        let provider = always(entry, || Answer::Reply(404, String::new()));
        ask(&plan, &provider, LONG).expect_err("no instance id is no answer");
        let each = if plan.metadata.token.is_some() { 1 } else { plan.metadata.documents.len() };
        assert_eq!(provider.requests().len(), each, "{:?}", provider.requests());
    });
}

#[test]
fn a_document_that_is_absent_does_not_hide_the_others() {
    for status in [404, 204] {
        each_provider(move |entry| {
            let mut plan = entry.profile.guest_plan();
            let some = plan.metadata.documents.values().next().unwrap().clone();
            plan.metadata.documents.insert("another".into(), Document { path: "/another".into(), ..some });
            let provider =
                Provider::play(entry, setting(entry.fixture.sample.clone()), move |_, request, _| {
                    (request.path == "/another").then(|| Answer::Reply(status, String::new()))
                });
            assert_eq!(ask(&plan, &provider, LONG), Ok(expected(entry)), "{status}");
            assert_eq!(provider.requests().len(), least(&plan), "{status}: {:?}", provider.requests());
        });
    }
}

#[test]
fn a_refusal_is_final() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        let provider = always(entry, || Answer::Reply(403, String::new()));
        let error = ask(&plan, &provider, LONG).unwrap_err();
        assert!(error.contains("403"), "{error}");
        assert_eq!(provider.requests().len(), 1, "{:?}", provider.requests());
    });
}

/// Without a token dance a 401 cannot get better.
#[test]
fn a_401_is_final_where_there_is_no_token_to_ask_for() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        if plan.metadata.token.is_none() {
            let provider = always(entry, || Answer::Reply(401, String::new()));
            ask(&plan, &provider, LONG).unwrap_err();
            assert_eq!(provider.requests().len(), 1, "{:?}", provider.requests());
        }
    });
}

/// A service that came up anew knows no tokens: the refused request and one for a new token are added.
#[test]
fn a_forgotten_token_is_asked_for_anew() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        if plan.metadata.token.is_none() {
            return;
        }
        for number in 2..=least(&plan) {
            let provider =
                Provider::play(entry, setting(entry.fixture.sample.clone()), move |count, _, tokens| {
                    if count == number {
                        tokens.clear();
                    }
                    None
                });
            assert_eq!(ask(&plan, &provider, LONG), Ok(expected(entry)), "forgotten at request {number}");
            assert_eq!(provider.requests().len(), least(&plan) + 2, "{:?}", provider.requests());
        }
    });
}

#[test]
fn a_machine_without_ipv4_has_none() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        let sample =
            provider_profiles::Instance { public_ipv4: Some(String::new()), ..entry.fixture.sample.clone() };
        let provider = Provider::play(entry, setting(sample), |_, _, _| None);
        assert_eq!(ask(&plan, &provider, LONG), Ok(Instance { public_ipv4: None, ..expected(entry) }));
    });
}

#[test]
fn buyers_variables_are_read_with_their_headers_only() {
    each_provider(|entry| {
        let plan = entry.profile.guest_plan();
        for source in &plan.inputs {
            let InputSource::MetadataVariable { path, headers, .. } = source else {
                continue;
            };
            let provider = healthy(entry);
            let variable = |name: &str, headers: &BTreeMap<String, String>| {
                let mut client = Client::new(&plan.metadata, Some(&provider.server.base), LONG);
                client.variable(&path.replace("{name}", name), headers).unwrap()
            };
            assert_eq!(variable("domain", headers).as_deref(), Some("chat.example.org"));
            assert_eq!(variable("admin_email", headers), None, "a setting that the buyer left out");
            if !headers.is_empty() {
                assert_eq!(variable("domain", &BTreeMap::new()), None, "the service wants its headers");
            }
        }
    });
}

#[test]
fn a_variable_that_is_refused_or_empty_is_unset_and_one_that_is_late_is_waited_for() {
    let replies: [(u16, &str, Option<&str>, usize); 5] = [
        (403, "", None, 1),
        (204, "", None, 1),
        (200, " \n", None, 1),
        (200, " x\n", Some(" x"), 1),
        (503, "", Some("y"), 2),
    ];
    for (status, body, wanted, requests) in replies {
        each_provider(move |entry| {
            let plan = entry.profile.guest_plan();
            if plan.metadata.token.is_some() {
                return;
            }
            let provider =
                Provider::play(entry, setting(entry.fixture.sample.clone()), move |count, _, _| {
                    Some(if count == 1 {
                        Answer::Reply(status, body.into())
                    } else {
                        Answer::Reply(200, "y".into())
                    })
                });
            let mut client = Client::new(&plan.metadata, Some(&provider.server.base), LONG);
            assert_eq!(client.variable("/any", &BTreeMap::new()).unwrap().as_deref(), wanted, "{status}");
            assert_eq!(provider.requests().len(), requests, "{status}");
        });
    }
}
