//! What leaves by an uplink and has another source than the others, or keeps its own: in the
//! order in which it is asked.
//!
//! 1. Destinations of `no_nat`: nothing is translated for them.
//! 2. Further addresses of the uplink (a program is bound to one), and networks that the provider
//!    routes to it: they keep their source. On any other uplink they are translated as all are.
//! 3. Hosts that `[[nat]]` names.
//!
//! An uplink without any of these has no rule for them.

use super::any_of;
use crate::config::{Config, Translation};
use crate::net::Family::V4;
use crate::net::Prefix;
use crate::render::view::UplinkView;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// For nft; `leaves` says which packets are the uplink's, `pin` what is done with each of them.
pub(in crate::render) fn nft(
    config: &Config,
    uplink: &UplinkView<'_>,
    leaves: &str,
    pin: &str,
) -> Vec<String> {
    let mut rules = Vec::new();
    let asked = any_of(uplink.no_nat.iter().map(ToString::to_string).collect());
    rules.extend(asked.map(|there| format!("{leaves} ip daddr {there} {pin} accept")));
    let kept = any_of(kept(uplink).map(|source| written(&source)).collect());
    rules.extend(kept.map(|sources| format!("{leaves} ip saddr {sources} {pin} accept")));
    for Translation { from, to } in translations(config, uplink) {
        let from = any_of(from.iter().map(written).collect());
        rules.extend(from.map(|from| format!("{leaves} ip saddr {from} {pin} snat ip to {to}")));
    }
    rules
}

/// For the chain of iptables that translates what leaves by an uplink.
pub(in crate::render) fn iptables(config: &Config, uplink: &UplinkView<'_>) -> Vec<String> {
    let out = format!("-o {}", uplink.ifname);
    let asked = uplink.no_nat.iter().map(|there| format!("{out} -d {there} -j RETURN"));
    let mut rules: Vec<String> = asked.collect();
    rules.extend(kept(uplink).map(|source| format!("{out} -s {source} -j RETURN")));
    for Translation { from, to } in translations(config, uplink) {
        rules.extend(from.iter().map(|from| format!("{out} -s {from} -j SNAT --to-source {to}")));
    }
    rules
}

/// Sources that stay as they are.
fn kept<'a>(uplink: &'a UplinkView<'_>) -> impl Iterator<Item = Prefix> + 'a {
    let further = uplink.further(V4).iter().map(|address| Prefix::host(*address));
    further.chain(uplink.routed[V4].iter().copied())
}

fn translations<'a>(
    config: &'a Config,
    uplink: &'a UplinkView<'_>,
) -> impl Iterator<Item = &'a Translation> {
    config.translations.iter().filter(|translation| uplink.has(translation.to.into()))
}

/// A single address stands by itself.
fn written(prefix: &Prefix) -> String {
    match *prefix == Prefix::host(prefix.address) {
        true => prefix.address.to_string(),
        false => prefix.to_string(),
    }
}
