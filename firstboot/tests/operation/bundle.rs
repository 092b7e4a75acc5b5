//! Whatever leaves the machine by the doctor holds no secret: each secret has a canary in it, and no canary gets out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::doctor::leads_elsewhere;
use super::server::{json, screen, server};
use crate::support::machine::Machine;

/// The word itself, in hexadecimal, and in base64 wherever it begins.
const MARKS: [&str; 5] = ["CANARY", "43414e415259", "Q0FOQVJZ", "NBTkFSW", "DQU5BUl"];
/// Of the operator's choice, with all that is awkward in it.
const CHOSEN: &str = r#"p&"ss'w/o\r d+é CANARY-chosen"#;

/// What operators call their secrets.
const OPERATORS: [&str; 16] = [
    "SMTP_PASS",
    "JWT_SIGNING_KEY",
    "ENCRYPTION_KEY",
    "API_KEY",
    "API_KEYS",
    "MAIL_KEY_2",
    "TS_AUTHKEY",
    "BACKUP_PASSPHRASE",
    "BOT_TOKEN",
    "SECRET_KEY_BASE",
    "GOOGLE_CREDENTIALS",
    "SENTRY_DSN",
    "SLACK_WEBHOOK_URL",
    "PASSWORD_SALT",
    "ADMIN_PW",
    "QUEUE_CONNECTION_STRING",
];

/// Every place of a secret, with one.
fn plant(machine: &Machine) -> Vec<String> {
    machine.put("/opt/echora/.env", "POSTGRES_PASSWORD=CANARYpg0001\nJWT_SECRET=CANARYjwt0002\nHMAC_SECRET='CANARY hmac 0003'\nMINE=CANARYmine0004\nANNOUNCED_IP=203.0.113.7\n");
    let config = toml::Value::String(CHOSEN.to_owned());
    machine.put("/etc/echora/config.toml", &format!("domain = 'chat.example.org'\nadmin_password = {config}\n[backup]\nsecret_access_key = 'CANARYs30005'\naccess_key_id = \"CANARYkey0006\"\n"));
    machine.put(
        "/var/lib/echora/owner.json",
        r#"{"username":"admin","email":"a@example.org","password":"CANARYowner0007"}"#,
    );
    machine.put(
        "/root/echora-credentials",
        "URL:      https://x\nUsername: admin\nPassword: CANARYlogin0008\nCheck:    00000000\n",
    );
    let secrets = OPERATORS.iter().zip(10..).map(|(name, number)| (name, format!("CANARYown{number:04}")));
    let secrets: Vec<_> = secrets.collect();
    let lines: String = secrets.iter().map(|(name, secret)| format!("      {name}: {secret}\n")).collect();
    let stack = format!(
        "services:\n  bot:\n    environment:\n      SMTP_PASSWORD: CANARYsmtp0009\n{lines}      BROKER: amqp://bot:CANARY%40mq0040@mq/x\n\
         \x20 other:\n    environment:\n      - \"LIST_PASS=CANARYlist0041\"\n  last: {{environment: {{FLOW_PASS: CANARYflow0042}}}}\n"
    );
    machine.put("/opt/echora/compose.override.yaml", &stack);
    let mut state = machine.state();
    state["inputs"] = serde_json::json!({
        "admin_password": {"value": CHOSEN, "source": "config.toml"}, "domain": {"value": "chat.example.org", "source": "config.toml"}});
    machine.put("/var/lib/echora/state.json", &state.to_string());
    let plain = [
        "pg0001",
        "jwt0002",
        " hmac 0003",
        "mine0004",
        "s30005",
        "key0006",
        "owner0007",
        "login0008",
        "smtp0009",
        "@mq0040",
        "list0041",
        "flow0042",
    ];
    let plain = plain.iter().map(|rest| format!("CANARY{rest}"));
    plain.chain(secrets.into_iter().map(|(_, secret)| secret)).chain([CHOSEN.to_owned()]).collect()
}

/// A log that quotes the secrets in all the ways that programs know, and some that nobody here knows.
fn gossip(secrets: &[String]) -> String {
    let mut log = String::from("backend | listening on 127.0.0.1:3000\n");
    for secret in secrets {
        let json = serde_json::to_string(secret).unwrap();
        let percent: String = secret
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [
            secret.clone(),
            json.clone(),
            serde_json::to_string(&json).unwrap(),
            format!("GET /x?q={percent}&y"),
            format!(
                "GET /x?q={}&y",
                percent.replace("%20", "+").to_ascii_lowercase().replace("canary", "CANARY")
            ),
            format!("<p>{}</p>", secret.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#39;")),
            base64(secret.as_bytes()),
            base64(format!("a:{secret}").as_bytes()),
            base64(format!("ad:{secret}").as_bytes()).replace('+', "-").replace('/', "_"),
            base64(json.as_bytes()),
            hex.clone(),
            format!("\\x{}", hex.to_uppercase()),
        ] {
            log.push_str(&format!("backend | said {form} and went on\n"));
        }
    }
    log + "eyJhbGciOiJIUzI1NiJ9.CANARYe30.CANARYc2ln\nAuthorization: Bearer CANARY.unknown\n{\"Cookie\":[\"session=CANARY\"]}\n\
        postgres://bot:CANARY@db/x\nhttps://x/?token=CANARY&password=CANARY\n-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len())
            .map(|at| char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]))
            .collect::<String>()
            + &"=".repeat(3 - chunk.len())
    };
    bytes.chunks(3).map(group).collect()
}

fn assert_silent(what: &str, text: &str) {
    for mark in MARKS {
        let at = text
            .to_ascii_lowercase()
            .find(&mark.to_ascii_lowercase())
            .filter(|_| mark.len() > 8 || text.contains(mark));
        let around = at.map(|at| text[at.saturating_sub(40)..].chars().take(120).collect::<String>());
        assert_eq!(around, None, "{what} holds {mark}");
    }
}

#[test]
fn no_canary_gets_out() {
    let machine = server();
    let secrets = plant(&machine);
    let log = gossip(&secrets);
    fs::write(machine.path("/journal/gossip"), &log).unwrap();
    for program in ["journalctl", "docker", "cloud-init", "ip"] {
        machine
            .journal
            .answer(program, "case \"$called\" in *' config '*) cat configuration ;; *) cat gossip ;; esac");
    }
    let configuration = serde_json::json!({"services": {"bot": {"image": "bot", "environment": {"A": "CANARY", "B": ["CANARY"]},
        "command": ["redis-server", "--requirepass", "CANARY"], "entrypoint": ["sh", "-c", "CANARY"], "healthcheck": {"test": ["CMD", "CANARY"]},
        "labels": {"auth": "CANARY"}, "x-own": "CANARY"}}});
    fs::write(machine.path("/journal/configuration"), configuration.to_string()).unwrap();
    machine.journal.answer(
        "ss",
        &format!("echo 'tcp LISTEN 0 1 0.0.0.0:80 *:* users:((\"{}\",pid=1,fd=3))'", secrets[0]),
    );
    leads_elsewhere(&machine, &format!("asked with {CHOSEN}"));

    let bundle = machine.path("/bundle.tar");
    let run = machine.run(machine.command(&["doctor", "--bundle", bundle.to_str().unwrap()]));
    for (what, text) in [
        ("the screen", &run.stdout),
        ("the complaint", &run.stderr),
        ("the screen", &screen(&machine).stdout),
    ] {
        assert_silent(what, text);
    }
    let (_, told) = json(&machine);
    assert_silent("--json", &told.to_string());
    assert_eq!(told["inputs"]["admin_password"]["value"], "***");
    assert_eq!(told["inputs"]["domain"]["value"], "chat.example.org");
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o777, 0o600);

    let files = unpack(&bundle, &machine.path("/unpacked"));
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "doctor.json",
        "doctor.txt",
        "files/etc/os-release",
        "files/var/lib/echora/state.json",
        "journal/echora-firstboot.txt",
        "journal/kernel.txt",
        "network/firewall.txt",
        "network/listeners.txt",
        "containers/logs.txt",
        "containers/ps.txt",
        "containers/compose.json",
        "system/disk.txt",
        "system/cloud-init.txt",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for (name, text) in &files {
        assert_silent(name, text);
    }
    let logs = &files.iter().find(|(name, _)| name == "containers/logs.txt").unwrap().1;
    assert!(logs.starts_with("backend | listening on 127.0.0.1:3000\n"), "{logs}");
    // Line for line, the secret is gone and the rest is there.
    assert_eq!(logs.matches("backend | said ").count(), 12 * secrets.len(), "{logs}");
    assert_eq!(logs.matches(" and went on\n").count(), 12 * secrets.len(), "{logs}");
}

/// The archive's files, as `tar` unpacks them.
fn unpack(bundle: &Path, to: &Path) -> Vec<(String, String)> {
    fs::create_dir(to).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("tar").arg("-C").arg(to).args(arguments).arg(bundle).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["-xf"]);
    let names = run(&["-tf"]);
    names.lines().map(|name| (name.to_owned(), fs::read_to_string(to.join(name)).unwrap())).collect()
}

#[test]
fn a_file_that_is_there_is_kept() {
    let machine = server();
    machine.put("/mine", "mine");
    let run = machine.run(machine.command(&["doctor", "--bundle", machine.path("/mine").to_str().unwrap()]));
    assert_eq!((run.status.code(), machine.read("/mine").as_str()), (Some(1), "mine"));
    assert!(run.stderr.contains("exists already"), "{}", run.stderr);
    let run = machine.run(machine.command(&[
        "doctor",
        "--bundle",
        machine.path("/no/such/b.tar").to_str().unwrap(),
    ]));
    assert!(run.status.code() == Some(1) && run.stderr.contains("there is no folder"), "{}", run.stderr);
}

/// A password of everyday words must not keep the doctor from speaking.
#[test]
fn a_secret_may_be_a_word_of_the_doctors_own() {
    let machine = server();
    machine.put("/opt/echora/.env", "A_PASSWORD=domain\nB_PASSWORD=running\nC_TOKEN=true\n");
    let (_, told) = json(&machine);
    assert_eq!(
        (&told["certificate"]["rung"], &told["containers"][0]["state"]),
        (&"unknown".into(), &"***".into())
    );
    assert_eq!(told["first_boot"]["finished"], true, "what is no text is no secret");
}
