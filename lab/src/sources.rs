//! What providers see of sources that are not theirs: none, whatever a test is about.
//!
//! Every provider drops and counts packets from the router whose source is not of its own
//! prefix, and keeps who they were from and to.

use crate::{LabError, Topology, topology::Line};
use std::sync::atomic::Ordering;

/// The table of a provider that counts.
pub(crate) fn guard(n: usize) -> String {
    let who = "ip saddr . ip daddr . meta l4proto . th sport . th dport";
    format!(
        "table inet lab {{\n counter wrong {{ }}\n\
         set strange {{\n typeof {who}\n flags dynamic\n size 64\n }}\n\
         chain guard {{\n type filter hook prerouting priority -300\n\
         iifname \"acc\" ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept\n \
         iifname \"acc\" ip saddr != 100.64.{n}.0/24 counter name wrong goto foreign\n }}\n\
         chain foreign {{\n add @strange {{ {who} }}\n drop\n }}\n}}\n"
    )
}

impl Line {
    /// Packets that came from the router with a source of another provider.
    ///
    /// # Errors
    /// When the counter cannot be read.
    pub fn wrong_sources(&self) -> Result<u64, LabError> {
        let text = self.isp.sh("nft -j list counter inet lab wrong")?;
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| LabError::Refused(format!("nft printed no JSON: {e}")))?;
        let found = json["nftables"].as_array().into_iter().flatten();
        let count = found.filter_map(|item| item["counter"]["packets"].as_u64()).next();
        count.ok_or_else(|| LabError::Refused("the counter of wrong sources is missing".into()))
    }

    /// The same at the end of a test, which may have taken away the provider and its counter.
    fn wrong_in_the_end(&self) -> Result<u64, String> {
        match self.wrong_sources().map_err(|e| e.to_string()) {
            Err(text) if text.contains("No such file or directory") => Ok(0),
            result => result,
        }
    }

    fn strange(&self) -> Option<String> {
        self.isp.sh("nft list set inet lab strange").ok()
    }
}

impl Topology {
    /// All packets with a wrong source at any provider.
    ///
    /// # Errors
    /// When a counter cannot be read.
    pub fn wrong_sources(&self) -> Result<u64, LabError> {
        self.lines.iter().map(Line::wrong_sources).sum()
    }

    /// Who these packets were from and to, a set for each provider.
    pub fn strange_packets(&self) -> String {
        self.lines.iter().filter_map(Line::strange).collect()
    }

    /// Lets the test end with wrong sources: it provokes them, or judges them itself.
    pub fn excuse_sources(&self) {
        self.sources_excused.store(true, Ordering::Relaxed);
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        if std::thread::panicking() || self.sources_excused.load(Ordering::Relaxed) {
            return;
        }
        let seen: Vec<_> = self.lines.iter().map(Line::wrong_in_the_end).collect();
        assert!(
            seen.iter().all(|n| *n == Ok(0)),
            "packets with a foreign source by uplink: {seen:?}\n{}",
            self.strange_packets()
        );
    }
}
