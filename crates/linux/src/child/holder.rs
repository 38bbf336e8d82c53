//! Who has a port that a child could not have: a program, its process and its unit.
//!
//! By the sockets of this network namespace, and by the descriptors of all processes. Promises: it reads for
//! [`PATIENCE`] at most, and names [`MOST`] at most; a process that may not be looked at is known by its user.

use super::output::plain;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// A socket on a port.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Socket {
    kind: &'static str,
    address: IpAddr,
    port: u16,
    user: u32,
    inode: u64,
}

/// A sentence for each that has one of these ports, with what helps against it.
pub(super) fn name(ports: &[u16]) -> Vec<String> {
    name_those(ports, |_| true)
}

/// The same of those with whom nobody else can have this port on the loopback.
pub(super) fn name_on_loopback(port: u16) -> Vec<String> {
    name_those(&[port], |address| address.is_loopback() || address.is_unspecified())
}

fn name_those(ports: &[u16], is_meant: impl Fn(IpAddr) -> bool) -> Vec<String> {
    let files = [("udp", "udp"), ("udp6", "udp"), ("tcp", "tcp"), ("tcp6", "tcp")];
    let mut all: Vec<Socket> = Vec::new();
    for (file, kind) in files {
        let text = fs::read_to_string(format!("/proc/self/net/{file}")).unwrap_or_default();
        let found = text.lines().skip(1).filter_map(|line| parse(kind, line));
        let is_wanted = |socket: &Socket| ports.contains(&socket.port) && is_meant(socket.address);
        all.extend(found.filter(is_wanted));
    }
    let wanted: BTreeSet<u64> = all.iter().map(|socket| socket.inode).collect();
    let holders = if wanted.is_empty() { Vec::new() } else { holders(&wanted) };
    let mut sentences: Vec<String> = Vec::new();
    for Socket { kind, address, port, user, inode } in &all {
        let who = holders.iter().find(|(has, _)| has == inode);
        let who =
            who.map_or_else(|| format!("a program of user {user}"), |(_, pid)| describe(*pid));
        let place = if address.is_unspecified() { String::new() } else { format!(" on {address}") };
        let text = format!("port {port} ({kind}){place} is held by {who}");
        // One program often has both protocols: the first one is enough.
        let is_same = |said: &&String| {
            said.starts_with(&format!("port {port} "))
                && said.ends_with(&format!("{place} is held by {who}"))
        };
        if !sentences.iter().any(|said| is_same(&said)) && sentences.len() < MOST {
            sentences.push(text);
        }
    }
    sentences
}

/// A line of `/proc/net/udp` and its like; of TCP those that listen.
fn parse(kind: &'static str, line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state) = (fields.get(1)?, fields.get(3)?);
    if kind == "tcp" && *state != "0A" {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (n, part) in bytes.chunks_exact_mut(4).enumerate() {
                let word = u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok()?;
                part.copy_from_slice(&word.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    let (user, inode) = (fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?);
    Some(Socket { kind, address, port: u16::from_str_radix(port, 16).ok()?, user, inode })
}

/// Which process has which of these sockets.
fn holders(wanted: &BTreeSet<u64>) -> Vec<(u64, u32)> {
    let until = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // What may not be looked at has no entries.
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for entry in entries {
            if Instant::now() > until {
                return found;
            }
            let Ok(goal) = fs::read_link(entry.path()) else { continue };
            let inode =
                goal.to_str().and_then(|goal| goal.strip_prefix("socket:[")?.strip_suffix(']'));
            let inode =
                inode.and_then(|inode| inode.parse().ok()).filter(|inode| wanted.contains(inode));
            found.extend(inode.map(|inode| (inode, pid)));
        }
    }
    found
}

/// Its name, its number and its unit, and how to end it.
fn describe(pid: u32) -> String {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let comm = plain(comm.trim());
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    match unit(&groups) {
        Some(unit) => {
            format!("{comm} (process {pid}) of {unit}: stop it, `systemctl disable --now {unit}`")
        }
        None => format!("{comm} (process {pid}): end it, or keep it from that address"),
    }
}

/// The service in a line of `/proc/PID/cgroup`.
fn unit(groups: &str) -> Option<&str> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let is_plain = |part: &&str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.@:\\".contains(&b);
        part.ends_with(".service") && part.bytes().all(known)
    };
    path.rsplit('/').find(is_plain)
}

/// Many processes with many files take some milliseconds.
const PATIENCE: Duration = Duration::from_millis(300);
/// So many are named.
const MOST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// Given the kernel's words about sockets and groups, then ports, addresses and services are read.
    #[test]
    fn the_words_of_proc_are_understood() {
        let line = "  12: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4242 2 0";
        let found = parse("udp", line).unwrap();
        let loopback = if cfg!(target_endian = "little") { "127.0.0.1" } else { "1.0.0.127" };
        assert_eq!((found.address, found.port), (loopback.parse().unwrap(), 53));
        assert_eq!((found.user, found.inode), (101, 4242));
        // An established connection listens nowhere.
        assert_eq!(parse("tcp", &line.replace(" 07 ", " 01 ")), None);
        assert!(parse("tcp", &line.replace(" 07 ", " 0A ")).is_some());
        assert_eq!(parse("udp", "  sl  local_address rem_address   st"), None);
        let group = "0::/system.slice/system-dns.slice/named@a.service/inner\n";
        assert_eq!(unit(group), Some("named@a.service"));
        assert_eq!(unit("0::/user.slice/a;b.service\n"), None);
    }

    /// Given a port that this process has, then it is named with its number; given one that nobody has, then
    /// nobody is.
    #[test]
    fn the_holder_is_named() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let said = name(&[port]).join("\n");
        assert!(said.starts_with(&format!("port {port} (udp) on 127.0.0.1 is held by ")), "{said}");
        assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
        drop(socket);
        // What another test forks just now has a copy of it until it becomes its program.
        let end = Instant::now() + Duration::from_secs(20);
        while !name(&[port]).is_empty() {
            assert!(Instant::now() < end, "{:?}", name(&[port]));
            std::thread::yield_now();
        }
    }
}
