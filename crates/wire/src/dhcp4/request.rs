//! What a client sends: RFC 2131 §4.4, table 5.
//!
//! Promises: what a message must not have it cannot have, and what it must have it has. Leaves out
//! DHCPINFORM, options in `file` and `sname`, and which socket a packet takes.

use super::bootp::{self, Header};
use super::frame::Datagram;
use super::options::{Options, Writer};
use super::value::{self, OptionValue};
use super::{CLIENT_PORT, LONGEST_MESSAGE, SERVER_PORT, UdpChecksum, code};
use crate::DecodeError;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// The options that a client asks for, if nothing else is said (RFC 2132 §9.8).
///
/// Classless routes stand before the routers, as RFC 3442 ("DHCP Client Behavior") wants it.
pub const PARAMETERS: &[u8] = &[
    code::SUBNET_MASK,
    code::CLASSLESS_ROUTES,
    code::CLASSLESS_ROUTES_MICROSOFT,
    code::ROUTER,
    code::RESOLVER,
    code::DOMAIN,
    code::NTP,
    code::LEASE_TIME,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::CAPTIVE_PORTAL,
    code::DOMAIN_SEARCH,
];

/// Which message it is, and the addresses in it (RFC 2131 §4.3.2, §4.3.6).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// DHCPDISCOVER: who has an address for me? (RFC 2131 §4.4.1)
    Discover {
        /// The address that the client had, if any.
        requested: Option<Ipv4Addr>,
    },
    /// DHCPREQUEST after an offer (RFC 2131 §4.4.1).
    Selecting {
        /// The address that was offered.
        requested: Ipv4Addr,
        /// The server that offered it; 0.0.0.0 if it did not say which it is.
        server: Ipv4Addr,
    },
    /// DHCPREQUEST of a client that remembers its address (RFC 2131 §4.4.2).
    InitReboot {
        /// The address that it remembers.
        requested: Ipv4Addr,
    },
    /// DHCPREQUEST from T1 on, to the server that granted the lease (RFC 2131 §4.4.5).
    Renewing {
        /// The address that the client holds.
        address: Ipv4Addr,
        /// The server that granted it.
        server: Ipv4Addr,
    },
    /// DHCPREQUEST from T2 on, to every server (RFC 2131 §4.4.5).
    Rebinding {
        /// The address that the client holds.
        address: Ipv4Addr,
    },
    /// DHCPDECLINE: the address is in use (RFC 2131 §4.3.3).
    Decline {
        /// The address that is in use.
        address: Ipv4Addr,
        /// The server that granted it; 0.0.0.0 if it did not say which it is.
        server: Ipv4Addr,
    },
    /// DHCPRELEASE: the address is free again (RFC 2131 §4.4.6).
    Release {
        /// The address that the client held.
        address: Ipv4Addr,
        /// The server that granted it.
        server: Ipv4Addr,
    },
}

/// A message from a client (RFC 2131 §2).
///
/// DHCPDECLINE and DHCPRELEASE have nothing but kind, transaction, hardware address and client
/// identifier; the rest is not written (RFC 2131 §4.4.1, table 5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Which message it is (RFC 2131 §4.3.2).
    pub kind: RequestKind,
    /// Number of the transaction; that of the offer when selecting (RFC 2131 §4.4.1).
    pub xid: u32,
    /// Seconds since the client began; those of the discovery when selecting (RFC 2131 §4.4.1).
    pub secs: u16,
    /// True if replies must be sent to all, because the client hears no others (RFC 2131 §4.1).
    pub is_broadcast: bool,
    /// Hardware address of the client (RFC 2131 §2).
    pub chaddr: [u8; 6],
    /// Which client it is; must stay the same as long as the lease lives (RFC 2131 §4.2).
    pub client_id: OptionValue,
    /// The options that it asks for (RFC 2132 §9.8).
    pub parameters: Option<OptionValue>,
    /// Host name (RFC 2132 §3.14).
    pub host_name: Option<OptionValue>,
    /// Vendor class (RFC 2132 §9.13).
    pub vendor_class: Option<OptionValue>,
    /// User class, as raw bytes (RFC 3004 §4).
    pub user_class: Option<OptionValue>,
    /// Authentication, as raw bytes, which some providers demand (RFC 3118 §2).
    pub authentication: Option<OptionValue>,
}

impl Request {
    /// A message of a client that is known by its hardware address, and asks for [`PARAMETERS`] (RFC
    /// 2131 §4.4.1).
    pub fn new(kind: RequestKind, xid: u32, chaddr: [u8; 6]) -> Self {
        Self {
            kind,
            xid,
            secs: 0,
            is_broadcast: false,
            chaddr,
            client_id: OptionValue::client_id(chaddr),
            parameters: OptionValue::new(PARAMETERS).filter(|_| kind.asks()),
            host_name: None,
            vendor_class: None,
            user_class: None,
            authentication: None,
        }
    }

    /// Where the packet comes from: 0.0.0.0, or the address that the client holds (RFC 2131 §4.1).
    pub const fn source(&self) -> Ipv4Addr {
        match self.kind {
            RequestKind::Renewing { address, .. }
            | RequestKind::Rebinding { address }
            | RequestKind::Release { address, .. } => address,
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// Where it goes: to all, or to one server (RFC 2131 §4.1, §4.4.4).
    pub const fn destination(&self) -> Ipv4Addr {
        match self.kind {
            RequestKind::Renewing { server, .. } | RequestKind::Release { server, .. } => server,
            _ => Ipv4Addr::BROADCAST,
        }
    }

    /// Reads a packet from its IP header on (RFC 2131 §4.1).
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse); [`DecodeError::Unsupported`] for a fragment, and for all but UDP
    /// to the port of servers; [`DecodeError::Checksum`]; [`DecodeError::Malformed`] if the addresses of
    /// the packet are not those of the message.
    pub fn parse_packet(packet: &[u8], checksum: UdpChecksum) -> Result<Self, DecodeError> {
        let datagram = Datagram::parse(packet, SERVER_PORT, checksum)?;
        let (source, destination) = (*datagram.source.ip(), *datagram.destination.ip());
        let request = Self::parse(datagram.payload, destination)?;
        let is_right = (request.source(), request.destination()) == (source, destination);
        if is_right { Ok(request) } else { Err(DecodeError::Malformed) }
    }

    /// Reads the payload of UDP, which went to this address (RFC 2131 §2).
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], also for an option that is longer than its place;
    /// [`DecodeError::Unsupported`] for messages of servers, of BOOTP and of other kinds, for other
    /// hardware, and without a client identifier; [`DecodeError::Malformed`] without the cookie, for
    /// a value of no or more than 255 bytes, and for what table 5 of RFC 2131 forbids.
    pub fn parse(payload: &[u8], destination: Ipv4Addr) -> Result<Self, DecodeError> {
        let (header, options) = Header::parse(payload, bootp::REQUEST)?;
        let kind = RequestKind::read(&header, &options, destination)?;
        let value = |code| match options.get(code) {
            Some(_) if !kind.asks() && code != code::CLIENT_ID => Err(DecodeError::Malformed),
            Some(bytes) => OptionValue::new(&bytes).map(Some).ok_or(DecodeError::Malformed),
            None => Ok(None),
        };
        // What it says is for servers, but a release or a decline must not have it.
        value(code::LONGEST_MESSAGE)?;
        Ok(Self {
            kind,
            xid: header.xid,
            secs: if kind.asks() { header.secs } else { 0 },
            is_broadcast: kind.asks() && header.is_broadcast,
            chaddr: header.chaddr,
            client_id: value(code::CLIENT_ID)?.ok_or(DecodeError::Unsupported)?,
            parameters: value(code::PARAMETERS)?,
            host_name: value(code::HOST_NAME)?,
            vendor_class: value(code::VENDOR_CLASS)?,
            user_class: value(code::USER_CLASS)?,
            authentication: value(code::AUTHENTICATION)?,
        })
    }

    /// The payload of UDP as bytes, for a socket that has an address (RFC 2131 §2).
    pub fn emit(&self) -> Vec<u8> {
        let asks = self.kind.asks();
        let header = Header {
            secs: if asks { self.secs } else { 0 },
            is_broadcast: asks && self.is_broadcast,
            ciaddr: self.source(),
            ..Header::request(self.xid, self.chaddr)
        };
        let mut writer = header.emit();
        self.kind.put(&mut writer);
        writer.put(code::CLIENT_ID, self.client_id.as_bytes());
        if asks {
            writer.put(code::LONGEST_MESSAGE, &LONGEST_MESSAGE.to_be_bytes());
            let values = [
                (code::HOST_NAME, &self.host_name),
                (code::VENDOR_CLASS, &self.vendor_class),
                (code::USER_CLASS, &self.user_class),
                (code::AUTHENTICATION, &self.authentication),
                (code::PARAMETERS, &self.parameters),
            ];
            for (code, value) in values {
                value.iter().for_each(|value| writer.put(code, value.as_bytes()));
            }
        }
        writer.finish()
    }

    /// The whole packet as bytes, from the IP header on, for a packet socket (RFC 2131 §4.1).
    pub fn emit_packet(&self) -> Vec<u8> {
        let source = SocketAddrV4::new(self.source(), CLIENT_PORT);
        let destination = SocketAddrV4::new(self.destination(), SERVER_PORT);
        Datagram { source, destination, payload: &self.emit() }.emit(0)
    }
}

impl RequestKind {
    /// True if the message wants an answer, and may say which.
    const fn asks(&self) -> bool {
        !matches!(self, Self::Decline { .. } | Self::Release { .. })
    }

    /// Reads the rows of table 5 that tell the messages apart.
    fn read(
        header: &Header,
        options: &Options<'_>,
        destination: Ipv4Addr,
    ) -> Result<Self, DecodeError> {
        let address = |code| match options.get(code) {
            None => Ok(None),
            Some(bytes) => value::address(&bytes).map(Some).ok_or(DecodeError::Malformed),
        };
        let held = Some(header.ciaddr).filter(|address| !address.is_unspecified());
        let (requested, server) = (address(code::REQUESTED_ADDRESS)?, address(code::SERVER_ID)?);
        let message = options.get(code::MESSAGE_TYPE).and_then(|bytes| value::byte(&bytes));
        match (message, held, requested, server) {
            (Some(DISCOVER), None, requested, None) => Ok(Self::Discover { requested }),
            (Some(REQUEST), None, Some(requested), Some(server)) => {
                Ok(Self::Selecting { requested, server })
            }
            (Some(REQUEST), None, Some(requested), None) => Ok(Self::InitReboot { requested }),
            (Some(REQUEST), Some(address), None, None) if destination.is_broadcast() => {
                Ok(Self::Rebinding { address })
            }
            (Some(REQUEST), Some(address), None, None) => {
                Ok(Self::Renewing { address, server: destination })
            }
            (Some(DECLINE), None, Some(address), Some(server)) => {
                Ok(Self::Decline { address, server })
            }
            (Some(RELEASE), Some(address), None, Some(server)) => {
                Ok(Self::Release { address, server })
            }
            (Some(DISCOVER | REQUEST | DECLINE | RELEASE), ..) => Err(DecodeError::Malformed),
            _ => Err(DecodeError::Unsupported),
        }
    }

    /// Writes the options of those rows.
    fn put(&self, writer: &mut Writer) {
        let (message, requested, server) = match *self {
            Self::Discover { requested } => (DISCOVER, requested, None),
            Self::Selecting { requested, server } => (REQUEST, Some(requested), Some(server)),
            Self::InitReboot { requested } => (REQUEST, Some(requested), None),
            Self::Renewing { .. } | Self::Rebinding { .. } => (REQUEST, None, None),
            Self::Decline { address, server } => (DECLINE, Some(address), Some(server)),
            Self::Release { server, .. } => (RELEASE, None, Some(server)),
        };
        writer.put(code::MESSAGE_TYPE, &[message]);
        if let Some(requested) = requested {
            writer.put(code::REQUESTED_ADDRESS, &requested.octets());
        }
        if let Some(server) = server {
            writer.put(code::SERVER_ID, &server.octets());
        }
    }
}

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;
