//! Probe sockets: raw ICMP, one for each uplink.
//!
//! Promises: what is sent leaves by the socket's device, from its source and
//! with its mark; what is received came in by that device and is an echo reply
//! with an identifier of ours (a filter in the kernel drops the rest before it costs a
//! wake-up). The kernel notes when it received a reply: a loop that is late does
//! not make an uplink slow. An error of one socket is counted and never touches another.
//! Leaves out whether a reply answers a probe: that is the core's judgement.
//! RFC 792 (ICMP), RFC 791 §3.1 (header length).

use crate::clock;
use crate::poll::Poller;
use rail_core::check::IDENT_PREFIX;
use rail_core::net::UplinkId;
use rail_core::time::Duration;
use rail_core::{Input, ProbeSocket};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrV4, SocketFlags, SocketType, ipproto, sendto,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

/// Counted events of the probe sockets.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct SocketCounters {
    /// Sockets that could not be opened, attempts counted.
    pub open_errors: u64,
    /// Messages that could not be sent.
    pub send_errors: u64,
    /// Messages received and dropped: torn, or from another device.
    pub dropped: u64,
}

/// All probe sockets.
#[derive(Debug)]
pub struct ProbeSockets {
    first_token: u64,
    open: BTreeMap<UplinkId, Bucket>,
    counters: SocketCounters,
}

#[derive(Debug)]
struct Bucket {
    wanted: ProbeSocket,
    /// Not yet, while the device or the source address is missing; tried again at each send.
    fd: Option<OwnedFd>,
}

impl ProbeSockets {
    /// None open. The socket of uplink `n` gets the token `first_token + n`.
    pub const fn new(first_token: u64) -> Self {
        let counters = SocketCounters { open_errors: 0, send_errors: 0, dropped: 0 };
        Self { first_token, open: BTreeMap::new(), counters }
    }

    /// Has exactly these open from now on. One that is the same stays, with what waits in it.
    pub fn set(&mut self, poller: &Poller, wanted: Vec<ProbeSocket>) {
        self.open.retain(|_, bucket| wanted.contains(&bucket.wanted));
        for wanted in wanted {
            let first_token = self.first_token;
            let bucket = self.open.entry(wanted.uplink).or_insert(Bucket { wanted, fd: None });
            if bucket.fd.is_none() {
                self.counters.open_errors += u64::from(!bucket.try_open(poller, first_token));
            }
        }
    }

    /// Sends an ICMP message; a failure is counted, and its time-out tells the rest.
    pub fn send(&mut self, poller: &Poller, uplink: UplinkId, to: Ipv4Addr, bytes: &[u8]) {
        let Some(bucket) = self.open.get_mut(&uplink) else {
            self.counters.send_errors += 1;
            return;
        };
        if bucket.fd.is_none() && !bucket.try_open(poller, self.first_token) {
            self.counters.open_errors += 1;
        }
        let to = SocketAddrV4::new(to, 0);
        let sent = bucket.fd.as_ref().map(|fd| sendto(fd, bytes, SendFlags::DONTWAIT, &to));
        if !matches!(sent, Some(Ok(_))) {
            self.counters.send_errors += 1;
        }
    }

    /// Takes what arrived on the socket with this token, at most [`PER_PASS`] messages. True if
    /// more may wait.
    pub fn drain(&mut self, token: u64, inputs: &mut Vec<Input>) -> bool {
        let uplink = token.checked_sub(self.first_token).and_then(|n| u8::try_from(n).ok());
        let bucket = uplink.and_then(|n| {
            self.open.iter_mut().find_map(|(id, bucket)| (id.0 == n).then_some(bucket))
        });
        let Some(Bucket { wanted, fd: Some(fd) }) = bucket else { return false };
        let mut buffer = [0; 2048];
        for _ in 0..PER_PASS {
            let (length, device, age) = match receive(fd, &mut buffer) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.counters.dropped += 1;
                    return false;
                }
            };
            match icmp_of(&buffer[..length]) {
                Some((from, bytes)) if device == Some(wanted.ifindex) => {
                    let (uplink, bytes) = (wanted.uplink, bytes.to_vec());
                    inputs.push(Input::Packet { uplink, from: IpAddr::V4(from), age, bytes });
                }
                _ => self.counters.dropped += 1,
            }
        }
        true
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> SocketCounters {
        self.counters
    }
}

impl Bucket {
    fn try_open(&mut self, poller: &Poller, first_token: u64) -> bool {
        let token = first_token + u64::from(self.wanted.uplink.0);
        let opened = open(&self.wanted)
            .and_then(|fd| poller.add(&fd, token).map_err(Into::into).map(|()| fd));
        self.fd = opened.ok();
        self.fd.is_some()
    }
}

/// The source and the ICMP message of an IPv4 packet.
fn icmp_of(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let header_length = usize::from(packet.first()? & 0xf) * 4;
    if packet[0] >> 4 != 4 || header_length < 20 {
        return None;
    }
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    Some((source.into(), packet.get(header_length..)?))
}

fn open(wanted: &ProbeSocket) -> io::Result<OwnedFd> {
    let IpAddr::V4(source) = wanted.source else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd =
        rustix::net::socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::ICMP))?;
    // First of all the filter: what comes in before the rest is set is dropped as well.
    attach_filter(&fd, wanted.ident)?;
    let device = wanted.ifname.to_string();
    set_option(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes())?;
    let number = |value: i32| value.to_ne_bytes();
    set_option(&fd, libc::SOL_SOCKET, libc::SO_MARK, &wanted.mark.to_ne_bytes())?;
    // The type of service comes first because it sets the priority as well.
    set_option(&fd, libc::IPPROTO_IP, libc::IP_TOS, &number(TOS_NETWORK_CONTROL))?;
    set_option(&fd, libc::SOL_SOCKET, libc::SO_PRIORITY, &number(PRIORITY_CONTROL))?;
    set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &number(RECEIVE_BUFFER_BYTES))?;
    set_option(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, &number(1))?;
    // A kernel before 5.1 does not know it: the time is then taken when the reply is read.
    let _ = set_option(&fd, libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW, &number(1));
    rustix::net::bind(&fd, &SocketAddrV4::new(source, 0))?;
    Ok(fd)
}

/// Passes echo replies (type 0, code 0) with the prefix of this identifier, and nothing else. A raw
/// socket sees the packet from its IP header on.
fn attach_filter(fd: &OwnedFd, ident: u16) -> io::Result<()> {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt,
        jf,
        k,
    };
    let mut program = [
        op(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0), // x = IP header length
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 0),  // type and code
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 4, 0),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 4), // identifier
        op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, u32::from(IDENT_PREFIX)),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from(ident & IDENT_PREFIX)),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ];
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    set_raw_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

fn set_option(fd: &OwnedFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    set_raw_option(fd, level, name, value)
}

#[expect(unsafe_code, reason = "these socket options are not in rustix")]
fn set_raw_option<T: ?Sized>(fd: &OwnedFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0);
    let pointer = std::ptr::from_ref(value).cast::<libc::c_void>();
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads; a filter
    // program that it points to lives in the caller.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives one packet: its length, the index of the device it came in by, and how long ago.
#[expect(unsafe_code, reason = "IP_PKTINFO is not in rustix")]
fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>, Duration)> {
    #[repr(align(8))]
    struct Control([u8; 128]);
    let mut control = Control([0; 128]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zero is a valid msghdr (null pointers, zero lengths).
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // The length of `control`. The C libraries do not agree on the type of the field.
    message.msg_controllen = 128;
    let flags = RecvFlags::DONTWAIT.bits().cast_signed();
    // SAFETY: the buffers described by `message` live through the call and have those lengths.
    let length = unsafe { libc::recvmsg(fd.as_fd().as_raw_fd(), &raw mut message, flags) };
    let Ok(length) = usize::try_from(length) else {
        return Err(io::Error::last_os_error());
    };
    if message.msg_flags & libc::MSG_TRUNC != 0 {
        return Ok((0, None, Duration::ZERO));
    }
    let (mut device, mut age) = (None, Duration::ZERO);
    // SAFETY: the macros walk the control buffer within msg_controllen, which the kernel set; data
    // of type IP_PKTINFO is an in_pktinfo, and that of a time two numbers of 64 bits on every
    // machine, read without assuming their alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(found) = header.as_ref() {
            if (found.cmsg_level, found.cmsg_type) == (libc::IPPROTO_IP, libc::IP_PKTINFO) {
                let info = libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().read_unaligned();
                device = u32::try_from(info.ipi_ifindex).ok();
            }
            if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW) {
                let [seconds, nanos] = libc::CMSG_DATA(header).cast::<[i64; 2]>().read_unaligned();
                age = clock::age(seconds, nanos);
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok((length, device, age))
}

/// How many messages one call of [`ProbeSockets::drain`] takes at most.
pub const PER_PASS: usize = 64;

/// Class selector 6, "internetwork control" (RFC 2474 §4.2.2.2).
const TOS_NETWORK_CONTROL: i32 = 0xc0;
/// `TC_PRIO_INTERACTIVE`: the first band of the default queue.
const PRIORITY_CONTROL: i32 = 6;
/// `SO_TIMESTAMPNS_NEW`, also the type of the message: 64-bit times on 32-bit machines, too.
const SO_TIMESTAMPNS_NEW: i32 = 64;
/// Enough for hundreds of replies; a flood drops its own rest.
const RECEIVE_BUFFER_BYTES: i32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, ip};

    fn socket(ifname: &str, ident: u16) -> ProbeSocket {
        let index = std::fs::read_to_string(format!("/sys/class/net/{ifname}/ifindex"));
        // In a new namespace /sys may show the old one; `lo` is always the first.
        let ifindex = index.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        ProbeSocket {
            uplink: UplinkId(3),
            ifname: ifname.parse().unwrap(),
            ifindex,
            source: Ipv4Addr::LOCALHOST.into(),
            mark: 0x0300_0000,
            ident,
        }
    }

    /// An echo request: type 8, code 0, checksum, identifier, sequence.
    fn request(ident: u16) -> Vec<u8> {
        let mut bytes = vec![8, 0, 0, 0];
        bytes.extend(ident.to_be_bytes());
        bytes.extend([0, 1]);
        let sum: u32 = bytes.chunks(2).map(|b| u32::from(b[0]) << 8 | u32::from(b[1])).sum();
        let folded = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        bytes[2..4].copy_from_slice(&folded.to_be_bytes());
        bytes
    }

    fn answers(sockets: &mut ProbeSockets) -> Vec<Vec<u8>> {
        let mut inputs = Vec::new();
        // On `lo` the reply is there before the send returns.
        assert!(!sockets.drain(103, &mut inputs));
        let bytes = |input| match input {
            Input::Packet { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        };
        inputs.into_iter().map(bytes).collect()
    }

    #[test]
    fn only_our_replies_by_our_device_arrive() {
        in_new_netns(|| {
            let poller = Poller::new().unwrap();
            let mut sockets = ProbeSockets::new(100);
            sockets.set(&poller, vec![socket("lo", 0x1234)]);
            assert_eq!(sockets.counters(), SocketCounters::default());
            let uplink = UplinkId(3);
            let to = Ipv4Addr::LOCALHOST;
            // Ours comes back once, and that of another uplink; a foreign identifier, and our own
            // request, do not.
            for ident in [0x9999, 0x1134, 0x1234, 0x1203] {
                sockets.send(&poller, uplink, to, &request(ident));
            }
            assert_eq!(poller.wait(false).unwrap()[0].token, 103);
            let got = answers(&mut sockets);
            let idents: Vec<_> = got.iter().map(|bytes| (bytes[0], &bytes[4..6])).collect();
            assert_eq!(idents, [(0, &[0x12, 0x34][..]), (0, &[0x12, 0x03][..])]);
            assert_eq!(answers(&mut sockets), Vec::<Vec<u8>>::new());
            assert_eq!(sockets.counters(), SocketCounters::default());
        });
    }

    /// Given a loop that is busy with other things, then a reply is as old as it is.
    #[test]
    fn the_kernel_says_when_a_reply_came() {
        in_new_netns(|| {
            let poller = Poller::new().unwrap();
            let mut sockets = ProbeSockets::new(100);
            sockets.set(&poller, vec![socket("lo", 5)]);
            sockets.send(&poller, UplinkId(3), Ipv4Addr::LOCALHOST, &request(5));
            let arrived = clock::now();
            let busy = Duration::from_millis(50);
            while clock::now().since(arrived) < busy {}
            let mut inputs = Vec::new();
            assert!(!sockets.drain(103, &mut inputs));
            assert!(
                matches!(&inputs[..], [Input::Packet { age, .. }] if *age >= busy),
                "{inputs:?}"
            );
        });
    }

    #[test]
    fn a_reply_that_names_another_device_is_dropped_and_counted() {
        in_new_netns(|| {
            let poller = Poller::new().unwrap();
            let mut sockets = ProbeSockets::new(100);
            sockets.set(&poller, vec![ProbeSocket { ifindex: 77, ..socket("lo", 5) }]);
            let uplink = UplinkId(3);
            sockets.send(&poller, uplink, Ipv4Addr::LOCALHOST, &request(5));
            assert!(answers(&mut sockets).is_empty());
            assert_eq!(sockets.counters().dropped, 1);
        });
    }

    #[test]
    fn a_missing_device_is_counted_and_tried_again() {
        in_new_netns(|| {
            let poller = Poller::new().unwrap();
            let mut sockets = ProbeSockets::new(100);
            let source = "192.0.2.9".parse().unwrap();
            let wanted = ProbeSocket { source, ..socket("lo", 5) };
            sockets.set(&poller, vec![wanted]);
            let uplink = UplinkId(3);
            let to = Ipv4Addr::new(192, 0, 2, 9);
            sockets.send(&poller, uplink, to, &request(5));
            let counters = sockets.counters();
            assert_eq!((counters.open_errors, counters.send_errors), (2, 1));
            ip("address add 192.0.2.9/32 dev lo");
            sockets.send(&poller, uplink, to, &request(5));
            assert_eq!(answers(&mut sockets).len(), 1);
            // Told to have none, it has none.
            sockets.set(&poller, vec![]);
            sockets.send(&poller, uplink, to, &request(5));
            assert!(answers(&mut sockets).is_empty());
        });
    }

    #[test]
    fn header_lengths_are_honoured() {
        let mut packet = vec![0x46; 24];
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet.extend([0, 0, 1, 2]);
        assert_eq!(icmp_of(&packet), Some((Ipv4Addr::new(192, 0, 2, 1), &[0, 0, 1, 2][..])));
        for (first, length) in [(0x45, 0), (0x45, 15), (0x44, 28), (0x60, 40), (0x4f, 30)] {
            assert_eq!(icmp_of(&vec![first; length]), None, "{first:x} {length}");
        }
    }
}
