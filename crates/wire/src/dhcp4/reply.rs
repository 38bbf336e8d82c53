//! What a server answers: RFC 2131 §4.3, table 3.
//!
//! Promises: an option that is broken is read as absent, and its code is in [`Reply::void`]. Leaves out
//! whom to believe, and what follows from an option.

use super::bootp::{self, Header};
use super::frame::Datagram;
use super::name::{Name, Names};
use super::options::{Options, Writer};
use super::route::{self, ClasslessRoute};
use super::value::{self, LeaseTime, Text};
use super::{CLIENT_PORT, SERVER_PORT, UdpChecksum, code};
use crate::DecodeError;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// What a reply says (RFC 2132 §9.6).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ReplyKind {
    /// DHCPOFFER: an address is offered (RFC 2131 §4.3.1).
    Offer,
    /// DHCPACK: the lease is granted (RFC 2131 §4.3.2).
    Ack,
    /// DHCPNAK: the address is not for this client (RFC 2131 §4.3.2).
    Nak,
}

/// A message from a server (RFC 2131 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Offer, grant or refusal (RFC 2132 §9.6).
    pub kind: ReplyKind,
    /// Source address of the packet: the server or a relay (RFC 791 §3.1).
    pub source: Ipv4Addr,
    /// Number of the transaction that it answers (RFC 2131 §2).
    pub xid: u32,
    /// True if the reply must be sent to all, as the client asked (RFC 2131 §4.1).
    pub is_broadcast: bool,
    /// Hardware address of the client that it is for (RFC 2131 §2).
    pub chaddr: [u8; 6],
    /// The address offered or granted; 0.0.0.0 in a refusal (RFC 2131 §2).
    pub yiaddr: Ipv4Addr,
    /// The next server of a boot, which is not the DHCP server (RFC 2131 §2).
    pub siaddr: Ipv4Addr,
    /// The relay between client and server; 0.0.0.0: none (RFC 2131 §2).
    pub giaddr: Ipv4Addr,
    /// Which server it is; also `None` if it calls itself 0.0.0.0 (RFC 2132 §9.7).
    pub server_id: Option<Ipv4Addr>,
    /// Why it refuses, for people (RFC 2132 §9.9).
    pub message: Option<Text>,
    /// How long the lease lasts (RFC 2132 §9.2).
    pub lease: Option<LeaseTime>,
    /// T1, when the renewing begins; may be zero, or later than T2 (RFC 2132 §9.11).
    pub renewal: Option<LeaseTime>,
    /// T2, when the rebinding begins; may be zero, or later than the end (RFC 2132 §9.12).
    pub rebinding: Option<LeaseTime>,
    /// The subnet mask as length of a prefix, 1 to 32 (RFC 2132 §3.3).
    pub prefix_length: Option<u8>,
    /// Broadcast address of the subnet (RFC 2132 §5.3).
    pub broadcast: Option<Ipv4Addr>,
    /// Domain of the client (RFC 2132 §3.17).
    pub domain: Option<Name>,
    /// Routes; if there are any, [`routers`](Self::routers) are to be ignored (RFC 3442, "DHCP Client
    /// Behavior").
    pub routes: Option<Vec<ClasslessRoute>>,
    /// MTU of the interface in bytes, at least 68 (RFC 2132 §5.1).
    pub mtu: Option<u16>,
    /// Resolvers of names, the preferred one first (RFC 2132 §3.8).
    pub resolvers: Vec<Ipv4Addr>,
    /// Routers, the preferred one first (RFC 2132 §3.5).
    pub routers: Vec<Ipv4Addr>,
    /// Time servers, the preferred one first (RFC 2132 §8.3).
    pub ntp: Vec<Ipv4Addr>,
    /// Where the captive portal tells about itself, a URI (RFC 8910 §2.1).
    pub captive_portal: Option<Text>,
    /// Domains in which short names are searched (RFC 3397 §2).
    pub search: Names,
    /// The client that it is for, if the server says so (RFC 6842 §3).
    pub client_id: Option<Vec<u8>>,
    /// Codes of options that are broken, and read as absent (RFC 2132 §2; RFC 3442 for 121 and 249).
    pub void: Vec<u8>,
}

impl Reply {
    /// A reply without any option (RFC 2131 §4.3.1).
    pub const fn new(kind: ReplyKind, source: Ipv4Addr, xid: u32, chaddr: [u8; 6]) -> Self {
        Self {
            kind,
            source,
            xid,
            is_broadcast: false,
            chaddr,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            server_id: None,
            message: None,
            lease: None,
            renewal: None,
            rebinding: None,
            prefix_length: None,
            broadcast: None,
            domain: None,
            routes: None,
            mtu: None,
            resolvers: Vec::new(),
            routers: Vec::new(),
            ntp: Vec::new(),
            captive_portal: None,
            search: Names::EMPTY,
            client_id: None,
            void: Vec::new(),
        }
    }

    /// Reads a packet from its IP header on, whoever it is addressed to (RFC 2131 §4.1).
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse); [`DecodeError::Unsupported`] for a fragment, and for all but UDP
    /// to the port of clients; [`DecodeError::Checksum`].
    pub fn parse_packet(packet: &[u8], checksum: UdpChecksum) -> Result<Self, DecodeError> {
        let datagram = Datagram::parse(packet, CLIENT_PORT, checksum)?;
        Self::parse(datagram.payload, *datagram.source.ip())
    }

    /// Reads the payload of UDP, which came from this address (RFC 2131 §2).
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], also for an option that is longer than its place;
    /// [`DecodeError::Unsupported`] for messages of clients, of BOOTP, of other kinds and for other
    /// hardware; [`DecodeError::Malformed`] without the cookie.
    pub fn parse(payload: &[u8], source: Ipv4Addr) -> Result<Self, DecodeError> {
        let (header, options) = Header::parse(payload, bootp::REPLY)?;
        let mut reader = Reader { options, void: Vec::new() };
        let kind = match reader.read(code::MESSAGE_TYPE, value::byte) {
            Some(OFFER) => ReplyKind::Offer,
            Some(ACK) => ReplyKind::Ack,
            Some(NAK) => ReplyKind::Nak,
            _ => return Err(DecodeError::Unsupported),
        };
        let server_id = reader.read(code::SERVER_ID, value::address);
        Ok(Self {
            kind,
            source,
            xid: header.xid,
            is_broadcast: header.is_broadcast,
            chaddr: header.chaddr,
            yiaddr: header.yiaddr,
            siaddr: header.siaddr,
            giaddr: header.giaddr,
            server_id: server_id.filter(|server| !server.is_unspecified()),
            message: reader.read(code::MESSAGE, Text::new),
            lease: reader.read(code::LEASE_TIME, LeaseTime::read),
            renewal: reader.read(code::RENEWAL_TIME, LeaseTime::read),
            rebinding: reader.read(code::REBINDING_TIME, LeaseTime::read),
            prefix_length: reader.read(code::SUBNET_MASK, value::prefix_length),
            broadcast: reader.read(code::BROADCAST, value::address),
            domain: reader.read(code::DOMAIN, Name::read),
            routes: reader.routes(),
            mtu: reader.read(code::MTU, value::mtu),
            resolvers: reader.list(code::RESOLVER),
            routers: reader.list(code::ROUTER),
            ntp: reader.list(code::NTP),
            captive_portal: reader.read(code::CAPTIVE_PORTAL, Text::new),
            search: reader
                .read(code::DOMAIN_SEARCH, |bytes| Names::read(bytes, payload.len()))
                .unwrap_or_default(),
            client_id: reader.read(code::CLIENT_ID, |bytes| Some(bytes.to_vec())),
            void: reader.void,
        })
    }

    /// The payload of UDP as bytes (RFC 2131 §2); an option that would make it longer than UDP can carry
    /// is left out, one that is void is written without a value.
    pub fn emit(&self) -> Vec<u8> {
        let header = Header {
            op: bootp::REPLY,
            is_broadcast: self.is_broadcast,
            yiaddr: self.yiaddr,
            siaddr: self.siaddr,
            giaddr: self.giaddr,
            ..Header::request(self.xid, self.chaddr)
        };
        let mut writer = header.emit();
        let kind = match self.kind {
            ReplyKind::Offer => OFFER,
            ReplyKind::Ack => ACK,
            ReplyKind::Nak => NAK,
        };
        writer.put(code::MESSAGE_TYPE, &[kind]);
        self.put_lease(&mut writer);
        self.put_network(&mut writer);
        self.void.iter().for_each(|code| writer.put(*code, &[]));
        writer.finish()
    }

    /// The whole packet as bytes, from the IP header on, to this address (RFC 2131 §4.1).
    pub fn emit_packet(&self, destination: Ipv4Addr) -> Vec<u8> {
        let source = SocketAddrV4::new(self.source, SERVER_PORT);
        let destination = SocketAddrV4::new(destination, CLIENT_PORT);
        Datagram { source, destination, payload: &self.emit() }.emit(0)
    }

    fn put_lease(&self, writer: &mut Writer) {
        put(writer, code::SERVER_ID, self.server_id.map(|server| server.octets()));
        put(writer, code::MESSAGE, self.message.as_ref().map(Text::as_bytes));
        put(writer, code::CLIENT_ID, self.client_id.as_ref());
        put(writer, code::LEASE_TIME, self.lease.map(LeaseTime::bytes));
        put(writer, code::RENEWAL_TIME, self.renewal.map(LeaseTime::bytes));
        put(writer, code::REBINDING_TIME, self.rebinding.map(LeaseTime::bytes));
    }

    fn put_network(&self, writer: &mut Writer) {
        let mask = self.prefix_length.map(|length| value::mask(length).to_be_bytes());
        put(writer, code::SUBNET_MASK, mask);
        put(writer, code::BROADCAST, self.broadcast.map(|address| address.octets()));
        put(writer, code::DOMAIN, self.domain.as_ref().map(|name| name.as_str().as_bytes()));
        put(writer, code::CLASSLESS_ROUTES, self.routes.as_deref().map(route::bytes));
        put(writer, code::MTU, self.mtu.map(u16::to_be_bytes));
        let lists = [
            (code::RESOLVER, &self.resolvers),
            (code::ROUTER, &self.routers),
            (code::NTP, &self.ntp),
        ];
        for (code, list) in lists {
            put(writer, code, (!list.is_empty()).then(|| value::address_bytes(list)));
        }
        put(writer, code::CAPTIVE_PORTAL, self.captive_portal.as_ref().map(Text::as_bytes));
        let search = (!self.search.is_empty()).then(|| self.search.bytes());
        put(writer, code::DOMAIN_SEARCH, search);
    }
}

/// Reads options, and notes those that are broken.
struct Reader<'a> {
    options: Options<'a>,
    void: Vec<u8>,
}

impl Reader<'_> {
    fn read<T>(&mut self, code: u8, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let value = read(&self.options.get(code)?);
        if value.is_none() {
            self.void.push(code);
        }
        value
    }

    fn list(&mut self, code: u8) -> Vec<Ipv4Addr> {
        self.read(code, value::addresses).unwrap_or_default()
    }

    /// Who has the number of the standard does not mean the other one.
    fn routes(&mut self) -> Option<Vec<ClasslessRoute>> {
        let is_standard = self.options.has(code::CLASSLESS_ROUTES);
        let microsoft = code::CLASSLESS_ROUTES_MICROSOFT;
        let code = if is_standard { code::CLASSLESS_ROUTES } else { microsoft };
        self.read(code, route::read)
    }
}

fn put(writer: &mut Writer, code: u8, value: Option<impl AsRef<[u8]>>) {
    if let Some(value) = value {
        writer.put(code, value.as_ref());
    }
}

const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
