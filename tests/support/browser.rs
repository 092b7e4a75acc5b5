//! A visitor's browser with one page, which stays open: what it shows is asked over the browser's own debugging pipe,
//! JSON texts that end with a zero byte: <https://chromedevtools.github.io/devtools-protocol/>.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use echora_rehearsal::network::Network;
use echora_rehearsal::process::{Job, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};

const ANSWER: Duration = Duration::from_secs(90);
/// The browser reads its orders from descriptor 3 and answers on 4.
const START: &str = r#"exec chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
--disable-background-networking --disable-component-update --disable-sync --ignore-certificate-errors \
--remote-debugging-pipe --user-data-dir="$1/profile" about:blank 3<"$1/orders" 4>"$1/answers""#;

/// The browser; dropping it ends it.
pub(crate) struct Browser {
    _job: Job,
    orders: Sender,
    answers: BufReader<Receiver>,
    _folder: TempDir,
    sent: u64,
    page: Option<String>,
}

impl Browser {
    /// Opens a window of this size in the network and goes to `url`; any certificate will do.
    pub(crate) async fn open(network: &Network, url: &str, (width, height): (u32, u32)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (orders, answers) = (folder.path().join("orders"), folder.path().join("answers"));
        let mut pipes = tokio::process::Command::new("mkfifo");
        run(pipes.arg(&orders).arg(&answers), "mkfifo", ANSWER).await.unwrap();
        // Both ends at once: otherwise each side would wait for the other to open first.
        let orders = OpenOptions::new().read_write(true).open_sender(&orders).unwrap();
        let answers = OpenOptions::new().read_write(true).open_receiver(&answers).unwrap();
        let mut command = network.command(Path::new("sh"));
        command.args(["-c", START, "sh"]).arg(folder.path());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let job = Job::start(&mut command, "chromium").unwrap();
        let mut browser = Self {
            _job: job,
            orders,
            answers: BufReader::new(answers),
            _folder: folder,
            sent: 0,
            page: None,
        };
        let made = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": made["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.page = Some(attached["sessionId"].as_str().expect("a page has a session").to_owned());
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", size).await;
        browser.call("Page.navigate", json!({"url": url})).await;
        browser
    }

    /// Waits until the page, which nobody reloads, shows all of `words`; what it shows then.
    pub(crate) async fn shows(&mut self, words: &[&str], deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        loop {
            let text = self.text().await;
            if words.iter().all(|words| text.contains(words)) {
                return text;
            }
            assert!(Instant::now() < end, "the page never showed {words:?}, but {text:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What a reader sees; nothing while the page changes.
    async fn text(&mut self) -> String {
        let ask = json!({"expression": "document.body ? document.body.innerText : ''"});
        let told = self.call("Runtime.evaluate", ask).await;
        told["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// A picture of it, as PNG.
    pub(crate) async fn picture(&mut self) -> Vec<u8> {
        let told = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        STANDARD.decode(told["data"].as_str().expect("a picture")).unwrap()
    }

    /// The result of an order; null when the browser refuses it, as it does while a page changes.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut order = json!({"id": self.sent, "method": method, "params": parameters});
        if let Some(page) = &self.page {
            order["sessionId"] = json!(page);
        }
        let exchange = async {
            self.orders.write_all(format!("{order}\0").as_bytes()).await.unwrap();
            loop {
                let mut answer = Vec::new();
                self.answers.read_until(0, &mut answer).await.unwrap();
                let answer: Value = serde_json::from_slice(answer.strip_suffix(b"\0").unwrap()).unwrap();
                // Events come in between.
                if answer["id"] == self.sent {
                    return answer["result"].clone();
                }
            }
        };
        tokio::time::timeout(ANSWER, exchange).await.unwrap_or_else(|_| panic!("no answer to {method}"))
    }
}
