//! The engine of the simulators, on an invented API: what a description may say, what it must not, and what clients get.

mod api_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_support::{Cloud, DESCRIPTION, Slow, serve, simulator};
use echora_rehearsal::api::{Api, Calls, Deed, Fault, Nothing, Options, Tls, Token};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::test]
async fn every_description_is_whole() {
    for (id, simulator) in api_support::descriptions() {
        if let Err(error) = serve(simulator, Cloud::options()).await {
            panic!("{id}: {error:#}");
        }
    }
}

/// Each mistake is put into the description by itself; the error must name where it is.
#[tokio::test]
async fn a_mistake_is_found_when_the_description_is_loaded() {
    for (right, wrong, told) in [
        ("{{ show(it) }}", "{{ show(it }}", "call GET /boxes"),
        ("{{ it.size }}", "{{ it.sise }}", "it has no field sise"),
        ("request.size in", "request.sighs in", "request has no field sighs"),
        ("world.size|", "world.sighs|", "there is no kind sighs"),
        ("make = \"box\"", "make = \"bocks\"", "there is no kind bocks"),
        ("refuse = \"full\"", "refuse = \"fool\"", "there is no error fool"),
        ("host = \"start\"", "host = \"fly\"", "the hypervisor has no deed fly"),
        ("delete = \"box\"", "delete = \"bocks\"", "bocks is bound to nothing"),
        ("delete = \"box\"", "delete = \"box\", change = \"box\"", "exactly one thing"),
        ("unauthorized =", "unauthorised =", "the error unauthorized is not described"),
        ("[{\"slug\"", "[{\"slog\"", "a seed has a field that the kind has not: slog"),
        ("\"state\": \"new\"", "\"state\": new", "fields of kind box"),
        ("/boxes/{box}", "/boxes/{bocks}", "there is no kind bocks"),
    ] {
        assert!(DESCRIPTION.contains(right), "{right}");
        let error = match serve(simulator(&DESCRIPTION.replacen(right, wrong, 1)), Cloud::options()).await {
            Ok(_) => panic!("{wrong} was taken"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.contains(told), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn a_request_is_checked_as_the_provider_does() {
    let cloud = Cloud::new().await;
    for (body, status, told) in [
        (r#"{"size": "small"}"#, 422, "name is missing"),
        (r#"{"name": 1, "size": "small"}"#, 422, "name has another type"),
        (r#"{"name": "a", "size": "huge"}"#, 422, "there is no size huge"),
        (r#"{"name": "a", "size": "small", "colour": "red"}"#, 422, "colour is unknown"),
        (r#"{"name": "a", "size": "small""#, 400, "no JSON"),
        (r#"["name"]"#, 400, "no JSON"),
        (r#"{"name": null, "size": "small"}"#, 422, "name is missing"),
    ] {
        let answer = cloud.ask("POST", "/boxes", body).await;
        assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(told)), "{body}");
    }
    assert!(cloud.api.ledger().lines.is_empty());
    let answer = cloud.ask("POST", "/boxes", r#"{"name": "a", "size": "small"}"#).await;
    assert_eq!((answer.status, &answer.body["box"]["state"]), (201, &json!("new")));
}

#[tokio::test]
async fn an_unknown_call_gets_the_providers_answer_and_is_noted() {
    let cloud = Cloud::new().await;
    let answer = cloud.ask("GET", "/cats", "").await;
    assert_eq!((answer.status, answer.body["error"].as_str()), (404, Some("no such call")));
    assert_eq!(cloud.ask("PATCH", "/boxes", "").await.status, 404);
    assert_eq!(cloud.api.ledger().strays(), ["GET /cats", "PATCH /boxes"]);
}

#[tokio::test]
async fn only_a_token_opens_the_api_and_one_that_may_look_changes_nothing() {
    let tokens = ["all", "look"].map(|value| Token {
        value: value.into(),
        read_only: value == "look",
        ..Token::default()
    });
    let cloud = Cloud::with(Options { tokens: tokens.to_vec(), ..Cloud::options() }).await;
    let order = r#"{"name": "a", "size": "small"}"#;
    for (token, get, post) in [("all", 200, 201), ("look", 200, 403), ("other", 401, 401)] {
        assert_eq!(cloud.ask_as(token, "GET", "/boxes", "").await.status, get, "{token}");
        assert_eq!(cloud.ask_as(token, "POST", "/boxes", order).await.status, post, "{token}");
    }
    assert_eq!(cloud.api.ledger().lines.len(), 1);
}

#[tokio::test]
async fn cursors_lead_through_all_pages() {
    let cloud = Cloud::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        cloud.order(name).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cloud.ask("GET", &format!("/boxes?per=2&cursor={cursor}"), "").await.body;
        assert_eq!(page["total"], 5);
        let names =
            page["boxes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        seen.push(names.collect::<Vec<_>>());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
}

#[tokio::test]
async fn the_ledger_knows_what_there_is_and_what_it_costs() {
    let cloud = Cloud::new().await;
    let (one, two) = (cloud.order("one").await, cloud.order("two").await);
    assert!((cloud.api.ledger().hourly() - 0.5).abs() < 1e-9, "{}", cloud.api.ledger().hourly());
    assert_eq!(cloud.ask("DELETE", &format!("/boxes/{one}"), "").await.status, 204);
    assert_eq!(cloud.ask("DELETE", &format!("/boxes/{one}"), "").await.status, 404);
    let ledger = cloud.api.ledger();
    let left: Vec<_> =
        ledger.left().map(|line| (line.kind.as_str(), line.id.as_str(), line.hourly)).collect();
    assert_eq!(left, [("box", two.as_str(), 0.25)]);
    assert_eq!(ledger.lines.len(), 2);
    assert!(ledger.lines[0].gone.is_some());
    assert_eq!(ledger.asked.iter().map(|asked| asked.status).collect::<Vec<_>>(), [201, 201, 204, 404]);
}

#[tokio::test]
async fn a_full_account_takes_no_more() {
    let cloud = Cloud::new().await;
    cloud.api.change("account", json!({"limit": 1}).as_object().unwrap()).unwrap();
    cloud.order("one").await;
    let answer = cloud.ask("POST", "/boxes", r#"{"name": "two", "size": "small"}"#).await;
    assert_eq!((answer.status, answer.body["error"].as_str()), (422, Some("1 is all you may have")));
}

#[tokio::test]
async fn a_call_that_is_refused_at_its_end_leaves_no_trace() {
    let cloud = Cloud::new().await;
    cloud.api.change("account", json!({"limit": 1}).as_object().unwrap()).unwrap();
    assert_eq!(cloud.ask("POST", "/twins", "").await.status, 422);
    assert!(cloud.api.ledger().lines.is_empty(), "{:?}", cloud.api.ledger().lines);
    assert_eq!(cloud.ask("GET", "/boxes", "").await.body["total"], 0);
    cloud.api.change("account", json!({"limit": 2}).as_object().unwrap()).unwrap();
    assert_eq!(cloud.ask("POST", "/twins", "").await.status, 201);
    assert_eq!(cloud.api.ledger().kinds_left(), ["box", "box"]);
}

#[tokio::test]
async fn what_goes_on_waits_for_the_hypervisor_and_fails_with_it() {
    let slow = Slow::default();
    let cloud = Cloud::on(slow.clone()).await;
    let (fine, broken) = (cloud.order("fine").await, cloud.order("broken").await);
    // The provider's delay is long over; the machines are not there yet.
    cloud.until(|| slow.begun().len() == 2).await;
    assert_eq!((cloud.state(&fine).await, cloud.state(&broken).await), ("new".into(), "new".into()));
    slow.finish("broken", Err("no disk"));
    slow.finish("fine", Ok("192.0.2.1"));
    cloud.becomes(&fine, "ready at 192.0.2.1").await;
    cloud.becomes(&broken, "dead").await;
    let Deed::Start(order) = &slow.begun()[0] else { panic!("{:?}", slow.begun()) };
    assert_eq!((order.id.as_str(), order.name.as_str(), order.keys.len()), (fine.as_str(), "fine", 0));
    let defects = cloud.api.ledger().defects;
    assert!(defects.len() == 1 && defects[0].ends_with("no disk"), "{defects:?}");
}

#[tokio::test]
async fn a_fault_that_cannot_be_is_refused() {
    let cloud = Cloud::new().await;
    let calls = || Calls { method: None, path: String::new(), after: 0, times: 1 };
    for (fault, told) in [
        (Fault::Never { what: "sleep".into() }, "nothing called sleep goes on"),
        (Fault::Error { error: "fool".into(), calls: calls() }, "there is no error fool"),
        (Fault::Vanish { kind: "cat".into(), calls: calls() }, "there is no kind cat"),
    ] {
        assert_eq!(cloud.api.fault(fault).unwrap_err().to_string(), told);
    }
}

#[tokio::test]
async fn a_clock_that_stands_still_is_refused() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let served = serve(simulator(DESCRIPTION), Options { speed, ..Cloud::options() }).await;
        assert!(served.is_err(), "{speed}");
    }
}

#[tokio::test]
async fn nothing_answers_once_the_simulator_is_dropped() {
    let Cloud { api, client } = Cloud::new().await;
    let url = format!("{}/boxes", api.url());
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    drop(api);
    // The connection that was kept says so once, the next one is not taken.
    let end = Instant::now() + Duration::from_secs(20);
    while let Ok(reply) = client.get(&url).send().await {
        assert_eq!(reply.status(), 503);
        assert!(Instant::now() < end, "it still answers");
        tokio::task::yield_now().await;
    }
    assert!(client.get(&url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_client_that_knows_the_authority_is_served_as_by_the_real_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Tls::new(listener, "api.example.org").unwrap();
    let authority = reqwest::Certificate::from_pem(tls.authority().as_bytes()).unwrap();
    let url = format!("https://api.example.org:{}", address.port());
    let api = Api::serve(simulator(DESCRIPTION), tls, &url, &Cloud::options(), Arc::new(Nothing)).unwrap();
    let client = |host: &str| {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
        client.resolve(host, address)
    };
    let stranger = client("api.example.org").build().unwrap();
    assert!(stranger.get(api.url()).send().await.is_err(), "a client without the authority was served");
    let knowing = client("api.example.org").add_root_certificate(authority.clone()).build().unwrap();
    assert_eq!(knowing.get(api.url()).send().await.unwrap().status(), 401);
    let other = client("other.example.org").add_root_certificate(authority).build().unwrap();
    let answer = other.get(format!("https://other.example.org:{}", address.port())).send().await;
    assert!(answer.is_err(), "it speaks as another host too");
}
