//! A provider's metadata service, played from its fixture.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use provider_profiles::{Entry, Instance, Setting};

use super::http::{Answer, Request, Server};

/// Tokens that the service has given out and still knows.
pub(crate) type Tokens = BTreeSet<String>;

/// The service, with what it was asked.
pub(crate) struct Provider {
    pub(crate) server: Server,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    /// Plays the entry's fixture for this setting, which may change under way. `trouble` sees each request with its
    /// number (from 1) first and may answer instead, or make the service forget tokens.
    pub(crate) fn play(
        entry: &Entry,
        setting: Arc<Mutex<Setting>>,
        mut trouble: impl FnMut(usize, &Request, &mut Tokens) -> Option<Answer> + Send + 'static,
    ) -> Self {
        let fixture = entry.fixture.clone();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let mut tokens = Tokens::new();
        let mut count = 0;
        let server = Server::start(move |request| {
            count += 1;
            assert_eq!(request.body, "", "a question to a metadata service has no body");
            seen.lock().unwrap().push(format!("{} {}", request.method, request.path));
            if let Some(answer) = trouble(count, request, &mut tokens) {
                return answer;
            }
            let new = format!("token-{count}");
            let mut issued = None;
            let header = |name: &str| request.headers.get(name).cloned();
            let reply = fixture.reply(
                &setting.lock().unwrap(),
                &request.method,
                &request.path,
                header,
                |t| tokens.contains(t),
                || issued.insert(new).clone(),
            );
            tokens.extend(issued);
            let reply = reply.expect("the fixture's template renders");
            Answer::Reply(reply.status, reply.body)
        });
        Self { server, requests }
    }

    /// What it has been asked so far, as `METHOD path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// What is told of `instance` and of a buyer who set `domain`.
pub(crate) fn setting(instance: Instance) -> Arc<Mutex<Setting>> {
    Arc::new(Mutex::new(Setting {
        name: instance.hostname.clone().unwrap_or_default(),
        instance,
        mac: "52:54:00:12:34:56".into(),
        gateway: "203.0.113.1".into(),
        netmask: "255.255.255.0".into(),
        ssh_keys: vec!["ssh-ed25519 AAAA test".into()],
        user_data: String::new(),
        inputs: [("domain".to_owned(), "chat.example.org".to_owned())].into(),
    }))
}
