//! The codes of the options that we read or write. Numbers: IANA, "BOOTP Vendor Extensions and DHCP Options".

/// Subnet mask (RFC 2132 §3.3).
pub const SUBNET_MASK: u8 = 1;
/// Routers, the first one is preferred (RFC 2132 §3.5).
pub const ROUTER: u8 = 3;
/// Resolvers of names (RFC 2132 §3.8).
pub const RESOLVER: u8 = 6;
/// Host name of the client (RFC 2132 §3.14).
pub const HOST_NAME: u8 = 12;
/// Domain of the client (RFC 2132 §3.17).
pub const DOMAIN: u8 = 15;
/// MTU of the interface (RFC 2132 §5.1).
pub const MTU: u8 = 26;
/// Broadcast address of the subnet (RFC 2132 §5.3).
pub const BROADCAST: u8 = 28;
/// Time servers, NTP (RFC 2132 §8.3).
pub const NTP: u8 = 42;
/// The address that the client wants (RFC 2132 §9.1).
pub const REQUESTED_ADDRESS: u8 = 50;
/// How long the lease lasts (RFC 2132 §9.2).
pub const LEASE_TIME: u8 = 51;
/// Options go on in `file`, `sname` or both (RFC 2132 §9.3).
pub const OVERLOAD: u8 = 52;
/// What a message is (RFC 2132 §9.6).
pub const MESSAGE_TYPE: u8 = 53;
/// Which server it is (RFC 2132 §9.7).
pub const SERVER_ID: u8 = 54;
/// The options that the client asks for (RFC 2132 §9.8).
pub const PARAMETERS: u8 = 55;
/// Why something was refused, for people (RFC 2132 §9.9).
pub const MESSAGE: u8 = 56;
/// The longest message that the client accepts (RFC 2132 §9.10).
pub const LONGEST_MESSAGE: u8 = 57;
/// T1, when the renewing begins (RFC 2132 §9.11).
pub const RENEWAL_TIME: u8 = 58;
/// T2, when the rebinding begins (RFC 2132 §9.12).
pub const REBINDING_TIME: u8 = 59;
/// Vendor class of the client (RFC 2132 §9.13).
pub const VENDOR_CLASS: u8 = 60;
/// Which client it is (RFC 2132 §9.14, RFC 4361 §6.1).
pub const CLIENT_ID: u8 = 61;
/// User class of the client (RFC 3004 §4).
pub const USER_CLASS: u8 = 77;
/// Authentication (RFC 3118 §2).
pub const AUTHENTICATION: u8 = 90;
/// Where the captive portal tells about itself (RFC 8910 §2.1).
pub const CAPTIVE_PORTAL: u8 = 114;
/// Domains in which short names are searched (RFC 3397 §2).
pub const DOMAIN_SEARCH: u8 = 119;
/// Classless static routes (RFC 3442, "Classless Route Option Format").
pub const CLASSLESS_ROUTES: u8 = 121;
/// The same under the number of Microsoft, older than the standard ([MS-DHCPE] §2.2.8).
pub const CLASSLESS_ROUTES_MICROSOFT: u8 = 249;
