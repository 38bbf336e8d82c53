//! Links of ours: a macvlan has a hardware address of its own on the port of another link.

use super::link::{
    IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK,
    IFLA_LINKINFO, IFLA_MACVLAN_MODE, MACVLAN, fixed, fixed_up,
};
use super::{Request, flag, kind};

/// A macvlan in mode private: what comes in for its address is its own, and it does not hear the other
/// macvlans of the port.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct MacvlanMessage<'a> {
    /// Name.
    pub name: &'a str,
    /// Index of the link that it stands on.
    pub parent: u32,
    /// Hardware address.
    pub mac: [u8; 6],
    /// What is written on it.
    pub alias: &'a str,
}

impl MacvlanMessage<'_> {
    /// `MACVLAN_MODE_PRIVATE`.
    pub const PRIVATE: u32 = 1;

    /// Makes it, and sets it up; if it cannot be up it is not made. The kernel takes no alias for a link
    /// that it makes, so another request for that follows in the same datagram: no crash of the sender comes
    /// between. `EEXIST` if the name is taken.
    pub fn add(&self) -> Request {
        let flags = flag::CREATE | flag::EXCLUSIVE;
        let mut add = Request::new(kind::NEW_LINK, flags, &fixed_up(0, true));
        add.text(IFLA_IFNAME, self.name);
        add.attribute(IFLA_ADDRESS, &self.mac);
        add.u32(IFLA_LINK, self.parent);
        make_up(&mut add);
        let mut write = Request::new(kind::NEW_LINK, flag::ACK, &fixed(0));
        write.text(IFLA_IFNAME, self.name);
        write.text(IFLA_IFALIAS, self.alias);
        // With this it is refused for a link of another kind.
        make_up(&mut write);
        add.then(write)
    }

    /// Gives the macvlan of this index the address and the alias, and sets it up.
    pub fn change(&self, index: u32) -> Request {
        let mut change = Request::new(kind::NEW_LINK, flag::ACK, &fixed_up(index, true));
        change.attribute(IFLA_ADDRESS, &self.mac);
        change.text(IFLA_IFALIAS, self.alias);
        make_up(&mut change);
        change
    }

    /// Deletes the link of this index.
    pub fn remove(index: u32) -> Request {
        Request::new(kind::DEL_LINK, flag::ACK, &fixed(index))
    }
}

/// The kind and the mode.
fn make_up(request: &mut Request) {
    request.nested(IFLA_LINKINFO, |info| {
        info.attribute(IFLA_INFO_KIND, MACVLAN.as_bytes());
        info.nested(IFLA_INFO_DATA, |data| data.u32(IFLA_MACVLAN_MODE, MacvlanMessage::PRIVATE));
    });
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::super::{LinkMessage, messages};
    use super::*;
    use alloc::vec::Vec;

    const MESSAGE: MacvlanMessage<'_> =
        MacvlanMessage { name: "m1", parent: 3, mac: [2, 0, 0, 0, 0, 9], alias: "rail:a" };

    /// As `ip link add m1 link #3 up address 02:..:09 type macvlan mode private` sends it.
    const ADD: &[u8] = &[
        88, 0, 0, 0, 16, 0, 1, 6, 7, 0, 0, 0, 0, 0, 0,
        0, // header: 88 bytes, RTM_NEWLINK, number 7
        0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, // ifinfomsg: IFF_UP
        7, 0, 3, 0, b'm', b'1', 0, 0, // IFLA_IFNAME
        10, 0, 1, 0, 2, 0, 0, 0, 0, 9, 0, 0, // IFLA_ADDRESS
        8, 0, 5, 0, 3, 0, 0, 0, // IFLA_LINK
        28, 0, 18, 0, // IFLA_LINKINFO
        11, 0, 1, 0, b'm', b'a', b'c', b'v', b'l', b'a', b'n', 0, // IFLA_INFO_KIND
        12, 0, 2, 0, 8, 0, 1, 0, 1, 0, 0, 0, // IFLA_INFO_DATA: IFLA_MACVLAN_MODE
    ];

    /// Given a macvlan, when it is made, then the first message makes it as `ip` does without asking for
    /// an answer, and the second, of the same number, writes the alias; both decode as they were meant.
    #[test]
    fn made_and_marked_in_one_datagram() {
        let bytes = MESSAGE.add().finish(7);
        assert_eq!(&bytes[..ADD.len()], ADD);
        let both: Vec<_> = messages(&bytes).map(|message| message.unwrap()).collect();
        let links: Vec<_> = both.iter().map(|m| LinkMessage::decode(m).unwrap()).collect();
        assert_eq!((both[0].sequence, both[1].sequence), (7, 7));
        assert_eq!((both[0].flags & flag::ACK, both[1].flags & flag::ACK), (0, flag::ACK));
        assert_eq!((links[0].mac, links[0].place.lower), (Some(MESSAGE.mac), Some(3)));
        assert_eq!((links[1].name.as_str(), links[1].place.alias.as_str()), ("m1", "rail:a"));
        for link in links {
            assert_eq!((link.place.kind.as_str(), link.place.mode), (MACVLAN, Some(1)));
        }
    }

    /// Given an index, then a change and a deletion name it.
    #[test]
    fn changed_and_deleted_by_index() {
        for (request, kind) in
            [(MESSAGE.change(5), kind::NEW_LINK), (MacvlanMessage::remove(5), kind::DEL_LINK)]
        {
            let bytes = request.finish(1);
            let message = messages(&bytes).next().unwrap().unwrap();
            assert_eq!((message.kind, LinkMessage::decode(&message).unwrap().index), (kind, 5));
        }
    }
}
