//! The uplinks as the daemon saw them last, and by which of them an attempt goes.

use super::send::Way;
use rail_core::status::{Health, Role, Status, UplinkStatus};
use rail_linux::source;
use std::net::{IpAddr, Ipv4Addr};

/// Healthy uplinks, the best first.
fn healthy(status: &Status) -> Vec<&UplinkStatus> {
    let is_good = |uplink: &&UplinkStatus| uplink.health.is_alive() && own(uplink).is_some();
    let mut all: Vec<_> = status.uplinks.iter().filter(is_good).collect();
    all.sort_by_key(|uplink| (uplink.role != Role::Active, uplink.health != Health::Up));
    all
}

/// The address of an uplink.
pub(super) fn own(uplink: &UplinkStatus) -> Option<Ipv4Addr> {
    match uplink.address?.address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The way by one uplink. One whose address another has, too, is known by its device alone.
pub(super) fn by(status: &Status, uplink: &UplinkStatus) -> Option<Way> {
    let address = own(uplink)?;
    let is_shared = status.uplinks.iter().filter(|other| own(other) == Some(address)).count() > 1;
    Some(Way::Uplink { address, device: is_shared.then(|| uplink.interface.clone()) })
}

/// The way to a host, by another uplink with each turn; `None`: there is none now.
pub(super) fn to(status: Option<&Status>, host: &str, is_inside: bool, turn: usize) -> Option<Way> {
    if is_inside || host == "localhost" || is_near(status, host) {
        return Some(Way::Inside);
    }
    let status = status?;
    let healthy = healthy(status);
    by(status, healthy.get(turn.checked_rem(healthy.len())?)?)
}

/// True for an address to which no uplink leads: the kernel would speak by another address of ours.
fn is_near(status: Option<&Status>, host: &str) -> bool {
    let Ok(address) = host.parse() else { return false };
    let Some(source) = source::towards(address) else { return false };
    let is_uplinks = |uplink: &UplinkStatus| own(uplink) == Some(source);
    status.is_some_and(|status| !status.uplinks.iter().any(is_uplinks))
}

/// The names of the healthy uplinks.
pub(super) fn names(status: Option<&Status>) -> Vec<String> {
    status.map_or_else(Vec::new, |s| healthy(s).iter().map(|uplink| uplink.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a status with a dead uplink, a standby and an active one, then attempts take the active one first
    /// and the standby next; with none healthy there is no way but to what is inside.
    #[test]
    fn attempts_take_turns() {
        let mut status = crate::cli::fixture();
        status.uplinks.truncate(3);
        for (index, uplink) in status.uplinks.iter_mut().enumerate() {
            let address = format!("198.51.100.{}/24", index + 1);
            uplink.address = Some(serde_json::from_value(address.into()).unwrap());
            uplink.health = if index == 0 { Health::Down } else { Health::Up };
            uplink.role = if index == 2 { Role::Active } else { Role::Standby };
        }
        let way = |status: &Status, turn| match to(Some(status), "smtp.example.org", false, turn) {
            Some(Way::Uplink { address, device: None }) => Some(address.octets()[3]),
            _ => None,
        };
        let turns: Vec<_> = (0..4).map(|turn| way(&status, turn)).collect();
        assert_eq!(turns, [Some(3), Some(2), Some(3), Some(2)]);
        status.uplinks.iter_mut().for_each(|uplink| uplink.health = Health::Down);
        assert_eq!(way(&status, 0), None);
        assert_eq!(to(Some(&status), "localhost", false, 0), Some(Way::Inside));
        assert_eq!(to(Some(&status), "127.0.0.1", false, 0), Some(Way::Inside));
        assert_eq!(to(None, "smtp.example.org", true, 0), Some(Way::Inside));
    }
}
