//! QEMU's control socket: one command per connection is all that a machine needs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(10);

/// Runs one command without arguments.
pub(super) async fn execute(socket: &Path, command: &str) -> Result<()> {
    let talk = async {
        let stream = UnixStream::connect(socket).await.context("cannot reach QEMU's control socket")?;
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        for command in ["qmp_capabilities", command] {
            let request = format!("{}\n", json!({"execute": command}));
            writer.write_all(request.as_bytes()).await.context("cannot write to QEMU's control socket")?;
            loop {
                let line = lines.next_line().await.context("cannot read QEMU's control socket")?;
                let Some(line) = line else { bail!("QEMU closed its control socket") };
                let reply: Value = serde_json::from_str(&line).context("QEMU's reply is not JSON")?;
                if let Some(error) = reply.get("error") {
                    bail!("QEMU refused {command}: {error}");
                }
                // Greetings and events come in between.
                if reply.get("return").is_some() {
                    break;
                }
            }
        }
        Ok(())
    };
    tokio::time::timeout(DEADLINE, talk).await.context("QEMU did not answer")?
}
