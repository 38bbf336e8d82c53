//! Devices that cannot be used in the place they have.

use super::{Host, on, tell};
use crate::coexist::View;
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Ports of something else, and devices that wait.
pub(super) fn examine(view: &View, host: &Host) -> Vec<Conflict> {
    let mut names: Vec<String> =
        view.uplinks.iter().map(|uplink| uplink.ifname.to_string()).collect();
    names.extend(view.networks.iter().map(|network| network.ifname.to_string()));
    names.sort();
    names.dedup();
    names.iter().filter_map(|name| one(view, host, name)).collect()
}

fn one(view: &View, host: &Host, name: &str) -> Option<Conflict> {
    let uplinks = on(view, name);
    let reported = |effect: String, remedy: String| {
        Some(tell(
            ConflictKind::Device,
            format!("interface {name}"),
            effect,
            remedy,
            uplinks.clone(),
        ))
    };
    let device = host.devices.iter().find(|device| device.name == name)?;
    if let Some((master, kind)) = &device.master {
        let effect = match kind.as_str() {
            "vrf" => format!("belongs to the VRF {master}, whose table is asked before rail's"),
            "bridge" => {
                format!("is a port of the bridge {master}, which takes all that arrives on it")
            }
            "bond" | "team" => {
                format!("is a member of the {kind} {master}, which takes all that arrives on it")
            }
            _ => format!("belongs to {master}, which takes all that arrives on it"),
        };
        let remedy = match kind.as_str() {
            "vrf" => format!("ip link set {name} nomaster"),
            _ => format!("write {master} in the configuration, or: ip link set {name} nomaster"),
        };
        return reported(effect, remedy);
    }
    if device.forwards_nothing {
        let path = format!("net.ipv4.conf.{}.forwarding", name.replace('.', "/"));
        return reported(
            format!("forwards nothing that comes in by it: {path} is 0"),
            format!("sysctl -w {path}=1 (systemd-networkd: IPv4Forwarding=yes for {name})"),
        );
    }
    if device.dormant {
        let effect =
            "is dormant: it waits for an authentication (802.1X) before it carries packets";
        return reported(
            effect.into(),
            format!("start its supplicant: wpa_supplicant -D wired -i {name}"),
        );
    }
    None
}
