//! Interfaces that the file does not name and that are closed as uplinks are.

use super::Links;
use crate::config::{Config, UplinkConfig};
use crate::net::IfName;
use alloc::format;
use alloc::string::String;

/// An interface that the file does not name and that is closed as an uplink is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Stray {
    /// The interface.
    pub ifname: IfName,
    /// Position of the uplink.
    pub uplink: usize,
    /// Why it is closed.
    pub cause: StrayCause,
}

/// Why an interface that the file does not name is closed, the strongest reason first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StrayCause {
    /// It was the uplink's device, under another name.
    Device,
    /// It has an address of the uplink.
    Address,
    /// It has another address in the uplink's network, or borrows one from the uplink's interface, as a
    /// tunnel may.
    Network,
}

impl Stray {
    /// It has the uplink's cable, for all we know. Any other may be a tunnel or a network of the
    /// administrator, and hosts inside go there as they are.
    pub fn has_cable(&self) -> bool {
        self.cause != StrayCause::Network
    }
}

impl Config {
    /// What to do about an interface that the file does not name and that is closed as this uplink is.
    /// Who called it a network while it is the uplink's own would open the LAN to the provider.
    pub fn stray_remedy(&self, links: &Links, stray: Stray, uplink: &UplinkConfig) -> String {
        let (UplinkConfig { name, ifname, .. }, stray, cause) = (uplink, stray.ifname, stray.cause);
        match (cause, links.contains_key(ifname)) {
            (StrayCause::Network, true) => STRAY_REMEDY.into(),
            // Under another name a link of ours is nobody's, and has the hardware address of the next one.
            (StrayCause::Device, _) if uplink.own_link.is_some() => format!(
                "if {stray} is the link that rail made for uplink {name}: `ip link delete {stray}`, and rail \
                 makes {ifname} anew"
            ),
            (StrayCause::Device, true) => format!(
                "uplink {name} has another interface now: if the provider's cable is still in {stray}, \
                 write `interface = \"{stray}\"` there; if {ifname} stands on it (a bridge, a VLAN), \
                 nothing is to be done"
            ),
            _ => format!(
                "it may be the interface of uplink {name} under another name: write `interface = \
                 \"{stray}\"` there"
            ),
        }
    }
}

/// What to do about an interface that is closed though the file does not name it, while the uplink has
/// its own.
const STRAY_REMEDY: &str = "name it as a [[network]] if it is yours, or narrow the prefix length of \
                                the uplink's address";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OwnLink, Tier};
    use crate::net::Mac;
    use crate::render::tests::config;

    /// Given a link of ours to which somebody gave another name, then the remedy is to delete it: as the
    /// interface of the uplink it would be foreign.
    #[test]
    fn a_renamed_link_is_to_be_deleted() {
        let mut config = config(&[(1, Tier::Number(1))]);
        let own = OwnLink::on("eth2".parse().unwrap(), Mac([2, 0, 0, 0, 0, 1]));
        config.uplinks[0].own_link = Some(own);
        let (ifname, cause) = ("tmp0".parse().unwrap(), StrayCause::Device);
        let stray = Stray { ifname, uplink: 0, cause };
        let remedy = config.stray_remedy(&Links::default(), stray, &config.uplinks[0]);
        assert_eq!(
            remedy,
            "if tmp0 is the link that rail made for uplink isp1: `ip link delete tmp0`, and rail makes wan1 \
             anew"
        );
    }
}
