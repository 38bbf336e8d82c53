//! ARP (RFC 826): asks the gateway for its hardware address, in the name of the uplink's own.
//!
//! It says nothing of what is behind the gateway. ARP has no number and no nonce: a reply counts for the
//! newest question, and whoever is on the segment can forge one. What names another gateway, another
//! address of ours or another card than the question did is refused; what is a second reply to one
//! question (of a forger, or of another machine with the gateway's address) is counted as a duplicate.

use super::Refusal;
use crate::io::{Binding, Peer};
use crate::net::Mac;
use crate::time::Duration;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use rail_wire::ip::arp::{self, ArpKind};

/// Every host of the segment hears the question, and switches that guard ARP take no more than 15 in a
/// second from one port, or they close it.
pub(super) const SPACING: Duration = Duration::from_millis(100);
/// The next question waits until the answer to the one before is overdue, or that answer would count for
/// it. No longer than this: a silence is sure after eight questions.
pub(super) const LONGEST_SPACING: Duration = Duration::from_millis(250);

/// ARP questions of one uplink.
#[derive(Copy, Clone, Debug, Default)]
pub struct Arp {
    /// The last one.
    asked: Option<arp::Arp>,
}

impl Arp {
    /// The request for the hardware address of `gateway`, asked from this card, and whom it goes to;
    /// `None`: there is no address to ask from.
    pub fn question(
        &mut self,
        gateway: Ipv4Addr,
        (binding, mac): (&Binding, Mac),
    ) -> Option<(Peer, Vec<u8>)> {
        let Some(IpAddr::V4(source)) = binding.source else { return None };
        let request = arp::Arp::request(mac.0, source, gateway);
        self.asked = Some(request);
        Some((Peer::Link(Mac([0xff; 6])), request.emit()))
    }

    /// Recognises a reply to the last request.
    ///
    /// # Errors
    /// [`Refusal`], but never a wrong interface or a duplicate.
    pub fn recognise(&self, from: Peer, bytes: &[u8]) -> Result<(), Refusal> {
        let reply = arp::Arp::parse(bytes).map_err(|_| Refusal::Malformed)?;
        let asked = self.asked.ok_or(Refusal::WrongSequence)?;
        // A group is nobody's own address (IEEE 802, section 8.2).
        let is_group = reply.sender_mac.first().is_some_and(|first| first & 1 == 1);
        if reply.kind != ArpKind::Reply || is_group || !matches!(from, Peer::Link(_)) {
            return Err(Refusal::Malformed);
        }
        if reply.sender != asked.target || reply.sender_mac == asked.sender_mac {
            return Err(Refusal::WrongSource);
        }
        if (reply.target, reply.target_mac) != (asked.sender, asked.sender_mac) {
            return Err(Refusal::WrongNonce);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);
    const US: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 2);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 1);

    fn binding() -> Binding {
        let ifname = "wan1".parse().unwrap();
        Binding { ifname, ifindex: 1, source: Some(US.into()), mark: 7 }
    }

    /// Given a question, then it is a broadcast request of RFC 826 in our name, and its reply is taken,
    /// with the padding of a short frame as well.
    #[test]
    fn the_gateway_is_asked_and_heard() {
        let mut kind = Arp::default();
        let (to, bytes) = kind.question(GATEWAY, (&binding(), OURS)).unwrap();
        let request = arp::Arp::parse(&bytes).unwrap();
        assert_eq!(to, Peer::Link(Mac([0xff; 6])));
        assert_eq!(request, arp::Arp::request(OURS.0, US, GATEWAY));
        let mut reply = request.reply(THEIRS.0).emit();
        reply.resize(46, 0);
        assert_eq!(kind.recognise(Peer::Link(THEIRS), &reply), Ok(()));
        let no_source = Binding { source: None, ..binding() };
        assert_eq!(kind.question(GATEWAY, (&no_source, OURS)), None);
    }

    /// Given forged replies, then each is refused for its reason; given no question, then nothing
    /// answers it.
    #[test]
    fn forgeries_are_refused() {
        let mut kind = Arp::default();
        let reply = arp::Arp::request(OURS.0, US, GATEWAY).reply(THEIRS.0);
        let link = Peer::Link(THEIRS);
        assert_eq!(kind.recognise(link, &reply.emit()), Err(Refusal::WrongSequence));
        kind.question(GATEWAY, (&binding(), OURS)).unwrap();
        let hear = |reply: arp::Arp| kind.recognise(link, &reply.emit()).unwrap_err();
        let other = Ipv4Addr::new(100, 64, 1, 3);
        let request = arp::Arp { kind: ArpKind::Request, ..reply };
        assert_eq!(hear(request), Refusal::Malformed);
        assert_eq!(hear(arp::Arp { sender_mac: [0xff; 6], ..reply }), Refusal::Malformed);
        assert_eq!(hear(arp::Arp { sender: other, ..reply }), Refusal::WrongSource);
        assert_eq!(hear(arp::Arp { sender_mac: OURS.0, ..reply }), Refusal::WrongSource);
        assert_eq!(hear(arp::Arp { target: other, ..reply }), Refusal::WrongNonce);
        assert_eq!(hear(arp::Arp { target_mac: [2; 6], ..reply }), Refusal::WrongNonce);
        assert_eq!(kind.recognise(link, &reply.emit()[..20]), Err(Refusal::Malformed));
        let host = Peer::Host(GATEWAY.into());
        assert_eq!(kind.recognise(host, &reply.emit()), Err(Refusal::Malformed));
    }
}
