//! What the facts mean, the worst first, each with what to do about it.

use serde::Serialize;

use super::certificate::Rung;
use super::facts::Facts;
use super::history::FAILED;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Something does not work, or soon will not.
    Problem,
    /// It works, and could be better.
    Advice,
}

/// Something to do.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// What it is about, in one word that stays.
    pub(crate) about: &'static str,
    pub(crate) what: String,
    pub(crate) cure: String,
}

impl Finding {
    pub(crate) fn needs_attention(&self) -> bool {
        self.severity == Severity::Problem
    }
}

/// Everything that is to be done. Causes come before what they cause.
pub(crate) fn of(facts: &Facts) -> Vec<Finding> {
    let mut list = List(Vec::new());
    list.disk(facts);
    list.first_boot(facts);
    list.containers(facts);
    list.site(facts);
    list.domain(facts);
    list.certificate(facts);
    list.network(facts);
    list.machine(facts);
    list.0.sort_by_key(|finding| finding.severity);
    list.0
}

struct List(Vec<Finding>);

impl List {
    fn problem(&mut self, about: &'static str, what: impl Into<String>, cure: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Problem, about, what: what.into(), cure: cure.into() });
    }

    fn advise(&mut self, about: &'static str, what: impl Into<String>, cure: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Advice, about, what: what.into(), cure: cure.into() });
    }

    fn disk(&mut self, facts: &Facts) {
        let Some(disk) = &facts.disk else { return };
        let cure = "du -xh / | sort -h | tail -n 20 shows what takes it; or resize the machine";
        // A database that cannot write stops; an upload takes some hundred MB.
        if disk.free_mb < 500 || disk.free_mb * 20 < disk.size_mb {
            self.problem("disk", format!("the disk is full: {} MB are free", disk.free_mb), cure);
        } else if disk.free_mb * 100 < disk.size_mb * 15 {
            self.advise("disk", format!("the disk fills up: {} MB are free", disk.free_mb), cure);
        }
        if disk.files_percent.is_some_and(|percent| percent >= 95) {
            self.problem(
                "disk",
                "the disk can hold hardly any more files",
                "df -i; remove what makes so many",
            );
        }
    }

    fn first_boot(&mut self, facts: &Facts) {
        let boot = &facts.first_boot;
        if boot.finished && boot.unit != FAILED {
            return;
        }
        if matches!(boot.unit.as_str(), "activating" | "reloading") {
            let cure = "journalctl -fu echora-firstboot shows how it goes";
            return self.problem("first_boot", "this server is still being set up", cure);
        }
        let unsaid = if boot.finished {
            "the last boot has failed"
        } else {
            "the setting up of this server has not ended"
        };
        let said = boot.failure.clone().unwrap_or_else(|| unsaid.to_owned());
        self.problem("first_boot", said, "cure what it says; then systemctl restart echora-firstboot");
    }

    fn containers(&mut self, facts: &Facts) {
        if let Some(open) = facts.unanswered.iter().find(|open| open.question == "containers") {
            let cure = "journalctl -u docker; then systemctl restart docker";
            self.problem("docker", format!("Docker does not answer: {}", open.why), cure);
        }
        for container in facts.containers.iter().flatten() {
            let service = container.name.trim_start_matches("echora-");
            let logs = format!("cd /opt/echora; docker compose logs --tail 50 {service}");
            if !container.is_well() {
                let state = container.health.as_ref().filter(|_| container.state == "running");
                let what = format!("{} is {}", container.name, state.unwrap_or(&container.state));
                self.problem("containers", what, format!("{logs}; then docker compose up --detach"));
            }
            if container.out_of_memory {
                let what = format!("{} was ended for want of memory", container.name);
                self.problem("memory", what, "resize the machine; its settings follow at the next boot");
            } else if container.restarts > 3 && container.is_well() {
                self.advise(
                    "containers",
                    format!("{} was started again {} times", container.name, container.restarts),
                    logs,
                );
            }
            if !container.log_is_bounded {
                let what = format!("the log of {} grows without an end", container.name);
                self.advise(
                    "logs",
                    what,
                    "set log-opts in /etc/docker/daemon.json; docker compose up -d --force-recreate",
                );
            }
        }
    }

    fn site(&mut self, facts: &Facts) {
        let site = &facts.site;
        if !facts.first_boot.finished {
            return; // It is not meant to be open.
        }
        if let Some(problem) = &site.problem {
            let what = format!("{} does not answer: {problem}", site.url);
            self.problem("site", what, "cd /opt/echora; docker compose logs --tail 50 caddy");
        } else if site.status != Some(200) {
            let what = format!("{} answers with status {}", site.url, site.status.unwrap_or_default());
            self.problem("site", what, "cd /opt/echora; docker compose logs --tail 50 caddy backend");
        }
        if let Some(problem) = &site.app_problem {
            let what = format!("the app or its database does not answer: {problem}");
            self.problem("app", what, "cd /opt/echora; docker compose logs --tail 50 backend postgres");
        }
    }

    fn domain(&mut self, facts: &Facts) {
        if let Some(message) = &facts.domain {
            let cure = "set the record where the domain is managed; this server goes on trying";
            self.problem("domain", message.clone(), cure);
        }
    }

    fn certificate(&mut self, facts: &Facts) {
        let Some(certificate) = &facts.certificate else { return };
        if certificate.until <= facts.time {
            let cure = "timedatectl: is the clock right? cd /opt/echora; docker compose restart caddy";
            self.problem("certificate", "the certificate has expired", cure);
        } else if certificate.is_overdue(facts.time) {
            let cure = "cd /opt/echora; docker compose logs caddy | grep -i renew";
            self.problem("certificate", "the certificate should have been renewed by now", cure);
        } else if certificate.rung == Rung::Internal && facts.domain.is_none() {
            let cure = "give this server a domain; a public certificate comes by itself where one can be had";
            self.advise(
                "certificate",
                "browsers warn: the certificate is of this server's own authority",
                cure,
            );
        }
    }

    fn network(&mut self, facts: &Facts) {
        if facts.firewall.as_ref().is_some_and(|firewall| !firewall.active) {
            self.problem("firewall", "the firewall is off", "ufw enable");
        }
        for port in facts.ports.iter().flatten() {
            let is_closed = matches!(port.firewall.as_str(), "deny" | "reject");
            if port.ours && is_closed {
                let what = format!("the firewall does not let {} in", port.number);
                self.problem("firewall", what, format!("ufw allow {}", port.number));
            } else if !port.ours && !is_closed {
                let program = port.program.as_deref().unwrap_or("something");
                let what = format!("{program} can be reached by anybody at port {}", port.number);
                self.advise("ports", what, format!("is that meant? If not: ufw deny {}", port.number));
            }
        }
    }

    fn machine(&mut self, facts: &Facts) {
        if let Some(memory) = &facts.memory {
            if memory.available_mb * 20 < memory.total_mb && memory.swap_free_mb * 10 <= memory.swap_mb {
                let what = format!("memory is short: {} MB are left", memory.available_mb);
                self.problem("memory", what, "docker stats shows who has it; or resize the machine");
            } else if memory.total_mb < 1900 && memory.swap_mb == 0 {
                let cure =
                    "fallocate -l 1G /swapfile; chmod 600 /swapfile; mkswap /swapfile; swapon /swapfile";
                self.advise("memory", "there is little memory and no swap", cure);
            }
        }
        if facts.reboot_required {
            self.advise("updates", "updates wait for a reboot", "reboot, when nobody is on a call");
        }
        if facts.first_boot.finished && facts.login_is_kept {
            self.advise(
                "login",
                "the login still lies on this machine",
                "save it; then rm /root/echora-credentials",
            );
        }
    }
}
