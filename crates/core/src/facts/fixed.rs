//! A static uplink: the configuration says its address and its gateway, in one family.

use super::{Attachment, Gateway, Origin, PerFamily, Ways};
use crate::config::UplinkConfig;
use alloc::vec::Vec;

/// The attachment as the file says it.
pub(crate) fn attach(uplink: &UplinkConfig) -> Ways {
    let Some(fixed) = uplink.fixed() else { return Ways::default() };
    let gateway = match fixed.onlink {
        true => Gateway::OnLink(fixed.gateway),
        false => Gateway::Via(fixed.gateway),
    };
    PerFamily::of(|family| {
        (fixed.address.family() == family).then(|| Attachment {
            address: fixed.address,
            gateway,
            origin: Origin::Static,
            routes: Vec::new(),
            resolvers: Vec::new(),
            delegated: Vec::new(),
            mtu: uplink.mtu,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Family;
    use crate::render::tests::config;

    /// Given a static uplink, with its gateway in the prefix and beyond it, then it is attached in
    /// the family of its address alone, by what the file says.
    #[test]
    fn the_file_attaches_one_family() {
        let mut uplink = config(&[(1, crate::config::Tier::Number(1))]).uplinks.remove(0);
        let ways = attach(&uplink);
        let way = ways[Family::V4].as_ref().unwrap();
        assert_eq!((way.address, way.origin), (uplink.address().unwrap(), Origin::Static));
        assert_eq!(way.gateway, Gateway::Via(uplink.fixed().unwrap().gateway));
        assert_eq!(ways[Family::V6], None);
        uplink.fixed_mut().unwrap().onlink = true;
        let ways = attach(&uplink);
        assert_eq!(
            ways[Family::V4].as_ref().unwrap().gateway,
            Gateway::OnLink(uplink.fixed().unwrap().gateway)
        );
        uplink.fixed_mut().unwrap().address = "2001:db8::2/64".parse().unwrap();
        let ways = attach(&uplink);
        assert_eq!(ways.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    }
}
