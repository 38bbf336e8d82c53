//! A kept uplink: what another program has configured attaches it, and is only read.
//!
//! The address is that which the default route of `main` by its interface names as its source, else the
//! first one in whose network the gateway is, else the first one; a secondary one only where there is no
//! other. The gateway is that of the file, else that of the default route with the lowest metric, or of
//! two halves of everything. A device with two ends needs none.

use super::{Attachment, Gateway, Origin};
use crate::net::{IfName, Prefix};
use crate::state::{GivenAddress, GivenDefault, HALVES, Observed};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// What there is on an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// An attachment, and what names its gateway.
    Whole(Box<Attachment>, Named),
    /// No address that would do.
    NoAddress,
    /// An address, and nothing that says where packets go.
    NoGateway(Prefix),
}

/// What names the gateway.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// The configuration.
    File,
    /// A default route of `main`.
    Default(GivenDefault),
    /// Nothing: the device has two ends.
    Device,
}

/// Looks at an interface; `gateway` and `mtu` are those of the file.
pub fn read(
    observed: &Observed,
    ifname: IfName,
    (gateway, mtu): (Option<IpAddr>, Option<u32>),
) -> Found {
    let Some(link) = observed.links.get(&ifname) else { return Found::NoAddress };
    let here: Vec<_> = observed.given.iter().filter(|own| own.ifindex == link.index).collect();
    let default = default_by(&observed.defaults, link.index);
    let via = gateway.or(default.and_then(|default| default.gateway));
    let source = default.and_then(|default| default.source);
    let Some(own) = address(&here, source, via) else { return Found::NoAddress };
    let towards = |via| match own.prefix.contains(via) {
        true => Gateway::Via(via),
        false => Gateway::OnLink(via),
    };
    let (gateway, named) = match (gateway, default) {
        (Some(via), _) => (towards(via), Named::File),
        (None, Some(default)) => {
            (default.gateway.map_or(Gateway::Device, towards), Named::Default(*default))
        }
        (None, None) if own.has_peer || link.no_arp => (Gateway::Device, Named::Device),
        (None, None) => return Found::NoGateway(own.prefix),
    };
    let attachment = Attachment {
        address: own.prefix,
        gateway,
        origin: Origin::Kept,
        routes: Vec::new(),
        resolvers: Vec::new(),
        delegated: Vec::new(),
        mtu: mtu.or(default.and_then(|default| default.mtu)),
    };
    Found::Whole(Box::new(attachment), named)
}

/// The default by an interface: of the lowest metric, whole before two halves.
fn default_by(defaults: &[GivenDefault], ifindex: u32) -> Option<&GivenDefault> {
    let here = || defaults.iter().filter(|default| default.ifindex == ifindex);
    let best = |to: Prefix| {
        here().filter(|default| default.prefix == to).min_by_key(|default| default.metric)
    };
    let [first, second] = HALVES;
    let whole = here().filter(|default| default.prefix.length == 0);
    whole
        .min_by_key(|default| default.metric)
        .or_else(|| best(first).filter(|_| best(second).is_some()))
}

fn address<'a>(
    here: &[&'a GivenAddress],
    source: Option<IpAddr>,
    via: Option<IpAddr>,
) -> Option<&'a GivenAddress> {
    let first = |is_it: &dyn Fn(&GivenAddress) -> bool| {
        let fit = || here.iter().copied().filter(|own| is_it(own));
        fit().find(|own| !own.is_secondary).or_else(|| fit().next())
    };
    let has_via = |own: &GivenAddress| via.is_some_and(|via| own.prefix.contains(via));
    first(&|own| Some(own.prefix.address) == source)
        .or_else(|| first(&has_via))
        .or_else(|| first(&|_| true))
}

impl Named {
    /// For people.
    pub fn sentence(&self) -> String {
        match self {
            Self::File => "the gateway is that of the file".into(),
            Self::Default(default) => format!("the gateway is that of \"{default}\" in main"),
            Self::Device => "its device has two ends and needs no gateway".into(),
        }
    }
}

impl fmt::Display for GivenDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = if self.prefix.length == 0 { "default".into() } else { self.prefix.to_string() };
        f.write_str(&to)?;
        if let Some(via) = self.gateway {
            write!(f, " via {via}")?;
        }
        f.write_str(" proto ")?;
        match self.protocol {
            2 => f.write_str("kernel")?,
            3 => f.write_str("boot")?,
            4 => f.write_str("static")?,
            16 => f.write_str("dhcp")?,
            other => write!(f, "{other}")?,
        }
        if self.metric != 0 { write!(f, " metric {}", self.metric) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Link;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn given(text: &str) -> GivenAddress {
        GivenAddress { ifindex: 7, prefix: prefix(text), has_peer: false, is_secondary: false }
    }

    fn default(to: &str, via: Option<&str>, metric: u32) -> GivenDefault {
        let gateway = via.map(|via| via.parse().unwrap());
        let (source, mtu, protocol) = (None, None, 16);
        GivenDefault { prefix: prefix(to), metric, protocol, ifindex: 7, gateway, source, mtu }
    }

    fn seen(given: &[GivenAddress], defaults: &[GivenDefault]) -> Observed {
        let link = Link { index: 7, up: true, carrier: true, mtu: 1500, ..Link::default() };
        Observed {
            links: [("wan1".parse().unwrap(), link)].into(),
            given: given.to_vec(),
            defaults: defaults.to_vec(),
            ..Observed::default()
        }
    }

    fn look(observed: &Observed) -> Found {
        read(observed, "wan1".parse().unwrap(), (None, None))
    }

    /// The address and the gateway.
    fn whole(observed: &Observed) -> (String, Gateway) {
        let Found::Whole(found, _) = look(observed) else { panic!("{:?}", look(observed)) };
        assert_eq!(found.origin, Origin::Kept);
        (found.address.to_string(), found.gateway)
    }

    fn via(text: &str) -> Gateway {
        Gateway::Via(text.parse().unwrap())
    }

    const ALL: &str = "0.0.0.0/0";

    /// Given several addresses and defaults, then the lowest metric names the gateway, and the address is the
    /// source that it names, else the first with the gateway in its network, else the first; secondary ones
    /// and those of other interfaces are left.
    #[test]
    fn the_default_route_says_which_address() {
        let (a, b) = (given("192.168.100.2/24"), given("100.64.1.7/24"));
        let second = GivenAddress { is_secondary: true, ..given("100.64.1.3/24") };
        let far = default(ALL, Some("100.64.1.1"), 700);
        let near = default(ALL, Some("100.64.1.254"), 100);
        let elsewhere = GivenDefault { ifindex: 8, ..default(ALL, Some("192.168.100.1"), 0) };
        let all = seen(&[a, second, b], &[elsewhere, far, near]);
        assert_eq!(whole(&all), ("100.64.1.7/24".into(), via("100.64.1.254")));
        let named = GivenDefault { source: Some(second.prefix.address), ..near };
        assert_eq!(whole(&seen(&[a, second, b], &[named])).0, "100.64.1.3/24");
        let outside = default(ALL, Some("203.0.113.1"), 0);
        let on_link = Gateway::OnLink("203.0.113.1".parse().unwrap());
        assert_eq!(whole(&seen(&[a, b], &[outside])), ("192.168.100.2/24".into(), on_link));
        assert_eq!(whole(&seen(&[second], &[far])).0, "100.64.1.3/24");
        let mut gone = all;
        gone.links.clear();
        assert_eq!(look(&gone), Found::NoAddress);
    }

    /// Given two halves of everything, then they are as good as a default, and one alone is none.
    #[test]
    fn two_halves_are_a_default() {
        let own = given("100.64.1.7/24");
        let halves = ["0.0.0.0/1", "128.0.0.0/1"].map(|half| default(half, Some("100.64.1.1"), 0));
        assert_eq!(whole(&seen(&[own], &halves)).1, via("100.64.1.1"));
        assert_eq!(look(&seen(&[own], &halves[..1])), Found::NoGateway(own.prefix));
    }

    /// Given a device with two ends, by its address or by its kind, then it needs no gateway; another one
    /// without a default has no way, unless the file names its gateway.
    #[test]
    fn two_ends_need_no_gateway() {
        let own = given("10.64.1.2/32");
        let peer = GivenAddress { has_peer: true, ..own };
        assert_eq!(whole(&seen(&[peer], &[])).1, Gateway::Device);
        assert_eq!(whole(&seen(&[own], &[default(ALL, None, 0)])).1, Gateway::Device);
        let mut plain = seen(&[own], &[]);
        assert_eq!(look(&plain), Found::NoGateway(own.prefix));
        let said = read(&plain, "wan1".parse().unwrap(), (Some([10, 64, 1, 1].into()), Some(1400)));
        let Found::Whole(found, Named::File) = said else { panic!("{said:?}") };
        assert_eq!(found.gateway, Gateway::OnLink([10, 64, 1, 1].into()));
        assert_eq!(found.mtu, Some(1400));
        for link in plain.links.values_mut() {
            link.no_arp = true;
        }
        assert_eq!(whole(&plain).1, Gateway::Device);
        assert_eq!(look(&seen(&[], &[default(ALL, None, 0)])), Found::NoAddress);
    }

    /// Given a default, then it reads as `ip route` has it.
    #[test]
    fn a_default_in_words() {
        assert_eq!(
            default(ALL, Some("100.64.1.1"), 100).to_string(),
            "default via 100.64.1.1 proto dhcp metric 100"
        );
        assert_eq!(default("0.0.0.0/1", None, 0).to_string(), "0.0.0.0/1 proto dhcp");
    }
}
