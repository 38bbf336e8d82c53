//! What the service manager wants to hear: `sd_notify(3)` without its library.
//!
//! Promises never to block and never to fail: without a manager, or with one
//! that does not listen, nothing happens.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The socket named by `NOTIFY_SOCKET`, a path or, with a leading `@`, an abstract name.
#[derive(Debug)]
pub struct NotifySocket {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl NotifySocket {
    /// Reads `NOTIFY_SOCKET`.
    pub fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").and_then(|name| open(name.as_bytes())) }
    }

    /// Sends assignments such as `READY=1`, several separated by line ends.
    pub fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not listen is its own trouble.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// How often the manager wants `WATCHDOG=1`: half of `WATCHDOG_USEC`, if that is meant for us.
pub fn watchdog_interval() -> Option<Duration> {
    if let Ok(pid) = std::env::var("WATCHDOG_PID")
        && pid.parse() != Ok(std::process::id())
    {
        return None;
    }
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros / 2))
}

fn open(name: &[u8]) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok()?,
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)).ok()?,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_heard() {
        let id = std::process::id();
        let path = std::env::temp_dir().join(format!("rail-notify-{id}"));
        let abstract_name = format!("rail-notify-{id}");
        let listeners = [
            (path.clone().into_os_string(), SocketAddr::from_pathname(&path).unwrap()),
            (
                format!("@{abstract_name}").into(),
                SocketAddr::from_abstract_name(abstract_name).unwrap(),
            ),
        ];
        for (name, address) in listeners {
            let listener = UnixDatagram::bind_addr(&address).unwrap();
            NotifySocket { socket: open(name.as_bytes()) }.send("READY=1");
            let mut text = [0; 16];
            let length = listener.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1");
        }
        std::fs::remove_file(path).unwrap();
        NotifySocket { socket: None }.send("READY=1");
    }
}
